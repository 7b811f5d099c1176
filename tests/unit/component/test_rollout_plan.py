# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the rollout of one instance from desired and observed state."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    rollout_plan as planning,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
    Unit,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
    INSTALL,
    NONE,
    RELOAD,
    RESTART,
    SWITCH,
    Plan,
)
from tests.unit.component.factories import (
    CONFIG,
    RELEASE_DIRECTORY,
    built,
    instance,
    running,
)
from tests.unit.component.factories import RELOAD as RELOAD_OPTION

TIMER = {
    "loki-sweep.timer": {
        "Timer": {"OnCalendar": "daily"},
        "Install": {"WantedBy": "timers.target"},
    }
}
SWEEP = {"loki-sweep.service": {"Service": {"ExecStart": "/bin/sweep"}}, **TIMER}
CHANGED = [{**CONFIG[0], "content": "a: 2\n"}]
DOWN = Unit(active="inactive")


def planned(
    observed: ObservedState, release: str = RELEASE_DIRECTORY, **changes: Any
) -> Plan:
    """Return the plan for options that differ from those of the host."""
    desired = instance(**changes)
    return planning.plan(desired, built(desired, release), observed)


def host(**changes: Any) -> ObservedState:
    """Return the observed state of a converged host."""
    return running(instance(**changes))


def test_a_converged_host_needs_nothing() -> None:
    for options in (
        {},
        {"units": SWEEP},
        {"secrets": {"key": "s"}},
        {"reload": RELOAD_OPTION},
    ):
        plan = planned(host(**options), **options)
        assert plan == Plan("loki", NONE)
        assert not plan.changed


