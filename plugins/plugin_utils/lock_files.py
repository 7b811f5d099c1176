# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read release lock files on the controller."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ..module_utils import upstream_releases
from ..module_utils.upstream_releases import Archives

DEFAULT = str(Path(__file__).resolve().parents[2] / "releases.lock.yml")
# Contents by path and time of change: without them each task would parse its lock files again.
_locks: dict[tuple[str, int], Any] = {}


def archives(files: Iterable[str], name: str, version: str) -> Archives:
    """Return the archives of a release in some lock files; the last file wins.

    No files stand for the default one. Raise ReleaseError, which names the file, for one that
    cannot be read or has no valid entry.
    """
    entries: Archives = {}
    for path in list(files) or [DEFAULT]:
        try:
            entries.update(upstream_releases.archives(read_lock(path), name, version))
        except upstream_releases.ReleaseError as error:
            raise upstream_releases.ReleaseError(f"{path}: {error}") from error
    return entries


def read_lock(path: str) -> Any:
    """Return the content of a lock file, parsed once unless the file changes."""
    try:
        key = (path, os.stat(path).st_mtime_ns)
        if key not in _locks:
            content = Path(path).read_text(encoding="utf-8")
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            _locks[key] = yaml.load(content, Loader=loader) or {}
    except (OSError, yaml.YAMLError) as error:
        raise upstream_releases.ReleaseError(
            f"cannot be read as a release lock: {error}; correct it or monitoring_releases_lock."
        ) from error
    return _locks[key]
