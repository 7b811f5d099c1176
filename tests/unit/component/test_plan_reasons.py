# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons that a plan gives, the action that each one alone leads to, and whether it stages."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    manifest,
    rollout_plan,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
    Unit,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
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

OTHER_RELOAD = {**RELOAD_OPTION, "success": "another"}
SWEEP = {
    "loki-sweep.service": {"Service": {"ExecStart": "/bin/sweep"}},
    "loki-sweep.timer": {"Timer": {"OnCalendar": "daily"}},
}
CURRENT = "1-" + built(instance())["id"]


def planned(observed: ObservedState, **changes: Any) -> Plan:
    desired = instance(**changes)
    return rollout_plan.plan(desired, built(desired), observed)


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        pytest.param(
            {},
            {"config": [*CONFIG, {"path": "b", "content": ""}]},
            ["etc/b is added"],
            id="an added file",
        ),
        pytest.param(
            {},
            {"config": []},
            ["etc/loki-config.yml is removed"],
            id="a removed file",
        ),
        pytest.param(
            {},
            {"config": [{**CONFIG[0], "content": "a: 2\n"}]},
            ["etc/loki-config.yml changes"],
            id="a changed file",
        ),
        pytest.param(
            {},
            {"config": [{**CONFIG[0], "on_change": "none"}]},
            ["on_change of etc/loki-config.yml becomes none"],
            id="another on_change",
        ),
        pytest.param(
            {},
            {"listen_addresses": ["127.0.0.1:1"]},
            ["listen_addresses changes"],
            id="another address",
        ),
        pytest.param({}, {"ready": {"url": "x"}}, ["ready changes"], id="ready"),
        pytest.param(
            {"reload": RELOAD_OPTION},
            {"reload": OTHER_RELOAD},
            ["reload changes"],
            id="reload",
        ),
        pytest.param(
            {"units": SWEEP},
            {},
            [
                "loki-sweep.service is removed",
                "loki-sweep.timer is removed",
                "the set of units changes",
            ],
            id="removed units",
        ),
    ],
)
def test_a_plan_tells_what_differs(
    before: dict[str, Any], after: dict[str, Any], reasons: list[str]
) -> None:
    plan = planned(running(instance(**before)), **after)
    assert list(plan.reasons) == reasons
    assert plan.stage


def test_a_plan_tells_of_another_release_first() -> None:
    desired = instance(config=[])
    observed = running(instance())
    plan = rollout_plan.plan(desired, built(desired, "loki-3.7.9-89abcdef"), observed)
    assert list(plan.reasons) == [
        f"release {RELEASE_DIRECTORY} becomes loki-3.7.9-89abcdef",
        "etc/loki-config.yml is removed",
        f"{RELEASE_DIRECTORY} is running, loki-3.7.9-89abcdef is desired",
    ]
    assert plan.diff[0] == {
        "before_header": "release of loki",
        "after_header": "release of loki",
        "before": RELEASE_DIRECTORY + "\n",
        "after": "loki-3.7.9-89abcdef\n",
    }


OVERRIDE = layout.override("loki.service")
UP = running(instance()).units["loki.service"]