@pytest.mark.parametrize(
    ("before", "after", "action"),
    [
        pytest.param(
            {},
            {"config": CHANGED},
            RESTART,
            id="a file of a program that cannot reload",
        ),
        pytest.param(
            {"reload": RELOAD_OPTION},
            {"reload": RELOAD_OPTION, "config": CHANGED},
            RELOAD,
            id="a file",
        ),
        pytest.param(
            {"reload": RELOAD_OPTION},
            {
                "reload": RELOAD_OPTION,
                "config": [{**CHANGED[0], "on_change": "restart"}],
            },
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
        pytest.param(
            {"reload": RELOAD_OPTION},
            {"reload": RELOAD_OPTION, "config": []},
            RELOAD,
            id="a removed file of a program that reloads",
        ),
        pytest.param(
            {"reload": RELOAD_OPTION},
            {"config": []},
            RESTART,
            id="a removed file, and reload is no longer set",
        ),
        pytest.param({}, {"environment": {"A": "1"}}, RESTART, id="the unit"),
        pytest.param(
            {"reload": RELOAD_OPTION},
            {"reload": RELOAD_OPTION, "environment": {"A": "1"}, "config": CHANGED},
            RESTART,
            id="the unit and a file",
        ),
        pytest.param(
            {"secrets": {"key": "a"}}, {"secrets": {"key": "b"}}, RESTART, id="a secret"
        ),
        pytest.param({}, {"secrets": {"key": "b"}}, RESTART, id="an added secret"),
        pytest.param({}, {"units": TIMER}, SWITCH, id="an added timer"),
        pytest.param({"units": TIMER}, {}, SWITCH, id="a removed timer"),
        pytest.param(
            {}, {"reload": RELOAD_OPTION}, SWITCH, id="only how a reload is verified"
        ),
    ],
)
def test_a_change_is_planned_as(before: dict, after: dict, action: str) -> None:
    plan = planned(host(**before), **after)
    assert plan.action == action
    assert plan.stage is (action != NONE)
    assert bool(plan.reasons) is (action != NONE)


def test_another_release_restarts_the_program_without_a_reload_of_the_manager() -> None:
    plan = planned(host(), release="loki-3.7.9-89abcdef")
    assert (plan.action, plan.stage, plan.reload_manager) == (RESTART, True, False)
    assert "release loki-3.7.8-01234567 becomes loki-3.7.9-89abcdef" in plan.reasons


@pytest.mark.parametrize(
    ("before", "after", "reload_manager"),
    [
        pytest.param({}, {"config": CHANGED}, False, id="a file"),
        pytest.param({}, {"description": "another"}, True, id="the main unit"),
        pytest.param({}, {"units": TIMER}, True, id="an added unit"),
        pytest.param({"units": TIMER}, {}, True, id="a removed unit"),
        pytest.param(
            {"units": SWEEP},
            {"units": {**SWEEP, "loki-sweep.service": {}}},
            True,
            id="another unit",
        ),
    ],
)
def test_the_manager_is_reloaded_for(
    before: dict, after: dict, reload_manager: bool
) -> None:
    assert planned(host(**before), **after).reload_manager is reload_manager


def test_a_bare_host_is_installed_with_every_unit() -> None:
    plan = planned(
        ObservedState(units={"loki.service": Unit(), "loki-sweep.timer": Unit()}),
        units=SWEEP,
    )
    assert (plan.action, plan.stage, plan.reload_manager) == (INSTALL, True, True)
    assert plan.restart_units == ("loki-sweep.timer",)
    assert plan.reasons == ("it is not installed",)
    assert {entry["after_header"] for entry in plan.diff} == {
        "release of loki",
        "/etc/loki/loki-config.yml",
        layout.unit("loki.service"),
        layout.unit("loki-sweep.service"),
        layout.unit("loki-sweep.timer"),
    }


def test_an_instance_is_installed_although_the_distribution_s_unit_runs() -> None:
    plan = planned(
        ObservedState(units={"loki.service": Unit(active="active", main_pid=3)})
    )
    assert plan.action == INSTALL


@pytest.mark.parametrize("active", ["inactive", "failed", "activating", "deactivating"])
def test_a_stopped_program_is_started_from_its_current_generation(active: str) -> None:
    observed = replace(
        host(),
        units={"loki.service": Unit(active=active)},
        running="",
        running_manifest=None,
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
    assert (plan.action, plan.stage, plan.restart_units) == (
        SWITCH,
        False,
        ("loki-sweep.timer",),
    )
    assert plan.reasons == ("loki-sweep.timer is restarted",)


def test_a_further_service_waits_for_its_timer() -> None:
    observed = host(units=SWEEP)
    units = {**observed.units, "loki-sweep.service": DOWN}
    assert planned(replace(observed, units=units), units=SWEEP).action == NONE


def test_units_that_are_no_longer_desired_are_stopped() -> None:
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
            "etc/key",
            {"secrets": {"key": "s"}, "reload": RELOAD_OPTION},
            RESTART,
            id="a secret",
        ),
        pytest.param("loki-sweep.service", {"units": SWEEP}, SWITCH, id="another unit"),
        pytest.param(
            "release", {"reload": RELOAD_OPTION}, RESTART, id="the link to the release"
        ),
    ],
)
def test_a_manually_changed_file_is_restored_and_read_again(
    drift: str, options: dict, action: str
) -> None:
    plan = planned(replace(host(**options), drift=(drift,)), **options)
    assert (plan.action, plan.stage) == (action, True)
    assert plan.reasons[0] == f"{drift} was changed manually"


@pytest.mark.parametrize(
    ("untracked", "options", "action"),
    [
        pytest.param(
            "etc/rules/own.yml",
            {"reload": RELOAD_OPTION},
            RELOAD,
            id="that an include may have read",
        ),
        pytest.param(
            "etc/rules/own.yml", {}, RESTART, id="of a program that cannot reload"
        ),
        pytest.param(
            "bin/tool", {"reload": RELOAD_OPTION}, SWITCH, id="among the scripts"
        ),
        pytest.param(
            "loki.service~",
            {},
            SWITCH,
            id="beside the units, where systemd does not look",
        ),
    ],
)
def test_a_manually_added_file_is_removed(
    untracked: str, options: dict, action: str
) -> None:
    plan = planned(replace(host(**options), untracked=(untracked,)), **options)
    assert (plan.action, plan.stage) == (action, True)
    assert plan.reasons[0] == f"{untracked} was added manually"


