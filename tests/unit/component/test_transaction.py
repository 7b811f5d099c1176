# SPDX-License-Identifier: GPL-3.0-or-later
"""Real rollouts, rollbacks and removals on a fake host, killed at every failpoint."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    generation,
    layout,
    probe,
    status,
    systemd,
    transaction,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.failpoints import FAILPOINTS
from tests.unit.component.fake_host import GROUP, METRICS, FakeHost, release

# The files of a host, and what its programs have read.
End = tuple[dict[str, str], dict[str, dict[str, str]]]
TIMER = {
    "loki-tidy.service": {"Service": {"ExecStart": "/bin/true"}},
    "loki-tidy.timer": {
        "Timer": {"OnCalendar": "daily"},
        "Install": {"WantedBy": "timers.target"},
    },
}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Return options for a component that reloads."""
    return {
        "name": "loki",
        "release": release(tmp_path),
        "command": ["{release}/loki", "-config.file={etc}/loki.yml"],
        "config": [{"path": "loki.yml", "content": "a: 1\n"}],
        "check": ["{release}/loki", "-verify"],
        "ready": {"url": "http://127.0.0.1/ready", "timeout": 1},
        "reload": {**METRICS, "timeout": 1},
    }


def config(content: str) -> list[dict[str, str]]:
    return [{"path": "loki.yml", "content": content}]


def test_a_first_rollout_installs_and_the_second_one_changes_nothing(
    host: FakeHost, options: dict[str, Any]
) -> None:
    first = host.good(options)
    assert (first.action, host.unit("loki.service")["active"]) == ("install", "active")
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    before, started = host.tree(), host.starts()
    host.forget_commands()
    second = host.good(options)
    assert (second.changed, second.action) == (False, "none")
    assert (host.tree(), host.starts(), host.commands()) == (before, started, [])


def test_a_changed_file_is_reloaded_without_a_restart(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    started = host.starts()
    assert host.good(options, config=config("a: 2\n")).action == "reload"
    assert (host.loaded(), host.starts()) == ({"loki.yml": "a: 2\n"}, started)


def test_check_mode_writes_nothing(host: FakeHost, options: dict[str, Any]) -> None:
    host.good(options)
    before = host.tree()
    host.forget_commands()
    planned = host.good(options, config=config("a: 2\n"), check=True)
    assert (planned.action, host.tree(), host.commands()) == ("reload", before, [])


def test_check_mode_foresees_the_restart_from_a_release_that_is_unpacked_again(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    program = Path(layout.current("loki"), "release", "loki")
    program.chmod(0o644)
    started = host.starts()

    planned = host.good(options, check=True)
    done = host.good(options)

    assert (planned.action, planned.changed) == ("restart", True)
    assert (done.action, done.changed) == ("restart", True)
    assert (host.starts() != started, program.stat().st_mode & 0o777) == (True, 0o555)
    assert host.good(options).changed is False


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("check: refuse\n", "checker", id="by its checker"),
        pytest.param("reload: refuse\n", "reload", id="by a reload"),
    ],
)
def test_a_refused_change_leaves_the_old_configuration_active(
    host: FakeHost, options: dict[str, Any], content: str, reason: str
) -> None:
    host.good(options)
    before, started = host.tree(), host.starts()
    refused = host.run(options, config=config(content))
    assert reason in refused.error
    assert (host.loaded(), host.starts()) == ({"loki.yml": "a: 1\n"}, started)
    assert host.tree() == before
    assert host.good(options).changed is False


@pytest.mark.parametrize("content", ["start: refuse\n", "ready: never\n"])
def test_a_failed_restart_returns_to_the_last_known_good_generation(
    host: FakeHost, options: dict[str, Any], content: str
) -> None:
    del options["reload"]
    host.good(options)
    before = host.tree()
    failed = host.run(options, config=config(content))
    assert failed.rolled_back == ("loki",) or list(failed.rolled_back) == ["loki"]
    assert (host.loaded(), host.unit("loki.service")["active"]) == (
        {"loki.yml": "a: 1\n"},
        "active",
    )
    assert host.tree() == before
    assert host.good(options).changed is False


def test_a_failed_first_rollout_leaves_nothing_running(
    host: FakeHost, options: dict[str, Any]
) -> None:
    failed = host.run(options, config=config("start: refuse\n"))
    assert (bool(failed.error), list(failed.rolled_back)) == (True, [])
    assert host.unit("loki.service")["active"] == "inactive"
    assert not Path(layout.component("loki")).exists()
    assert not Path(layout.etc("loki")).exists()
    assert host.good(options).action == "install"


