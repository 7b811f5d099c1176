# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories in place of the host's, and a web server with scripted answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import layout
from tests.unit.component.fake_host import FakeHost

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def root() -> None:
    """Skip a test that writes files owned by root unless it runs as root."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to root")


@pytest.fixture
def places(root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in place of the host's root, with every path of the layout in it."""
    base = tmp_path / "opt"
    for name, path in {
        "BASE": base,
        "RELEASES": base / "releases",
        "COMPONENTS": base / "components",
        "EDITED": base / "edited",
        "ORDERS": base / "unfinished",
        "FINGERPRINT_KEY": base / "fingerprint.key",
        "RUN": tmp_path / "run",
        "UNITS": tmp_path / "etc/systemd/system",
        "UNIT_FILES": tmp_path / "etc/systemd/system.attached",
    }.items():
        monkeypatch.setattr(layout, name, str(path))
    monkeypatch.setattr(layout, "etc", lambda name: str(tmp_path / "etc" / name))
    monkeypatch.setattr(layout, "data", lambda name: str(tmp_path / "var/lib" / name))
    return tmp_path


@pytest.fixture
def host(places: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """Return a fake host without any component."""
    fake = FakeHost(places)
    fake.install(monkeypatch)
    Path(layout.UNITS).mkdir(parents=True)
    (places / "var/lib").mkdir(parents=True)
    return fake


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of a component's configuration."""
    monkeypatch.setattr(layout, "etc", lambda name: str(tmp_path / name))
    (tmp_path / "loki").mkdir()
    return tmp_path / "loki"


class Web:
    """A server that gives scripted answers in order, and repeats the last one."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str | None]] = []
        self.closing = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.requests.append((self.path, self.headers.get("Range")))
                answer = web.answers.pop(0) if len(web.answers) > 1 else web.answers[0]
                answer(self)

            def log_message(self, *words: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.address}"

    def status(self, code: int, body: bytes = b"") -> Answer:
        """Return an answer with a status."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(code)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

        return answer

    def file(
        self, content: bytes, stop_after: int | None = None, ranges: bool = True
    ) -> Answer:
        """Serve a file from the requested byte, and break off after ``stop_after`` bytes."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            requested = request.headers.get("Range") if ranges else None
            begin = (
                int(requested.removeprefix("bytes=").rstrip("-")) if requested else 0
            )
            if requested and begin >= len(content):
                self.status(416)(request)
                return
            request.send_response(206 if requested else 200)
            request.send_header("Content-Length", str(len(content) - begin))
            if requested:
                request.send_header(
                    "Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}"
                )
            request.end_headers()
            end = len(content) if stop_after is None else begin + stop_after
            request.wfile.write(content[begin:end])

        return answer

    def hang(self, request: BaseHTTPRequestHandler) -> None:
        """Send nothing until the test is over."""
        self.closing.wait(30)

    def drip(self, request: BaseHTTPRequestHandler) -> None:
        """Send single bytes slowly."""
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        while not self.closing.wait(0.05):
            try:
                request.wfile.write(b"x")
            except OSError:
                return

    def drip_headers(self, request: BaseHTTPRequestHandler) -> None:
        """Send the headers byte by byte, without end."""
        request.wfile.write(b"HTTP/1.0 200 OK\r\nX-Header: ")
        while not self.closing.wait(0.05):
            try:
                request.wfile.write(b"x")
            except OSError:
                return


@pytest.fixture
def web() -> Iterator[Web]:
    """Run a server on the loopback address."""
    server = Web()
    thread = threading.Thread(
        target=server.server.serve_forever, kwargs={"poll_interval": 0.05}
    )
    thread.start()
    yield server
    server.closing.set()
    server.server.shutdown()
    server.server.server_close()
    thread.join()
