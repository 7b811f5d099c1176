# SPDX-License-Identifier: GPL-3.0-or-later
"""A failed adoption gives back what it took, wherever it was killed and from any file system."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    systemd,
)
from tests.unit.component.fake_host import FakeHost, release

PACKAGE_USER = 472
KILL_AFTER = "TEST_KILL_AFTER"
CHANGES = ("rename", "symlink", "unlink", "rmdir", "mkdir", "chmod", "chown")


@pytest.fixture
def host(places: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """Return a host on which a package's Loki is enabled and runs."""
    fake = FakeHost(places)
    fake.install(monkeypatch)
    _let_cp_run(monkeypatch)
    etc, units = Path(layout.etc("loki")), Path(layout.UNITS)
    (etc / "rules").mkdir(parents=True)
    (etc / "rules/a.yml").write_text("rule\n")
    (etc / "loki.yml").write_text("theirs\n")
    (etc / "current.yml").symlink_to("loki.yml")
    (etc / "loki.yml").chmod(0o640)
    for path in (etc, etc / "loki.yml", etc / "rules/a.yml"):
        os.chown(path, 0, PACKAGE_USER)
    os.setxattr(etc / "loki.yml", "user.note", b"kept")
    units.mkdir(parents=True)
    (units / "loki.service").write_text("[Service]\nExecStart=/usr/bin/loki\n")
    (units / "multi-user.target.wants").mkdir()
    (units / "multi-user.target.wants/loki.service").symlink_to(
        layout.override("loki.service")
    )
    (units / "log.service").symlink_to(layout.override("loki.service"))
    (places / "var/lib").mkdir(parents=True)
    systemd.run(["systemctl", "start", "loki.service"])
    return fake


def _let_cp_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_run = systemd.run

    def run(
        command: list[str], timeout: float | None = 60
    ) -> subprocess.CompletedProcess[str]:
        if command[0] == "cp":
            return subprocess.run(command, capture_output=True, text=True, check=False)
        return fake_run(command, timeout)

    monkeypatch.setattr(systemd, "run", run)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Return options of a Loki that may take the package's place."""
    return {
        "name": "loki",
        "adopt": True,
        "release": release(tmp_path),
        "command": ["{release}/loki", "-config.file={etc}/loki.yml"],
        "config": [{"path": "loki.yml", "content": "a: 1\n"}],
        "ready": {"url": "http://127.0.0.1/ready", "timeout": 1},
    }


@pytest.fixture
def other_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be renamed between /etc and /opt."""
    rename = os.rename

    def refuse(source: str, target: str) -> None:
        if ("/etc/" in str(source).partition("/opt/")[0]) != (
            "/etc/" in str(target).partition("/opt/")[0]
        ):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)


BAD = [{"path": "loki.yml", "content": "start: refuse\n"}]


def package(host: FakeHost) -> dict[str, str]:
    """Return what belongs to the package."""
    found = {path: text for path, text in host.tree().items() if path.startswith("etc")}
    # Of units of ours, which a killed run may leave empty.
    found.pop("etc/systemd/system.attached", None)
    note = os.getxattr(Path(layout.etc("loki")) / "loki.yml", "user.note")
    return {**found, "note": note.decode()}


def assert_given_back(host: FakeHost, before: dict[str, str]) -> None:
    assert package(host) == before
    assert host.unit("loki.service")["active"] == "active"
    assert host.loaded() in ({}, {"current.yml": "theirs\n", **READ})
    # A run that is killed while it gives back may leave a whole second copy, but no part of one.
    left = [path.name for path in Path(layout.edited("loki")).rglob("*")]
    assert not [name for name in left if name.endswith((".adopting", ".json"))]


READ = {"loki.yml": "theirs\n", "rules/a.yml": "rule\n"}


@pytest.mark.parametrize("fixture", ["", "other_file_system"])
def test_a_failed_adoption_gives_back_files_owners_and_enabling_links(
    host: FakeHost,
    options: dict[str, Any],
    request: pytest.FixtureRequest,
    fixture: str,
) -> None:
    if fixture:
        request.getfixturevalue(fixture)
    before = package(host)
    failed = host.run(options, config=BAD)
    assert failed.error
    assert_given_back(host, before)
    assert not Path(layout.component("loki")).exists()
    assert not Path(layout.edited("loki")).exists()


@pytest.mark.parametrize("fixture", ["", "other_file_system"])
def test_an_adoption_that_succeeds_keeps_the_copies_and_says_where(
    host: FakeHost,
    options: dict[str, Any],
    request: pytest.FixtureRequest,
    fixture: str,
) -> None:
    if fixture:
        request.getfixturevalue(fixture)
    adopted = host.good(options)
    (copy,) = [
        notice.rpartition(" ")[2].rstrip(".")
        for notice in adopted.values["notices"]
        if f"The adopted {layout.etc('loki')} is kept as " in notice
    ]
    assert (Path(copy) / "loki.yml").read_text() == "theirs\n"
    assert (Path(copy) / "loki.yml").stat().st_gid == PACKAGE_USER
    assert not Path(layout.adoption("loki")).exists()
    assert host.good(options, adopt=False).changed is False
    host.good({"name": "loki", "state": "absent"})
    assert not Path(layout.etc("loki")).exists()
    assert Path(copy).is_dir()


def test_a_second_adoption_keeps_the_copy_of_the_first(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    etc = Path(layout.etc("loki"))
    etc.unlink()
    etc.mkdir()
    (etc / "loki.yml").write_text("reinstalled\n")
    assert "not made by this collection" in host.run(options, adopt=False).error
    host.good(options)
    copies = Path(layout.edited("loki"), "adopted").rglob("loki.yml")
    assert sorted(path.read_text() for path in copies) == ["reinstalled\n", "theirs\n"]


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets a run die at its change of files with this number."""
    limit = 0
    done = 0
    main = os.getpid()

    def counting(change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*words: Any, **options: Any) -> Any:
            nonlocal done
            if os.getpid() != main and limit:
                done += 1
                if done == limit:
                    os.kill(os.getpid(), signal.SIGKILL)
            return change(*words, **options)

        return counted

    for name in CHANGES:
        monkeypatch.setattr(os, name, counting(getattr(os, name)))

    def kill_at(number: int) -> None:
        nonlocal limit
        limit = number

    return kill_at


