# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Download an archive: mirrors in turn, retries with backoff, resume, and a checksum always."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import shutil
import ssl
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse, InvalidURL

from . import files
from .component_errors import ComponentError

# Tries of one address in turn that bring nothing new.
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

    While it runs, what has come stands at ``path`` with the suffix ``.part``. A run that was killed leaves it there
    for the next one to resume; a failure leaves nothing.
    """
    files.make_directory(os.path.dirname(path))
    part = path + ".part"
    failures = []
    try:
        for url in urls:
            # Each address gets its share of the time, so that a slow one does not use up that of the others.
            deadline = time.monotonic() + TOTAL_SECONDS / len(urls)
            try:
                _fetch_from(url, sha256, part, deadline)
            except Refused as error:
                failures.append(f"{url}: {error}")
                continue
            os.rename(part, path)
            return
        told = "; ".join(failures) or "no address is given"
        raise ComponentError(f"The release could not be downloaded. {told}.")
    except BaseException:
        files.remove(part)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))
        raise


def sha256_of(path: str) -> str:
    """SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch_from(url: str, sha256: str, part: str, deadline: float) -> None:
    """Complete ``part`` from one address. What another address has begun may be wrong, so that is tried anew."""
    begun_elsewhere = _size(part) > 0
    if begun_elsewhere and sha256_of(part) == sha256:
        return
    _transfer_patiently(url, part, deadline)
    if begun_elsewhere and sha256_of(part) != sha256:
        files.remove(part)
        _transfer_patiently(url, part, deadline)
    got = sha256_of(part)
    if got != sha256:
        told = _first_bytes(part)
        files.remove(part)
        raise Refused(f"SHA-256 is {got}, expected {sha256}{told}")


def _transfer_patiently(url: str, part: str, deadline: float) -> None:
    """Transfer with retries; a try that got further than those before it does not count."""
    furthest, tries, fruitless = _size(part), 0, 0
    while True:
        tries += 1
        try:
            _transfer(url, part, deadline)
            return
        except Retryable as error:
            fruitless = 0 if _size(part) > furthest else fruitless + 1
            furthest = max(furthest, _size(part))
            if fruitless == ATTEMPTS or time.monotonic() > deadline:
                raise Refused(f"{error}, after {tries} attempts") from error
            time.sleep(min(2**fruitless, 10) * random.uniform(0.5, 1.0))


def _transfer(url: str, part: str, deadline: float) -> None:
    have = _size(part)
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "hippius.monitoring"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        with urllib.request.build_opener().open(request, timeout=SILENCE_SECONDS) as response:
            _store(response, part, have if _continues(response, have) else 0, deadline)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            files.remove(part)
        passing = error.code in (408, 416, 429) or error.code >= 500
        raise (Retryable if passing else Refused)(f"HTTP {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise _judged(error, os.path.dirname(part)) from error


def _judged(error: Exception, directory: str) -> Exception:
    """Whether a failed transfer is worth another try; a bad address or certificate is not."""
    reason = getattr(error, "reason", error)
    if getattr(reason, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return ComponentError(f"{directory} has no room left for the release.")
    if isinstance(reason, (ssl.SSLCertVerificationError, InvalidURL, ValueError)):
        return Refused(str(reason))
    return Retryable(str(reason) or type(reason).__name__)


def _continues(response: HTTPResponse, have: int) -> bool:
    """Whether an answer goes on where the file ends."""
    return response.status == 206 and (response.headers.get("Content-Range") or "").startswith(
        f"bytes {have}-"
    )


def _store(response: HTTPResponse, part: str, offset: int, deadline: float) -> None:
    length = response.headers.get("Content-Length")
    expected = offset + int(length) if length else None
    _require_room(os.path.dirname(part), (expected or 0) * ROOM_FACTOR - offset)
    size = offset
    with open(part, "r+b" if offset else "wb") as stream:
        stream.seek(offset)
        stream.truncate()
        while expected is None or size < expected:
            # One packet at a time: a full read would not return from a sender that drips.
            chunk = response.read1(CHUNK)
            if not chunk:
                break
            if time.monotonic() > deadline:
                raise Refused(
                    f"only {size} of {expected or 'unknown'} bytes came in the time it has"
                )
            size += stream.write(chunk)
    if expected is not None and size < expected:
        raise Retryable(f"the answer ended after {size} of {expected} bytes")


def _require_room(directory: str, needed: int) -> None:
    available = shutil.disk_usage(directory).free
    if needed > available:
        free, asked = (f"{size / 2**20:.1f} MiB" for size in (available, needed))
        raise ComponentError(
            f"{directory} has {free} free, and about {asked} are needed for the release."
        )


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _first_bytes(path: str) -> str:
    with open(path, "rb") as stream:
        start = stream.read(40)
    looks = start.lstrip().lower().startswith((b"<!doctype", b"<html"))
    return " (it is an HTML page)" if looks else f" ({os.path.getsize(path)} bytes)"
