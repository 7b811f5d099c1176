# SPDX-License-Identifier: GPL-3.0-or-later
"""What people roll back to, and that a generation describes itself well enough to plan the way back."""

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
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
    ObservedState,
    Unit,
    plan,
)
from tests.unit.component.factories import RELEASE_DIRECTORY, RELOAD, built, instance, running


@pytest.mark.parametrize(
    ("current", "last_known_good", "previous", "rolled_back_from", "expected"),
    [
        pytest.param("1-a", "1-a", "", "", "", id="the first"),
        pytest.param("5-b", "5-b", "4-a", "", "4-a", id="what was proven before"),
        pytest.param("10-b", "10-b", "9-a", "", "9-a", id="by count, not by letters"),
        pytest.param("5-b", "4-a", "3-z", "", "4-a", id="what is in force was never proven"),
        pytest.param("4-a", "4-a", "4-a", "5-b", "4-a", id="done already"),
        pytest.param("4-a", "5-b", "4-a", "5-b", "4-a", id="killed after the switch"),
        pytest.param("5-b", "5-b", "4-a", "5-b", "4-a", id="killed before the switch"),
        pytest.param("4-a", "4-a", "4-a", "", "", id="not changed by the last rollout"),
        pytest.param(
            "6-c", "6-c", "4-a", "5-b", "4-a", id="rolled forward and killed before the end"
        ),
        pytest.param("", "", "", "", "", id="a first install that was killed"),
    ],
)
def test_what_is_gone_back_to(
    current: str, last_known_good: str, previous: str, rolled_back_from: str, expected: str
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


def test_a_generation_describes_the_instance_that_it_was_made_from(places: Path) -> None:
    desired = instance(**OPTIONS)
    name = generation.write(desired, built(desired), 0)
    known = observe.read_manifest("loki", name)
    found = rollback.instance(known, layout.generation("loki", name))
    for fact in (
        "component",
        "name",
        "files",
        "units",
        "unit",
        "listen_addresses",
        "ready",
        "reload",
    ):
        assert getattr(found, fact) == getattr(desired, fact), fact
    assert known == built(desired)


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
def test_the_way_back_needs_what_the_way_there_needed(
    places: Path, change: dict, action: str
) -> None:
    before, after = instance(**OPTIONS), instance(**{**OPTIONS, **change})
    name = generation.write(before, built(before), 0)
    known = observe.read_manifest("loki", name)
    found = rollback.instance(known, layout.generation("loki", name))
    way = plan(found, known, running(after))
    assert way.action == action == plan(after, built(after), running(before)).action
    assert "PLANTED" not in repr(way.diff)
    assert len(way.diff) == 1


@pytest.fixture
def bad(places: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host on which a second generation was proven, without a running systemd."""
    Path(layout.etc("loki")).parent.mkdir(parents=True)
    state = Unit(active="active", main_pid=7, invocation="i")
    monkeypatch.setattr(rollback.systemd, "show", lambda units: dict.fromkeys(units, state))
    monkeypatch.setattr(rollback.systemd, "require_version", lambda: None)
    monkeypatch.setattr(release_store, "intact", lambda directory: directory == RELEASE_DIRECTORY)
    for content in ("a: 1\n", "a: 2\n"):
        desired = instance(config=[{"path": "loki-config.yml", "content": content}])
        name = generation.write(desired, built(desired), 0)
        generation.switch("loki", name)
        generation.set_links("loki", built(desired))
        generation.commit("loki", name, set())
    return places


PARAMS = {"name": "loki", "adopt": False, "lock_timeout": 1}


def test_check_mode_tells_the_way_back_and_writes_nothing(bad: Path) -> None:
    before = sorted(map(str, bad.rglob("*")))
    told = transaction.summary(rollback.roll_back(PARAMS, check_mode=True))
    assert told["instances"]["loki"]["generation"].startswith("1-")
    assert told["instances"]["loki"]["previous"].startswith("2-")
    assert (told["diff"][0]["before"], told["diff"][0]["after"]) == ("a: 2\n", "a: 1\n")
    assert "next rollout brings what the inventory says" in told["notices"][0]
    assert sorted(map(str, bad.rglob("*"))) == before


def test_what_was_changed_by_hand_is_not_gone_back_to(bad: Path) -> None:
    (before,) = [name for name in observe.generations("loki") if name.startswith("1-")]
    path = Path(layout.generation("loki", before)) / "etc/loki-config.yml"
    path.write_text("a: 3\n")
    with pytest.raises(
        ComponentError, match=r"etc/loki-config.yml was changed by hand. Nothing was changed."
    ):
        rollback.roll_back(PARAMS, check_mode=True)


def test_a_damaged_release_is_not_gone_back_to(bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_store, "intact", lambda directory: False)
    with pytest.raises(
        ComponentError, match=f"{RELEASE_DIRECTORY}, which generation 1-.* of loki runs, is damaged"
    ):
        rollback.roll_back(PARAMS, check_mode=True)


def test_nothing_to_go_back_to_is_one_line(bad: Path) -> None:
    os.unlink(layout.previous("loki"))
    with pytest.raises(
        ComponentError,
        match=r"loki has no proven generation before 2-.*, so there is nothing to roll",
    ):
        rollback.roll_back(PARAMS, check_mode=True)
    with pytest.raises(ComponentError, match="tempo is not on this host"):
        rollback.roll_back({**PARAMS, "name": "tempo"}, check_mode=True)
