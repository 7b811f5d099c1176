# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read release lock files on the controller."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from ..module_utils import upstream_releases

DEFAULT = str(Path(__file__).resolve().parents[2] / "releases.lock.yml")
# Every task would read and parse the lock again otherwise.
_locks: dict = {}


def archives(files: list, name: str, version: str) -> dict:
    """What the lock files hold of a release, by architecture; the last file wins, and none stand for the default.

    Raises ReleaseError, which names the file, where one cannot be read or is not what a lock is.
    """
    found: dict = {}
    for path in files or [DEFAULT]:
        try:
            found.update(upstream_releases.archives(read(path), name, version))
        except upstream_releases.ReleaseError as error:
            raise upstream_releases.ReleaseError(f"{path}: {error}") from error
    return found


def read(path: str) -> dict:
    """A lock file, parsed once for each of its versions."""
    try:
        key = (path, os.stat(path).st_mtime_ns)
        if key not in _locks:
            text = Path(path).read_text(encoding="utf-8")
            _locks[key] = (
                yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
            )
    except (OSError, yaml.YAMLError) as error:
        raise upstream_releases.ReleaseError(
            f"it cannot be read as monitoring_releases_lock: {error}"
        ) from error
    return _locks[key]
