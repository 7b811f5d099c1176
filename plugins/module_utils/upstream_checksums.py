# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the checksums that upstream publishes beside its archives."""

from __future__ import annotations

import re
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from ansible.module_utils.urls import ConnectionError as AnsibleConnectionError
from ansible.module_utils.urls import open_url

from . import upstream_releases
from .deadline import deadline
from .upstream_releases import Archives, ReleaseError

# More than the size of any checksum file.
LONGEST = 1024 * 1024
SECONDS = 60
# Object storage that hides its listing answers 403 for a missing file.
MISSING = (403, 404, 410)
UNREACHABLE = (OSError, HTTPException, ValueError, AnsibleConnectionError)


def checksum_file(
    name: str, archive: str, mirrors: list[str], failures: list[str]
) -> str | None:
    """Return the content of the first file that has the checksum of an archive.

    Appends the reasons to ``failures`` when none does, and raises ReleaseError when a mirror
    has failed in another way, since it may have the file.
    """
    file = archive.rpartition("/")[2]
    unknown = []
    for address in upstream_releases.checksum_urls(name, archive):
        for url in upstream_releases.mirrored(address, mirrors):
            try:
                with deadline(SECONDS), _open(url) as response:
                    content = response.read(LONGEST).decode("utf-8", "replace")
                if upstream_releases.checksum_in(content, file):
                    return str(content)
                failures.append(f"{url}: it does not list {file}")
            except HTTPError as error:
                error.close()
                failures.append(f"{url}: HTTP {error.code}")
                if error.code not in MISSING:
                    unknown.append(failures[-1])
            except (*UNREACHABLE, ReleaseError) as error:
                failures.append(f"{url}: {getattr(error, 'reason', error)}")
                unknown.append(failures[-1])
    if unknown:
        raise ReleaseError("; ".join(unknown))
    return None


def archive_size(archive: str, mirrors: list[str]) -> int:
    """Return the size of an archive as the first mirror that has it tells, 0 if none does."""
    for url in upstream_releases.mirrored(archive, mirrors):
        try:
            # Signed addresses of object storage may refuse HEAD.
            with deadline(SECONDS), _open(url, {"Range": "bytes=0-0"}) as response:
                size = _told_size(response.headers)
        except UNREACHABLE:
            continue
        if size:
            return size
    return 0


def _open(url: str, headers: dict[str, str] | None = None) -> Any:
    return open_url(
        url,
        headers=headers,
        timeout=30,
        http_agent="hippius.monitoring",
        decompress=False,
    )


def _told_size(headers: Any) -> int:
    content_range = re.match(r"bytes 0-0/(\d+)\Z", headers.get("Content-Range") or "")
    if content_range:
        return int(content_range[1])
    length = headers.get("Content-Length") or ""
    is_whole = not headers.get("Content-Range") and not headers.get("Content-Encoding")
    return int(length) if is_whole and length.isdigit() else 0


def archives(
    name: str, version: str, build: str, architectures: list[str], mirrors: list[str]
) -> Archives:
    """Return the published archives of a release with checksums and sizes, as a lock has them.

    Architectures that are not published are left out. Raises ReleaseError when none is.
    """
    contents: dict[str, str | None] = {}
    sizes: dict[str, int] = {}
    failures: list[str] = []
    for architecture in architectures:
        archive = upstream_releases.archive_url(name, version, architecture, build)
        contents[architecture] = checksum_file(name, archive, mirrors, failures)
        if contents[architecture]:
            sizes[architecture] = archive_size(archive, mirrors)
    return upstream_releases.lock_entries(
        name, version, build, contents, failures, sizes
    )
