# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of a program, compared with those that it may open to other hosts."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    exposure,
    probe,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.exposure import (
    Socket,
)

LISTED = ["127.0.0.1:3100", "[::1]:3100", "10.0.0.1:3200", "0.0.0.0:1514"]


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        pytest.param("127.0.0.1", 3100, True, id="a listed loopback address"),
        pytest.param("127.0.0.1", 9999, True, id="another loopback address"),
        pytest.param("::1", 9999, True, id="the IPv6 loopback address"),
        pytest.param("0.0.0.0", 3100, False, id="every address, one is listed"),
        pytest.param("::", 3100, False, id="every IPv6 address, one is listed"),
        pytest.param("10.0.0.1", 3200, True, id="a listed address"),
        pytest.param("10.0.0.1", 3100, False, id="a listed address, another port"),
        pytest.param("0.0.0.0", 3200, False, id="every address for a listed one"),
        pytest.param("0.0.0.0", 1514, True, id="every address, listed"),
        pytest.param("::", 1514, True, id="every address of both, listed as IPv4"),
        pytest.param("10.0.0.1", 1514, True, id="one address where every is listed"),
        pytest.param("172.30.0.1", 4317, True, id="an address of a trusted network"),
        pytest.param("172.31.0.1", 4317, False, id="an address of no network"),
        pytest.param("fd00::1", 4317, False, id="an IPv6 address"),
    ],
)
def test_only_what_is_listed_is_open_to_other_hosts(
    host: str, port: int, allowed: bool
) -> None:
    opened = [Socket("tcp", host, port)]
    assert (exposure.unlisted(opened, LISTED, ["172.30.0.0/24"]) == []) is allowed


@pytest.mark.parametrize(
    ("kernel_notation", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("00000000", "0.0.0.0"),
        ("00000000000000000000000000000000", "::"),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1"),
    ],
)
def test_an_address_of_the_kernel_is_read(kernel_notation: str, address: str) -> None:
    assert exposure.ip_address(kernel_notation) == address


def test_every_socket_of_a_unit_is_found() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        receiver.bind(("127.0.0.1", free_low_port()))
        client.bind(("127.0.0.1", 0))
        found = exposure.sockets(os.getpid())
        assert Socket("tcp", *listener.getsockname()) in found
        assert Socket("udp", *receiver.getsockname()) in found
        assert Socket("udp", *client.getsockname()) not in found


def free_low_port() -> int:
    """Return a UDP port below those of clients."""
    for port in range(20000, 30000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


Serve = Callable[[Callable[[socket.socket], None]], Socket]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves one connection."""
    threads = []

    def start(answer: Callable[[socket.socket], None]) -> Socket:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with listener, listener.accept()[0] as connection:
                answer(connection)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return Socket("tcp", *listener.getsockname())

    yield start
    for thread in threads:
        thread.join()


def http(connection: socket.socket) -> None:
    """Answer the first line, as an HTTP server does."""
    received = b""
    while b"\n" not in received:
        received += connection.recv(1024)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def grpc(connection: socket.socket) -> None:
    """Send the settings of HTTP/2 first, as a gRPC server does."""
    connection.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))


def closes(connection: socket.socket) -> None:
    """Read and close without an answer."""
    connection.recv(1024)


@pytest.mark.parametrize(
    ("answer", "plain"), [(http, True), (grpc, True), (closes, False)]
)
def test_plain_text_is_told_from_what_a_server_answers_first(
    serve: Serve, answer: Callable[[socket.socket], None], plain: bool
) -> None:
    assert exposure.answers_in_plain_text(serve(answer)) is plain


def test_a_server_with_tls_answers_no_plain_text(serve: Serve, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=a", "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def tls(connection: socket.socket) -> None:
        # The client breaks off after the first byte.
        with contextlib.suppress(OSError):
            context.wrap_socket(connection, server_side=True)

    assert not exposure.answers_in_plain_text(serve(tls))


def require(monkeypatch: pytest.MonkeyPatch, *opened: Socket) -> None:
    monkeypatch.setattr(exposure, "sockets", lambda _pid: list(opened))
    limits: exposure.Exposure = {"networks": [], "addresses": ["0.0.0.0:1514"]}
    exposure.require_private("loki.service", 7, ["127.0.0.1:3100"], limits)


def test_an_open_socket_fails_with_its_address_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(
        probe.HealthCheckFailed,
        match=r"loki.service listens on \[::\]:3100 \(tcp\), but may listen on"
        r" 127.0.0.1:3100, 0.0.0.0:1514 only; .* monitoring_open_addresses",
    ):
        require(monkeypatch, Socket("tcp", "::", 3100))
    require(monkeypatch, Socket("tcp", "127.0.0.1", 3100), Socket("tcp", "::", 1514))


def test_a_listed_address_must_use_tls(
    monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    opened = serve(http)
    monkeypatch.setattr(exposure, "sockets", lambda _pid: [opened])
    # As if the address belonged to another network than loopback.
    monkeypatch.setattr(
        exposure,
        "unlisted",
        lambda _opened, listed, _networks: [] if listed else [opened],
    )
    with pytest.raises(
        probe.HealthCheckFailed, match=r"in plain text on 127\.0\.0\.1:"
    ):
        exposure.require_private("loki.service", 7, [opened.address], {})
