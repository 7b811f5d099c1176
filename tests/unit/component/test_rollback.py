# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollback: its target, and its plan from what a generation says of itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    generation,
    layout,
    observe,
    release_store,
    rollback,
    transaction,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
    Unit,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
    plan,
)
from tests.unit.component.factories import (
    RELEASE_DIRECTORY,
    RELOAD,
    built,
    instance,
    running,
)


@pytest.mark.parametrize(
    ("current", "last_known_good", "previous", "rolled_back_from", "expected"),
    [
        pytest.param("1-a", "1-a", "", "", "", id="the first"),
        pytest.param("5-b", "5-b", "4-a", "", "4-a", id="the one verified before"),
        pytest.param("10-b", "10-b", "9-a", "", "9-a", id="by number, not by letters"),
        pytest.param(
            "5-b", "4-a", "3-z", "", "4-a", id="the current one was never verified"
        ),
        pytest.param("4-a", "4-a", "4-a", "5-b", "4-a", id="already rolled back"),
        pytest.param("4-a", "5-b", "4-a", "5-b", "4-a", id="killed after the switch"),
        pytest.param("5-b", "5-b", "4-a", "5-b", "4-a", id="killed before the switch"),
        pytest.param("4-a", "4-a", "4-a", "", "", id="not changed by the last rollout"),
        pytest.param(
            "6-c",
            "6-c",
            "4-a",
            "5-b",
            "4-a",
            id="rolled forward and killed before the end",
        ),
        pytest.param("", "", "", "", "", id="a first install that was killed"),
        pytest.param("5-b", "", "4-a", "", "4-a", id="no record of a verified one"),
        pytest.param("5-b", "5-b", "4-a", "5-a", "4-a", id="marked as itself"),
        pytest.param("", "4-a", "", "5-b", "4-a", id="no current one"),
    ],
)
def test_a_rollback_has_its_target(
    current: str,
    last_known_good: str,
    previous: str,
    rolled_back_from: str,
    expected: str,
) -> None:
    observed = ObservedState(
        current=current,
        last_known_good=last_known_good,
        previous=previous,
        rolled_back_from=rolled_back_from,
    )
    assert rollback.target(observed) == expected


OPTIONS = {
    "secrets": {"key": "PLANTED"},
    "scripts": [{"path": "write-targets", "content": "#!/bin/sh\n"}],
    "units": {
        "loki-sweep.timer": {
            "Timer": {"OnCalendar": "daily"},
            "Install": {"WantedBy": "timers.target"},
        }
    },
    "listen_addresses": ["127.0.0.1:3100"],
    "ready": {"url": "http://127.0.0.1:3100/ready", "timeout": 9},
    "reload": RELOAD,
}


def test_a_generation_describes_the_instance_that_it_was_written_from(
    places: Path,
) -> None:
    desired = instance(**OPTIONS)
    name = generation.write(desired, built(desired), 0)
    manifest = observe.read_manifest("loki", name)
    described = rollback.instance(manifest, layout.generation("loki", name))
    for field in (
        "component",
        "name",
        "files",
        "units",
        "unit_digest",
        "listen_addresses",
        "ready",
        "reload",
    ):
        assert getattr(described, field) == getattr(desired, field), field
    assert manifest == built(desired)


@pytest.mark.parametrize(
    ("change", "action"),
    [
        pytest.param(
            {"config": [{"path": "loki-config.yml", "content": "a: 2\n"}]},
            "reload",
            id="configuration",
        ),
        pytest.param({"secrets": {"key": "OTHER"}}, "restart", id="secret"),
        pytest.param({"environment": {"A": "b"}}, "restart", id="unit"),
    ],
)
def test_a_rollback_needs_the_same_action_as_its_rollout(
    places: Path, change: dict, action: str
) -> None:
    before, after = instance(**OPTIONS), instance(**{**OPTIONS, **change})
    name = generation.write(before, built(before), 0)
    manifest = observe.read_manifest("loki", name)
    described = rollback.instance(manifest, layout.generation("loki", name))
    there = plan(after, built(after), running(before))
    back = plan(described, manifest, running(after))
    assert back.action == there.action == action
    assert "PLANTED" not in repr(back.diff)
    assert len(back.diff) == 1


@pytest.fixture
def rolled_out_twice(places: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a host on which a second generation was verified, without a running systemd."""
    Path(layout.etc("loki")).parent.mkdir(parents=True)
    state = Unit(active="active", main_pid=7, invocation="i")
    monkeypatch.setattr(
        rollback.systemd, "show", lambda units: dict.fromkeys(units, state)
    )
    monkeypatch.setattr(rollback.systemd, "require_version", lambda: None)
    monkeypatch.setattr(
        release_store, "intact", lambda directory: directory == RELEASE_DIRECTORY
    )
    for content in ("a: 1\n", "a: 2\n"):
        desired = instance(config=[{"path": "loki-config.yml", "content": content}])
        name = generation.write(desired, built(desired), 0)
        generation.switch("loki", name)
        generation.set_links("loki", built(desired))
        generation.commit("loki", name, set())
    return places


PARAMS = {"name": "loki", "adopt": False, "lock_timeout": 1}


def test_check_mode_plans_the_rollback_and_writes_nothing(
    rolled_out_twice: Path,
) -> None:
    before = sorted(map(str, rolled_out_twice.rglob("*")))
    result = transaction.summary(rollback.roll_back(PARAMS, check_mode=True))
    assert result["instances"]["loki"]["generation"].startswith("1-")
    assert result["instances"]["loki"]["previous"].startswith("2-")
    assert (result["diff"][0]["before"], result["diff"][0]["after"]) == (
        "a: 2\n",
        "a: 1\n",
    )
    assert "next rollout applies the inventory again" in result["notices"][0]
    assert sorted(map(str, rolled_out_twice.rglob("*"))) == before


def test_a_manually_changed_generation_is_refused(rolled_out_twice: Path) -> None:
    (before,) = [name for name in observe.generations("loki") if name.startswith("1-")]
    path = Path(layout.generation("loki", before)) / "etc/loki-config.yml"
    path.write_text("a: 3\n")
    with pytest.raises(
        ComponentError,
        match=r"generation 1-.* of loki: etc/loki-config.yml was changed manually; .* was changed",
    ):
        rollback.roll_back(PARAMS, check_mode=True)


def test_a_generation_with_a_damaged_release_is_refused(
    rolled_out_twice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_store, "intact", lambda directory: False)
    with pytest.raises(
        ComponentError,
        match=f"generation 1-.* of loki: .*/{RELEASE_DIRECTORY} is damaged",
    ):
        rollback.roll_back(PARAMS, check_mode=True)


def test_a_host_without_a_generation_to_roll_back_to_is_refused(
    rolled_out_twice: Path,
) -> None:
    os.unlink(layout.previous("loki"))
    with pytest.raises(
        ComponentError,
        match=r"loki: no verified generation before 2-.*; there is nothing to roll back to",
    ):
        rollback.roll_back(PARAMS, check_mode=True)
    with pytest.raises(ComponentError, match="tempo: not on this host"):
        rollback.roll_back({**PARAMS, "name": "tempo"}, check_mode=True)
