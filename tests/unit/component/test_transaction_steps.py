# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a rollout in their order, and what holds at each of them."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    generation,
    layout,
    release_store,
    removal,
    systemd,
    transaction,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.fake_host import DEFAULTS, FakeHost, release, run_module

# The same options as for undisturbed rollouts.
from tests.unit.component.test_transaction import TIMER, config, options  # noqa: F401

Options = dict[str, Any]


@pytest.fixture
def installed(host: FakeHost, options: Options) -> Options:  # noqa: F811
    """Return the options of a component that runs, with all defaults."""
    host.good(options)
    host.forget_commands()
    return {**DEFAULTS, **options}


@pytest.fixture
def steps(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the failpoints that are reached and what systemctl changes, in order."""
    found: list[str] = []
    for module in (transaction, removal, generation):
        monkeypatch.setattr(module, "failpoint", found.append)
    systemctl = host._systemctl

    def recorded(words: list[str]) -> tuple[int, str]:
        if words[0] not in ("show", "--version"):
            found.append(" ".join(word for word in words if word != "--"))
        return systemctl(words)

    monkeypatch.setattr(host, "_systemctl", recorded)
    return found


def watched(
    monkeypatch: pytest.MonkeyPatch, look: Callable[[], Any]
) -> list[tuple[str, Any]]:
    """Return what a function sees at each failpoint of the transaction."""
    seen: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        transaction, "failpoint", lambda point: seen.append((point, look()))
    )
    return seen


STAGED = ["after-lock", "after-user", "after-generation", "after-check"]
SWITCHED = ["after-pending-mark", "after-switch", "after-links"]
COMMITTED = ["after-verify", "stop monitoring-fallback-loki.service", "after-commit"]


def test_a_reload_takes_its_steps_in_order(
    installed: Options, steps: list[str]
) -> None:
    run_module({**installed, "config": config("a: 2\n")}, False)
    assert steps == [
        *STAGED,
        *SWITCHED,
        "after-manager-reload",
        "reload loki.service",
        "after-process-action",
        *COMMITTED,
        "after-cleanup",
        "after-prune",
    ]


def test_new_units_are_loaded_before_the_program_is_started_anew(
    installed: Options, steps: list[str]
) -> None:
    run_module({**installed, "units": TIMER, "environment": {"TZ": "UTC"}}, False)
    assert steps == [
        *STAGED,
        *SWITCHED,
        "daemon-reload",
        "after-manager-reload",
        "restart loki.service",
        "after-process-action",
        "restart loki-tidy.timer",
        *COMMITTED,
        "after-cleanup",
        "after-prune",
    ]


def test_units_that_go_are_stopped_before_the_switch(
    host: FakeHost, installed: Options, steps: list[str]
) -> None:
    run_module({**installed, "units": TIMER}, False)
    steps.clear()
    run_module(installed, False)
    stop = steps.index("stop loki-tidy.service loki-tidy.timer")
    assert steps.index("after-pending-mark") < stop < steps.index("after-switch")


def test_a_failed_reload_is_undone_in_order(
    installed: Options, steps: list[str]
) -> None:
    with pytest.raises(ComponentError):
        run_module({**installed, "config": config("reload: refuse\n")}, False)
    assert steps == [
        *STAGED,
        *SWITCHED,
        "after-manager-reload",
        "reload loki.service",
        "after-process-action",
        "after-restore",
        "daemon-reload",
        "reload loki.service",
        "stop monitoring-fallback-loki.service",
        "after-prune",
    ]


def test_a_failed_change_of_units_is_undone_in_order(
    host: FakeHost, installed: Options, steps: list[str]
) -> None:
    new = {"loki-new.timer": TIMER["loki-tidy.timer"]}
    run_module({**installed, "units": TIMER}, False)
    steps.clear()
    bad = {**installed, "units": {**TIMER, **new}, "environment": {"A": "b"}}
    bad["config"] = config("ready: never\n")
    with pytest.raises(ComponentError):
        run_module(bad, False)
    undone = steps[steps.index("after-process-action") + 1 :]
    assert undone == [
        "stop loki-new.timer",
        "after-restore",
        "daemon-reload",
        "restart loki.service",
        "restart loki-tidy.timer",
        "stop monitoring-fallback-loki.service",
        "after-prune",
    ]


# The mark and the way back


def test_a_switch_is_marked_until_it_is_completed(
    installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mode() -> int:
        pending = layout.pending("loki")
        return stat.S_IMODE(os.stat(pending).st_mode) if os.path.exists(pending) else 0

    recorded = watched(monkeypatch, mode)
    run_module({**installed, "config": config("a: 2\n")}, False)
    marked = {point for point, found in recorded if found == 0o600}
    others = {found for point, found in recorded if point not in marked}
    assert marked == {
        *SWITCHED,
        "after-manager-reload",
        "after-process-action",
        "after-verify",
        "after-commit",
    }
    assert others == {0}


def test_a_way_back_is_ordered_until_the_commit(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = watched(
        monkeypatch,
        lambda: (host.waiting(), os.path.exists(layout.orders("loki"))),
    )
    run_module({**installed, "config": config("a: 2\n")}, False)
    found = dict(recorded)
    armed = [point for point, state in found.items() if state == (True, True)]
    assert armed == [
        *SWITCHED,
        "after-manager-reload",
        "after-process-action",
        "after-verify",
    ]
    assert found["after-check"] == found["after-commit"] == (False, False)


def test_a_first_rollout_orders_no_way_back(
    host: FakeHost,
    options: Options,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = watched(monkeypatch, host.waiting)
    host.good(options)
    assert not any(found for _point, found in recorded)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_does_not_interrupt_a_commit(
    host: FakeHost,
    installed: Options,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    commit = generation.commit

    def interrupted(*arguments: Any) -> None:
        os.kill(os.getpid(), number)
        commit(*arguments)

    monkeypatch.setattr(generation, "commit", interrupted)
    ended = host.run(installed, config=config("a: 2\n"))
    assert (ended.killed_by, ended.error) == (0, "")
    assert host.loaded() == {"loki.yml": "a: 2\n"}
    assert generation.last_known_good("loki") == generation.current("loki")


def test_a_run_holds_its_component_s_lock_with_its_name(
    installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> tuple[bool, str]:
        path = layout.lock("loki")
        with open(path, encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True, file.read()
        return False, ""

    recorded = watched(monkeypatch, held)
    run_module({**installed, "config": config("a: 2\n")}, False)
    assert len(recorded) > 10
    assert {found for _point, found in recorded} == {(True, "anna@control\n")}


# Adoptions of killed runs


@pytest.fixture
def theirs(host: FakeHost) -> Path:
    """Return a configuration of somebody else."""
    path = Path(layout.etc("loki")) / "loki.yml"
    path.parent.mkdir()
    path.write_text("a: theirs\n")
    return path


def test_what_a_run_adopted_before_its_switch_is_given_back_first(
    host: FakeHost,
    options: Options,  # noqa: F811
    theirs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(generation, "switch", die)
        assert host.run(options, adopt=True).killed_by == signal.SIGKILL
    assert not theirs.exists()
    for check in (True, False):
        refused = host.run(options, check=check)
        assert f"{theirs.parent}: not made by this collection" in refused.error
        assert theirs.exists() is not check
    assert theirs.read_text() == "a: theirs\n"


def test_what_a_run_adopted_before_it_was_killed_later_stays_adopted(
    host: FakeHost,
    options: Options,  # noqa: F811
    theirs: Path,
) -> None:
    # Nothing of ours stands in its place.
    unit = Path(layout.override("loki.service"))
    unit.write_text("[Service]\nExecStart=/usr/bin/loki\n")
    host.run(options, adopt=True, die_at="after-commit")
    started = host.starts()
    host.good(options)
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    assert host.starts() == started
    assert not unit.exists()
    kept = list(Path(layout.edited("loki")).rglob("loki.yml"))
    assert [path.read_text() for path in kept] == ["a: theirs\n"]


# Runs without a new generation


def test_a_program_that_stopped_is_started_from_the_present_generation(
    host: FakeHost, installed: Options
) -> None:
    current, before = generation.current("loki"), host.tree()
    host.stop("loki.service")
    host.refuse_every_check()
    for check in (True, False):
        assert host.good(installed, check=check).action == "restart"
    assert (generation.current("loki"), host.tree()) == (current, before)
    assert host.unit("loki.service")["active"] == "active"


@pytest.mark.parametrize("left", ["download", "orders", "release"])
def test_a_run_without_changes_removes_what_killed_runs_left(
    host: FakeHost, installed: Options, left: str
) -> None:
    path = Path(
        {
            "download": os.path.join(layout.downloads("loki"), "0123"),
            "orders": layout.fallback_script("loki"),
            "release": release_store.path_of("loki-9-01234567"),
        }[left]
    )
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert host.good(installed, check=True).changed is False
    assert path.exists()
    assert host.good(installed).changed is False
    assert not path.exists()
    if left != "release":
        assert not path.parent.exists()


# Check mode


@pytest.mark.parametrize("check", [True, False])
def test_a_component_without_a_checker_asks_none(
    host: FakeHost,
    options: Options,  # noqa: F811
    check: bool,
) -> None:
    del options["check"]
    host.good(options)
    host.refuse_every_check()
    assert host.good(options, config=config("a: 2\n"), check=check).changed


def test_check_mode_refuses_an_archive_that_nothing_can_obtain(
    host: FakeHost, installed: Options, tmp_path: Path
) -> None:
    new = release(tmp_path, "3.7.9")
    archive = {**new["archives"]["amd64"], "missing": "loki.tar.gz"}
    new = {**new, "archives": {"amd64": archive}, "pushed": ""}
    refused = host.run(installed, release=new, check=True)
    assert refused.error.startswith("loki.tar.gz: not on the controller")
    # What runs needs no archive.
    old = {**installed["release"], "archives": {}}
    old["archives"] = {
        "amd64": {**installed["release"]["archives"]["amd64"], "missing": "x"}
    }
    assert not host.good(installed, release={**old, "pushed": ""}, check=True).changed


def test_check_mode_warns_before_it_checks_what_is_not_there_yet(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    host.refuse_every_check()
    (notice,) = host.good(options, check=True).values["notices"]
    assert notice.startswith(
        "Configuration of loki: not checked, since this host lacks"
    )


def test_check_mode_tells_nothing_of_a_checker_that_there_is_not(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    del options["check"]
    assert host.good(options, check=True).values["notices"] == []


# What is told of a failure


def test_the_cause_is_told_where_the_program_ended_and_not_where_it_runs(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = 'Starting\nlevel=error err="no such field: x"\n'
    monkeypatch.setattr(systemd, "read_journal", lambda *_words: log)
    restart = {**installed, "environment": {"TZ": "UTC"}}
    ended = host.run(restart, config=config("start: refuse\n"))
    first = ended.error.splitlines()[0]
    assert first.startswith("loki.service ended")
    assert first.endswith(": no such field: x")
    silent = host.run(restart, config=config("ready: never\n"))
    assert "no such field" not in silent.error.splitlines()[0]
    monkeypatch.setattr(systemd, "read_journal", lambda *_words: "bye\n")
    unknown = host.run(restart, config=config("start: refuse\n"))
    assert not unknown.error.splitlines()[0].endswith(":")
