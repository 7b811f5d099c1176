# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the checksums that upstream publishes beside its archives."""

from __future__ import annotations

from http.client import HTTPException
from urllib.error import HTTPError

from ansible.module_utils.urls import open_url

from . import upstream_releases
from .upstream_releases import Archives, ReleaseError

# More than the size of any checksum file.
LONGEST = 1024 * 1024
# Object storage that hides its listing answers 403 for a missing file.
MISSING = (403, 404, 410)


def checksum_file(
    name: str, archive: str, mirrors: list[str], failures: list[str]
) -> str | None:
    """Return the content of the first checksum file of an archive that exists.

    Appends the reasons to ``failures`` when none does, and raises ReleaseError when a mirror
    fails in another way.
    """
    for address in upstream_releases.checksum_urls(name, archive):
        for url in upstream_releases.mirrored(address, mirrors):
            try:
                with open_url(
                    url, timeout=30, http_agent="hippius.monitoring"
                ) as response:
                    content: bytes = response.read(LONGEST)
                    return content.decode("utf-8", "replace")
            except HTTPError as error:
                error.close()
                failures.append(f"{url}: HTTP {error.code}")
                if error.code not in MISSING:
                    raise ReleaseError(failures[-1]) from error
            except (OSError, HTTPException, ValueError) as error:
                raise ReleaseError(
                    f"{url}: {getattr(error, 'reason', error)}"
                ) from error
    return None


def archives(
    name: str, version: str, build: str, architectures: list[str], mirrors: list[str]
) -> Archives:
    """Return the published archives of a release with their checksums, as a lock has them.

    Architectures that are not published are left out. Raises ReleaseError when none is.
    """
    contents: dict[str, str | None] = {}
    failures: list[str] = []
    for architecture in architectures:
        archive = upstream_releases.archive_url(name, version, architecture, build)
        contents[architecture] = checksum_file(name, archive, mirrors, failures)
    return upstream_releases.lock_entries(name, version, build, contents, failures)
