# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that allow one run at a time per host and component."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import time
from collections.abc import Iterator

from . import files, layout
from .component_errors import ComponentError, LockedError

# No component can have this name, so its lock conflicts with none.
RELEASES = "_releases"
POLL_SECONDS = 0.5


@contextlib.contextmanager
def held(name: str, lock_owner: str, timeout: float) -> Iterator[None]:
    """Hold the lock of a component; raise naming its owner when it is not free in time.

    The kernel frees it when the process ends in any way. Removing the file would be a race. A run
    that has waited looks again whether its controller is there: what it wants may be out of date.
    """
    descriptor = _open(name)
    deadline = time.monotonic() + timeout
    waited = False
    try:
        while not _try_exclusive(descriptor):
            if time.monotonic() >= deadline:
                raise _locked(name, descriptor)
            waited = True
            time.sleep(POLL_SECONDS)
        if waited and not has_listener():
            raise ComponentError(
                f"{name}: the controller of this run is gone; run it again. Nothing was changed."
            )
        owner = lock_owner or f"process {os.getpid()}"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{owner}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def releases(exclusive: bool) -> Iterator[bool]:
    """Lock the releases, shared for staging, exclusive for pruning; yield whether locked."""
    descriptor = _open(RELEASES)
    try:
        if exclusive:
            yield _try_exclusive(descriptor)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield True
    finally:
        os.close(descriptor)


def has_listener() -> bool:
    """Return whether anything still reads what this process prints.

    The reading end of a pipe, the peer of a socket and the terminal of a session that ended show
    as an error or a hang-up. A file, as a test may use, shows nothing.
    """
    poller = select.poll()
    poller.register(1, 0)
    lost = select.POLLERR | select.POLLHUP | select.POLLNVAL
    return not any(event & lost for _descriptor, event in poller.poll(0))


def _locked(name: str, descriptor: int) -> LockedError:
    owner = os.pread(descriptor, 500, 0).decode("utf-8", "replace").strip()
    return LockedError(
        f"{name} on this host: another run holds its lock ({owner or 'unknown owner'}); wait for"
        " it."
    )


def _open(name: str) -> int:
    files.make_directory(layout.RUN)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(layout.lock(name), flags, 0o600)


def _try_exclusive(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
