# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where releases are published, and what the lock file says of them. Pure."""

from __future__ import annotations

UPSTREAM = "upstream"


def archives(lock: dict, name: str, version: str) -> dict:
    """For each architecture the ``url`` and ``sha256`` that a lock file holds of one release."""
    return ((lock.get(name) or {}).get(version)) or {}


def mirror_path(url: str) -> str:
    """Path of a published address below a mirror or a folder of archives: the address without its scheme."""
    return url.split("://", 1)[-1]


def mirrored(url: str, mirrors: list) -> list:
    """The addresses to try in turn; the word ``upstream`` among the mirrors stands for the published address."""
    if not mirrors:
        return [url]
    return [url if mirror == UPSTREAM else f"{mirror.rstrip('/')}/{mirror_path(url)}" for mirror in mirrors]
