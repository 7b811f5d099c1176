# SPDX-License-Identifier: GPL-3.0-or-later
"""Return a component to its last-known-good generation after its run has died.

It runs on a host by itself, beside a rollout and at boot: without the rest of the engine.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

# For a run that finishes what the dead one began, before the service is touched again.
GRACE_SECONDS = 30
LOCK_OWNER = b"the return to the last-known-good generation after a killed run\n"


def main(orders_path: str, lock_path: str) -> None:
    """Follow the orders of a run that has died; a run that ends by itself removes them."""
    # A boot empties /run, so no run can be waited for.
    at_boot = not os.path.exists(lock_path)
    os.makedirs(os.path.dirname(lock_path), exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(lock_path, flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not at_boot:
            _wait(orders_path, lock)
        if os.path.exists(orders_path):
            os.truncate(lock, 0)
            os.pwrite(lock, LOCK_OWNER, 0)
            _finish(orders_path)
    finally:
        os.close(lock)


def _wait(orders_path: str, lock: int) -> None:
    """Wait until the orders are gone, or until no run has taken the lock for a while."""
    while os.path.exists(orders_path):
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(GRACE_SECONDS)
        if _is_free(lock):
            return
        fcntl.flock(lock, fcntl.LOCK_EX)


def _finish(orders_path: str) -> None:
    with open(orders_path, encoding="utf-8") as stream:
        orders = json.load(stream)
    follow(orders)
    for path in (*orders["finally"], orders_path):
        _remove(path)


def _is_free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def follow(orders: dict[str, Any]) -> None:
    """Put every instance back and let systemd start what should run."""
    for instance in orders["instances"]:
        instance["verb"] = "start" if _is_running(instance) else "restart"
        with contextlib.suppress(subprocess.CalledProcessError):
            # systemd may not have loaded them yet.
            _systemctl("stop", instance["stop"])
        _link(instance["target"], instance["current"])
        for path, source in instance["files"].items():
            _copy(source, path)
        for path, target in instance["links"].items():
            _link(target, path)
        for path in instance["remove"]:
            _remove(path)
    _run(["systemctl", "daemon-reload"])
    refused = None
    for instance in orders["instances"]:
        try:
            _systemctl(instance["verb"], instance["start"])
            _remove(instance["pending"])
        except subprocess.CalledProcessError as error:
            # Such as a masked unit, which keeps no other instance from its return.
            refused = error
    if refused:
        raise refused


def _is_running(instance: dict[str, Any]) -> bool:
    """Return whether the generation to return to is current, and what the program has read."""
    fields = (_read(instance["running"]) or b"").decode("utf-8", "replace").split()
    targets = [_target(instance["current"]), *fields[1:2]]
    return targets == [instance["target"]] * 2


def _systemctl(verb: str, units: list[str]) -> None:
    # At boot, units wait for this program, so it does not wait for them.
    if units:
        _run(["systemctl", verb, "--no-block", "--", *units])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)  # pylint: disable=ansible-bad-function


def _target(path: str) -> str:
    return os.readlink(path) if os.path.islink(path) else ""


def _read(path: str) -> bytes | None:
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as stream:
        return stream.read()


def _link(target: str, path: str) -> None:
    if _target(path) != target:
        _remove(path + ".new")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path + ".new")
        _rename(path)


def _copy(source: str, path: str) -> None:
    content = _read(source)
    if content is not None and (os.path.islink(path) or _read(path) != content):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "wb") as stream:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _rename(path)


def _rename(path: str) -> None:
    os.rename(path + ".new", path)
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def _remove(path: str) -> None:
    """Remove a file or link, and its directory if that was made for it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    directory = os.path.dirname(path)
    if directory.endswith((".wants", "/unfinished")):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