def test_instances_are_one_transaction(host: FakeHost, options: dict[str, Any]) -> None:
    instances = [{"name": "main"}, {"name": "side"}]
    host.good(options, instances=instances)
    bad = [{"name": "main", "config": config("a: 2\n")}, {"name": "side"}]
    bad[1]["config"] = config("reload: refuse\n")
    failed = host.run(options, instances=bad)
    assert sorted(failed.rolled_back) == ["loki-main", "loki-side"]
    assert (
        host.loaded("loki-main") == host.loaded("loki-side") == {"loki.yml": "a: 1\n"}
    )
    assert host.good(options, instances=instances).changed is False


def test_an_instance_that_is_no_longer_listed_is_removed(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options, instances=[{"name": "main"}, {"name": "side"}])
    assert host.good(options, instances=[{"name": "main"}]).action == "remove"
    assert host.unit("loki-side.service")["active"] == "inactive"
    assert not Path(layout.component("loki-side")).exists()


def test_a_rollback_brings_the_generation_before_back_once(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    host.good(options, config=config("a: 2\n"))
    previous = {"name": "loki", "state": "previous"}
    assert host.good(previous).action == "reload"
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    assert host.good(previous).changed is False
    assert host.good(options, config=config("a: 2\n")).action == "reload"
    assert not Path(layout.rolled_back_from("loki")).is_symlink()


def test_a_reboot_changes_nothing(host: FakeHost, options: dict[str, Any]) -> None:
    host.good(options, units=TIMER)
    host.reboot()
    assert host.unit("loki.service")["active"] == "active"
    assert host.unit("loki-tidy.timer")["active"] == "active"
    assert host.good(options, units=TIMER).changed is False


# What is on the host before, and what the run that is killed changes.
CHANGES: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "install": (None, {"units": TIMER}),
    "reload": ({}, {"config": config("a: 2\n")}),
    "restart": ({}, {"environment": {"TZ": "UTC"}}),
    "release": ({}, {"version": "3.7.9"}),
    "new unit": ({}, {"units": TIMER}),
    "gone unit": ({"units": TIMER}, {}),
    "instances": (
        {"instances": [{"name": "main"}, {"name": "side"}]},
        {
            "instances": [
                {"name": "main", "config": config("a: 2\n")},
                {"name": "third"},
            ]
        },
    ),
}
# Passed only by a run that fails, or that removes.
RARE = ("after-restore", "after-unlink", "after-set-aside")


def changed(
    options: dict[str, Any], change: dict[str, Any], tmp_path: Path
) -> dict[str, Any]:
    """Return options with a change; a version stands for its release."""
    change = dict(change)
    if "version" in change:
        change["release"] = release(tmp_path, change.pop("version"))
    return {**options, **change}


@pytest.mark.parametrize("point", [point for point in FAILPOINTS if point not in RARE])
@pytest.mark.parametrize("name", CHANGES)
def test_a_killed_rollout_is_finished_by_the_next_one(
    host: FakeHost,
    options: dict[str, Any],
    undisturbed: Callable[[str], End],
    tmp_path: Path,
    name: str,
    point: str,
) -> None:
    before, change = CHANGES[name]
    if before is not None:
        host.good(changed(options, before, tmp_path))
    desired = changed(options, change, tmp_path)
    killed = host.run(desired, die_at=point)
    if not killed.killed_by:
        # Nothing is downloaded or written where nothing is needed.
        assert point in (
            "after-download",
            "after-unpack",
            "after-generation",
            "after-check",
        )
    host.good(desired)
    killed_tree, loaded = host.tree(), _loaded(host)
    assert host.good(desired).changed is False
    assert host.tree() == killed_tree
    expected_tree, expected_loaded = undisturbed(name)
    assert loaded == expected_loaded
    assert killed_tree == expected_tree


def _loaded(host: FakeHost) -> dict[str, dict[str, str]]:
    return {
        name: host.loaded(name)
        for name in ("loki", "loki-main", "loki-side", "loki-third")
    }


