# SPDX-License-Identifier: GPL-3.0-or-later
"""A mirror of the published release archives: the tree `<cache>/mirror/<host>/<path>` over HTTP.

`python3 -m tests.testbed.mirror [start|serve|stop]`; `start` leaves it running in the background.
"""

from __future__ import annotations

import argparse
import http.client
import mimetypes
import os
import re
import signal
import subprocess
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import unquote, urlsplit

from tests.testbed import cache, console, docker

PORT = 8399
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def url(address: str = docker.GATEWAY, port: int = PORT) -> str:
    """Return the base URL of the mirror; a published address follows without its scheme."""
    return f"http://{address}:{port}"


def tree() -> Path:
    """Return the directory that is served."""
    return cache.directory("mirror").resolve()


def start(address: str = docker.GATEWAY, port: int = PORT) -> str:
    """Start a mirror of this cache unless it runs, and return its base URL.

    Raises RuntimeError if the address is not available.
    """
    with cache.locked("mirror"):
        if not is_serving(address, port):
            start_in_background(address, port)
    return url(address, port)


def stop(address: str = docker.GATEWAY, port: int = PORT) -> None:
    """Stop the mirror that `start` left running, if there is one."""
    with cache.locked("mirror"):
        if pid_file(address, port).exists() and is_serving(address, port):
            os.kill(
                int(pid_file(address, port).read_text(encoding="utf-8")), signal.SIGTERM
            )
            while is_serving(address, port):
                time.sleep(0.05)
        pid_file(address, port).unlink(missing_ok=True)


def is_serving(address: str, port: int) -> bool:
    """Return whether the mirror of this cache answers at an address.

    Raises RuntimeError if another program does.
    """
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse().read().decode(errors="replace")
    except OSError:
        return False
    except http.client.HTTPException as error:
        message = f"{url(address, port)}: another program answers: {error!r}; stop it"
        raise RuntimeError(message) from error
    finally:
        connection.close()
    if answer != banner(tree()):
        message = (
            f"{url(address, port)}: another program answers {answer[:200]!r}; stop it"
        )
        raise RuntimeError(message)
    return True


def banner(root: Path) -> str:
    """Return the mirror's answer at `/`."""
    return f"hippius.monitoring mirror of {root}\n"


def start_in_background(address: str, port: int) -> None:
    """Start a mirror that outlives this command, and wait until it listens."""
    log = cache.directory("daemons") / "mirror.log"
    command = [sys.executable, "-m", "tests.testbed.mirror", "serve", "--background"]
    command += ["--address", address, "--port", str(port)]
    with open(log, "w", encoding="utf-8") as stream:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(
            f"the mirror cannot listen at {url(address, port)}:\n{console.tail(log)}"
        )


def leave_to_background(address: str, port: int) -> None:
    """Continue as a process of its own session, with a pid file; the parent ends."""
    child = os.fork()
    if child:
        pid_file(address, port).write_text(f"{child}\n", encoding="utf-8")
        os._exit(0)
    os.setsid()


def pid_file(address: str, port: int) -> Path:
    """Return the path of the mirror's pid file."""
    return cache.directory("daemons") / f"mirror-{address}-{port}.pid"


class Server(ThreadingHTTPServer):
    """The server; it binds to one address, and so not to public ones."""

    daemon_threads = True
    # Hosts that roll out together connect at the same moment.
    request_queue_size = 64

    def __init__(self, address: str, port: int, root: Path) -> None:
        self.root = root
        super().__init__((address, port), Handler)

    def server_bind(self) -> None:
        """Bind without a DNS query for this machine's name, unlike HTTPServer."""
        TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore disconnected clients, since tests interrupt downloads on purpose."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD, with one range at most."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Send a file, or the requested range of it."""
        self.answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send the headers that GET would send."""
        self.answer(with_body=False)

    def answer(self, *, with_body: bool) -> None:
        """Answer one request."""
        path = self.requested_file()
        if urlsplit(self.path).path == "/":
            self.send_line(HTTPStatus.OK, banner(self.server.root), with_body)
        elif path is None:
            self.send_line(HTTPStatus.NOT_FOUND, "not in the mirror\n", with_body)
        else:
            self.send_file(path, with_body)

    def requested_file(self) -> Path | None:
        """Return the requested file if it is in the tree."""
        path = (
            self.server.root / unquote(urlsplit(self.path).path).lstrip("/")
        ).resolve()
        return (
            path if path.is_relative_to(self.server.root) and path.is_file() else None
        )

    def send_file(self, path: Path, with_body: bool) -> None:
        """Send a file, or the requested range of it."""
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            try:
                requested = requested_range(self.headers.get("Range", ""), size)
            except ValueError:
                headers = {"Content-Range": f"bytes */{size}"}
                status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                self.send_line(status, "no such range\n", with_body, headers)
                return
            offset, length = requested or (0, size)
            content_type = (
                mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            )
            headers = {"Content-Type": content_type}
            status = HTTPStatus.OK
            if requested:
                status = HTTPStatus.PARTIAL_CONTENT
                headers["Content-Range"] = (
                    f"bytes {offset}-{offset + length - 1}/{size}"
                )
            self.send_head(status, length, headers)
            if with_body and length:
                self.connection.sendfile(stream, offset, length)

    def send_line(
        self,
        status: HTTPStatus,
        line: str,
        with_body: bool,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send a line of plain text."""
        body = line.encode()
        content_type = {"Content-Type": "text/plain; charset=utf-8"}
        self.send_head(status, len(body), content_type | (headers or {}))
        if with_body:
            self.wfile.write(body)

    def send_head(
        self, status: HTTPStatus, length: int, headers: dict[str, str]
    ) -> None:
        """Send status and headers."""
        self.send_response(status)
        every = {"Accept-Ranges": "bytes", "Content-Length": str(length)} | headers
        for name, value in every.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Write no log."""


def requested_range(header: str, size: int) -> tuple[int, int] | None:
    """Return offset and length of a Range header, or None for the whole file.

    Raises ValueError if the range is outside the file.
    """
    match = RANGE.fullmatch(header.strip())
    # RFC 9110: an unknown form of range is ignored.
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first:
        offset, end = int(first), size - 1
        if last:
            end = min(int(last), end)
    else:
        offset, end = max(size - int(last), 0), size - 1
    if offset > end:
        raise ValueError(header)
    return offset, end - offset + 1


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.testbed.mirror", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "command", choices=("start", "serve", "stop"), nargs="?", default="start"
    )
    parser.add_argument("--address", default=docker.GATEWAY)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument(
        "--background", action="store_true", help="serve: return as soon as it listens"
    )
    arguments = parser.parse_args()
    if arguments.command == "start":
        print(start(arguments.address, arguments.port))
    elif arguments.command == "stop":
        stop(arguments.address, arguments.port)
    else:
        server = Server(arguments.address, arguments.port, tree())
        if arguments.background:
            leave_to_background(arguments.address, arguments.port)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
