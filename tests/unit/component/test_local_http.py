# SPDX-License-Identifier: GPL-3.0-or-later
"""How a program is asked over HTTP."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import local_http
from tests.unit.component.conftest import Web


@pytest.fixture(name="server")
def serve(web: Web) -> Web:
    """The server, where its usual name is that of what is tested."""
    return web


def test_an_answer_is_told_with_its_status(server: Web) -> None:
    server.answers = [server.status(503, b"warming up")]
    assert local_http.get(server.url) == (503, "warming up")
    assert local_http.get("nonsense")[0] == 0
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        status, reason = local_http.get(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert (status, "refused" in reason) == (0, True)


def test_a_proxy_is_not_asked_about_this_host(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.answers = [server.status(200, b"here")]
    assert local_http.get(server.url) == (200, "here")


def test_who_asks_is_told_from_the_components_own_files(server: Web, etc: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        known = (
            request.headers.get("Authorization")
            == "Basic " + base64.b64encode("über:pass word".encode()).decode()
        )
        server.status(200 if known else 401)(request)

    server.answers = [answer]
    proof = {"url": server.url, "username": "über", "password_file": "admin-password"}
    assert local_http.ask("loki.service", proof)[0] == 401
    (etc / "admin-password").write_text("pass word\n")
    assert local_http.ask("loki.service", proof)[0] == 200
    assert local_http.ask("loki.service", {"url": server.url})[0] == 401


def test_a_login_is_told_to_nobody_else(server: Web, etc: Path) -> None:
    told = []

    def onward(request: BaseHTTPRequestHandler) -> None:
        told.append(request.headers.get("Authorization"))
        request.send_response(302)
        request.send_header("Location", server.url.replace("127.0.0.1", "localhost") + "/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def elsewhere(request: BaseHTTPRequestHandler) -> None:
        told.append(request.headers.get("Authorization"))
        server.status(200)(request)

    server.answers = [onward, elsewhere]
    (etc / "admin-password").write_text("word")
    local_http.ask(
        "loki.service", {"url": server.url, "username": "us", "password_file": "admin-password"}
    )
    assert told == ["Basic " + base64.b64encode(b"us:word").decode(), None]


def test_a_client_certificate_is_shown(server: Web, etc: Path) -> None:
    for name in ("own", "other"):
        desired = [
            "-keyout",
            str(etc / f"{name}.key"),
            "-out",
            str(etc / f"{name}.crt"),
            "-subj",
            f"/CN={name}",
        ]
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        subprocess.run([*command, *desired], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(etc / "own.crt", etc / "own.key")
    context.load_verify_locations(etc / "own.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    # TLS 1.3 tells a client of a refusal only after its first answer, which is told here either way.
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    server.answers = [server.status(200, b"ready")]
    url = server.url.replace("http:", "https:")
    own = {"url": url, "certificate_file": "own.crt", "key_file": "own.key"}
    assert local_http.ask("loki.service", own) == (200, "ready")
    assert local_http.ask("loki.service", {"url": url})[0] == 0
    assert (
        local_http.ask(
            "loki.service", {**own, "certificate_file": "other.crt", "key_file": "other.key"}
        )[0]
        == 0
    )
    status, reason = local_http.ask("loki.service", {**own, "key_file": "lost.key"})
    assert (status, str(etc) in reason) == (0, True)