@pytest.mark.parametrize(
    ("changes", "reasons", "action", "stages", "reloads_manager"),
    [
        pytest.param(
            {"account_exists": False},
            ["its user or group is missing"],
            RESTART,
            True,
            False,
            id="no account",
        ),
        pytest.param(
            {"release_intact": False},
            ["the unpacked release is damaged"],
            RESTART,
            False,
            False,
            id="a damaged release",
        ),
        pytest.param(
            {"modes": ("/opt/monitoring",)},
            ["/opt/monitoring has another owner or mode"],
            SWITCH,
            False,
            False,
            id="an open directory",
        ),
        pytest.param(
            {"links": ("/etc/loki",)},
            ["/etc/loki is missing or points elsewhere"],
            SWITCH,
            False,
            True,
            id="a link",
        ),
        pytest.param(
            {"links": (layout.unit("loki.service"),)},
            [f"{layout.unit('loki.service')} is missing or of another generation"],
            SWITCH,
            False,
            True,
            id="a unit file",
        ),
        pytest.param(
            {"links": (OVERRIDE,)},
            [f"{OVERRIDE} takes precedence over the unit that was rolled out"],
            SWITCH,
            False,
            True,
            id="an edit of a unit",
        ),
        pytest.param(
            {"units": {"loki.service": replace(UP, stale=True)}},
            ["systemd has not loaded the current loki.service"],
            SWITCH,
            False,
            True,
            id="a unit that was changed on disk",
        ),
        pytest.param(
            {"units": {"loki.service": replace(UP, load="not-found")}},
            ["systemd has not loaded the current loki.service"],
            SWITCH,
            False,
            True,
            id="a unit that is not loaded",
        ),
        pytest.param(
            {"units": {"loki.service": replace(UP, active="reloading")}},
            [],
            NONE,
            False,
            False,
            id="a program that is reloading",
        ),
        pytest.param(
            {"units": {"loki.service": replace(UP, active="activating")}},
            ["loki.service is activating"],
            RESTART,
            False,
            False,
            id="a program that is starting",
        ),
        pytest.param(
            {"drift": ("etc/",)},
            ["etc/ was changed manually"],
            RESTART,
            True,
            False,
            id="a directory of the configuration",
        ),
        pytest.param(
            {"untracked": ("bin/more",)},
            ["bin/more was added manually"],
            SWITCH,
            True,
            False,
            id="an added script",
        ),
        pytest.param(
            {"drift": ("release",)},
            ["release was changed manually"],
            RESTART,
            True,
            False,
            id="the link to the release",
        ),
        pytest.param(
            {"manifest": {**built(instance()), "id": ""}},
            [f"the manifest of generation {CURRENT} cannot be read"],
            NONE,
            True,
            False,
            id="a manifest that cannot be read",
        ),
    ],
)
def test_a_plan_tells_what_it_repairs(
    changes: dict[str, Any],
    reasons: list[str],
    action: str,
    stages: bool,
    reloads_manager: bool,
) -> None:
    plan = planned(replace(running(instance()), **changes))
    assert list(plan.reasons) == reasons
    assert plan.action == (SWITCH if "manifest" in changes else action)
    assert (plan.stage, plan.reload_manager) == (stages, reloads_manager)
    if not stages:
        assert plan.diff == ()


def test_a_recovered_manifest_says_nothing_of_its_files() -> None:
    recovered = manifest.recovered("loki", "loki", "loki-1", {})
    plan = planned(replace(running(instance()), manifest=recovered))
    assert list(plan.reasons) == [
        f"the manifest of generation {CURRENT} cannot be read"
    ]


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        pytest.param(
            {"running": "0-a", "running_manifest": None},
            ["the running generation is unknown"],
            id="unknown",
        ),
        pytest.param(
            {"running_unit": "another"},
            ["it was started from another definition of loki.service"],
            id="another unit",
        ),
        pytest.param(
            {
                "running": "0-a",
                "running_manifest": built(instance(config=[])),
            },
            ["generation 0-a is still running"],
            id="an older generation",
        ),
        pytest.param(
            {"running": "0-a"},
            ["generation 0-a is recorded as the running one"],
            id="an older generation with the same files",
        ),
        pytest.param(
            {"last_known_good": "0-a"},
            [f"generation {CURRENT} was never verified"],
            id="never verified",
        ),
    ],
)
def test_a_plan_tells_why_the_program_has_to_change(
    changes: dict[str, Any], reasons: list[str]
) -> None:
    plan = planned(replace(running(instance()), **changes))
    assert list(plan.reasons) == reasons
    assert plan.changed


