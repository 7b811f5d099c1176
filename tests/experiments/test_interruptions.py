# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout on a real host that is interrupted at any point, by any signal or a cut connection.

Before the commit the old generation runs again when the module has ended; after it, the new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component.failpoints import (
    KILL_AT,
)
from tests.failpoints import FAILPOINTS
from tests.resilience.rollout import (
    SCENARIOS,
    Rollout,
    differences,
    good,
    wait_until,
)
from tests.resilience.test_component import (
    NOT_IN_A_GOOD_RUN,
    NOT_PASSED,
    require_a_killed_run_is_finished,
)

POINTS = [point for point in FAILPOINTS if point not in NOT_IN_A_GOOD_RUN]
COMMITTED = POINTS[POINTS.index("after-commit") :]
# Where a release has to be unpacked first, the module that meets these changes no generation.
BEFORE_THE_ROLLOUT = ("after-lock", "after-download", "after-unpack")


def passed(scenario: str, point: str) -> bool:
    """Return whether a run of the scenario reaches the failpoint."""
    return (scenario, point) not in NOT_PASSED


def prepared(rollout: Rollout, scenario: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bring the host to the scenario's start; return the tasks before and after the change."""
    installed, change = SCENARIOS[scenario]
    before = rollout.task()
    if installed:
        good(rollout.run(before))
    return before, rollout.task(**change)


def require_consistent(rollout: Rollout, scenario: str, point: str) -> None:
    """Require the new generation after the commit, and the old one, or nothing, before it."""
    installed, change = SCENARIOS[scenario]
    new = change.get("config", {}).get("answer", "one")
    if point in COMMITTED:
        assert rollout.answer() == new
    elif installed:
        assert rollout.answer() == "one"
        assert rollout.pid()
    else:
        active = rollout.host.run("systemctl is-active testd", check=False)
        assert active.stdout.strip() != "active"


def require_convergence(
    rollout: Rollout, scenario: str, point: str, before: dict, after: dict
) -> None:
    """Require that a run of the active generation's task changes nothing, and the new one works."""
    installed = SCENARIOS[scenario][0]
    if point in COMMITTED or not installed:
        good(rollout.run(after))
    else:
        assert good(rollout.run(before)).result["changed"] is False
        good(rollout.run(after))
    snapshot = rollout.snapshot()
    assert good(rollout.run(after)).result["changed"] is False
    assert differences(snapshot, rollout.snapshot()) == []


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_at_any_point_is_finished_by_the_next_one(
    rollout: Rollout,
    undisturbed: Callable[[Rollout, str], str],
    scenario: str,
    point: str,
) -> None:
    require_a_killed_run_is_finished(rollout, undisturbed, scenario, point)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("point", POINTS)
def test_a_signal_at_any_point_ends_in_one_of_both_generations(
    rollout: Rollout, scenario: str, point: str, number: str
) -> None:
    before, after = prepared(rollout, scenario)
    ended = rollout.run(after, environment={KILL_AT: f"{point}:{number}"})
    if not passed(scenario, point):
        assert ended.returncode == 0
        return
    assert ended.returncode == 2
    require_consistent(rollout, scenario, point)
    require_convergence(rollout, scenario, point, before, after)


def stopped_module(rollout: Rollout) -> int:
    """Return the process id of the module that stopped itself at a failpoint, or 0."""
    listed = rollout.host.run(
        "grep -l '^State:.T' /proc/[0-9]*/status 2>/dev/null", check=False
    )
    return int(listed.stdout.split("/")[2]) if listed.stdout else 0


def cut_connection(rollout: Rollout) -> None:
    """End the host's side of every SSH connection, as when its packets no longer arrive."""
    rollout.host.run("pkill -KILL -f '^sshd: root' || true")


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelining", "terminal"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("point", POINTS)
def test_a_cut_connection_at_any_point_ends_in_one_of_both_generations(
    rollout: Rollout, scenario: str, point: str, pipelining: bool
) -> None:
    before, after = prepared(rollout, scenario)
    rollout.pipelining = pipelining
    process = rollout.start(after, environment={KILL_AT: f"{point}:SIGSTOP"})
    if not passed(scenario, point):
        assert process.communicate()[0]
        assert process.returncode == 0
        return
    wait_until(lambda: stopped_module(rollout))
    module = stopped_module(rollout)
    cut_connection(rollout)
    # A run whose connection is lost tries it once more; here its controller is gone as well.
    rollout.kill(process)
    rollout.host.run(f"kill -CONT {module} || true")
    wait_until(lambda: not module_runs(rollout, module), seconds=60)
    # With a terminal, its end is a signal. Without one, the module finds out when it has ended.
    is_rollout = scenario == "reload" or point not in BEFORE_THE_ROLLOUT
    ends_at = "after-commit" if pipelining and is_rollout else point
    rollout.pipelining = True
    require_consistent(rollout, scenario, ends_at)
    require_convergence(rollout, scenario, ends_at, before, after)


def module_runs(rollout: Rollout, process: int) -> bool:
    """Return whether a process of the host still runs."""
    done = rollout.host.run(f"test -d /proc/{process}", check=False)
    return done.returncode == 0


def test_killed_runs_in_a_queue_leave_no_late_change(rollout: Rollout) -> None:
    good(rollout.run(rollout.task()))
    slow = rollout.task({"fault": "never ready"}, environment={"A": "b"})
    holder = rollout.start({**slow, "ready": {**slow["ready"], "timeout": 25}})
    wait_until(lambda: rollout.answer("/ready") == "")
    queued = []
    for number in range(3):
        queued.append(rollout.start(rollout.task({"answer": f"stale {number}"})))
        time.sleep(4)
    for process in queued:
        rollout.kill(process)
    holder.communicate(timeout=120)
    assert rollout.answer() == "one"
    before = rollout.snapshot()
    time.sleep(10)
    assert rollout.answer() == "one"
    assert differences(before, rollout.snapshot()) == []
    assert good(rollout.run(rollout.task())).result["changed"] is False
