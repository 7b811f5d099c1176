# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run a host and component at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from . import files, layout
from .component_errors import ComponentError

# No component can have this name, so its lock is nobody else's.
RELEASES = "_releases"
POLL_SECONDS = 0.5


@contextlib.contextmanager
def held(name: str, lock_owner: str, timeout: float) -> Iterator[None]:
    """Hold the lock of a component; fail naming the holder when it is not free in time.

    The kernel frees it when the process ends, however it ends. The file stays, since removing it would race.
    """
    descriptor = _open(name)
    deadline = time.monotonic() + timeout
    while not _try(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            told = os.pread(descriptor, 500, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise ComponentError(
                f"Another run holds {name} on this host: {told or 'it has not said who it is'}."
            )
        time.sleep(POLL_SECONDS)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{lock_owner or f'process {os.getpid()}'}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def releases(exclusive: bool) -> Iterator[bool]:
    """Share the releases directory while staging, or have it alone for cleaning up; yields whether it was had."""
    descriptor = _open(RELEASES)
    try:
        if exclusive:
            yield _try(descriptor, fcntl.LOCK_EX)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield True
    finally:
        os.close(descriptor)


def _open(name: str) -> int:
    files.make_directory(layout.RUN)
    return os.open(layout.lock(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