def test_a_damaged_release_is_unpacked_again_and_the_program_restarted() -> None:
    plan = planned(replace(host(), release_intact=False))
    assert (plan.action, plan.stage, plan.reasons) == (
        RESTART,
        False,
        ("the unpacked release is damaged",),
    )


def test_a_missing_link_is_set_and_the_manager_reloaded() -> None:
    plan = planned(replace(host(), links=("/etc/systemd/system/loki.service",)))
    assert (plan.action, plan.stage, plan.reload_manager) == (SWITCH, False, True)


# State after a killed run: `before` was running when it began, `after` is desired and current.
def killed(before: dict, after: dict, **observed: Any) -> ObservedState:
    """Return the state of a host whose last run was killed after its switch."""
    old, new = host(**before), host(**after)
    name = "2-" + new.manifest["id"]
    switched = replace(
        new,
        current=name,
        last_known_good_manifest=old.manifest,
        running_unit=old.running_unit,
        pending=True,
    )
    return replace(
        switched,
        **{"running": old.running, "running_manifest": old.manifest, **observed},
    )


def test_a_run_killed_before_the_reload_is_finished_by_a_reload() -> None:
    before, after = (
        {"reload": RELOAD_OPTION},
        {"reload": RELOAD_OPTION, "config": CHANGED},
    )
    plan = planned(killed(before, after), **after)
    assert (plan.action, plan.stage, plan.reload_manager) == (RELOAD, False, True)
    assert plan.reasons[0].endswith("is still running")


def test_a_run_killed_before_the_restart_is_finished_by_a_restart_even_after_a_change_back() -> (
    None
):
    before, after = {}, {"environment": {"A": "1"}}
    assert planned(killed(before, after), **after).action == RESTART
    assert planned(killed(before, after), **before).action == SWITCH


def test_a_program_that_systemd_restarted_before_it_reloaded_the_unit_is_restarted() -> (
    None
):
    before, after = {}, {"environment": {"A": "1"}}
    observed = killed(before, after)
    observed = replace(
        observed, running=observed.current, running_manifest=observed.manifest
    )
    assert planned(observed, **after).action == RESTART
    # A different desired state in the meantime does not lose it.
    assert (
        planned(observed, **after, reload=RELOAD_OPTION, config=CHANGED).action
        == RESTART
    )
    # After a reboot systemd has read the new unit.
    assert (
        planned(
            replace(observed, pending=False, running_unit=observed.manifest["unit"]),
            **after,
        ).action
        == SWITCH
    )


def test_a_program_of_an_unknown_unit_is_restarted() -> None:
    plan = planned(replace(host(), running_unit=""))
    assert (plan.action, plan.reasons) == (
        RESTART,
        ("it was started from another definition of loki.service",),
    )


def test_a_run_killed_before_its_commit_is_verified_without_a_restart() -> None:
    before, after = {}, {"config": CHANGED}
    observed = killed(before, after)
    observed = replace(
        observed, running=observed.current, running_manifest=observed.manifest
    )
    plan = planned(observed, **after)
    assert (plan.action, plan.stage, plan.reasons) == (
        SWITCH,
        False,
        (f"generation {observed.current} was never verified",),
    )


def test_a_run_killed_before_it_recorded_the_running_generation_records_it() -> None:
    before, after = (
        {"config": [{**item[0], "on_change": "none"}]} for item in (CONFIG, CHANGED)
    )
    observed = killed(before, after)
    plan = planned(replace(observed, last_known_good=observed.current), **after)
    assert (plan.action, plan.stage) == (SWITCH, False)


def test_a_repair_killed_before_the_reload_is_finished() -> None:
    observed = killed({}, {}, running_drift=("etc/loki-config.yml",))
    assert planned(observed).action == RESTART
    assert planned(replace(observed, running_drift=())).action == SWITCH


