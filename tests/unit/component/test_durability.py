# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is renamed before it is on disk, and a rename is on disk before the next step.

The kernel keeps written pages when a process is killed, so that only the order of the calls shows
what a power cut may take.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    files,
    layout,
)
from tests.unit.component.fake_host import DEFAULTS, METRICS, FakeHost, release, work


class Recorder:
    """The calls that make something durable, and the renames between them, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str, str]] = []
        fsync, rename, sync_filesystem = (
            os.fsync,
            os.rename,
            files.sync_filesystem,
        )

        def record_fsync(descriptor: int) -> None:
            fsync(descriptor)
            self.events.append(
                ("fsync", os.readlink(f"/proc/self/fd/{descriptor}"), "")
            )

        def record_rename(source: str, target: str) -> None:
            rename(source, target)
            self.events.append(("rename", str(source), str(target)))

        def record_sync_filesystem(path: str) -> None:
            sync_filesystem(path)
            self.events.append(("syncfs", path, ""))

        monkeypatch.setattr(os, "fsync", record_fsync)
        monkeypatch.setattr(os, "rename", record_rename)
        monkeypatch.setattr(files, "sync_filesystem", record_sync_filesystem)

    def renames(self) -> Iterator[tuple[int, str, str]]:
        """Yield the position, source and target of each rename."""
        for position, (event, source, target) in enumerate(self.events):
            if event == "rename":
                yield position, source, target

    def position(self, event: str, path: str, after: int = 0) -> int:
        """Return where a call for a path is, at the earliest after a position; -1 without one."""
        for position in range(after, len(self.events)):
            if self.events[position][:2] == (event, path):
                return position
        return -1


@pytest.fixture
def recorder(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Return what a first rollout and a reload of one component recorded."""
    host = FakeHost(places)
    host.install(monkeypatch)
    (places / "var/lib").mkdir(parents=True)
    recorder = Recorder(monkeypatch)
    options: dict[str, Any] = {
        **DEFAULTS,
        "name": "loki",
        "release": release(tmp_path),
        "command": ["{release}/loki"],
        "config": [{"path": "rules/one.yml", "content": "a: 1\n"}],
        "secrets": {"password": "s3cret"},
        "reload": {**METRICS, "timeout": 1},
    }
    work(options, False)
    changed = [{"path": "rules/one.yml", "content": "a: 2\n"}]
    work({**options, "config": changed}, False)
    return recorder


def test_a_file_is_on_disk_before_it_takes_its_name(recorder: Recorder) -> None:
    files = [item for item in recorder.renames() if item[1] == item[2] + ".new"]
    written = [
        item
        for item in files
        if not os.path.islink(item[2]) and os.path.exists(item[2])
    ]
    assert written
    for position, source, _target in written:
        assert 0 <= recorder.position("fsync", source) < position, source


def test_a_generation_is_on_disk_with_all_its_directories_before_its_rename(
    recorder: Recorder,
) -> None:
    staged = [
        item
        for item in recorder.renames()
        if "/.staging-" in item[1] and "generations" in item[1]
    ]
    assert len(staged) == 2
    for position, source, target in staged:
        present = [Path(source)]
        if Path(target).exists():
            present += [
                Path(source) / path.relative_to(target)
                for path in Path(target).rglob("*")
            ]
        for path in present:
            final = Path(target) / path.relative_to(source)
            if not final.is_symlink():
                assert 0 <= recorder.position("fsync", str(path)) < position, path


def test_a_release_is_on_disk_before_its_rename(recorder: Recorder) -> None:
    unpacked = [
        item
        for item in recorder.renames()
        if os.path.dirname(item[2]) == layout.RELEASES
    ]
    ((position, source, _target),) = unpacked
    assert 0 <= recorder.position("syncfs", source) < position


def test_every_rename_is_on_disk_before_the_switch(recorder: Recorder) -> None:
    current = layout.current("loki")
    switches = [
        position
        for position, _source, target in recorder.renames()
        if target == current
    ]
    assert len(switches) == 2
    for position, _source, target in recorder.renames():
        # /run is gone after a power cut anyway, and what is staged is synchronized as a whole.
        if target.startswith(layout.RUN) or "/.staging-" in target:
            continue
        synced = recorder.position("fsync", os.path.dirname(target), position)
        later = [switch for switch in switches if switch > position]
        assert synced > position, target
        assert not later or synced < later[0], target


def test_what_was_verified_is_noted_after_the_switch_is_on_disk(
    recorder: Recorder,
) -> None:
    names = [target for _position, _source, target in recorder.renames()]
    current, last_known_good = layout.current("loki"), layout.last_known_good("loki")
    first = names.index(current)
    assert first < names.index(last_known_good)
    switched = recorder.position("rename", current + ".new")
    noted = recorder.position("rename", last_known_good + ".new")
    assert (
        switched
        < recorder.position("fsync", layout.component("loki"), switched)
        < noted
    )
