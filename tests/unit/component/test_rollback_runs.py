# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollbacks on a fake host: repeated, killed, refused and failed ones, and what they tell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    generation,
    layout,
    probe,
    rollback,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.fake_host import DEFAULTS, FakeHost

# The same options as for undisturbed rollouts.
from tests.unit.component.test_transaction import TIMER, config, options  # noqa: F401

Options = dict[str, Any]
PREVIOUS = {"name": "loki", "state": "previous"}


def linked(path: str) -> str:
    return os.path.basename(os.readlink(path))


@pytest.fixture
def twice(host: FakeHost, options: Options) -> Options:  # noqa: F811
    """Return the options of a component that was rolled out twice."""
    host.good(options)
    host.good(options, config=config("a: 2\n"))
    return options


def test_a_rollback_that_is_done_changes_nothing_more(
    host: FakeHost, twice: Options
) -> None:
    host.good(PREVIOUS)
    before, started = host.tree(), host.starts()
    host.forget_commands()
    again = host.good(PREVIOUS)
    assert (again.changed, host.commands()) == (False, [])
    assert (host.tree(), host.starts()) == (before, started)


@pytest.mark.parametrize("point", ["after-lock", "after-switch", "after-verify"])
def test_a_killed_rollback_is_finished_by_the_next_one(
    host: FakeHost, twice: Options, point: str
) -> None:
    old, new = linked(layout.previous("loki")), linked(layout.current("loki"))
    host.run(PREVIOUS, die_at=point)
    finished = host.good(PREVIOUS)
    told = finished.values["notices"][0]
    assert f"loki is rolled back from generation {new} to {old}." in told
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    assert linked(layout.rolled_back_from("loki")) == new
    assert not Path(layout.pending("loki")).exists()
    assert host.good(PREVIOUS).changed is False


def test_a_rollback_keeps_what_it_came_from_and_tells_of_manual_changes(
    host: FakeHost, twice: Options
) -> None:
    new = linked(layout.current("loki"))
    (Path(layout.etc("loki")) / "loki.yml").write_text("a: manual\n")
    told = host.good(PREVIOUS).values["notices"]
    kept = os.path.join(layout.edited("loki"), new, "etc/loki.yml")
    assert told[-1] == f"The manual change is kept as {kept}."
    assert Path(kept).read_text() == "a: manual\n"
    assert Path(layout.generation("loki", new)).is_dir()


@pytest.mark.parametrize("check", [True, False])
def test_a_rollback_of_a_component_without_a_checker_asks_none(
    host: FakeHost,
    options: Options,  # noqa: F811
    check: bool,
) -> None:
    del options["check"]
    host.good(options)
    host.good(options, config=config("a: 2\n"))
    host.refuse_every_check()
    assert host.good(PREVIOUS, check=check).action == "reload"


@pytest.mark.parametrize("check", [True, False])
def test_a_rollback_over_something_unmanaged_is_refused(
    host: FakeHost, twice: Options, check: bool
) -> None:
    etc = Path(layout.etc("loki"))
    etc.unlink()
    etc.mkdir()
    (etc / "theirs.yml").touch()
    refused = host.run(PREVIOUS, check=check)
    assert f"{etc}: not made by this collection" in refused.error
    assert list(etc.iterdir()) == [etc / "theirs.yml"]


@pytest.mark.parametrize("check", [True, False])
def test_a_rollback_to_a_generation_whose_manifest_is_damaged_is_refused(
    host: FakeHost, twice: Options, check: bool
) -> None:
    before = linked(layout.previous("loki"))
    manifest = Path(layout.generation("loki", before)) / "manifest.json"
    manifest.write_text("{}")
    tree = host.tree()
    refused = host.run(PREVIOUS, check=check)
    assert f"generation {before} of loki: its manifest is damaged" in refused.error
    assert host.tree() == tree


@pytest.mark.parametrize("check", [True, False])
def test_a_rollback_to_a_generation_that_is_gone_is_refused(
    host: FakeHost, twice: Options, check: bool
) -> None:
    before = linked(layout.previous("loki"))
    directory = Path(layout.generation("loki", before))
    directory.rename(layout.generation("loki", "x"))
    refused = host.run(PREVIOUS, check=check)
    assert f"generation {before} of loki: its manifest is damaged" in refused.error
    assert host.loaded() == {"loki.yml": "a: 2\n"}


def test_a_failed_rollback_may_be_repeated(
    host: FakeHost, twice: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = linked(layout.current("loki"))
    with monkeypatch.context() as failing:
        failing.setattr(host, "_reload", lambda _name: (1, "Connection timed out"))
        failed = host.run(PREVIOUS)
    assert failed.error
    assert linked(layout.current("loki")) == new
    assert not os.path.lexists(layout.rolled_back_from("loki"))
    assert host.good(PREVIOUS).changed
    assert host.loaded() == {"loki.yml": "a: 1\n"}


def test_an_instance_that_stays_on_the_target_of_a_failed_rollback_is_marked(
    host: FakeHost,
    options: Options,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = {**options, "instances": [{"name": "a"}, {"name": "b"}]}
    host.good(both)
    host.good(both, config=config("a: 2\n"))
    new = linked(layout.current("loki-a"))
    switch = generation.switch

    def switch_but_not_back(name: str, generation_name: str) -> None:
        if name == "loki-a" and generation_name == new:
            raise OSError("no space left on device")
        switch(name, generation_name)

    def never(unit_name: str, *_arguments: object) -> None:
        raise ComponentError(f"{unit_name}: not ready")

    monkeypatch.setattr(generation, "switch", switch_but_not_back)
    monkeypatch.setattr(probe, "reloaded", never)
    with pytest.raises(ComponentError, match="loki-a: restore failed: no space left"):
        rollback.roll_back({**DEFAULTS, **PREVIOUS}, False)
    assert linked(layout.rolled_back_from("loki-a")) == new
    assert not os.path.lexists(layout.rolled_back_from("loki-b"))


@pytest.mark.parametrize("state", ["present", "previous", "absent"])
@pytest.mark.parametrize(
    ("lock_owner", "written"), [("bert@control", "bert@control\n"), (None, "process ")]
)
def test_a_run_writes_its_name_to_the_lock(
    host: FakeHost,
    twice: Options,
    state: str,
    lock_owner: str | None,
    written: str,
) -> None:
    host.good(twice, state=state, lock_owner=lock_owner)
    assert Path(layout.lock("loki")).read_text().startswith(written)


def test_a_rollback_brings_units_back_that_the_rollout_removed(
    host: FakeHost,
    options: Options,  # noqa: F811
) -> None:
    host.good(options, units=TIMER)
    host.good(options)
    assert host.unit("loki-tidy.timer")["active"] == "inactive"
    host.good(PREVIOUS)
    assert host.unit("loki-tidy.timer")["active"] == "active"
