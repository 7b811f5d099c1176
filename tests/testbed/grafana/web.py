# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP without Grafana: routes, requests, answers, the request log and injected faults."""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from tests.testbed.grafana.server import Grafana

ROLES = ("", "Viewer", "Editor", "Admin", "Server")
BAD_JSON = "bad request data"


class Refused(Exception):
    """An error that becomes the answer; the transaction is rolled back."""

    def __init__(self, code: int, message: str = "", /, **fields: Any) -> None:
        super().__init__(message)
        self.code, self.body = (
            code,
            {"message": message, **fields} if message else fields,
        )


@dataclass
class Answer:
    """Status and body: JSON unless it is bytes; None is an empty body."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, str]:
        """Return the body's bytes and type."""
        if isinstance(self.body, bytes):
            return self.body, "text/plain; charset=utf-8"
        if self.body is None:
            return b"", "application/json; charset=UTF-8"
        return json.dumps(
            self.body, separators=(",", ":")
        ).encode(), "application/json; charset=UTF-8"


@dataclass
class Request:
    """One request; `user` is None before authentication."""

    method: str
    target: str
    headers: Any
    raw: bytes
    server: Grafana
    params: dict[str, str] = field(default_factory=dict)
    user: dict[str, Any] | None = None
    org: int = 1

    def __post_init__(self) -> None:
        split = urlsplit(self.target)
        self.path = split.path
        self.pairs = parse_qsl(split.query, keep_blank_values=True)
        self.query = dict(self.pairs)

    @property
    def store(self) -> Any:
        """Return the storage."""
        return self.server.store

    def json(self) -> dict[str, Any]:
        """Return the body, which must be an object."""
        try:
            body = json.loads(self.raw)
        except ValueError as error:
            raise Refused(400, BAD_JSON) from error
        if not isinstance(body, dict):
            raise Refused(400, BAD_JSON)
        return body

    def flag(self, name: str) -> bool:
        """Return whether a query parameter is true."""
        return self.query.get(name, "").lower() in ("true", "1")


@dataclass(frozen=True)
class Route:
    """A function with its method, path, range of versions and required role."""

    method: str
    segments: tuple[str, ...]
    handler: Callable[[Request], Any]
    role: str
    needs: str
    since: tuple[int, ...]
    until: tuple[int, ...]
    family: str

    def match(
        self, method: str, segments: list[str], version: tuple[int, ...]
    ) -> dict[str, str] | None:
        """Return the parameters of the path if this route matches."""
        if (
            method != self.method and self.method != "*"
        ) or not self.since <= version < self.until:
            return None
        params: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment[:1] == "*":
                return params | {segment[1:]: "/".join(segments[position:])}
            if position >= len(segments) or not segments[position]:
                return None
            if segment[:1] == ":":
                params[segment[1:]] = unquote(segments[position])
            elif segment != segments[position]:
                return None
        return params if len(segments) == len(self.segments) else None


ROUTES: list[Route] = []
LAST = (99,)


