# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the checksums that upstream publishes beside its archives."""

from __future__ import annotations

from http.client import HTTPException
from urllib.error import HTTPError

from ansible.module_utils.urls import open_url

from . import upstream_releases

# More than any checksum file is long.
LONGEST = 1024 * 1024


def checksums(name: str, archive: str, mirrors: list, failures: list) -> str:
    """Content of the first checksum file that is there; else nothing, and ``failures`` gets the reasons."""
    for address in upstream_releases.checksum_urls(name, archive):
        for url in upstream_releases.mirrored(address, mirrors):
            try:
                with open_url(url, timeout=30, http_agent="hippius.monitoring") as response:
                    return response.read(LONGEST).decode("utf-8", "replace")
            except HTTPError as error:
                error.close()
                failures.append(f"{url}: HTTP {error.code}")
                # Storage that shows nothing of its listing answers 403 for a file that is not there.
                if error.code not in (403, 404, 410):
                    raise upstream_releases.ReleaseError(failures[-1]) from error
            except (OSError, HTTPException, ValueError) as error:
                raise upstream_releases.ReleaseError(
                    f"{url}: {getattr(error, 'reason', error)}"
                ) from error
    return ""


def archives(name: str, version: str, build: str, architectures: list, mirrors: list) -> dict:
    """For each architecture that upstream publishes the address and checksum of the archive, as a lock has it.

    Raises ReleaseError, with the reasons, where none is to be had.
    """
    texts, failures = {}, []
    for architecture in architectures:
        archive = upstream_releases.archive_url(name, version, architecture, build)
        texts[architecture] = checksums(name, archive, mirrors, failures)
    return upstream_releases.lock_entries(name, version, build, texts, failures)
