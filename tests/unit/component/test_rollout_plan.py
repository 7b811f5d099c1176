# SPDX-License-Identifier: GPL-3.0-or-later
"""What one instance needs, from what is wanted and what was seen."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    rollout_plan as planning,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
    INSTALL,
    NONE,
    RELOAD,
    RESTART,
    SWITCH,
    ObservedState,
    Plan,
    Unit,
)
from tests.unit.component.factories import CONFIG, RELEASE_DIRECTORY, built, instance, running
from tests.unit.component.factories import RELOAD as RELOAD_OPTION

TIMER = {
    "loki-sweep.timer": {"Timer": {"OnCalendar": "daily"}, "Install": {"WantedBy": "timers.target"}}
}
SWEEP = {"loki-sweep.service": {"Service": {"ExecStart": "/bin/sweep"}}, **TIMER}
CHANGED = [{**CONFIG[0], "content": "a: 2\n"}]
DOWN = Unit(active="inactive")


def planned(observed: ObservedState, release: str = RELEASE_DIRECTORY, **changes: Any) -> Plan:
    """The plan for options that differ from those that the host has."""
    desired = instance(**changes)
    return planning.plan(desired, built(desired, release), observed)


def host(**changes: Any) -> ObservedState:
    """A converged host."""
    return running(instance(**changes))


def test_a_converged_host_needs_nothing() -> None:
    for options in ({}, {"units": SWEEP}, {"secrets": {"key": "s"}}, {"reload": RELOAD_OPTION}):
        plan = planned(host(**options), **options)
        assert plan == Plan("loki", NONE)
        assert not plan.changed


@pytest.mark.parametrize(
    ("before", "after", "action"),
    [
        pytest.param({}, {"config": CHANGED}, RESTART, id="a file of a program that cannot reload"),
        pytest.param({"reload": RELOAD_OPTION}, {"reload": RELOAD_OPTION, "config": CHANGED}, RELOAD, id="a file"),
        pytest.param(
            {"reload": RELOAD_OPTION},
            {"reload": RELOAD_OPTION, "config": [{**CHANGED[0], "on_change": "restart"}]},
            RESTART,
            id="a file that is read at the start only",
        ),
        pytest.param(
            {"config": [{**CONFIG[0], "on_change": "none"}]},
            {"config": [{**CHANGED[0], "on_change": "none"}]},
            SWITCH,
            id="a file that the program watches",
        ),
        pytest.param({}, {"config": []}, RESTART, id="a removed file"),
        pytest.param({"reload": RELOAD_OPTION}, {"reload": RELOAD_OPTION, "config": []}, RELOAD, id="a file less"),
        pytest.param({"reload": RELOAD_OPTION}, {"config": []}, RESTART, id="a removed file and no reload any more"),
        pytest.param({}, {"environment": {"A": "1"}}, RESTART, id="the unit"),
        pytest.param({"reload": RELOAD_OPTION}, {"reload": RELOAD_OPTION, "environment": {"A": "1"}, "config": CHANGED},
                     RESTART, id="the unit and a file"),
        pytest.param({"secrets": {"key": "a"}}, {"secrets": {"key": "b"}}, RESTART, id="a secret"),
        pytest.param({}, {"secrets": {"key": "b"}}, RESTART, id="a secret more"),
        pytest.param({}, {"units": TIMER}, SWITCH, id="a timer more"),
        pytest.param({"units": TIMER}, {}, SWITCH, id="a timer less"),
        pytest.param({}, {"reload": RELOAD_OPTION}, SWITCH, id="only how a change is proven"),
    ],
)  # fmt: skip
def test_a_change_needs(before: dict, after: dict, action: str) -> None:
    plan = planned(host(**before), **after)
    assert plan.action == action
    assert plan.stage is (action != NONE)
    assert bool(plan.reasons) is (action != NONE)


def test_another_release_is_a_restart_and_no_reload_of_the_manager() -> None:
    plan = planned(host(), release="loki-3.7.9-89abcdef")
    assert (plan.action, plan.stage, plan.reload_manager) == (RESTART, True, False)
    assert "release loki-3.7.8-01234567 becomes loki-3.7.9-89abcdef" in plan.reasons


@pytest.mark.parametrize(
    ("before", "after", "reload_manager"),
    [
        pytest.param({}, {"config": CHANGED}, False, id="a file"),
        pytest.param({}, {"description": "another"}, True, id="the main unit"),
        pytest.param({}, {"units": TIMER}, True, id="a unit more"),
        pytest.param({"units": TIMER}, {}, True, id="a unit less"),
        pytest.param(
            {"units": SWEEP},
            {"units": {**SWEEP, "loki-sweep.service": {}}},
            True,
            id="another unit",
        ),
    ],
)
def test_the_manager_is_reloaded_for(before: dict, after: dict, reload_manager: bool) -> None:
    assert planned(host(**before), **after).reload_manager is reload_manager


def test_a_bare_host_is_installed_with_every_unit() -> None:
    plan = planned(
        ObservedState(units={"loki.service": Unit(), "loki-sweep.timer": Unit()}), units=SWEEP
    )
    assert (plan.action, plan.stage, plan.reload_manager) == (INSTALL, True, True)
    assert plan.restart_units == ("loki-sweep.timer",)
    assert plan.reasons == ("it is not installed",)
    assert {entry["after_header"] for entry in plan.diff} == {
        "release of loki",
        "/etc/loki/loki-config.yml",
        "/etc/systemd/system/loki.service",
        "/etc/systemd/system/loki-sweep.service",
        "/etc/systemd/system/loki-sweep.timer",
    }


def test_a_distribution_s_running_unit_is_no_reason_against_an_install() -> None:
    plan = planned(ObservedState(units={"loki.service": Unit(active="active", main_pid=3)}))
    assert plan.action == INSTALL


@pytest.mark.parametrize("active", ["inactive", "failed", "activating", "deactivating"])
def test_a_program_that_should_run_and_does_not_is_started_as_it_is(active: str) -> None:
    observed = replace(
        host(), units={"loki.service": Unit(active=active)}, running="", running_manifest=None
    )
    plan = planned(observed)
    assert (plan.action, plan.stage, plan.diff) == (RESTART, False, ())
    assert plan.reasons == (f"loki.service is {active}",)


def test_a_program_of_an_unknown_generation_is_restarted() -> None:
    plan = planned(replace(host(), running="", running_manifest=None))
    assert (plan.action, plan.stage) == (RESTART, False)


def test_a_timer_that_stopped_is_started() -> None:
    observed = host(units=SWEEP)
    units = {**observed.units, "loki-sweep.timer": Unit(active="failed")}
    plan = planned(replace(observed, units=units), units=SWEEP)
    assert (plan.action, plan.stage, plan.restart_units) == (SWITCH, False, ("loki-sweep.timer",))
    assert plan.reasons == ("loki-sweep.timer is restarted",)


def test_a_further_service_waits_for_its_timer() -> None:
    observed = host(units=SWEEP)
    units = {**observed.units, "loki-sweep.service": DOWN}
    assert planned(replace(observed, units=units), units=SWEEP).action == NONE


def test_units_that_are_no_longer_wanted_are_stopped() -> None:
    plan = planned(host(units=SWEEP), units={})
    assert plan.stop_units == ("loki-sweep.service", "loki-sweep.timer")
    assert planned(host(units=SWEEP), units=SWEEP).stop_units == ()


@pytest.mark.parametrize(
    ("drift", "options", "action"),
    [
        pytest.param("etc/loki-config.yml", {}, RESTART, id="a file"),
        pytest.param(
            "etc/loki-config.yml",
            {"reload": RELOAD_OPTION},
            RELOAD,
            id="a file of a program that reloads",
        ),
        pytest.param("loki.service", {"reload": RELOAD_OPTION}, RESTART, id="the unit"),
        pytest.param(
            "etc/key", {"secrets": {"key": "s"}, "reload": RELOAD_OPTION}, RESTART, id="a secret"
        ),
        pytest.param("loki-sweep.service", {"units": SWEEP}, SWITCH, id="another unit"),
        pytest.param("release", {"reload": RELOAD_OPTION}, RESTART, id="the link to the release"),
    ],
)
def test_a_file_changed_by_hand_is_put_right_and_read_again(
    drift: str, options: dict, action: str
) -> None:
    plan = planned(replace(host(**options), drift=(drift,)), **options)
    assert (plan.action, plan.stage) == (action, True)
    assert plan.reasons[0] == f"{drift} was changed by hand"


@pytest.mark.parametrize(
    ("stray", "options", "action"),
    [
        pytest.param(
            "etc/rules/own.yml",
            {"reload": RELOAD_OPTION},
            RELOAD,
            id="that an include may have read",
        ),
        pytest.param("etc/rules/own.yml", {}, RESTART, id="of a program that cannot reload"),
        pytest.param("bin/tool", {"reload": RELOAD_OPTION}, SWITCH, id="among the programs"),
        pytest.param(
            "loki.service~", {}, SWITCH, id="beside the units, where systemd does not look"
        ),
    ],
)
def test_a_file_added_by_hand_is_taken_away(stray: str, options: dict, action: str) -> None:
    plan = planned(replace(host(**options), untracked=(stray,)), **options)
    assert (plan.action, plan.stage) == (action, True)
    assert plan.reasons[0] == f"{stray} was added by hand"


def test_a_damaged_release_is_unpacked_again_and_the_program_restarted() -> None:
    plan = planned(replace(host(), release_intact=False))
    assert (plan.action, plan.stage, plan.reasons) == (
        RESTART,
        False,
        ("the unpacked release is damaged",),
    )


def test_a_lost_link_is_set_and_the_manager_told() -> None:
    plan = planned(replace(host(), links=("/etc/systemd/system/loki.service",)))
    assert (plan.action, plan.stage, plan.reload_manager) == (SWITCH, False, True)


# What is seen after a run that was killed: `before` ran when it began, `after` is wanted and current.
def killed(before: dict, after: dict, **observed: Any) -> ObservedState:
    """A host whose last run was killed after its switch."""
    old, new = host(**before), host(**after)
    name = "2-" + new.manifest["id"]
    told = replace(
        new,
        current=name,
        last_known_good_manifest=old.manifest,
        running_unit=old.running_unit,
        pending=True,
    )
    return replace(told, **{"running": old.running, "running_manifest": old.manifest, **observed})


def test_a_run_killed_before_the_reload_is_finished_by_a_reload() -> None:
    before, after = {"reload": RELOAD_OPTION}, {"reload": RELOAD_OPTION, "config": CHANGED}
    plan = planned(killed(before, after), **after)
    assert (plan.action, plan.stage, plan.reload_manager) == (RELOAD, False, True)
    assert plan.reasons[0].endswith("still runs")


def test_a_run_killed_before_the_restart_is_finished_by_a_restart_even_after_a_change_back() -> (
    None
):
    before, after = {}, {"environment": {"A": "1"}}
    assert planned(killed(before, after), **after).action == RESTART
    assert planned(killed(before, after), **before).action == SWITCH


def test_a_program_that_came_back_by_itself_before_the_manager_knew_is_restarted() -> None:
    before, after = {}, {"environment": {"A": "1"}}
    observed = killed(before, after)
    observed = replace(observed, running=observed.current, running_manifest=observed.manifest)
    assert planned(observed, **after).action == RESTART
    # Wanting something else meanwhile does not lose it.
    assert planned(observed, **after, reload=RELOAD_OPTION, config=CHANGED).action == RESTART
    # After a reboot systemd has read the new unit.
    assert (
        planned(
            replace(observed, pending=False, running_unit=observed.manifest["unit"]), **after
        ).action
        == SWITCH
    )


def test_a_unit_that_is_not_known_is_a_reason_to_restart() -> None:
    plan = planned(replace(host(), running_unit=""))
    assert (plan.action, plan.reasons) == (
        RESTART,
        ("it was started from another definition of loki.service",),
    )


def test_a_run_killed_before_its_commit_is_proven_without_a_restart() -> None:
    before, after = {}, {"config": CHANGED}
    observed = killed(before, after)
    observed = replace(observed, running=observed.current, running_manifest=observed.manifest)
    plan = planned(observed, **after)
    assert (plan.action, plan.stage, plan.reasons) == (
        SWITCH,
        False,
        (f"generation {observed.current} was never proven",),
    )


def test_a_run_killed_before_it_noted_what_runs_notes_it() -> None:
    before, after = ({"config": [{**item[0], "on_change": "none"}]} for item in (CONFIG, CHANGED))
    observed = killed(before, after)
    plan = planned(replace(observed, last_known_good=observed.current), **after)
    assert (plan.action, plan.stage) == (SWITCH, False)


def test_a_repair_killed_before_the_reload_is_finished() -> None:
    observed = killed({}, {}, running_drift=("etc/loki-config.yml",))
    assert planned(observed).action == RESTART
    assert planned(replace(observed, running_drift=())).action == SWITCH


def test_a_reload_that_was_not_noted_is_undone_by_another_one() -> None:
    before, after = {"reload": RELOAD_OPTION}, {"reload": RELOAD_OPTION, "config": CHANGED}
    observed = killed(before, after)
    assert planned(observed, **before).action == RELOAD
    assert planned(replace(observed, pending=False), **before).action == SWITCH
    assert planned(observed).action == RESTART


def test_a_run_killed_before_its_timers_were_started_starts_them() -> None:
    plan = planned(killed({}, {"units": SWEEP}), units=SWEEP)
    assert plan.restart_units == ("loki-sweep.timer",)


def test_planning_changes_neither_argument() -> None:
    desired, observed = instance(units=SWEEP), killed({}, {"units": SWEEP})
    known = built(desired)
    before = deepcopy((desired, known, observed))
    planning.plan(desired, known, observed)
    assert (desired, known, observed) == before


def diff(observed: ObservedState, **changes: Any) -> dict:
    """For each file what was and what will be."""
    return {
        entry["after_header"]: (entry["before"], entry["after"])
        for entry in planned(observed, **changes).diff
    }


def test_the_diff_shows_files_that_change_and_no_others() -> None:
    assert diff(host(), config=CHANGED) == {"/etc/loki/loki-config.yml": ("a: 1\n", "a: 2\n")}
    assert diff(host(), config=[]) == {"/etc/loki/loki-config.yml": ("a: 1\n", "")}


def test_the_diff_names_secrets_and_never_shows_them() -> None:
    secret, other = {"secrets": {"key": "PLANTED"}}, {"secrets": {"key": "ANOTHER"}}
    shown = [
        diff(host(), **secret),
        diff(host(**secret)),
        diff(host(**secret), **other),
        diff(replace(host(**secret), drift=("etc/key",)), **secret),
        # A configuration becomes a secret, and a secret a configuration.
        diff(host(config=[{"path": "key", "content": "open"}]), config=[], **secret),
        diff(host(config=[], **secret), config=[{"path": "key", "content": "open"}]),
    ]
    assert all("/etc/loki/key" in entries for entries in shown)
    assert "PLANTED" not in str(shown)
    assert "ANOTHER" not in str(shown)
    assert diff(host(**secret), config=CHANGED, **secret).keys() == {"/etc/loki/loki-config.yml"}


def test_the_diff_names_added_files_without_their_content() -> None:
    observed = replace(
        host(), untracked=("etc/key~",), contents={**host().contents, "etc/key~": b"PLANTED"}
    )
    assert diff(observed) == {"/etc/loki/key~": ("a file added by hand\n", "")}


def test_the_diff_shows_what_was_typed_by_hand() -> None:
    observed = replace(
        host(),
        drift=("etc/loki-config.yml",),
        contents={**host().contents, "etc/loki-config.yml": b"a: 9"},
    )
    assert diff(observed) == {"/etc/loki/loki-config.yml": ("a: 9\n", "a: 1\n")}


def test_the_diff_tells_of_a_changed_mode() -> None:
    assert diff(replace(host(), drift=("etc/loki-config.yml",))) == {
        "/etc/loki/loki-config.yml": ("owner or mode changed by hand\n", "root-owned, mode 0640\n")
    }


def test_the_strongest_action_is_the_one_to_tell() -> None:
    assert planning.strongest([NONE, RELOAD, SWITCH]) == RELOAD
    assert planning.strongest([]) == NONE
