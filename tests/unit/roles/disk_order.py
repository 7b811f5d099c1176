# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which a script makes files durable, which decides what a power cut may take."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest


class DiskOrder:
    """The calls of fsync and rename, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str, str]] = []
        fsync = os.fsync

        def record_fsync(descriptor: int) -> None:
            fsync(descriptor)
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            self.events.append(("fsync", path, ""))

        def recording(rename: Callable[..., None]) -> Callable[..., None]:
            def record_rename(source: Any, target: Any) -> None:
                rename(source, target)
                paths = os.path.realpath(source), os.path.realpath(target)
                self.events.append(("rename", *paths))

            return record_rename

        monkeypatch.setattr(os, "fsync", record_fsync)
        monkeypatch.setattr(os, "rename", recording(os.rename))
        monkeypatch.setattr(os, "replace", recording(os.replace))

    def renamed(self) -> list[str]:
        """Return the names that files have taken."""
        return [target for event, _source, target in self.events if event == "rename"]

    def faults(self) -> list[str]:
        """Return renames of what is not on disk, and those that are not on disk before the next."""
        found: list[str] = []
        synced: set[str] = set()
        unsynced = ""
        for event, path, target in [*self.events, ("rename", "", "")]:
            if event == "fsync":
                synced.add(path)
                unsynced = "" if path == os.path.dirname(unsynced) else unsynced
                continue
            if unsynced:
                found.append(f"the directory of {unsynced}")
            if path and path not in synced:
                found.append(path)
            synced.discard(path)
            unsynced = target
        return found