@pytest.fixture
def undisturbed(
    host: FakeHost, options: dict[str, Any], tmp_path: Path
) -> Callable[[str], End]:
    """Return where the rollouts of a change lead on this host when nothing disturbs them.

    Paths of the host are part of a generation's digest, so that another host would end elsewhere.
    """

    def end(name: str) -> End:
        host.good({"name": "loki", "state": "absent", "purge": True})
        before, change = CHANGES[name]
        if before is not None:
            host.good(changed(options, before, tmp_path))
        host.good(changed(options, change, tmp_path))
        return host.tree(), _loaded(host)

    return end


@pytest.mark.parametrize("point", ["after-lock", "after-unlink", "after-set-aside"])
def test_a_killed_removal_is_finished_by_the_next_one(
    host: FakeHost, options: dict[str, Any], point: str
) -> None:
    host.good(options, units=TIMER)
    absent = {"name": "loki", "state": "absent"}
    killed = host.run(absent, die_at=point)
    assert killed.killed_by == signal.SIGKILL or point == "after-lock"
    host.good(absent)
    assert host.good(absent).changed is False
    assert not [name for name in host.tree() if name.startswith(("opt/", "etc/loki"))]
    assert host.unit("loki.service")["active"] == "inactive"


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_rollout_that_fails_and_is_killed_ends_in_the_old_generation(
    host: FakeHost, options: dict[str, Any], point: str
) -> None:
    host.good(options)
    bad = {**options, "config": config("reload: refuse\n")}
    host.run(bad, die_at=point)
    assert list(host.run(bad).rolled_back) in (["loki"], [])
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    host.good(options)
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    assert host.good(options).changed is False


def test_a_unit_that_does_not_stop_is_not_removed(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options, config=config("stop: refuse\n"))
    before = host.tree()
    refused = host.run({"name": "loki", "state": "absent"})
    assert "loki.service: still running" in refused.error
    assert "Connection timed out" in refused.error
    assert (host.tree(), host.unit("loki.service")["active"]) == (before, "active")


PURGE = {"name": "loki", "state": "absent", "purge": True}


def test_a_purge_empties_a_mount_point_and_leaves_it(
    host: FakeHost, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.good(options)
    data = Path(layout.data("loki"))
    (data / "chunks").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: path == str(data))
    purged = host.good(PURGE)
    assert "is a mount point" in purged.values["notices"][0]
    assert (data.is_dir(), list(data.iterdir())) == (True, [])


def test_a_purge_reports_data_behind_a_link(
    host: FakeHost, options: dict[str, Any], tmp_path: Path
) -> None:
    host.good(options)
    data, elsewhere = Path(layout.data("loki")), tmp_path / "disk"
    data.rename(elsewhere)
    data.symlink_to(elsewhere)
    purged = host.good(PURGE)
    assert f"the data in {elsewhere} was left" in purged.values["notices"][0]
    assert (data.is_symlink(), elsewhere.is_dir()) == (False, True)


