# SPDX-License-Identifier: GPL-3.0-or-later
"""A client repeats safe requests, none after wrong credentials, and names them in errors."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.api import (
    client as clients,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.api.client import (
    Client,
    Raced,
    path,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
    Refused,
    Unauthorized,
    Uncertain,
)
from tests.testbed.grafana.server import FakeGrafana, start

USERS = "/api/admin/users"


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with FakeGrafana(version="13.2.3", password="pass word ü") as server:
        yield server


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(grafana: FakeGrafana, pauses: list[float]) -> Client:
    return Client(
        grafana.url, username="admin", password="pass word ü", sleep=pauses.append
    )


def seen(grafana: FakeGrafana) -> list[str]:
    return [f"{line.method} {line.path} {line.status}" for line in grafana.requests]


def test_paths_are_quoted() -> None:
    assert path("v1", "a/b c", "..%") == "/api/v1/a%2Fb%20c/..%25"


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_no_name_leads_elsewhere(part: str) -> None:
    with pytest.raises(GrafanaError, match="cannot be the name of anything"):
        path("folders", part)


def test_a_probe_is_made_once(grafana: FakeGrafana, client: Client) -> None:
    client.probe()
    client.probe()
    assert seen(grafana) == ["GET /api/org 200"]
    assert client.namespace == "default"


def test_another_organization_has_its_own_namespace(grafana: FakeGrafana) -> None:
    number = grafana.add_org("Two")
    client = Client(
        grafana.url, username="admin", password="pass word ü", org_id=number
    )
    client.probe()
    assert client.namespace == f"org-{number}"


def test_wrong_credentials_make_one_request_whatever_follows(
    grafana: FakeGrafana, pauses: list
) -> None:
    client = Client(
        grafana.url, username="admin", password="wrong", sleep=pauses.append
    )
    for _ in range(8):
        with pytest.raises(Unauthorized, match="wrong or locked credentials"):
            client.probe()
    with pytest.raises(Unauthorized):
        client.each(client.get, ["/api/org"] * 8)
    assert seen(grafana) == ["GET /api/org 401"]
    # The account is not locked.
    Client(grafana.url, username="admin", password="pass word ü").probe()


@pytest.mark.parametrize("fault", ["502", "429", "locked", "reset", "truncated"])
def test_reads_are_repeated(
    grafana: FakeGrafana, client: Client, pauses: list, fault: str
) -> None:
    grafana.fail(fault, method="GET", times=2)
    client.probe()
    assert len(pauses) == 2
    assert seen(grafana)[-1] == "GET /api/org 200"


@pytest.mark.parametrize("fault", ["502", "429", "locked", "reset", "truncated"])
def test_reads_are_given_up(
    grafana: FakeGrafana, client: Client, pauses: list, fault: str
) -> None:
    grafana.fail(fault, method="GET", times=0)
    with pytest.raises(
        GrafanaError, match=r"GET /api/org.*given up after \d+ attempts"
    ):
        client.probe()
    assert 50 < sum(pauses) < 70


def test_a_plain_error_is_not_repeated(
    grafana: FakeGrafana, client: Client, pauses: list
) -> None:
    grafana.fail("500", method="GET", times=0)
    with pytest.raises(Refused, match="GET /api/org answered 500"):
        client.probe()
    assert pauses == []


def test_a_web_page_is_not_mistaken_for_grafana(
    grafana: FakeGrafana, client: Client
) -> None:
    grafana.fail("html", method="GET", status=200, times=0)
    with pytest.raises(GrafanaError, match=f"web page: is {grafana.url} Grafana"):
        client.probe()


def test_retry_after_is_obeyed(
    grafana: FakeGrafana, client: Client, pauses: list
) -> None:
    grafana.fail("429", method="GET", times=1, headers={"Retry-After": "7"})
    client.probe()
    assert pauses == [7.0]


@pytest.mark.parametrize("fault", ["502", "locked", "reset", "truncated"])
def test_an_uncertain_write_is_not_repeated(
    grafana: FakeGrafana, client: Client, fault: str
) -> None:
    grafana.fail(fault, method="POST", times=0)
    with pytest.raises(Uncertain, match=f"user ada: POST {USERS}"):
        client.write("POST", USERS, "user ada", {"login": "ada", "password": "secret"})
    assert sum(line.method == "POST" for line in grafana.requests) == 1


def test_a_rejected_write_is_repeated(grafana: FakeGrafana, client: Client) -> None:
    grafana.fail("429", method="POST", times=1)
    client.write("POST", USERS, "user ada", {"login": "ada", "password": "secret"})
    assert [line.status for line in grafana.requests if line.method == "POST"] == [
        429,
        200,
    ]


@pytest.mark.parametrize("fault", ["409", "412"])
def test_a_lost_race_has_its_own_error(
    grafana: FakeGrafana, client: Client, fault: str
) -> None:
    grafana.fail(fault, method="POST", times=1)
    with pytest.raises(Raced) as raised:
        client.write("POST", USERS, "user ada", {})
    assert raised.value.status == int(fault)


def test_a_refused_connection_is_given_up(pauses: list) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = Client(url, username="a", password="b", sleep=pauses.append)
        with pytest.raises(
            GrafanaError, match=f"at {url}: .*refused.*given up"
        ) as raised:
            client.write("POST", USERS, "user ada", {})
    assert not isinstance(raised.value, Uncertain)
    assert sum(pauses) > 50


@pytest.mark.parametrize(
    "url", ["grafana:3000", "http://", "ftp://grafana", "http://a b"]
)
def test_an_invalid_address_is_reported_at_once(url: str, pauses: list) -> None:
    with pytest.raises(GrafanaError, match=re.escape(f"at {url.rstrip('/')}: ")):
        Client(url, username="a", password="secret", sleep=pauses.append).probe()
    assert pauses == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate of 127.0.0.1 that it signed itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = (str(folder / "cert.pem"), str(folder / "key.pem"))
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        *names,
    ]
    subprocess.run(
        [*command, "-out", files[0], "-keyout", files[1]],
        check=True,
        capture_output=True,
    )
    return files


def test_tls_is_verified(
    grafana: FakeGrafana,
    certificate: tuple[str, str],
    pauses: list,
    tmp_path: Path,
) -> None:
    missing = str(tmp_path / "missing")
    http, thread = start(grafana.grafana, ("127.0.0.1", 0), certificate)
    try:
        url = f"https://127.0.0.1:{http.server_address[1]}"
        login = {"username": "admin", "password": "pass word ü", "sleep": pauses.append}
        with pytest.raises(
            GrafanaError, match=f"GET /api/org at {url}: TLS: .*certificate"
        ):
            Client(url, **login).probe()
        assert pauses == []
        Client(url, ca_path=certificate[0], **login).probe()
        Client(url, validate_certs=False, **login).probe()
        Client(
            url,
            ca_path=certificate[0],
            client_cert=certificate[0],
            client_key=certificate[1],
            **login,
        ).probe()
        with pytest.raises(GrafanaError, match=missing):
            Client(url, ca_path=missing, **login).probe()
        with pytest.raises(GrafanaError, match=missing):
            Client(url, client_cert=missing, validate_certs=False, **login).probe()
    finally:
        http.close()
        thread.join()


def test_a_silent_server_times_out(pauses: list) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = Client(
            url,
            username="a",
            password="b",
            timeout=0.2,
            patience=0.3,
            sleep=pauses.append,
        )
        with pytest.raises(GrafanaError, match="timed out"):
            client.probe()
        with pytest.raises(Uncertain, match="timed out"):
            client.write("POST", USERS, "user ada", {})


def test_a_secret_in_an_answer_is_hidden(grafana: FakeGrafana, client: Client) -> None:
    client.secrets.add("https://discord/secret")
    grafana.fail(
        "500",
        method="GET",
        body={"message": "bad url https://discord/secret of pass word ü"},
        times=0,
    )
    with pytest.raises(Refused) as raised:
        client.probe()
    assert "secret" not in str(raised.value) and "pass word" not in str(raised.value)
    assert "********" in str(raised.value)


def test_a_secret_that_begins_like_another_one_leaves_no_rest(
    client: Client,
) -> None:
    client.secrets |= {"hunter", "hunter-and-more"}
    shown = client.scrub("login hunter-and-more, then hunter")
    assert "more" not in shown
    assert "hunter" not in shown


def test_nothing_of_the_environment_applies(
    grafana: FakeGrafana,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client = Client(grafana.url, username="admin", password="pass word ü")
    client.probe()
    assert seen(grafana) == ["GET /api/org 200"]


def test_a_redirect_is_reported_with_its_target(
    grafana: FakeGrafana, client: Client
) -> None:
    grafana.fail(
        "500",
        method="GET",
        status=301,
        headers={"Location": "https://elsewhere/grafana/"},
        times=0,
    )
    with pytest.raises(Refused, match="redirects to https://elsewhere/grafana/"):
        client.probe()


def test_a_missing_requests_library_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "requests", None)
    with pytest.raises(GrafanaError, match="install python3-requests"):
        Client("http://127.0.0.1:3000")


def test_one_connection_is_kept(grafana: FakeGrafana, client: Client) -> None:
    opened = []
    connect = socket.socket.connect

    def counted(self: socket.socket, address: object) -> None:
        opened.append(address)
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", counted)
        for _ in range(5):
            client.get("/api/org")
    assert len(opened) == 1


def test_items_are_read_in_parallel_and_in_order(
    grafana: FakeGrafana, client: Client
) -> None:
    names = set()

    def call(number: int) -> int:
        names.add(threading.current_thread().name)
        client.get("/api/org")
        return number

    assert client.each(call, list(range(20))) == list(range(20))
    assert len(names) > 1


def test_the_major_version_is_read(grafana: FakeGrafana, client: Client) -> None:
    assert client.major_version() == 13


def test_a_hidden_version_is_zero() -> None:
    with FakeGrafana(version="12.4.3", password="x", hide_version=True) as server:
        assert Client(server.url, username="admin", password="x").major_version() == 0


@pytest.fixture
def flooding() -> Iterator[tuple[str, list[int]]]:
    """Serve one body without end; return the address, and the pauses between its bytes."""
    listener = socket.create_server(("127.0.0.1", 0))
    pauses: list[float] = []
    closing = threading.Event()

    def serve() -> None:
        with listener:
            connection, _address = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                while not closing.wait(pauses[0]):
                    connection.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", pauses
    closing.set()
    thread.join()


@pytest.mark.parametrize(
    ("pause", "longest"), [(0, 2**20), (0.1, 2**40)], ids=["flood", "drip"]
)
def test_an_answer_without_end_is_an_error(
    flooding: tuple[str, list[float]],
    monkeypatch: pytest.MonkeyPatch,
    pause: float,
    longest: int,
) -> None:
    url, pauses = flooding
    pauses.append(pause)
    monkeypatch.setattr(clients, "LONGEST_BODY", longest)
    monkeypatch.setattr(clients, "SLOWEST_FACTOR", 1)
    client = Client(url, username="admin", password="a", timeout=0.5)
    with pytest.raises(GrafanaError, match=r"GET /api/health.* did not end after"):
        client.get(path("health"))