# More than a run has changes; each is tried until the run survives.
MOST_CHANGES = 400


@pytest.mark.parametrize(
    ("rerun", "fixture", "step"),
    [
        pytest.param("fails", "", 4, id="and fails"),
        pytest.param("fails", "other_file_system", 7, id="between file systems"),
        pytest.param("is refused", "other_file_system", 5, id="and is refused"),
        pytest.param("removes", "", 5, id="and removes"),
    ],
)
def test_a_killed_adoption_is_given_back_by_the_next_run(
    host: FakeHost,
    options: dict[str, Any],
    request: pytest.FixtureRequest,
    killer: Callable[[int], None],
    rerun: str,
    fixture: str,
    step: int,
) -> None:
    if fixture:
        request.getfixturevalue(fixture)
    before = package(host)
    for number in range(1, MOST_CHANGES, step):
        killer(number)
        killed = host.run(options, config=BAD)
        killer(0)
        if not killed.killed_by:
            assert number > 40
            return
        if rerun == "removes":
            host.good({"name": "loki", "state": "absent"})
        elif rerun == "fails":
            assert host.run(options, config=BAD).error
        else:
            host.run(options, config=BAD, adopt=False)
            assert "not made by" in host.run(options, config=BAD, adopt=False).error
        assert_given_back(host, before)
        if rerun != "is refused":
            # A refused run stages nothing, so it cleans nothing up.
            assert not Path(layout.component("loki")).exists()
    pytest.fail("no run survived")


def test_a_dead_first_rollout_that_fails_later_gives_back_and_tries_no_more(
    host: FakeHost, options: dict[str, Any]
) -> None:
    before = package(host)
    systemd.run(["systemctl", "stop", "loki.service"])
    assert host.run(options, config=BAD, die_at="after-links").killed_by
    assert host.run(options, config=BAD).error
    assert package(host) == before
    assert not Path(layout.component("loki")).exists()


TIMER = {
    "loki-tidy.service": {"Service": {"ExecStart": "/bin/true"}},
    "loki-tidy.timer": {
        "Timer": {"OnCalendar": "daily"},
        "Install": {"WantedBy": "timers.target"},
    },
}


@pytest.mark.parametrize("config", ["start: refuse\n", "check: refuse\n"])
def test_a_failed_rollout_gives_back_what_it_adopted_for_an_installed_component(
    host: FakeHost, options: dict[str, Any], config: str
) -> None:
    host.good(options)
    timer = Path(layout.override("loki-tidy.timer"))
    timer.write_text("[Timer]\nOnCalendar=hourly\n")
    enabling = Path(layout.wants("timers.target", timer.name))
    enabling.parent.mkdir()
    enabling.symlink_to(timer)
    systemd.run(["systemctl", "start", timer.name])
    before = {path: text for path, text in host.tree().items() if "tidy" in path}
    bad = [{"path": "loki.yml", "content": config}]
    with_check = {**options, "check": ["{release}/loki", "-verify"]}
    assert host.run(with_check, config=bad, units=TIMER).error
    after = {path: text for path, text in host.tree().items() if "tidy" in path}
    assert after == before
    assert host.unit(timer.name)["active"] == "active"
    assert not os.path.exists(layout.adoption("loki"))
    assert host.good(options).changed is False
