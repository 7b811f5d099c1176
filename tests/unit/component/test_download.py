# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from mirrors that fail in many ways."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import time
from collections import namedtuple
from collections.abc import Callable
from http.client import InvalidURL
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.error import URLError

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    download,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.conftest import Web

CONTENT = os.urandom(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<!DOCTYPE html><html>Please sign in</html>"


@pytest.fixture
def fetch(
    root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Return a function that downloads without pauses between attempts.

    It verifies that a failure leaves nothing, and a success only the archive.
    """
    monkeypatch.setattr(download, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    path = tmp_path / "downloads/archive"

    def fetch(*urls: str, size: int | None = None) -> None:
        try:
            download.fetch(list(urls), SHA256, str(path), size)
        except ComponentError:
            assert not path.parent.exists()
            raise
        assert path.read_bytes() == CONTENT
        assert os.listdir(path.parent) == ["archive"]

    return fetch


@pytest.fixture
def part(root: None, tmp_path: Path) -> Path:
    """Return the path at which a killed run leaves its download."""
    directory = tmp_path / "downloads"
    directory.mkdir()
    return directory / "archive.part"


def test_an_archive_is_downloaded_by_one_request(fetch: Callable, web: Web) -> None:
    web.answers = [web.file(CONTENT)]
    fetch(web.url + "/a.tar.gz")
    assert web.requests == [("/a.tar.gz", None)]


def test_a_wrong_checksum_is_reported_with_the_right_one_and_not_requested_again(
    fetch: Callable, web: Web
) -> None:
    web.answers = [web.file(b"something else")]
    with pytest.raises(ComponentError) as caught:
        fetch(web.url + "/a")
    actual = hashlib.sha256(b"something else").hexdigest()
    assert f"{web.url}/a: SHA-256 is {actual}, expected {SHA256}" in str(caught.value)
    assert len(web.requests) == 1


def test_an_html_page_instead_of_an_archive_is_reported(
    fetch: Callable, web: Web
) -> None:
    web.answers = [web.file(PAGE)]
    with pytest.raises(ComponentError, match="it is an HTML page"):
        fetch(web.url + "/a")


def test_an_interrupted_response_is_resumed_at_its_end(
    fetch: Callable, web: Web
) -> None:
    web.answers = [web.file(CONTENT, stop_after=60_000), web.file(CONTENT)]
    fetch(web.url + "/a")
    assert web.requests == [("/a", None), ("/a", "bytes=60000-")]


def test_a_mirror_that_interrupts_each_response_but_makes_progress_suffices(
    fetch: Callable, web: Web
) -> None:
    web.answers = [web.file(CONTENT, stop_after=30_000)]
    fetch(web.url + "/a")
    assert len(web.requests) == 7


def test_a_server_without_ranges_starts_again(fetch: Callable, web: Web) -> None:
    web.answers = [
        web.file(CONTENT, stop_after=60_000),
        web.file(CONTENT, ranges=False),
    ]
    fetch(web.url + "/a")
    assert web.requests[1] == ("/a", "bytes=60000-")


def test_an_archive_that_is_always_cut_is_abandoned(fetch: Callable, web: Web) -> None:
    web.answers = [web.file(CONTENT, stop_after=100, ranges=False)]
    with pytest.raises(
        ComponentError, match="ended after 100 of 200000 bytes, after 4 attempts"
    ):
        fetch(web.url + "/a")


def test_a_truncated_archive_of_the_right_length_is_refused(
    fetch: Callable, web: Web
) -> None:
    web.answers = [web.file(CONTENT[:1000])]
    with pytest.raises(ComponentError, match=r"SHA-256 is .*\(1000 bytes\)"):
        fetch(web.url + "/a")


def test_a_mirror_that_fails_twice_is_tried_a_third_time(
    fetch: Callable, web: Web
) -> None:
    web.answers = [web.status(503), web.status(503), web.file(CONTENT)]
    fetch(web.url + "/a")
    assert len(web.requests) == 3


@pytest.mark.parametrize(
    ("code", "requests"), [(404, 1), (403, 1), (503, 3), (429, 3), (500, 3)]
)
def test_a_status_is_reported_after_this_number_of_requests(
    fetch: Callable, web: Web, code: int, requests: int
) -> None:
    web.answers = [web.status(code)]
    with pytest.raises(ComponentError, match=f"{web.url}/a: HTTP {code}"):
        fetch(web.url + "/a")
    assert len(web.requests) == requests


def test_mirrors_are_tried_in_order_until_one_has_the_archive(
    fetch: Callable, web: Web
) -> None:
    web.answers = [web.status(404), web.file(PAGE), web.file(CONTENT)]
    fetch(web.url + "/1", web.url + "/2", web.url + "/3", web.url + "/4")
    assert [path for path, _range in web.requests] == ["/1", "/2", "/3"]


def test_each_failed_mirror_is_named_with_its_reason(fetch: Callable, web: Web) -> None:
    web.answers = [web.status(404), web.file(PAGE)]
    with pytest.raises(ComponentError) as caught:
        fetch(web.url + "/1", web.url + "/2")
    assert f"{web.url}/1: HTTP 404; {web.url}/2: SHA-256 is" in str(caught.value)


def test_the_beginning_from_a_bad_mirror_is_replaced_by_a_good_one(
    fetch: Callable, web: Web
) -> None:
    web.answers = [
        web.file(bytes(200_000), stop_after=5000),
        *[web.status(503)] * 4,
        web.file(CONTENT),
    ]
    fetch(web.url + "/bad", web.url + "/good")
    assert web.requests[-2:] == [("/good", "bytes=5000-"), ("/good", None)]


def test_a_mirror_that_hangs_is_skipped(fetch: Callable, web: Web) -> None:
    web.answers = [web.hang, web.hang, web.hang, web.file(CONTENT)]
    began = time.monotonic()
    fetch(web.url + "/1", web.url + "/2")
    assert time.monotonic() - began < 20


def test_a_single_mirror_that_hangs_is_reported(fetch: Callable, web: Web) -> None:
    web.answers = [web.hang]
    with pytest.raises(ComponentError, match="timed out, after 3 attempts"):
        fetch(web.url + "/1")


def test_a_mirror_that_drips_leaves_time_for_the_next(
    fetch: Callable, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 6)
    web.answers = [web.drip, web.file(CONTENT)]
    began = time.monotonic()
    fetch(web.url + "/1", web.url + "/2")
    assert 3 <= time.monotonic() - began < 5.8


def test_a_closed_port_and_a_bad_url_are_reported(fetch: Callable) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/a"
        with pytest.raises(
            ComponentError,
            match=r"Connection refused, after 3 attempts; nonsense: unknown url type",
        ):
            fetch(address, "nonsense")
    with pytest.raises(ComponentError, match="no URL is given"):
        fetch()


def test_a_partial_download_of_a_killed_run_is_resumed(
    fetch: Callable, web: Web, part: Path
) -> None:
    part.write_bytes(CONTENT[:150_000])
    web.answers = [web.file(CONTENT)]
    fetch(web.url + "/a")
    assert web.requests == [("/a", "bytes=150000-")]


def test_a_complete_download_of_a_killed_run_is_used(
    fetch: Callable, web: Web, part: Path
) -> None:
    part.write_bytes(CONTENT)
    fetch(web.url + "/a")
    assert web.requests == []


@pytest.mark.parametrize(
    "content", [b"x" * 150_000, b"x" * 300_000], ids=["wrong", "too long"]
)
def test_an_unusable_partial_download_is_replaced(
    fetch: Callable, web: Web, part: Path, content: bytes
) -> None:
    part.write_bytes(content)
    web.answers = [web.file(CONTENT)]
    fetch(web.url + "/a")
    assert web.requests[-1] == ("/a", None)


def test_a_response_with_another_range_is_not_appended(
    fetch: Callable, web: Web, part: Path
) -> None:
    part.write_bytes(CONTENT[:150_000])

    def send_everything(request: BaseHTTPRequestHandler) -> None:
        request.send_response(206)
        request.send_header(
            "Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"
        )
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT)

    web.answers = [send_everything]
    fetch(web.url + "/a")
    assert len(web.requests) == 1


def test_missing_space_is_reported_before_anything_is_written(
    fetch: Callable, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 500_000, 500_000)
    )
    web.answers = [web.file(CONTENT)]
    with pytest.raises(ComponentError, match=r"0\.5 MiB free, about 0\.8 MiB needed"):
        fetch(web.url + "/a")


def test_a_response_without_a_length_is_read_to_its_end(
    fetch: Callable, web: Web
) -> None:
    def send_without_length(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(CONTENT)

    web.answers = [send_without_length]
    fetch(web.url + "/a")


def claims(size: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with a length that no archive has."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(size))
        request.end_headers()

    return answer


def never_ends(request: BaseHTTPRequestHandler) -> None:
    """Answer without a length, and go on for as long as somebody reads."""
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(b"x" * 100_000)
    except OSError:
        return


@pytest.mark.parametrize("first", [claims(10**15), never_ends])
def test_a_mirror_that_sends_too_much_does_not_spoil_the_next_one(
    fetch: Callable,
    web: Web,
    monkeypatch: pytest.MonkeyPatch,
    first: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    monkeypatch.setattr(download, "LARGEST_ARCHIVE", 1_000_000)
    web.answers = [first, web.file(CONTENT)]
    fetch(web.url + "/a", web.url + "/b")
    assert web.requests == [("/a", None), ("/b", None)]


def test_a_mirror_without_end_leaves_space_for_others_on_the_host(
    fetch: Callable, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _path: usage(download.SPARE_BYTES - 1)
    )
    web.answers = [never_ends]
    with pytest.raises(ComponentError, match="needed for"):
        fetch(web.url + "/a")


def endless(request: BaseHTTPRequestHandler) -> None:
    """Send without a length and without end."""
    request.send_response(200)
    request.end_headers()
    with contextlib.suppress(OSError):
        while True:
            request.wfile.write(bytes(65536))


def longer(request: BaseHTTPRequestHandler) -> None:
    """Offer one byte more than the archive has."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(CONTENT) + 1))
    request.end_headers()
    with contextlib.suppress(OSError):
        request.wfile.write(CONTENT)


def test_the_next_url_is_asked_when_one_offers_another_size(
    fetch: Callable[..., None], web: Web
) -> None:
    web.answers = [longer, web.file(CONTENT)]
    fetch(web.url, web.url, size=len(CONTENT))
    assert len(web.requests) == 2


def test_another_size_is_refused_by_name(fetch: Callable[..., None], web: Web) -> None:
    web.answers = [longer]
    with pytest.raises(
        ComponentError,
        match=f"it offers {len(CONTENT) + 1} bytes, and {len(CONTENT)} are locked",
    ):
        fetch(web.url, size=len(CONTENT))
    assert len(web.requests) == 1


def test_nothing_beyond_the_locked_size_is_stored(
    fetch: Callable[..., None],
    web: Web,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    largest = 0
    describe = download._describe

    def measured(part: str) -> str:
        nonlocal largest
        largest = max(largest, os.path.getsize(part))
        return describe(part)

    monkeypatch.setattr(download, "_describe", measured)
    web.answers = [endless, web.file(CONTENT)]
    fetch(web.url, web.url, size=len(CONTENT))
    assert largest <= len(CONTENT) + download.CHUNK


def test_what_a_killed_run_left_is_removed_when_it_is_too_long(
    fetch: Callable[..., None], part: Path, web: Web
) -> None:
    part.write_bytes(CONTENT + b"more")
    web.answers = [web.file(CONTENT)]
    fetch(web.url, size=len(CONTENT))
    assert web.requests == [("/", None)]


def test_headers_that_drip_end_in_time(
    fetch: Callable[..., None], web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TOTAL_SECONDS", 1)
    web.answers = [web.drip_headers, web.file(CONTENT)]
    start = time.monotonic()
    fetch(web.url, web.url)
    assert time.monotonic() - start < 5


def test_a_locked_size_needs_room_before_anything_is_sent(
    fetch: Callable[..., None], web: Web
) -> None:
    web.answers = [endless]
    with pytest.raises(ComponentError, match="needed for the release"):
        fetch(web.url, size=10**15)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        pytest.param(ssl.SSLCertVerificationError("x"), download.Refused, id="TLS"),
        pytest.param(InvalidURL("x"), download.Refused, id="no URL"),
        pytest.param(ValueError("unknown url type"), download.Refused, id="scheme"),
        pytest.param(ConnectionResetError("x"), download.Retryable, id="a reset"),
        pytest.param(ssl.SSLError("x"), download.Retryable, id="a cut handshake"),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, kind: type) -> None:
    wrapped = URLError(error)  # type: ignore[arg-type]
    for given in (error, wrapped):
        assert type(download._classified(given, "/downloads")) is kind