def test_a_purge_removes_directories_deeper_than_python_recurses(
    host: FakeHost, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.good(options)
    data = Path(layout.data("loki"))
    monkeypatch.chdir(data)
    for _depth in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os.chdir("/")
    try:
        host.good(PURGE)
        assert not data.exists()
    finally:
        # pytest could not remove what a failure leaves, and would fail in later runs.
        subprocess.run(["rm", "-rf", "--", data], check=True)


def test_another_component_does_not_disturb_the_staging_of_a_shared_release(
    host: FakeHost, options: dict[str, Any]
) -> None:
    other = {**options, "name": "other"}
    killed = host.run(other, die_at="after-unpack")
    assert killed.killed_by == signal.SIGKILL
    left = list(Path(layout.RELEASES).iterdir())
    assert [path.name.startswith(".staging-") for path in left] == [True]
    host.good(options)
    host.good(other)
    assert [path.name for path in Path(layout.RELEASES).iterdir()] == [
        os.path.basename(os.readlink(Path(layout.current("loki")) / "release"))
    ]


def test_a_dangling_link_of_another_package_is_left_alone(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    other = Path(layout.wants("multi-user.target", "loki-canary.service"))
    other.symlink_to(layout.unit("loki-canary.service"))
    assert host.good(options).changed is False
    host.good({"name": "loki", "state": "absent"})
    assert other.is_symlink()


def test_a_dangling_link_that_a_killed_run_left_is_removed(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options, units=TIMER)
    enabling = Path(layout.wants("timers.target", "loki-tidy.timer"))
    Path(layout.unit("loki-tidy.timer")).unlink()
    assert enabling.is_symlink()
    host.good(options)
    assert not enabling.is_symlink()
    assert host.good(options).changed is False


def test_files_belong_to_the_group_of_the_units_name(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.add_account("loki")
    host.good(options, secrets={"password": "s3cret"})
    etc = Path(layout.etc("loki"))
    groups = {path.stat().st_gid for path in (etc, etc / "password", etc / "loki.yml")}
    assert groups == {GROUP}
    assert host.good(options, secrets={"password": "s3cret"}).changed is False


def test_the_account_of_a_person_is_refused(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.add_account("loki", pw_shell="/bin/bash")
    before = host.tree()
    for check in (True, False):
        refused = host.run(options, check=check)
        assert "is a person's account" in refused.error
    assert host.tree() == before


def test_a_missing_account_is_created_by_the_next_run(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    host.remove_account("loki")
    assert host.good(options, check=True).action == "restart"
    repaired = host.good(options)
    reasons = repaired.values["instances"]["loki"]["reasons"]
    assert (repaired.action, reasons) == ("restart", ["its user or group is missing"])
    assert host.good(options).changed is False


@pytest.mark.parametrize("check", [True, False])
def test_a_rollback_that_the_checker_refuses_changes_nothing(
    host: FakeHost, options: dict[str, Any], check: bool
) -> None:
    host.good(options)
    host.good(options, config=config("a: 2\n"))
    before, started = host.tree(), host.starts()
    host.refuse_every_check()
    refused = host.run({"name": "loki", "state": "previous"}, check=check)
    assert "refused by its checker" in refused.error
    assert (host.tree(), host.starts()) == (before, started)
    assert host.loaded() == {"loki.yml": "a: 2\n"}


def instances(**ports: str) -> dict[str, Any]:
    """Return options for an instance on each port, with a file that says so."""
    return {
        "instances": [
            {
                "name": name,
                "config": config(f"port: {port}\n"),
                "listen_addresses": [f"127.0.0.1:{port}"],
            }
            for name, port in ports.items()
        ]
    }


@pytest.fixture
def listening(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each program listen on the port in its file, once it is free."""

    def listeners(address: str) -> set[int]:
        port = address.rpartition(":")[2]
        units = json.loads((host.root / "systemd.json").read_text())["units"]
        return {
            unit["pid"]
            for unit in units.values()
            if unit.get("pid") and f"port: {port}\n" in "".join(unit["config"].values())
        }

    real_start = host._restart

    def restart(name: str) -> tuple[int, str]:
        result = real_start(name)
        port = host.loaded(name.removesuffix(".service"))["loki.yml"].split()[1]
        if len(listeners(f"127.0.0.1:{port}")) > 1:
            host.stop(name)
        return result

    monkeypatch.setattr(host, "_restart", restart)
    monkeypatch.setattr(probe, "listening_processes", listeners)
    monkeypatch.setattr(probe, "group_processes", lambda pid: {pid})


@pytest.mark.parametrize(
    "ports",
    [
        pytest.param({"a": "2", "b": "1", "c": "3"}, id="two swap their ports"),
        pytest.param({"a": "1", "b": "2", "renamed": "3"}, id="one is renamed"),
        pytest.param({"a": "2", "b": "3", "c": "1"}, id="all pass it on"),
        pytest.param({"b": "1"}, id="one takes the port of one that is removed"),
    ],
)
def test_an_address_is_taken_over_from_another_instance(
    host: FakeHost, options: dict[str, Any], listening: None, ports: dict[str, str]
) -> None:
    options = {**options, "reload": None}
    host.good(options, **instances(a="1", b="2", c="3"))
    assert host.good(options, **instances(**ports)).changed
    for name, port in ports.items():
        assert host.unit(f"loki-{name}.service")["active"] == "active"
        assert host.loaded(f"loki-{name}")["loki.yml"] == f"port: {port}\n"
    assert not host.good(options, **instances(**ports)).changed


def test_instances_that_exchange_an_address_are_restored_together(
    host: FakeHost, options: dict[str, Any], listening: None
) -> None:
    options = {**options, "reload": None}
    host.good(options, **instances(a="1", b="2", c="3"))
    before = host.tree()
    broken = instances(a="2", renamed="1")
    broken["instances"][1]["config"] = config("port: 1\nready: never\n")
    outcome = host.run(options, **broken)
    assert "loki-renamed.service was not ready" in outcome.error
    for name, port in {"a": "1", "b": "2", "c": "3"}.items():
        assert host.unit(f"loki-{name}.service")["active"] == "active"
        assert host.loaded(f"loki-{name}")["loki.yml"] == f"port: {port}\n"
    assert not host.good(options, **instances(a="1", b="2", c="3")).changed
    assert {
        path: content for path, content in host.tree().items() if path in before
    } == before


def test_only_the_log_of_the_instance_that_failed_is_shown(
    host: FakeHost, options: dict[str, Any]
) -> None:
    wanted = instances(a="1", b="2", c="3")
    for wanted_instance in wanted["instances"]:
        del wanted_instance["listen_addresses"]
    wanted["instances"][1]["config"] = config("start: refuse\n")
    outcome = host.run(options, **wanted)
    assert outcome.error.startswith("loki-b.service ended")
    assert outcome.error.count("Last log lines of") == 1
    assert "Last log lines of loki-b.service" in outcome.error


def test_a_rollback_reports_what_the_restored_program_has_to_tell(
    host: FakeHost, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.good(options)
    monkeypatch.setattr(
        systemd,
        "read_journal",
        lambda *_words: "a\nnotice: The database was restored.\n",
    )
    failed = host.run(options, config=config("reload: refuse\n"))
    assert failed.error.splitlines()[-2] == "The database was restored."


@pytest.mark.parametrize("check", [True, False])
def test_notices_of_a_checker_are_those_of_the_run(
    host: FakeHost,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    check: bool,
) -> None:
    host.good(options)
    monkeypatch.setattr(
        host, "_check", lambda _words: (0, "fine\nnotice: Data is old.\n")
    )
    outcome = host.good(options, config=config("a: 2\n"), check=check)
    assert outcome.values["notices"] == ["loki: Data is old."]


def test_a_journal_that_does_not_answer_is_waited_for_once_before_a_rollback(
    host: FakeHost, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    two = [{"name": "main"}, {"name": "side"}]
    host.good(options, instances=two)
    waits = host.root / "waits"
    program = systemd.run

    def hang(command: list[str], timeout: float | None = 60) -> Any:
        if command[0] == "journalctl":
            assert timeout
            assert timeout <= 10
            with waits.open("a") as stream:
                stream.write(command[1] + "\n")
            raise systemd.ComponentError("journalctl: no end within 5 s.")
        return program(command, timeout)

    monkeypatch.setattr(systemd, "run", hang)
    bad = [
        {"name": name, "config": config("reload: refuse\n")}
        for name in ("main", "side")
    ]
    assert sorted(host.run(options, instances=bad).rolled_back) == [
        "loki-main",
        "loki-side",
    ]
    assert waits.read_text().split().count("--sync") == 2


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no room for another file or link in /opt after the switch."""
    symlink, opened = os.symlink, os.open

    def is_full(path: Any) -> bool:
        switched = os.environ.get("TEST_FULL") and str(path).startswith(layout.BASE)
        return bool(switched)

    def full_symlink(target: str, path: str) -> None:
        if is_full(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        symlink(target, path)

    def full_open(path: Any, flags: int, *words: Any, **options: Any) -> int:
        if flags & os.O_CREAT and is_full(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return opened(path, flags, *words, **options)

    monkeypatch.setattr(os, "symlink", full_symlink)
    monkeypatch.setattr(os, "open", full_open)


@pytest.mark.parametrize("content", ["reload: refuse\n", "start: refuse\n"])
def test_a_rollback_needs_no_room_on_the_disk(
    host: FakeHost,
    options: dict[str, Any],
    full: None,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
) -> None:
    if content.startswith("start"):
        options["reload"] = None
    host.good(options)
    reload_or_start = host._systemctl

    def fill(words: list[str]) -> tuple[int, str]:
        if words[0] in ("reload", "restart"):
            os.environ["TEST_FULL"] = "1"
        return reload_or_start(words)

    monkeypatch.setattr(host, "_systemctl", fill)
    failed = host.run(options, config=config(content))
    assert "restore failed" not in failed.error
    assert list(failed.rolled_back) == ["loki"]
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    current = Path(layout.current("loki"))
    assert current.resolve() == Path(layout.last_known_good("loki")).resolve()


def test_units_that_were_stopped_run_again_when_the_switch_fails(
    host: FakeHost, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.good(options, units=TIMER)
    before = host.tree()

    def fail(*_words: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), layout.current("loki"))

    with monkeypatch.context() as patched:
        patched.setattr(generation, "switch", fail)
        assert "No space left" in host.run(options).error
    assert host.unit("loki-tidy.timer")["active"] == "active"
    assert host.unit("loki.service")["active"] == "active"
    assert host.tree() == before
    assert host.good(options, units=TIMER).changed is False


def test_an_empty_list_of_instances_removes_nothing(
    host: FakeHost, options: dict[str, Any]
) -> None:
    assert host.good(options, instances=[]).changed is False
    host.good(options, instances=[{"name": "main"}, {"name": "side"}])
    before = host.tree()
    for check in (True, False):
        refused = host.run(options, instances=[], check=check)
        assert (
            "instances: is empty, which would remove loki-main, loki-side"
            in refused.error
        )
    assert host.tree() == before


@pytest.mark.parametrize("check", [True, False])
def test_a_linked_data_directory_is_refused_unless_the_program_runs_with_it(
    host: FakeHost, options: dict[str, Any], tmp_path: Path, check: bool
) -> None:
    data, disk = Path(layout.data("loki")), tmp_path / "disk"
    disk.mkdir()
    data.symlink_to(disk)
    before = host.tree()
    refused = host.run(options, check=check)
    assert f"{data}: is a link" in refused.error
    assert f"mount {disk} there instead" in refused.error
    assert host.tree() == before
    unused = {"Service": {"StateDirectory": None}}
    assert host.good(options, unit=unused, check=check).changed
    data.unlink()
    host.good(options)
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    assert not host.run(options, config=config("a: 2\n"), check=check).error


def test_first_rollouts_side_by_side_have_one_key(places: Path) -> None:
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            try:
                key = generation.fingerprint_key(create=True)
                (places / f"key{number}").write_bytes(key)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    keys = {path.read_bytes() for path in places.glob("key*")}
    assert keys == {Path(layout.FINGERPRINT_KEY).read_bytes()}
    assert [path.name for path in Path(layout.BASE).iterdir()] == ["fingerprint.key"]


def test_the_key_of_a_first_rollout_survives_the_end_of_another_component(
    host: FakeHost, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {**options, "secrets": {"password": "s3cret"}}
    plan = transaction._plan_rollouts

    def planned(*words: Any) -> Any:
        result = plan(*words)
        # Another component is removed meanwhile, and nothing else is on this host.
        generation.tidy()
        return result

    with monkeypatch.context() as patched:
        patched.setattr(transaction, "_plan_rollouts", planned)
        host.good(secret)
    assert host.good(secret).changed is False


def test_a_key_that_another_run_has_replaced_ends_the_run(places: Path) -> None:
    generation.fingerprint_key(create=True)
    with pytest.raises(ComponentError, match="was replaced by another run; run again"):
        generation.keep_fingerprint_key(b"another key")


@pytest.mark.parametrize("has_labels", [True, False])
def test_what_is_written_gets_the_labels_of_its_place(
    host: FakeHost,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    has_labels: bool,
) -> None:
    """SELinux's policy for /opt: bin/ is bin_t, and the rest usr_t, as its directory is."""
    monkeypatch.setattr(systemd, "SELINUX", "/proc/self" if has_labels else "/nowhere")
    monkeypatch.setattr(systemd.shutil, "which", lambda *_words, **_options: "/sbin/x")
    program, labelled = systemd.run, host.root / "labelled"

    def run(command: list[str], timeout: float | None = 60) -> Any:
        if command[:2] != ["restorecon", "-R"]:
            return program(command, timeout)
        assert Path(command[2]).is_dir()
        with labelled.open("a") as stream:
            stream.write(command[2] + "\n")
        return None

    monkeypatch.setattr(systemd, "run", run)
    host.good(options, scripts=[{"path": "sweep", "content": "#!/bin/sh\n"}])
    if not has_labels:
        assert not labelled.exists()
        return
    current = Path(layout.current("loki")).resolve()
    staging, *places = labelled.read_text().splitlines()
    assert Path(staging).name.startswith(".staging-loki-3.7.8-")
    assert sorted(places) == sorted(
        [str((current / "release").resolve()), layout.data("loki"), str(current)]
    )
    labelled.unlink()
    host.good(options, scripts=[{"path": "sweep", "content": "#!/bin/sh\n"}])
    assert not labelled.exists()


def test_units_do_without_user_namespaces_where_the_host_allows_none(
    host: FakeHost,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = tmp_path / "max_user_namespaces"
    monkeypatch.setattr(systemd, "USER_NAMESPACES", str(limit))
    limit.write_text("96365\n")
    host.good(options, units=TIMER)
    files = [Path(layout.unit(name)) for name in ("loki.service", "loki-tidy.service")]
    assert all("\nPrivateUsers=yes\n" in path.read_text() for path in files)
    limit.write_text("0\n")
    changed = host.good(options, units=TIMER)
    assert changed.action == "restart"
    assert "allows no user namespaces" in changed.values["notices"][0]
    assert not any("PrivateUsers" in path.read_text() for path in files)
    again = host.good(options, units=TIMER)
    assert (again.changed, again.values["notices"]) == (False, [])
    # A kernel without user namespaces has no such limit.
    limit.unlink()
    assert host.good(options, units=TIMER).changed is False


def test_a_process_that_was_started_with_other_drop_ins_is_restarted(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    drop_in = Path(layout.UNITS, "loki.service.d/override.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nUser=root\n")
    # As `systemctl edit` and a restart do.
    for words in (["daemon-reload"], ["restart", "loki.service"]):
        systemd.run(["systemctl", *words])
    assert host.good(options).changed is False
    assert host.good(options, config=config("a: 2\n")).action == "reload"
    drop_in.unlink()
    systemd.run(["systemctl", "daemon-reload"])
    started = host.starts()
    reported = status.status({"expected": None}, False)["instances"]["loki"]
    reason = "it was started with other drop-ins of loki.service"
    assert reason in reported["diagnostics"]
    repaired = host.good(options, config=config("a: 2\n"))
    assert repaired.values["instances"]["loki"]["reasons"] == [reason]
    assert (repaired.action, host.starts() != started) == ("restart", True)
    assert host.good(options, config=config("a: 2\n")).changed is False


def test_a_process_whose_start_recorded_no_drop_ins_is_left_alone(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    note = Path(layout.running("loki"))
    note.write_text(" ".join(note.read_text().split()[:3]) + "\n")
    assert host.good(options).changed is False


@pytest.mark.parametrize("check", [True, False])
def test_an_older_version_on_data_of_a_newer_one_is_announced(
    host: FakeHost, options: dict[str, Any], tmp_path: Path, check: bool
) -> None:
    older = {**options, "release": release(tmp_path, "3.7.10")}
    newer = {**options, "release": release(tmp_path, "3.10.1")}
    host.good(older)
    assert host.good(newer).values["notices"] == []
    assert host.good(older, check=True).values["notices"] == []
    (Path(layout.data("loki")) / "wal").mkdir()
    (notice,) = host.good(older, check=True).values["notices"]
    assert notice.startswith("loki: loki-3.7.10-")
    assert "is older than loki-3.10.1-" in notice
    for options_of_return in (older, {"name": "loki", "state": "previous"}):
        returned = host.good(options_of_return, check=check)
        assert notice in returned.values["notices"]
        host.good(newer)


def test_a_start_that_fails_from_unchanged_files_stages_them_anew(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    damaged = generation.current("loki")
    host.damage()
    host.stop("loki.service")
    repaired = host.good(options)
    assert generation.current("loki") != damaged
    assert f"did not start from generation {damaged}" in repaired.values["notices"][0]
    assert (repaired.action, host.unit("loki.service")["active"]) == (
        "restart",
        "active",
    )
    assert host.good(options).changed is False


def test_a_start_that_fails_from_new_files_too_is_an_error(
    host: FakeHost, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.good(options)
    host.damage()
    host.stop("loki.service")
    write = generation.write

    def write_damaged(*arguments: Any) -> str:
        name = write(*arguments)
        state = host._load()
        state["damaged"].append(os.path.join(layout.generation("loki", name), "etc"))
        host._save(state)
        return name

    monkeypatch.setattr(generation, "write", write_damaged)
    failed = host.run(options)
    assert "loki.service ended" in failed.error
    restarts = [command for command in host.commands() if "restart loki" in command]
    # The present files, new ones, and the present ones again.
    assert len(restarts) == 1 + 3


def test_a_signal_during_a_start_does_not_stage_anew(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    current = generation.current("loki")
    host.stop("loki.service")
    ended = host.run(options, die_at="after-links", with_signal=signal.SIGTERM)
    assert "interrupted by SIGTERM" in ended.error
    assert generation.current("loki") == current
