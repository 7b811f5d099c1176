# SPDX-License-Identifier: GPL-3.0-or-later
"""Download an archive: mirrors in order, retries with backoff, resume, SHA-256 always verified."""

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
from typing import NamedTuple

from ..deadline import deadline
from . import files
from .component_errors import ComponentError

# Consecutive attempts at one URL that add nothing to the file.
ATTEMPTS = 3
SILENCE_SECONDS = 20
TOTAL_SECONDS = 1800
CHUNK = 1024 * 1024
# For the archive and its content, which is about three times as large.
SPACE_FACTOR = 4
# No release is larger, and what others on the host need stays free.
LARGEST_ARCHIVE = 4 * 1024**3
SPARE_BYTES = 256 * 1024**2


class Expected(NamedTuple):
    """SHA-256 of an archive, and its size in bytes if the lock has it."""

    sha256: str
    size: int | None


class Retryable(Exception):
    """A failure that may pass by itself."""


class Refused(Exception):
    """A failure that another attempt at the same URL does not change."""


class TooLarge(Exception):
    """A response that the disk, or any archive, has no room for."""


def fetch(urls: list[str], sha256: str, path: str, size: int | None = None) -> None:
    """Download the archive with this SHA-256 to ``path``; raise naming every URL that failed.

    A URL that offers another ``size``, in bytes, is refused before its body.

    A killed run leaves ``<path>.part``, which the next one resumes; a failure leaves nothing.
    """
    directory = os.path.dirname(path)
    files.make_directory(directory)
    part = path + ".part"
    try:
        _fetch_from_any(urls, Expected(sha256, size), part)
        os.rename(part, path)
    except BaseException:
        files.remove(part)
        with contextlib.suppress(OSError):
            os.rmdir(directory)
        raise


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch_from_any(urls: list[str], expected: Expected, part: str) -> None:
    failures = []
    for url in urls:
        # Each URL gets its share of the time, so that a slow one leaves time for the others.
        end = time.monotonic() + TOTAL_SECONDS / len(urls)
        try:
            _fetch_from(url, expected, part, end)
            return
        except Refused as error:
            failures.append(f"{url}: {error}")
        except TooLarge as error:
            # It must not stand in the way of the next URL's archive.
            files.remove(part)
            failures.append(f"{url}: {error}")
    details = "; ".join(failures) or "no URL is given"
    raise ComponentError(f"Release archive: the download failed; {details}.")


def _fetch_from(url: str, expected: Expected, part: str, end: float) -> None:
    """Complete ``part`` from one URL; a wrong beginning from another one is replaced."""
    sha256 = expected.sha256
    if _size(part) > (expected.size or LARGEST_ARCHIVE):
        files.remove(part)
    begun_elsewhere = _size(part) > 0
    if begun_elsewhere and sha256_of(part) == sha256:
        return
    _transfer_with_retries(url, expected, part, end)
    if begun_elsewhere and sha256_of(part) != sha256:
        files.remove(part)
        _transfer_with_retries(url, expected, part, end)
    actual = sha256_of(part)
    if actual != sha256:
        details = _describe(part)
        files.remove(part)
        raise Refused(f"SHA-256 is {actual}, expected {sha256} ({details})")


def _transfer_with_retries(url: str, expected: Expected, part: str, end: float) -> None:
    """Transfer with retries; an attempt that makes progress does not count."""
    largest = _size(part)
    attempts = without_progress = 0
    while True:
        attempts += 1
        try:
            with deadline(max(0.01, end - time.monotonic())):
                _transfer(url, expected, part)
            return
        except Retryable as error:
            without_progress += 1
            if _size(part) > largest:
                largest = _size(part)
                without_progress = 0
            if without_progress == ATTEMPTS or time.monotonic() > end:
                raise Refused(f"{error}, after {attempts} attempts") from error
            time.sleep(min(2**without_progress, 10) * random.uniform(0.5, 1.0))


def _transfer(url: str, expected: Expected, part: str) -> None:
    size = _size(part)
    try:
        request = urllib.request.Request(
            url, headers={"User-Agent": "hippius.monitoring"}
        )
        if size:
            request.add_header("Range", f"bytes={size}-")
        with urllib.request.build_opener().open(
            request, timeout=SILENCE_SECONDS
        ) as response:
            offset = size if _continues(response, size) else 0
            _store(response, part, offset, expected.size)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            # The file is longer than this server's archive.
            files.remove(part)
        if error.code in (408, 416, 429) or error.code >= 500:
            raise Retryable(f"HTTP {error.code}") from error
        raise Refused(f"HTTP {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise _classified(error, os.path.dirname(part)) from error


def _classified(error: Exception, directory: str) -> Exception:
    """Return the exception to raise; a bad URL or certificate is not retried."""
    reason = getattr(error, "reason", error)
    if getattr(reason, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return TooLarge(f"{directory}: no space left for the release")
    if isinstance(reason, (ssl.SSLCertVerificationError, InvalidURL, ValueError)):
        return Refused(str(reason))
    return Retryable(str(reason) or type(reason).__name__)


def _continues(response: HTTPResponse, size: int) -> bool:
    """Return whether a response continues at the end of the file."""
    content_range = response.headers.get("Content-Range") or ""
    return response.status == 206 and content_range.startswith(f"bytes {size}-")


def _store(
    response: HTTPResponse, part: str, offset: int, locked_size: int | None
) -> None:
    length = response.headers.get("Content-Length")
    expected = offset + int(length) if length else None
    if locked_size and expected not in (None, locked_size):
        raise Refused(f"it offers {expected} bytes, and {locked_size} are locked")
    expected = expected or locked_size
    _require_space(os.path.dirname(part), (expected or 0) * SPACE_FACTOR - offset)
    size = offset
    with open(part, "r+b" if offset else "wb") as stream:
        stream.seek(offset)
        stream.truncate()
        while expected is None or size < expected:
            chunk = response.read1(CHUNK)
            if not chunk:
                break
            size += stream.write(chunk)
            if expected is None:
                _require_space(os.path.dirname(part), SPARE_BYTES)
            if size > LARGEST_ARCHIVE:
                raise TooLarge(
                    f"the response has more than {_mebibytes(LARGEST_ARCHIVE)}"
                )
    if expected is not None and size < expected:
        raise Retryable(f"the response ended after {size} of {expected} bytes")


def _require_space(directory: str, needed: int) -> None:
    available = shutil.disk_usage(directory).free
    if needed > available:
        raise TooLarge(
            f"{directory}: {_mebibytes(available)} free, about {_mebibytes(needed)} needed for"
            " the release; make room there"
        )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _describe(path: str) -> str:
    with open(path, "rb") as stream:
        start = stream.read(40).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return "it is an HTML page"
    return f"{os.path.getsize(path)} bytes"
