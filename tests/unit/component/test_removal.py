# SPDX-License-Identifier: GPL-3.0-or-later
"""Removals: what they stop, what they leave, what they purge, and what they tell."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    files,
    layout,
    removal,
    run_lock,
    systemd,
    uninstall,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.fake_host import FakeHost

# The same host and options as for undisturbed rollouts.
from tests.unit.component.test_transaction import TIMER, options  # noqa: F401

ABSENT = {"name": "loki", "state": "absent"}
PURGE = {**ABSENT, "purge": True}
PRUNE = {
    "known": ["loki", "tempo", "other"],
    "keep": ["other"],
    "prune_max": 1,
    "lock_timeout": 0,
}
Options = dict[str, Any]


@pytest.fixture
def installed(host: FakeHost, options: Options) -> Options:  # noqa: F811
    """Return the options of a component that runs with a timer."""
    host.good(options, units=TIMER)
    return options


@pytest.mark.parametrize("check", [True, False])
def test_a_removal_tells_what_is_removed(
    host: FakeHost, installed: Options, check: bool
) -> None:
    generation = os.path.basename(os.readlink(layout.current("loki")))
    release = os.path.basename(os.readlink(Path(layout.current("loki")) / "release"))
    values = host.good(ABSENT, check=check).values
    assert values == {
        "changed": True,
        "action": "remove",
        "instances": {
            "loki": {
                "action": "remove",
                "reasons": ["it is no longer desired"],
                "generation": "",
                "previous": generation,
                "release": release,
            }
        },
        "notices": [],
        "diff": [
            {
                "before_header": "files of loki",
                "after_header": "files of loki",
                "before": "".join(
                    f"{path}\n"
                    for path in (
                        layout.etc("loki") + "/loki.yml",
                        layout.unit("loki-tidy.service"),
                        layout.unit("loki-tidy.timer"),
                        layout.unit("loki.service"),
                    )
                ),
                "after": "",
            }
        ],
    }
    assert Path(layout.component("loki")).exists() is check


def test_a_removal_of_nothing_tells_that_nothing_changed(host: FakeHost) -> None:
    for params in (ABSENT, PURGE):
        assert host.good(params).values == {
            "changed": False,
            "action": "none",
            "instances": {},
            "notices": [],
            "diff": [],
        }


def test_a_removal_leaves_data_and_user(host: FakeHost, installed: Options) -> None:
    data = Path(layout.data("loki")) / "chunk"
    data.write_text("data")
    host.good(ABSENT)
    assert data.read_text() == "data"
    assert host.good(PURGE).changed
    assert not data.parent.exists()


def test_a_unit_whose_file_somebody_removed_is_stopped(
    host: FakeHost, installed: Options
) -> None:
    Path(layout.unit("loki-tidy.timer")).unlink()
    assert host.unit("loki-tidy.timer")["active"] == "active"
    host.good(ABSENT)
    assert host.unit("loki-tidy.timer")["active"] == "inactive"


def test_an_instance_without_any_generation_is_stopped_by_its_unit_files(
    host: FakeHost, installed: Options
) -> None:
    removal.take_down("loki", None)
    for unit_name in ("loki.service", "loki-tidy.timer"):
        assert host.unit(unit_name)["active"] == "inactive"
        assert not Path(layout.unit(unit_name)).exists()


def test_a_unit_that_has_failed_is_forgotten(
    host: FakeHost, installed: Options
) -> None:
    host.stop("loki.service")
    host.forget_commands()
    host.good(ABSENT)
    units = "loki-tidy.service loki-tidy.timer loki.service"
    assert host.commands() == [
        f"stop {units}",
        "daemon-reload",
        f"reset-failed {units}",
    ]


def test_a_directory_without_units_is_removed_without_a_stop(host: FakeHost) -> None:
    Path(layout.generations("loki")).mkdir(parents=True)
    assert host.good(ABSENT).values["instances"]["loki"]["release"] == ""
    assert host.commands() == ["daemon-reload"]
    assert not Path(layout.component("loki")).exists()


@contextlib.contextmanager
def nothing(*_arguments: object) -> Iterator[None]:
    yield


def test_what_another_run_removed_meanwhile_is_no_error(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def waited(*_arguments: object) -> Iterator[None]:
        monkeypatch.setattr(run_lock, "held", nothing)
        host.good(ABSENT)
        yield

    monkeypatch.setattr(run_lock, "held", waited)
    removed = uninstall.absent({**PURGE, "lock_timeout": 0, "instances": []}, False)
    assert removed["notices"] == ["Data and user of loki are purged."]
    assert not Path(layout.data("loki")).exists()


def test_what_another_run_changed_meanwhile_is_removed_as_it_is_now(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def waited(*_arguments: object) -> Iterator[None]:
        monkeypatch.setattr(run_lock, "held", nothing)
        more = {"loki-more.timer": TIMER["loki-tidy.timer"]}
        host.good(installed, units=more)
        # Only the new manifest names it.
        Path(layout.unit("loki-more.timer")).unlink()
        yield

    monkeypatch.setattr(run_lock, "held", waited)
    uninstall.absent(
        {**ABSENT, "purge": False, "lock_timeout": 0, "instances": []}, False
    )
    assert host.unit("loki-more.timer")["active"] == "inactive"
    assert not Path(layout.component("loki")).exists()


def test_a_removal_holds_the_lock_of_its_component(
    host: FakeHost, installed: Options
) -> None:
    with run_lock.held("loki", "bert@control", 0):
        refused = host.run(ABSENT)
        assert "bert@control" in refused.error
        assert "bert@control" in host.run({**PURGE, "name": "loki"}).error
        with pytest.raises(ComponentError, match="bert@control"):
            uninstall.prune(PRUNE, False)
    assert host.unit("loki.service")["active"] == "active"


@pytest.mark.parametrize("names", [["loki"], ["loki", "loki-side"]])
def test_a_purge_removes_what_an_earlier_removal_left(
    host: FakeHost,
    options: Options,  # noqa: F811
    names: list[str],
) -> None:
    for name in names:
        host.add_account(name, pw_gecos="hippius.monitoring")
        Path(layout.data(name)).mkdir()
        Path(layout.edited(name)).mkdir(parents=True)
    instances = [{"name": "side"}] if names[1:] else None
    before = host.tree()
    purged = host.good(PURGE, instances=instances, check=True)
    assert host.tree() == before
    notices = [f"Data and user of {name} are purged." for name in names]
    assert purged.values["notices"] == notices
    assert host.good(PURGE, instances=instances).values["notices"] == notices
    for name in names:
        assert not Path(layout.data(name)).exists()
        assert not Path(layout.edited(name)).exists()
        with pytest.raises(KeyError):
            host._account(name)
    assert host.good(PURGE, instances=instances).changed is False


def test_a_purge_leaves_the_data_and_the_user_of_somebody_else(host: FakeHost) -> None:
    host.add_account("loki", pw_gecos="Loki of the distribution")
    Path(layout.data("loki")).mkdir()
    assert host.good(PURGE).changed is False
    assert Path(layout.data("loki")).is_dir()
    assert host._account("loki").pw_gecos == "Loki of the distribution"


def test_a_purge_of_an_installed_component_leaves_the_user_of_a_package(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    host.add_account("loki")
    host.good(options)
    host.good(PURGE)
    assert not Path(layout.data("loki")).exists()
    assert host._account("loki").pw_gecos == ""


def test_a_user_that_cannot_be_removed_fails_the_purge(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_userdel", lambda _words: (8, "user loki is in use\n"))
    refused = host.run(PURGE)
    assert refused.error == "user loki: userdel failed: user loki is in use"


@pytest.fixture
def both(host: FakeHost, options: Options) -> None:  # noqa: F811
    """Install two components, one of them with two instances."""
    host.good(options, instances=[{"name": "a"}, {"name": "b"}])
    host.good({**options, "name": "other"})


def test_pruning_removes_what_a_host_should_no_longer_have(
    host: FakeHost, both: None
) -> None:
    before = host.tree()
    planned = uninstall.prune(PRUNE, True)
    assert host.tree() == before
    pruned = uninstall.prune(PRUNE, False)
    assert planned == pruned
    assert (pruned["changed"], pruned["action"]) == (True, "remove")
    assert sorted(pruned["instances"]) == ["loki-a", "loki-b"]
    assert len(pruned["diff"]) == 2
    active = {
        name: host.unit(f"{name}.service")["active"]
        for name in ("loki-a", "loki-b", "other")
    }
    assert active == {"loki-a": "inactive", "loki-b": "inactive", "other": "active"}
    # The data stays, and so does what is not managed.
    assert Path(layout.data("loki-a")).is_dir()
    assert uninstall.prune(PRUNE, False)["changed"] is False
    assert (
        uninstall.prune({**PRUNE, "known": [], "keep": []}, False)["changed"] is False
    )
    assert host.unit("other.service")["active"] == "active"


def test_pruning_clears_what_a_killed_removal_left(host: FakeHost) -> None:
    left = Path(layout.pending_removals("loki"))
    left.mkdir(parents=True)
    uninstall.prune(PRUNE, True)
    assert left.exists()
    uninstall.prune(PRUNE, False)
    assert not left.exists()


@pytest.mark.parametrize(("most", "refused"), [(0, True), (1, False), (2, False)])
def test_pruning_removes_no_more_components_than_allowed(
    host: FakeHost, both: None, most: int, refused: bool
) -> None:
    params = {**PRUNE, "prune_max": most}
    for check in (True, False):
        if refused:
            with pytest.raises(ComponentError, match=r"loki-a, loki-b: .*\(0\)"):
                uninstall.prune(params, check)
        else:
            assert uninstall.prune(params, check)["changed"]
    active = host.unit("loki-a.service")["active"]
    assert active == ("active" if refused else "inactive")


def test_a_stop_takes_as_long_as_a_unit_takes(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts = {}

    def run(command: list[str], timeout: float | None = 60) -> Any:
        timeouts[command[1]] = timeout
        return host._program(command, timeout)

    monkeypatch.setattr(systemd, "run", run)
    uninstall.absent(
        {**ABSENT, "purge": False, "lock_timeout": 0, "instances": []}, False
    )
    assert timeouts["stop"] is None


def test_a_removal_takes_back_the_orders_of_a_dead_run(
    host: FakeHost, installed: Options
) -> None:
    host.run(installed, environment={"TZ": "UTC"}, die_at="after-switch")
    assert host.waiting()
    host.good(ABSENT)
    assert not host.waiting()
    assert not Path(layout.ORDERS).exists()


def test_a_removal_forgets_what_runs_and_what_is_unfinished(
    host: FakeHost, installed: Options
) -> None:
    Path(layout.pending("loki")).touch()
    assert Path(layout.running("loki")).exists()
    host.good(ABSENT)
    assert not Path(layout.running("loki")).exists()
    assert not Path(layout.pending("loki")).exists()


def test_a_removed_directory_is_set_aside_on_disk_and_then_deleted(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = Path(layout.pending_removals("loki"))
    aside.mkdir()
    (aside / "older").touch()
    steps: list[str] = []
    monkeypatch.setattr(files, "sync_directory", steps.append)
    monkeypatch.setattr(removal, "failpoint", steps.append)
    removal.delete("loki")
    assert steps == [layout.COMPONENTS, "after-set-aside"]
    assert not Path(layout.component("loki")).exists()
    assert not aside.exists()


def test_directories_of_systemd_stay_and_empty_ones_of_targets_go(
    host: FakeHost, installed: Options
) -> None:
    other = Path(layout.wants("multi-user.target", "other.service"))
    other.symlink_to("/usr/lib/systemd/system/other.service")
    removal.take_down("loki", None)
    assert Path(layout.UNITS).is_dir()
    assert Path(layout.UNIT_FILES).is_dir()
    assert other.is_symlink()
    assert not Path(layout.wants("timers.target", "x")).parent.exists()


def test_a_purge_includes_instances_that_the_options_do_not_list(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    host.good(options, instances=[{"name": "a"}])
    # As it is after the owner has made a file.
    (Path(layout.data("loki-a")) / "chunk").touch()
    notices = host.good(PURGE).values["notices"]
    assert notices == ["Data and user of loki-a are purged."]
    assert not Path(layout.data("loki-a")).exists()


@pytest.mark.parametrize("check", [True, False])
def test_a_removal_gives_back_what_a_killed_first_run_adopted(
    host: FakeHost,
    options: Options,  # noqa: F811
    check: bool,
) -> None:
    own = Path(layout.etc("loki"))
    own.mkdir()
    (own / "loki.yml").write_text("a: own\n")
    adopting = {**options, "adopt": True}
    host.run(adopting, die_at="after-links")
    Path(layout.current("loki")).unlink()
    values = host.good(ABSENT, check=check).values
    assert values["notices"] == ["What a killed run adopted for loki is given back."]
    assert (own / "loki.yml").exists() is not check
    if not check:
        assert host.good(ABSENT).changed is False


def adoption_of(path: Path) -> Path:
    """Record that a path was adopted; return where it is kept."""
    kept = Path(layout.edited("loki")) / "adopted" / path.name
    kept.parent.mkdir(parents=True)
    kept.write_text("a: theirs\n")
    record = {"paths": {str(path): str(kept)}, "links": {}, "active": []}
    Path(layout.adoption("loki")).write_text(json.dumps(record))
    return kept


@pytest.mark.parametrize("is_verified", [True, False])
def test_what_was_adopted_is_given_back_unless_the_run_was_verified(
    host: FakeHost, installed: Options, tmp_path: Path, is_verified: bool
) -> None:
    theirs = tmp_path / "theirs.yml"
    kept = adoption_of(theirs)
    if not is_verified:
        os.unlink(layout.last_known_good("loki"))
    removal.remove(removal.plan_removal("loki"))
    assert (theirs.exists(), kept.exists()) == (not is_verified, is_verified)
    assert not Path(layout.adoption("loki")).exists()


@pytest.mark.parametrize("has_directory", [True, False])
def test_what_a_killed_run_adopted_is_given_back_without_an_instance(
    host: FakeHost, tmp_path: Path, has_directory: bool
) -> None:
    theirs = tmp_path / "theirs.yml"
    adoption_of(theirs)
    if has_directory:
        Path(layout.component("loki")).mkdir(parents=True)
    given = host.good(ABSENT)
    assert given.values["notices"] == [
        "What a killed run adopted for loki is given back."
    ]
    assert theirs.read_text() == "a: theirs\n"
    assert host.good(ABSENT).changed is False


def test_a_removal_of_nothing_takes_no_lock_and_tidies_up(host: FakeHost) -> None:
    host.good(ABSENT)
    assert not Path(layout.RUN).exists()
    left = Path(layout.pending_removals("other"))
    left.mkdir(parents=True)
    host.good(ABSENT, check=True)
    assert left.exists()
    host.good(ABSENT)
    assert not left.exists()
    assert not Path(layout.lock("loki")).exists()


def test_a_unit_that_still_runs_is_named(
    host: FakeHost, installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_stop", lambda _name: (1, ""))
    before = host.tree()
    refused = host.run(ABSENT)
    assert "loki.service" in refused.error
    assert "still running after systemctl stop (no output)" in refused.error
    assert host.tree() == before


def test_a_unit_that_is_edited_in_full_is_stopped_without_a_manifest(
    host: FakeHost, installed: Options
) -> None:
    Path(layout.unit("loki-tidy.timer")).unlink()
    edit = Path(layout.override("loki-tidy.timer"))
    edit.write_text("[Timer]\nOnCalendar=hourly\n")
    removal.take_down("loki", None)
    assert host.unit("loki-tidy.timer")["active"] == "inactive"
    assert not edit.exists()


def test_a_removal_can_be_killed_after_each_step(
    installed: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    points: list[str] = []
    monkeypatch.setattr(removal, "failpoint", points.append)
    removal.remove(removal.plan_removal("loki"))
    assert points == ["after-unlink", "after-set-aside"]
