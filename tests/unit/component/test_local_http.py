# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests to programs of this host."""

from __future__ import annotations

import base64
import signal
import socket
import ssl
import subprocess
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    local_http,
)
from tests.unit.component.conftest import Web


@pytest.fixture(name="server")
def serve(web: Web) -> Web:
    """Return the server under a name that does not hide the tested module."""
    return web


def test_an_answer_is_returned_with_its_status(server: Web) -> None:
    server.answers = [server.status(503, b"warming up")]
    assert local_http.get(server.url) == (503, "warming up")
    assert local_http.get("nonsense")[0] == 0
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        status, reason = local_http.get(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert status == 0
    assert "refused" in reason


def test_a_proxy_is_not_used_for_this_host(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.answers = [server.status(200, b"direct")]
    assert local_http.get(server.url) == (200, "direct")


def authorization(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def test_a_login_is_read_from_the_components_own_files(server: Web, etc: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        login = request.headers.get("Authorization")
        server.status(200 if login == authorization("über:pass word") else 401)(request)

    server.answers = [answer]
    probe = {"url": server.url, "username": "über", "password_file": "admin-password"}
    assert local_http.ask("loki.service", probe)[0] == 401
    (etc / "admin-password").write_text("pass word\n")
    assert local_http.ask("loki.service", probe)[0] == 200
    assert local_http.ask("loki.service", {"url": server.url})[0] == 401


def test_a_login_is_not_sent_to_the_target_of_a_redirect(
    server: Web, etc: Path
) -> None:
    logins = []

    def redirect(request: BaseHTTPRequestHandler) -> None:
        logins.append(request.headers.get("Authorization"))
        request.send_response(302)
        request.send_header(
            "Location", server.url.replace("127.0.0.1", "localhost") + "/target"
        )
        request.send_header("Content-Length", "0")
        request.end_headers()

    def target(request: BaseHTTPRequestHandler) -> None:
        logins.append(request.headers.get("Authorization"))
        server.status(200)(request)

    server.answers = [redirect, target]
    (etc / "admin-password").write_text("word")
    probe = {"url": server.url, "username": "us", "password_file": "admin-password"}
    local_http.ask("loki.service", probe)
    assert logins == [authorization("us:word"), None]


def make_certificate(directory: Path, name: str) -> None:
    """Write a self-signed certificate ``<name>.crt`` and its ``<name>.key``."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-keyout", str(directory / f"{name}.key")]
    command += ["-out", str(directory / f"{name}.crt"), "-subj", f"/CN={name}"]
    subprocess.run(command, check=True, capture_output=True)


def test_a_client_certificate_is_presented(server: Web, etc: Path) -> None:
    for name in ("own", "other"):
        make_certificate(etc, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(etc / "own.crt", etc / "own.key")
    context.load_verify_locations(etc / "own.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    # In TLS 1.3 a client learns of a refusal after its handshake; either way it gets no answer.
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    server.answers = [server.status(200, b"ready")]
    url = server.url.replace("http:", "https:")
    own = {"url": url, "certificate_file": "own.crt", "key_file": "own.key"}
    assert local_http.ask("loki.service", own) == (200, "ready")
    assert local_http.ask("loki.service", {"url": url})[0] == 0
    other = {**own, "certificate_file": "other.crt", "key_file": "other.key"}
    assert local_http.ask("loki.service", other)[0] == 0
    status, reason = local_http.ask("loki.service", {**own, "key_file": "missing.key"})
    assert status == 0
    assert str(etc) in reason


def test_a_body_that_drips_ends_in_time(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_http, "REQUEST_SECONDS", 0.3)
    server.answers = [server.drip]
    status, reason = local_http.get(server.url)
    assert (status, "did not end within" in reason) == (0, True)


def test_a_body_without_end_is_not_read_whole(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_http, "LONGEST_BODY", 1000)
    server.answers = [server.status(200, b"x" * 5000)]
    status, reason = local_http.get(server.url)
    assert (status, "more than 1000 bytes" in reason) == (0, True)


def test_headers_that_drip_end_in_time(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_http, "REQUEST_SECONDS", 0.3)
    server.answers = [server.drip_headers]
    status, reason = local_http.get(server.url)
    assert (status, "did not end within 0.3 s" in reason) == (0, True)


def test_a_refusal_keeps_its_status_when_its_body_drips(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_http, "REQUEST_SECONDS", 0.3)

    def refuse(request: BaseHTTPRequestHandler) -> None:
        request.send_response = lambda *_: type(request).send_response(request, 401)
        server.drip(request)

    server.answers = [refuse]
    assert local_http.get(server.url) == (401, "")


def test_the_timer_of_others_goes_on_after_a_request(server: Web) -> None:
    fired = []
    before = signal.signal(signal.SIGALRM, lambda *_: fired.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        server.answers = [server.status(200)]
        assert local_http.get(server.url)[0] == 200
        time.sleep(0.4)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert fired == [True]
