# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask a program of this host over HTTP, as itself."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException

from . import files, layout

REQUEST_SECONDS = 5


def ask(unit_name: str, probe_options: dict) -> tuple:
    """Status and text that a program answers to ``ready`` or ``reload``, with the credentials that these name."""
    etc = layout.etc(unit_name.rpartition(".")[0])
    headers, context = {}, None
    try:
        if probe_options["url"].startswith("https:"):
            # Who answers was told by the owner of the socket; the certificate may be for the name that peers use.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if probe_options.get("certificate_file"):
                context.load_cert_chain(
                    *(
                        os.path.join(etc, probe_options[key])
                        for key in ("certificate_file", "key_file")
                    )
                )
        if probe_options.get("username"):
            password = (
                files.read(os.path.join(etc, probe_options["password_file"])) or b""
            ).rstrip(b"\n")
            login = base64.b64encode(probe_options["username"].encode() + b":" + password)
            headers["Authorization"] = "Basic " + login.decode()
    except (OSError, ValueError) as error:
        return 0, f"{etc}: {error}"
    return get(probe_options["url"], headers, context)


def get(url: str, headers: dict | None = None, context: ssl.SSLContext | None = None) -> tuple:
    """Status and text of an answer; status 0 and the reason when there is none."""
    handlers = [urllib.request.HTTPSHandler(context=context)] if context else []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)
    try:
        request = urllib.request.Request(url)
        for name, value in (headers or {}).items():
            # A program that sends on to another address, such as its public one, does not have the login told there.
            request.add_unredirected_header(name, value)
        with opener.open(request, timeout=REQUEST_SECONDS) as response:
            return response.status, response.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, _body(error)
    except (OSError, HTTPException, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


def _body(error: urllib.error.HTTPError) -> str:
    with error:
        try:
            return error.read().decode("utf-8", "replace")
        except (OSError, HTTPException):
            return ""
