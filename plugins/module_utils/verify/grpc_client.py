# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a gRPC method, over HTTP/2 as RFC 9113 and grpc/doc/PROTOCOL-HTTP2.md have it.

No response header has to be read: a call that succeeds ends with a message, one that fails without.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ..deadline import deadline

if TYPE_CHECKING:
    import ssl

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SECONDS = 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
STREAM = 1
HEAD = 9


class GrpcError(Exception):
    """A server that did not accept a call."""


def call(
    address: str, path: str, message: bytes, context: ssl.SSLContext | None = None
) -> None:
    """Send one message to a method; raise GrpcError or OSError unless it answers with one."""
    host, _colon, port = address.rpartition(":")
    host = host.strip("[]")
    with deadline(SECONDS), socket.create_connection((host, int(port))) as plain:
        connection: socket.socket = plain
        if context:
            context.set_alpn_protocols(["h2"])
            connection = context.wrap_socket(plain, server_hostname=host)
        scheme = "https" if context else "http"
        connection.sendall(request(address, scheme, path, message))
        _await_message(connection)


def request(authority: str, scheme: str, path: str, message: bytes) -> bytes:
    """Return the bytes of a client that makes one call. Pure."""
    headers = {
        ":method": "POST",
        ":scheme": scheme,
        ":path": path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    block = b"".join(
        # A field that is literal, not indexed and not compressed.
        b"\0" + _string(name) + _string(value)
        for name, value in headers.items()
    )
    body = b"\0" + len(message).to_bytes(4, "big") + message
    return (
        PREFACE
        + frame(SETTINGS, 0, 0, b"")
        + frame(HEADERS, END_HEADERS, STREAM, block)
        + frame(DATA, END_STREAM, STREAM, body)
    )


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame: length, type, flags, stream, payload. Pure."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def _string(value: str) -> bytes:
    """Return a string of less than 127 bytes as HPACK has it."""
    return bytes([len(value)]) + value.encode()


def _await_message(connection: socket.socket) -> None:
    is_answered = False
    while True:
        head = _read(connection, HEAD)
        kind, flags = head[3], head[4]
        payload = _read(connection, int.from_bytes(head[:3], "big"))
        if kind in (SETTINGS, PING) and not flags & ACK:
            reply = payload if kind == PING else b""
            connection.sendall(frame(kind, ACK, 0, reply))
        elif kind in (RESET, GO_AWAY):
            raise GrpcError("it ended the connection")
        elif kind == DATA:
            is_answered = True
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            break
    if not is_answered:
        raise GrpcError("it refused the call")


def _read(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        chunk = connection.recv(length - len(content))
        if not chunk:
            raise GrpcError("it closed the connection")
        content += chunk
    return content