def test_a_reload_that_was_not_recorded_is_undone_by_another_one() -> None:
    before, after = (
        {"reload": RELOAD_OPTION},
        {"reload": RELOAD_OPTION, "config": CHANGED},
    )
    observed = killed(before, after)
    assert planned(observed, **before).action == RELOAD
    assert planned(replace(observed, pending=False), **before).action == SWITCH
    assert planned(observed).action == RESTART


def test_a_run_killed_before_its_timers_were_started_starts_them() -> None:
    plan = planned(killed({}, {"units": SWEEP}), units=SWEEP)
    assert plan.restart_units == ("loki-sweep.timer",)


def test_planning_changes_neither_argument() -> None:
    desired, observed = instance(units=SWEEP), killed({}, {"units": SWEEP})
    manifest = built(desired)
    before = deepcopy((desired, manifest, observed))
    planning.plan(desired, manifest, observed)
    assert (desired, manifest, observed) == before


def diff(observed: ObservedState, **changes: Any) -> dict[str, tuple[str, str]]:
    """Return what the diff shows of each file before and after."""
    return {
        entry["after_header"]: (entry["before"], entry["after"])
        for entry in planned(observed, **changes).diff
    }


def test_the_diff_shows_files_that_change_and_no_others() -> None:
    assert diff(host(), config=CHANGED) == {
        "/etc/loki/loki-config.yml": ("a: 1\n", "a: 2\n")
    }
    assert diff(host(), config=[]) == {"/etc/loki/loki-config.yml": ("a: 1\n", "")}


def test_the_diff_names_secrets_and_never_shows_them() -> None:
    secret, another = {"secrets": {"key": "PLANTED"}}, {"secrets": {"key": "ANOTHER"}}
    diffs = [
        diff(host(), **secret),
        diff(host(**secret)),
        diff(host(**secret), **another),
        diff(replace(host(**secret), drift=("etc/key",)), **secret),
        # A configuration becomes a secret, and a secret a configuration.
        diff(host(config=[{"path": "key", "content": "open"}]), config=[], **secret),
        diff(host(config=[], **secret), config=[{"path": "key", "content": "open"}]),
    ]
    assert all("/etc/loki/key" in entries for entries in diffs)
    assert "PLANTED" not in str(diffs)
    assert "ANOTHER" not in str(diffs)
    assert diff(host(**secret), config=CHANGED, **secret).keys() == {
        "/etc/loki/loki-config.yml"
    }


def test_the_diff_names_added_files_without_their_content() -> None:
    observed = replace(
        host(),
        untracked=("etc/key~",),
        contents={**host().contents, "etc/key~": b"PLANTED"},
    )
    assert diff(observed) == {"/etc/loki/key~": ("a file added manually\n", "")}


def test_the_diff_shows_a_manual_change() -> None:
    observed = replace(
        host(),
        drift=("etc/loki-config.yml",),
        contents={**host().contents, "etc/loki-config.yml": b"a: 9"},
    )
    assert diff(observed) == {"/etc/loki/loki-config.yml": ("a: 9\n", "a: 1\n")}


def test_the_diff_names_a_changed_mode() -> None:
    assert diff(replace(host(), drift=("etc/loki-config.yml",))) == {
        "/etc/loki/loki-config.yml": (
            "owner or mode changed manually\n",
            "root-owned, mode 0640\n",
        )
    }


def test_the_diff_leaves_out_a_file_that_was_removed_manually_and_is_no_longer_desired() -> (
    None
):
    contents = {"loki.service": host().contents["loki.service"]}
    observed = replace(host(), drift=("etc/loki-config.yml",), contents=contents)
    assert diff(observed, config=[]) == {}


def test_the_strongest_action_is_reported() -> None:
    assert planning.strongest([NONE, RELOAD, SWITCH]) == RELOAD
    assert planning.strongest([]) == NONE
