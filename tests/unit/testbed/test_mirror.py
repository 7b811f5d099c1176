# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror of the test bed."""

from __future__ import annotations

import http.client
import os
import socket
import threading

import pytest

from tests.testbed import mirror

ARCHIVE = "/example.org/tool/v1/tool.tar.gz"
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server(tmp_path):
    root = tmp_path / "mirror"
    path = root / ARCHIVE.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    (tmp_path / "secret").write_text("outside")
    running = mirror.Server("127.0.0.1", 0, root.resolve())
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection(*server.server_address, timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_it_serves_a_file(server):
    answer, body = ask(server, ARCHIVE)
    assert (answer.status, answer.headers["Content-Length"], body) == (
        200,
        str(len(CONTENT)),
        CONTENT,
    )


@pytest.mark.parametrize(
    ("desired", "expected"),
    [
        pytest.param("bytes=0-0", slice(0, 1), id="first byte"),
        pytest.param("bytes=5000-", slice(5000, None), id="resumed"),
        pytest.param("bytes=10-19", slice(10, 20), id="middle"),
        pytest.param("bytes=10200-99999", slice(10200, None), id="beyond the end"),
        pytest.param("bytes=-7", slice(-7, None), id="end"),
        pytest.param("bytes=-99999", slice(0, None), id="longer end than the file"),
    ],
)
def test_it_serves_a_range(server, desired, expected):
    answer, body = ask(server, ARCHIVE, Range=desired)
    first, last, _step = expected.indices(len(CONTENT))
    assert (answer.status, body) == (206, CONTENT[expected])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(CONTENT)}"


@pytest.mark.parametrize(
    "desired", ["bytes=10240-", "bytes=20000-20001", "bytes=9-8", "bytes=-0"]
)
def test_it_refuses_a_range_outside_the_file(server, desired):
    answer, _body = ask(server, ARCHIVE, Range=desired)
    assert (answer.status, answer.headers["Content-Range"]) == (
        416,
        f"bytes */{len(CONTENT)}",
    )


@pytest.mark.parametrize("desired", ["bytes=", "bytes=-", "lines=1-2", "bytes=1-2,4-5"])
def test_it_ignores_an_unknown_form_of_range(server, desired):
    answer, body = ask(server, ARCHIVE, Range=desired)
    assert (answer.status, body) == (200, CONTENT)


def test_it_answers_head_without_a_body(server):
    answer, body = ask(server, ARCHIVE, "HEAD")
    assert (answer.status, answer.headers["Content-Length"], body) == (
        200,
        str(len(CONTENT)),
        b"",
    )


@pytest.mark.parametrize(
    "path",
    [
        "/example.org",
        "/example.org/none.zip",
        "/../secret",
        "/%2e%2e/secret",
        "/example.org/..%2f..%2fsecret",
    ],
)
def test_it_serves_only_files_of_its_tree(server, path):
    assert ask(server, path)[0].status == 404


def test_it_keeps_a_connection_for_the_next_request(server):
    connection = http.client.HTTPConnection(*server.server_address, timeout=5)
    for path, status in [("/none", 404), (ARCHIVE, 200), ("/", 200)]:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


@pytest.fixture
def free_port(tmp_path, monkeypatch):
    monkeypatch.setenv("HIPPIUS_MONITORING_CACHE", str(tmp_path / "cache"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_it_starts_once_in_the_background_and_stops(free_port):
    first = mirror.start("127.0.0.1", free_port)
    pid = int(mirror.pid_file("127.0.0.1", free_port).read_text())
    try:
        assert (first, mirror.is_serving("127.0.0.1", free_port)) == (
            f"http://127.0.0.1:{free_port}",
            True,
        )
        assert mirror.start("127.0.0.1", free_port) == first
        assert int(mirror.pid_file("127.0.0.1", free_port).read_text()) == pid
    finally:
        mirror.stop("127.0.0.1", free_port)
    assert not mirror.is_serving("127.0.0.1", free_port)
    mirror.stop("127.0.0.1", free_port)


def test_it_starts_again_after_it_was_killed(free_port):
    mirror.start("127.0.0.1", free_port)
    os.kill(int(mirror.pid_file("127.0.0.1", free_port).read_text()), 9)
    try:
        assert mirror.start("127.0.0.1", free_port)
        assert mirror.is_serving("127.0.0.1", free_port)
    finally:
        mirror.stop("127.0.0.1", free_port)


def test_it_refuses_the_port_of_another_mirror(server, free_port):
    with pytest.raises(RuntimeError, match="another program answers"):
        mirror.start(*server.server_address)


def test_it_says_why_it_cannot_start(free_port):
    with pytest.raises(RuntimeError, match="Cannot assign requested address"):
        mirror.start("192.0.2.1", free_port)
