# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Download an archive: mirrors in turn, retries with backoff, resume, and a checksum always."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
import urllib.error
import urllib.request
from http.client import HTTPException

from . import files
from .errors import ComponentError

ATTEMPTS = 3
SILENCE_SECONDS = 20
TOTAL_SECONDS = 1800
CHUNK = 1024 * 1024
# An archive and what comes out of it have to fit; releases of the stack unpack to about three times their size.
ROOM_FACTOR = 4


class Retryable(Exception):
    """A failure that may pass by itself."""


class Refused(Exception):
    """A failure that another try of the same address does not change."""


def fetch(urls: list, sha256: str, path: str) -> None:
    """Bring the archive with this SHA-256 to ``path``; raise ComponentError that names every address tried.

    An unfinished download stays at ``path`` with the suffix ``.part`` and is resumed by the next call.
    """
    files.make_directory(os.path.dirname(path))
    deadline = time.monotonic() + TOTAL_SECONDS
    failures = []
    for url in urls:
        try:
            _fetch_from(url, sha256, path + ".part", deadline)
        except Refused as error:
            failures.append(f"{url}: {error}")
            continue
        os.rename(path + ".part", path)
        return
    raise ComponentError("The release could not be downloaded. " + "; ".join(failures) + ".")


def sha256_of(path: str) -> str:
    """SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch_from(url: str, sha256: str, part: str, deadline: float) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _transfer(url, part, deadline)
            break
        except Retryable as error:
            if attempt == ATTEMPTS or time.monotonic() > deadline:
                raise Refused(f"{error}, after {attempt} attempts") from error
            time.sleep(min(2**attempt, 10) * random.uniform(0.5, 1.0))
    got = sha256_of(part)
    if got != sha256:
        told = _first_bytes(part)
        files.remove(part)
        raise Refused(f"SHA-256 is {got}, expected {sha256}{told}")


def _transfer(url: str, part: str, deadline: float) -> None:
    have = os.path.getsize(part) if os.path.exists(part) else 0
    request = urllib.request.Request(url, headers={"User-Agent": "hippius.monitoring"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=SILENCE_SECONDS) as response:
            _store(response, part, have if response.status == 206 else 0, deadline)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            files.remove(part)
        if error.code in (408, 416, 429) or error.code >= 500:
            raise Retryable(f"HTTP {error.code}") from error
        raise Refused(f"HTTP {error.code}") from error
    except urllib.error.URLError as error:
        raise Retryable(str(error.reason)) from error
    except (TimeoutError, HTTPException, ConnectionError) as error:
        raise Retryable(str(error) or type(error).__name__) from error


def _store(response: object, part: str, offset: int, deadline: float) -> None:
    length = response.headers.get("Content-Length")
    expected = offset + int(length) if length else None
    _require_room(os.path.dirname(part), (expected or 0) * ROOM_FACTOR - offset)
    with open(part, "r+b" if offset else "wb") as stream:
        stream.seek(offset)
        stream.truncate()
        while True:
            chunk = response.read(CHUNK)
            if not chunk:
                break
            if time.monotonic() > deadline:
                raise Refused(f"not complete after {TOTAL_SECONDS} s")
            stream.write(chunk)
        size = stream.tell()
    if expected is not None and size < expected:
        raise Retryable(f"the answer ended after {size} of {expected} bytes")


def _require_room(directory: str, needed: int) -> None:
    available = shutil.disk_usage(directory).free
    if needed > available:
        raise ComponentError(f"{directory} has {available} bytes free, and about {needed} are needed for the release.")


def _first_bytes(path: str) -> str:
    with open(path, "rb") as stream:
        start = stream.read(40)
    looks = start.lstrip().lower().startswith((b"<!doctype", b"<html"))
    return " (it is an HTML page)" if looks else f" ({os.path.getsize(path)} bytes)"
