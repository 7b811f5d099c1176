# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests to programs of this host, with the components' own credentials."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING

from ..deadline import deadline
from . import files, layout

if TYPE_CHECKING:
    from typing import Any

    from .spec import ReadyProbe

REQUEST_SECONDS = 5
# Metrics of a large server have some hundred KiB. A service may send without end, and root reads.
LONGEST_BODY = 8 * 1024**2
CHUNK = 65536


def ask(unit_name: str, probe: ReadyProbe) -> tuple[int, str]:
    """Return status and body of a probe with its credentials."""
    return ask_with(layout.etc(unit_name.rpartition(".")[0]), probe)


def ask_with(etc: str, probe: ReadyProbe) -> tuple[int, str]:
    """Return status and body of a probe, with credentials from a directory."""
    context = None
    headers = {}
    try:
        if probe["url"].startswith("https:"):
            context = _tls_context(probe, etc)
        if probe.get("username"):
            headers["Authorization"] = _basic_authentication(probe, etc)
    except (OSError, ValueError) as error:
        return 0, f"{etc}: {error}"
    return get(probe["url"], headers, context)


def _tls_context(probe: ReadyProbe, etc: str) -> ssl.SSLContext:
    authority = probe.get("ca_file")
    path = os.path.join(etc, authority) if authority else None
    context = ssl.create_default_context(cafile=path)
    if not authority:
        # The socket's owner was verified; the certificate may be for the name that peers use.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if probe.get("certificate_file"):
        context.load_cert_chain(
            os.path.join(etc, probe["certificate_file"]),
            os.path.join(etc, probe["key_file"]),
        )
    return context


def _basic_authentication(probe: ReadyProbe, etc: str) -> str:
    content = files.read(os.path.join(etc, probe["password_file"])) or b""
    credentials = probe["username"].encode() + b":" + content.rstrip(b"\n")
    return "Basic " + base64.b64encode(credentials).decode()


def get(
    url: str,
    headers: dict[str, str] | None = None,
    context: ssl.SSLContext | None = None,
    body: bytes | None = None,
    seconds: float | None = None,
) -> tuple[int, str]:
    """Return status and body of a GET, or of a POST of a body; without an answer 0 and why."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    try:
        request = urllib.request.Request(url, body)
        for name, value in (headers or {}).items():
            # A redirect, such as to the public URL, must not carry the login.
            request.add_unredirected_header(name, value)
        seconds = seconds or REQUEST_SECONDS
        with deadline(seconds):
            return _answer(opener, request, seconds)
    except (OSError, HTTPException, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


def _answer(
    opener: urllib.request.OpenerDirector,
    request: urllib.request.Request,
    seconds: float,
) -> tuple[int, str]:
    try:
        with opener.open(request, timeout=seconds) as response:
            return response.status, _read(response)
    except urllib.error.HTTPError as error:
        return error.code, _body(error)


def _read(response: Any) -> str:
    """Return a body; raise OSError when it is too long."""
    body = bytearray()
    while True:
        chunk = response.read1(CHUNK)
        body += chunk
        if not chunk:
            return body.decode("utf-8", "replace")
        if len(body) > LONGEST_BODY:
            raise OSError(f"the response has more than {LONGEST_BODY} bytes")


def _body(error: urllib.error.HTTPError) -> str:
    with error:
        try:
            return _read(error)
        except (OSError, HTTPException):
            return ""