def route(
    method: str,
    path: str,
    role: str = "Viewer",
    needs: str = "",
    *,
    since: tuple[int, ...] = (0,),
    until: tuple[int, ...] = LAST,
    family: str = "",
) -> Callable[[Any], Any]:
    """Register a function as a route."""

    def register(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        segments = tuple(path.strip("/").split("/"))
        ROUTES.append(
            Route(method, segments, handler, role, needs, since, until, family)
        )
        return handler

    return register


def find(
    method: str, path: str, version: tuple[int, ...]
) -> tuple[Route, dict[str, str]] | None:
    """Return the route of a request and its parameters."""
    segments = path.lstrip("/").split("/")
    for candidate in ROUTES:
        params = candidate.match(method, segments, version)
        if params is not None:
            return candidate, params
    return None


def exported(document: Any, request: Request) -> Answer:
    """Return an export in the file format: JSON if requested, else YAML (JSON is YAML too)."""
    format_name = request.query.get("format") or (
        "json" if "json" in request.headers.get("Accept", "") else "yaml"
    )
    kind = "application/json" if format_name == "json" else "text/yaml"
    return Answer(200, json.dumps(document, indent=4).encode(), {"Content-Type": kind})


# With it a client asks for a judgement, since objects are judged before their uid.
IMPOSSIBLE_UID = "-" * 41


@dataclass
class Logged:
    """A line of the request log."""

    method: str
    path: str
    query: str
    body: str
    status: int
    user: str
    headers: dict[str, str]
    seconds: float

    @property
    def is_trial(self) -> bool:
        """Return whether the request asks what the server would say of a write."""
        is_test = self.path.endswith("/templates/test")
        return is_test or f'"uid": "{IMPOSSIBLE_UID}"' in self.body

    @property
    def is_write(self) -> bool:
        """Return whether the request writes."""
        if self.method == "GET" or self.is_trial:
            return False
        return not self.path.endswith(("/query", "/test", "/eval"))


# Faults to inject; arguments of `fail` change their fields.
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500, "body": {"message": "Internal server error"}},
    "locked": {"status": 500, "body": {"message": "database is locked"}},
    "429": {
        "status": 429,
        "body": {"message": "Too many requests"},
        "headers": {"Retry-After": "1"},
    },
    "409": {"status": 409, "body": {"message": "conflict"}},
    "412": {
        "status": 412,
        "body": {
            "message": "has been changed by someone else",
            "status": "version-mismatch",
        },
    },
    "502": {
        "status": 502,
        "body": b"<html><head><title>502 Bad Gateway</title></head></html>",
    },
    "html": {
        "status": 200,
        "body": b"<!DOCTYPE html><html><title>Sign in</title></html>",
    },
    "reset": {"reset": True},
    "slow": {"delay": 1.0},
    "truncated": {"truncate": True, "applied": True},
}


@dataclass
class Fault:
    """A failure of some requests, before or (`applied`) after they are carried out."""

    method: str = ""
    path: str = ""
    first: int = 1
    times: int = 1
    status: int = 0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    truncate: bool = False
    delay: float = 0.0
    applied: bool = False
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a matching request; return whether it fails."""
        writes = self.method == "write" and method != "GET"
        if not (not self.method or writes or method == self.method) or not re.search(
            self.path, path
        ):
            return False
        self.seen += 1
        return self.first <= self.seen and (
            not self.times or self.seen < self.first + self.times
        )


class Server(ThreadingHTTPServer):
    """Tracks its connections, so that closing it leaves none open."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], grafana: Grafana) -> None:
        self.grafana = grafana
        self.connections: set[socket.socket] = set()
        self.closing = threading.Event()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without a DNS query for this machine's name, unlike HTTPServer."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Add the connection."""
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Remove the connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def close(self) -> None:
        """Cut every connection and stop."""
        self.closing.set()
        self.shutdown()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore disconnected clients."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, dispatches it and writes the answer, unless a fault applies."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle_one_request(self) -> None:
        """Answer one request of any method."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.serve(
                Request(self.command, self.path, self.headers, raw, self.server.grafana)
            )
            self.wfile.flush()

    def serve(self, request: Request) -> None:
        """Carry out the request, or the fault."""
        grafana = self.server.grafana
        started = time.monotonic()
        fault = grafana.fault_for(request)
        if fault and fault.delay:
            self.server.closing.wait(fault.delay)
        carry_out = fault is None or fault.applied or not (fault.status or fault.reset)
        answer = grafana.answer(request) if carry_out else Answer(fault.status)
        if fault and fault.status:
            answer = Answer(fault.status, fault.body, fault.headers)
        grafana.log(
            request,
            0 if fault and fault.reset else answer.status,
            time.monotonic() - started,
        )
        if fault and fault.reset:
            self.reset()
        else:
            self.send(answer, truncate=bool(fault and fault.truncate))

    def send(self, answer: Answer, *, truncate: bool) -> None:
        """Write an answer.

        A truncated one is shorter than its Content-Length, or is cut JSON.
        """
        body, kind = answer.encoded()
        self.send_response(answer.status)
        for name, value in {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            **answer.headers,
        }.items():
            self.send_header(name, value)
        if truncate:
            body = body[: len(body) // 2]
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self._headers_buffer.extend(
            (b"\r\n", body if self.command != "HEAD" and answer.status != 204 else b"")
        )
        self.flush_headers()

    def reset(self) -> None:
        """End the connection with RST instead of an answer."""
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.close_connection = True
        self.server.connections.discard(self.connection)
        self.connection.close()

    def version_string(self) -> str:
        """Return no name."""
        return "fake"

    def log_message(self, *_arguments: object) -> None:
        """Write no log, since the server writes its own."""
