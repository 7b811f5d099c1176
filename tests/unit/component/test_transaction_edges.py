# SPDX-License-Identifier: GPL-3.0-or-later
"""Edges of a rollout: locks, interrupted and failed runs, and what is told about them."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    config_check,
    generation,
    layout,
    observe,
    release_staging,
    run_lock,
    systemd,
    transaction,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
)
from tests.unit.component.fake_host import DEFAULTS, FakeHost, release, run_module

# The same options as for undisturbed rollouts.
from tests.unit.component.test_transaction import TIMER, config, options  # noqa: F401

Options = dict[str, Any]
PREVIOUS = {"name": "loki", "state": "previous"}


@pytest.fixture
def installed(host: FakeHost, options: Options) -> Options:  # noqa: F811
    """Return the options of a component that runs."""
    host.good(options)
    return options


def names_of(instances: list[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in instances]


# Locks


def test_a_second_run_is_refused_with_the_name_of_the_first(
    host: FakeHost, installed: Options
) -> None:
    host.good(installed, config=config("a: 2\n"))
    with run_lock.held("loki", "bert@control", 0):
        for params in (installed, PREVIOUS):
            assert "bert@control" in host.run(params).error
    assert host.loaded() == {"loki.yml": "a: 2\n"}


def test_releases_are_locked_for_pruning_and_not_for_others_while_one_is_staged(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(kind: int) -> bool:
        with open(layout.lock(run_lock.RELEASES), "rb") as file:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    seen = []
    check = config_check.check_staged

    def observed(*arguments: Any) -> Any:
        seen.append((free(fcntl.LOCK_SH), free(fcntl.LOCK_EX)))
        return check(*arguments)

    monkeypatch.setattr(config_check, "check_staged", observed)
    changed = {**DEFAULTS, **installed, "config": config("a: 2\n")}
    run_module(changed, False)
    assert seen == [(True, False)]
    assert free(fcntl.LOCK_EX)


def test_no_release_is_pruned_while_another_run_stages_one(
    host: FakeHost, installed: Options, tmp_path: Path
) -> None:
    unused = Path(layout.RELEASES) / "loki-9-01234567"
    unused.mkdir()
    with run_lock.releases(exclusive=False):
        generation.prune_releases()
        host.good(installed, config=config("a: 2\n"))
        assert unused.exists()
    generation.prune_releases()
    assert not unused.exists()


# Interrupted runs


def test_a_signal_after_the_switch_is_an_error_of_the_run(
    host: FakeHost, installed: Options
) -> None:
    ended = host.run(
        installed,
        config=config("a: 2\n"),
        die_at="after-switch",
        with_signal=signal.SIGTERM,
    )
    assert ended.killed_by == 0
    assert "interrupted by SIGTERM" in ended.error
    assert list(ended.rolled_back) == ["loki"]


def test_a_program_that_ran_an_unverified_generation_is_started_anew(
    host: FakeHost, installed: Options
) -> None:
    new = {**installed, "environment": {"TZ": "UTC"}}
    host.run(new, die_at="after-verify")
    unverified = host.starts()
    failed = host.run(new, config=config("reload: refuse\n"))
    assert list(failed.rolled_back) == ["loki"]
    # A reload would bring the files of the old generation back, and not its environment.
    assert host.starts() != unverified
    assert host.loaded() == {"loki.yml": "a: 1\n"}


@pytest.mark.parametrize("mark", ["pending", "staging", "generation", "rolled back"])
def test_what_an_interrupted_run_left_is_removed_by_one_without_changes(
    host: FakeHost, installed: Options, mark: str
) -> None:
    before = host.tree()
    current = os.path.basename(os.readlink(layout.current("loki")))
    left = {
        "pending": layout.pending("loki"),
        "staging": layout.generation("loki", ".staging-2-0123456789ab"),
        "generation": layout.generation("loki", "2-0123456789ab"),
        "rolled back": layout.rolled_back_from("loki"),
    }[mark]
    if mark == "pending":
        Path(left).touch()
    elif mark == "rolled back":
        os.symlink(os.path.join("generations", current), left)
    else:
        Path(left).mkdir()
    started = host.starts()
    assert host.good(installed).changed is False
    assert not os.path.lexists(left)
    assert (host.tree(), host.starts()) == (before, started)


# Failed runs


def test_a_failed_run_tells_what_it_restored(
    host: FakeHost, installed: Options
) -> None:
    failed = host.run(installed, config=config("reload: refuse\n"))
    told = "Rolled back to the last-known-good generation: loki."
    assert told in failed.error
    assert "Last log lines of loki.service:\n" in failed.error


def test_a_failed_first_run_tells_of_no_rollback(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    failed = host.run(options, config=config("start: refuse\n"))
    assert "Last log lines of loki.service:\n" in failed.error
    assert "Rolled back" not in failed.error


def test_a_first_run_that_the_checker_refuses_leaves_no_component(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    host.run(options, config=config("check: refuse\n"))
    assert not Path(layout.component("loki")).exists()
    assert not Path(layout.RELEASES).exists()


def test_a_first_run_of_which_one_instance_is_refused_leaves_none(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    bad = {"name": "a", "config": config("check: refuse\n")}
    host.run(options, instances=[bad, {"name": "b"}])
    assert not Path(layout.COMPONENTS).exists()


def test_a_first_run_whose_release_is_refused_leaves_no_component(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    refused = host.run(options, command=["{release}/other"])
    assert "it does not contain 'other'" in refused.error
    assert not Path(layout.component("loki")).exists()


@pytest.mark.parametrize("later", ["another instance", "absent"])
def test_an_instance_of_which_only_the_release_is_staged_belongs_to_its_component(
    host: FakeHost,
    options: Options,  # noqa: F811
    later: str,
) -> None:
    instances = names_of(["a"])
    assert host.run(options, instances=instances, die_at="after-download").killed_by
    required = {"architecture": "amd64", "component": "loki", "program": "loki"}
    given = {key: options["release"][key] for key in ("name", "version", "archives")}
    release_staging.run(
        {
            **required,
            "name": "loki-a",
            "release": {**given, "pushed": options["release"]["pushed"]},
            "lock_owner": "",
            "lock_timeout": 0,
        },
        False,
    )
    assert observe.components() == {"loki": ["loki-a"]}
    if later == "absent":
        host.good({"name": "loki", "state": "absent"})
    else:
        host.good(options, instances=names_of(["b"]))
    assert not Path(layout.component("loki-a")).exists()


def test_a_refused_run_leaves_no_release(
    host: FakeHost, installed: Options, tmp_path: Path
) -> None:
    before = host.tree()
    new = release(tmp_path, "3.7.9")
    refused = host.run(installed, release=new, config=config("check: refuse\n"))
    assert "checker" in refused.error
    assert host.tree() == before


def test_a_failed_run_tells_of_the_manual_changes_that_it_kept(
    host: FakeHost, installed: Options
) -> None:
    (Path(layout.etc("loki")) / "loki.yml").write_text("a: manual\n")
    bad = {**DEFAULTS, **installed, "config": config("reload: refuse\n")}
    with pytest.raises(ComponentError) as caught:
        run_module(bad, False)
    (notice,) = caught.value.notices
    kept = notice.removeprefix("The manual change is kept as ").removesuffix(".")
    assert Path(kept).read_text() == "a: manual\n"


@pytest.mark.parametrize("change", ["edit", "add"])
def test_a_generation_that_somebody_changed_is_no_target_of_a_rollback(
    host: FakeHost, installed: Options, change: str
) -> None:
    name = {"edit": "loki.yml", "add": "more.yml"}[change]
    (Path(layout.etc("loki")) / name).write_text("a: manual\n")
    assert host.good(installed, config=config("a: 2\n")).changed
    assert not os.path.lexists(layout.previous("loki"))
    host.good(installed, config=config("a: 3\n"))
    assert host.good(PREVIOUS).changed
    assert host.loaded() == {"loki.yml": "a: 2\n"}


@pytest.mark.parametrize(
    ("readable", "expected"),
    [
        pytest.param({"1-a", "2-b"}, "1-a", id="both"),
        pytest.param({"2-b"}, "2-b", id="the current one"),
        pytest.param(set(), "1-a", id="neither"),
    ],
)
def test_a_failed_run_returns_to_a_generation_that_can_be_read(
    monkeypatch: pytest.MonkeyPatch, readable: set[str], expected: str
) -> None:
    monkeypatch.setattr(
        observe,
        "read_manifest",
        lambda _name, one: {"id": "x" if one in readable else ""},
    )
    observed = ObservedState(current="2-b", last_known_good="1-a")
    assert transaction._restore_target("loki", observed) == expected
    first = ObservedState(current="2-b")
    assert transaction._restore_target("loki", first) == ""


def test_a_generation_without_any_manifest_is_not_returned_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        observe,
        "read_manifest",
        lambda _name, one: {"id": ""} if one == "2-b" else None,
    )
    observed = ObservedState(current="2-b", last_known_good="1-a")
    assert transaction._restore_target("loki", observed) == "2-b"


# An old systemd, other components


@pytest.mark.parametrize("check", [True, False])
def test_an_old_systemd_is_refused_when_something_changes(
    host: FakeHost,
    installed: Options,
    monkeypatch: pytest.MonkeyPatch,
    check: bool,
) -> None:
    def refuse() -> None:
        raise ComponentError("systemd is too old")

    host.good(installed, config=config("a: 2\n"))
    before = host.tree()
    monkeypatch.setattr(systemd, "require_version", refuse)
    changed = host.run(installed, config=config("a: 3\n"), check=check)
    back = host.run(PREVIOUS, check=check)
    assert changed.error == back.error == "systemd is too old"
    assert host.tree() == before
    assert host.good(installed, config=config("a: 2\n"), check=check).changed is False


def test_an_instance_of_another_component_is_refused(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    host.good(options, instances=names_of(["side"]))
    before = host.tree()
    taken = {**options, "name": "loki-side", "instances": None}
    for check in (True, False):
        assert "belongs to component loki" in host.run(taken, check=check).error
    assert host.tree() == before


# What is told


@pytest.mark.parametrize("check", [True, False])
def test_a_run_tells_each_change(
    host: FakeHost,
    options: Options,  # noqa: F811
    check: bool,
) -> None:
    host.good(options, instances=names_of(["a", "b"]))
    a = layout.current("loki-a")
    before = os.path.basename(os.readlink(a))
    new = {**options, "config": config("a: 2\n"), "instances": names_of(["a"])}
    values = host.good(new, check=check).values
    assert (values["changed"], values["action"]) == (True, "reload")
    told = values["instances"]["loki-a"]
    after = before if check else os.path.basename(os.readlink(a))
    assert told == {
        "action": "reload",
        "reasons": told["reasons"],
        "generation": after,
        "previous": before,
        "release": os.path.basename(os.readlink(Path(a) / "release")),
        "previous_release": os.path.basename(os.readlink(Path(a) / "release")),
    }
    assert told["reasons"]
    assert values["instances"]["loki-b"]["action"] == "remove"
    headers = [entry["before_header"] for entry in values["diff"]]
    assert headers[-1] == "files of loki-b"
    assert len(headers) == 2


# Reloads


@pytest.mark.parametrize(
    ("stamp", "times", "slept"),
    [
        pytest.param(100.4, [100.5, 100.9, 101.0], 2, id="in the same second"),
        pytest.param(100.0, [100.0, 101.0], 1, id="at the same moment"),
        pytest.param(100.9, [101.0], 0, id="in the next second"),
        pytest.param(100.0, [99.0], 0, id="before, as the clock was set"),
    ],
)
def test_a_reload_is_in_a_later_second_than_the_last_one(
    monkeypatch: pytest.MonkeyPatch, stamp: float, times: list[float], slept: int
) -> None:
    calls: list[Any] = []
    clock = iter(times)
    time = SimpleNamespace(time=lambda: next(clock), sleep=calls.append)
    monkeypatch.setattr(transaction, "time", time)
    monkeypatch.setattr(systemd, "systemctl", lambda *words: calls.append(words))
    transaction._reload("loki.service", stamp)
    assert len(calls) == slept + 1
    assert calls[-1] == ("reload", "loki.service")