def test_a_changed_mode_alone_is_a_change() -> None:
    before = built(instance())
    before["files"]["etc/loki-config.yml"]["mode"] = "0600"
    observed = replace(running(instance()), manifest=before, running_manifest=before)
    plan = planned(observed)
    assert list(plan.reasons) == ["etc/loki-config.yml changes"]
    assert plan.action == RESTART


def test_a_removed_file_has_the_effect_that_it_had() -> None:
    watched = [*CONFIG, {"path": "w", "content": "", "on_change": "none"}]
    assert planned(running(instance(config=watched))).action == SWITCH
    scripts = [{"path": "run", "content": "", "on_change": "restart"}]
    assert planned(running(instance(scripts=scripts))).action == RESTART


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        pytest.param({"pending": True}, SWITCH, id="only unfinished"),
        pytest.param(
            {"pending": True, "running": "0-a", "manifest": None}, "install", id="bare"
        ),
        pytest.param(
            {"pending": True, "running": "0-a"}, RELOAD, id="perhaps reloaded"
        ),
    ],
)
def test_an_unfinished_switch_is_finished(changes: dict[str, Any], action: str) -> None:
    options = {"reload": RELOAD_OPTION, "units": SWEEP}
    observed = replace(running(instance(**options)), **changes)
    plan = planned(observed, **options)
    assert plan.action == action
    assert plan.restart_units == ("loki-sweep.timer",)
    assert plan.reload_manager


def test_a_timer_is_restarted_when_it_changes_or_was_changed() -> None:
    before = running(instance(units=SWEEP))
    weekly = {**SWEEP, "loki-sweep.timer": {"Timer": {"OnCalendar": "weekly"}}}
    for plan in (
        planned(before, units=weekly),
        planned(replace(before, drift=("loki-sweep.timer",)), units=SWEEP),
    ):
        assert plan.restart_units == ("loki-sweep.timer",)
        assert plan.reload_manager
        assert "loki-sweep.timer is restarted" in plan.reasons


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        pytest.param(
            {"key": "a"}, {"key": "b"}, ("a secret", "another secret"), id="changed"
        ),
        pytest.param({}, {"key": "b"}, ("", "another secret"), id="added"),
        pytest.param({"key": "a"}, {}, ("a secret", ""), id="removed"),
    ],
)
def test_a_diff_tells_what_becomes_of_a_secret(
    before: dict[str, str], after: dict[str, str], shown: tuple[str, str]
) -> None:
    plan = planned(running(instance(secrets=before)), secrets=after)
    assert plan.diff == (
        {
            "before_header": layout.etc("loki") + "/key",
            "after_header": layout.etc("loki") + "/key",
            "before": shown[0] + "\n" if shown[0] else "",
            "after": shown[1] + "\n" if shown[1] else "",
        },
    )


def test_a_diff_shows_a_directory_whose_mode_was_changed() -> None:
    observed = replace(
        running(instance()), drift=("etc/", "etc/loki-config.yml", "gone.yml")
    )
    entries = {
        entry["before_header"]: (entry["before"], entry["after"])
        for entry in planned(observed).diff
    }
    assert entries == {
        layout.etc("loki") + "/": (
            "owner or mode changed manually\n",
            "root-owned, mode 0750\n",
        ),
        layout.etc("loki") + "/loki-config.yml": (
            "owner or mode changed manually\n",
            "root-owned, mode 0640\n",
        ),
    }


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("etc/rules/a.yml", "/etc/loki/rules/a.yml"),
        ("bin/run", os.path.join(layout.current("loki"), "bin/run")),
        ("bin/", os.path.join(layout.current("loki"), "bin")),
        ("manifest.json", os.path.join(layout.current("loki"), "manifest.json")),
        ("loki.service", layout.unit("loki.service")),
    ],
)
def test_a_file_is_shown_where_the_host_uses_it(path: str, shown: str) -> None:
    assert rollout_plan.shown_path("loki", path) == shown


def test_a_unit_that_was_never_seen_does_not_run() -> None:
    assert ObservedState().unit("x") == Unit("inactive", "dead", 0, "", 0)
