# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's cache, which lies outside the checkout, and locks between commands that use it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def directory(*parts: str) -> Path:
    """Return a directory of the cache, created if it is missing."""
    default = Path.home() / ".cache" / "hippius-monitoring"
    root = Path(os.environ.get("HIPPIUS_MONITORING_CACHE") or default)
    path = root.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of this name, so that concurrent commands do not create a thing twice."""
    with open(directory("locks") / name, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
