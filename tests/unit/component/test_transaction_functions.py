# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions of the transaction, each on its own: what they decide and what they call."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    adoption,
    fallback,
    generation,
    layout,
    observe,
    probe,
    systemd,
    transaction,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
    InterruptedRunError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
    Unit,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.ports import (
    Handover,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.removal import (
    Removal,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
    NONE,
    RELOAD,
    RESTART,
    SWITCH,
    Plan,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.transaction import (
    Result,
    Rollout,
)
from tests.unit.component.factories import RELOAD as RELOAD_PROBE
from tests.unit.component.factories import built, instance

MAIN, TIMER = "loki.service", "loki-sweep.timer"
SWEEP = {
    "loki-sweep.service": {"Service": {"ExecStart": "/bin/true"}},
    TIMER: {
        "Timer": {"OnCalendar": "daily"},
        "Install": {"WantedBy": "timers.target"},
    },
}
OLD, NEW = "1-old", "2-new"


def rollout(
    action: str = RESTART,
    stage: bool = False,
    observed: ObservedState | None = None,
    generation: str = "",
    **options: Any,
) -> Rollout:
    desired = instance(**options)
    found = Rollout(
        desired,
        observed or ObservedState(),
        built(desired),
        Plan(desired.name, action, stage=stage),
    )
    found.generation = generation
    return found


class Calls(list[str]):
    """What was called, in order."""

    def note(self, name: str, result: Any = None) -> Callable[..., Any]:
        """Return a function that notes its call with the words among its arguments."""

        def call(*arguments: Any, **_options: Any) -> Any:
            words = [word for word in arguments if isinstance(word, str)]
            self.append(" ".join([name, *words]))
            return result

        return call


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> dict[str, Unit]:
    """Return what systemd says of units; fill it."""
    found: dict[str, Unit] = {}
    monkeypatch.setattr(
        systemd, "show", lambda names: {name: found.get(name, Unit()) for name in names}
    )
    return found


# Decisions


@pytest.mark.parametrize(
    ("changes", "idle"),
    [
        ({}, True),
        ({"pending": True}, False),
        ({"leftovers": ("/opt/x",)}, False),
        ({"rolled_back_from": "1-a"}, False),
        ({"drift": ("etc/x",)}, True),
    ],
)
def test_a_run_is_idle_without_anything_to_finish(
    changes: dict[str, Any], idle: bool
) -> None:
    found = rollout(NONE, observed=ObservedState(**changes))
    assert transaction.is_idle(Result([rollout(NONE), found])) is idle


def test_a_run_is_not_idle_with_a_change_or_a_removal() -> None:
    assert transaction.is_idle(Result())
    assert not transaction.is_idle(Result([rollout(SWITCH)]))
    assert not transaction.is_idle(Result([], [Removal("loki", None, "")]))


@pytest.mark.parametrize(
    ("action", "active", "is_dead"),
    [
        (RESTART, "failed", True),
        (RESTART, "activating", True),
        (RESTART, "active", False),
        (RELOAD, "failed", False),
    ],
)
def test_what_does_not_start_from_unchanged_files_is_staged_anew(
    states: dict[str, Unit], action: str, active: str, is_dead: bool
) -> None:
    states[MAIN] = Unit(active=active)
    observed = ObservedState(current=OLD, last_known_good=OLD)
    result = Result([rollout(action, observed=observed)])
    assert transaction._mark_dead(result, ComponentError("ended")) is is_dead
    (marked,) = result.rollouts
    assert (marked.plan.stage, marked.plan.reload_manager) == (is_dead, is_dead)
    assert len(result.notices) == is_dead


@pytest.mark.parametrize(
    "reason", ["rolled back", "interrupted", "staged", "never verified"]
)
def test_what_failed_for_another_reason_is_not_staged_anew(
    states: dict[str, Unit], reason: str
) -> None:
    states[MAIN] = Unit(active="failed")
    error = ComponentError("x", ("loki",) if reason == "rolled back" else ())
    if reason == "interrupted":
        error.__context__ = InterruptedRunError("SIGTERM")
    good = "" if reason == "never verified" else OLD
    first = rollout(RESTART, observed=ObservedState(last_known_good=OLD))
    other = rollout(
        RESTART,
        stage=reason == "staged",
        observed=ObservedState(last_known_good=good),
        name="loki-other",
    )
    result = Result([first, other])
    assert transaction._mark_dead(result, error) is False
    assert result.notices == []


@pytest.mark.parametrize(
    ("observed", "adopt", "interrupted", "message"),
    [
        ({}, False, (), ""),
        ({"unmanaged": ("/etc/a",)}, True, (), ""),
        ({"unmanaged": ("/etc/a",)}, False, (), "/etc/a: not made by this collection"),
        ({}, False, ("/etc/b",), "/etc/b: not made by this collection"),
        ({}, True, ("/etc/b",), ""),
        ({"unmanaged": ("/a", "/b")}, False, ("/b", "/c"), "/a, /b, /c: not made"),
        ({"masked": ("a.timer",)}, True, (), "a.timer: masked on this host"),
        ({"masked": ("a", "b")}, False, (), "systemctl unmask a b"),
    ],
)
def test_obstacles_are_refused_unless_they_may_be_adopted(
    observed: dict[str, Any], adopt: bool, interrupted: tuple[str, ...], message: str
) -> None:
    def refuse() -> None:
        transaction.refuse_obstacles(ObservedState(**observed), adopt, interrupted)

    if message:
        with pytest.raises(ComponentError, match=message):
            refuse()
    else:
        refuse()


@pytest.mark.parametrize(
    ("running", "current", "has_data", "told"),
    [
        pytest.param("loki-3.8.0-01234567", "", True, "3.8.0", id="runs"),
        pytest.param("", "loki-3.8.0-01234567", True, "3.8.0", id="was installed"),
        pytest.param(
            "loki-3.9.0-01234567", "loki-3.8.0-01234567", True, "3.9.0", id="both"
        ),
        pytest.param("loki-3.7.8-01234567", "", True, "", id="the same"),
        pytest.param("loki-3.8.0-01234567", "", False, "", id="without data"),
        pytest.param("", "", True, "", id="a first one"),
    ],
)
def test_an_older_version_is_announced_where_a_newer_one_has_written(
    places: Path, running: str, current: str, has_data: bool, told: str
) -> None:
    data = Path(layout.data("loki"))
    data.mkdir(parents=True)
    if has_data:
        (data / "wal").mkdir()

    def of(release: str) -> Any:
        return {"release": release} if release else None

    observed = ObservedState(running_manifest=of(running), manifest=of(current))
    notice = transaction.downgrade_notice(rollout(observed=observed))
    assert bool(notice) is bool(told)
    assert told in notice


@pytest.mark.parametrize(
    ("word", "program"),
    [
        ("{release}/loki", "loki"),
        ("{release}/bin/loki", "bin/loki"),
        ("/usr/bin/loki", ""),
        ("{bin}/loki", ""),
    ],
)
def test_the_program_of_a_release_is_the_first_word(word: str, program: str) -> None:
    desired = instance(command=[word, "{release}/other"])
    assert transaction._program(desired) == program


@pytest.mark.parametrize(
    ("generation_name", "check", "asked"),
    [
        (NEW, ["{release}/loki"], True),
        ("", ["{release}/loki"], False),
        (NEW, [], False),
    ],
)
def test_a_new_generation_with_a_checker_is_checked(
    monkeypatch: pytest.MonkeyPatch,
    calls: Calls,
    generation_name: str,
    check: list[str],
    asked: bool,
) -> None:
    monkeypatch.setattr(
        transaction.config_check, "check_staged", calls.note("check", ["warning"])
    )
    found = rollout(check=check, generation=generation_name)
    expected = (["warning"], [f"check loki-3.7.8-01234567 {NEW}"])
    assert (transaction.check_generation(found), calls) == (
        expected if asked else ([], [])
    )


# What is discarded, committed and cleaned up


@pytest.mark.parametrize(
    ("was_written", "others", "left"),
    [
        (True, True, ["component", f"generations/{OLD}"]),
        (False, True, ["component", f"generations/{OLD}", f"generations/{NEW}"]),
        (True, False, []),
    ],
)
def test_a_generation_that_never_became_current_is_discarded(
    places: Path, was_written: bool, others: bool, left: list[str]
) -> None:
    for name in [NEW, *([OLD] if others else [])]:
        Path(layout.generation("loki", name)).mkdir(parents=True)
    Path(layout.owner("loki")).touch()
    Path(layout.downloads("loki")).mkdir()
    Path(layout.staged_release("loki")).touch()
    found = rollout(generation=NEW)
    found.written = was_written
    transaction._discard_generation(found)
    component = Path(layout.component("loki"))
    assert component.exists() is bool(left)
    assert sorted(
        str(path.relative_to(component)) for path in component.rglob("*")
    ) == (sorted([*left, "generations"]) if left else [])


def test_an_unfinished_download_outlives_what_is_discarded(places: Path) -> None:
    Path(layout.downloads("loki")).mkdir(parents=True)
    (Path(layout.downloads("loki")) / "0123").touch()
    transaction._discard_generation(rollout())
    assert os.listdir(layout.downloads("loki")) == ["0123"]


@pytest.mark.parametrize(
    ("generations", "good", "changes", "committed"),
    [
        pytest.param((NEW,), OLD, {}, [(NEW, {""})], id="a new one"),
        pytest.param(("",), OLD, {"current": OLD}, [], id="the same"),
        pytest.param(("",), "", {"current": OLD}, [(OLD, {""})], id="verified first"),
        pytest.param(
            ("", NEW), OLD, {"current": OLD}, [(OLD, {""}), (NEW, {""})], id="together"
        ),
        pytest.param(
            (NEW,), OLD, {"rolled_back_from": "3-c"}, [(NEW, {"", "3-c"})], id="back"
        ),
        pytest.param(
            (NEW,),
            OLD,
            {"current": OLD, "drift": ("x",)},
            [(NEW, {"", OLD})],
            id="edit",
        ),
        pytest.param(
            (NEW,),
            OLD,
            {"current": OLD, "untracked": ("x",)},
            [(NEW, {"", OLD})],
            id="added",
        ),
    ],
)
def test_what_was_verified_is_committed(
    monkeypatch: pytest.MonkeyPatch,
    generations: tuple[str, ...],
    good: str,
    changes: dict[str, Any],
    committed: list[tuple[str, set[str]]],
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(fallback, "disarm", seen.append)
    monkeypatch.setattr(
        generation, "commit", lambda _name, one, unfit: seen.append((one, unfit))
    )
    observed = ObservedState(last_known_good=good, **changes)
    rollouts = [rollout(generation=name, observed=observed) for name in generations]
    transaction._commit(Result(rollouts, component="loki"))
    assert seen == ["loki", *committed]


def test_the_generation_that_a_run_rolls_back_from_is_unfit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(fallback, "disarm", lambda _component: None)
    monkeypatch.setattr(generation, "commit", lambda *words: seen.append(words))
    found = rollout(generation=OLD, observed=ObservedState(rolled_back_from="3-c"))
    found.rolled_back_from = NEW
    transaction._commit(Result([found], component="loki"))
    assert seen == [("loki", OLD, {"3-c", NEW})]


@pytest.mark.parametrize("back", ["", "4-d"])
def test_a_run_cleans_up_what_nothing_leads_to(places: Path, back: str) -> None:
    names = ("1-a", "2-b", "3-c", "4-d", "5-e")
    for name in names:
        Path(layout.generation("loki", name)).mkdir(parents=True)
    links = {
        "1-a": layout.last_known_good("loki"),
        "2-b": layout.previous("loki"),
        "3-c": layout.current("loki"),
        "4-d": layout.rolled_back_from("loki"),
    }
    for name, link in links.items():
        os.symlink(f"generations/{name}", link)
    Path(layout.downloads("loki")).mkdir()
    Path(layout.RUN).mkdir()
    Path(layout.pending("loki")).touch()
    Path(layout.edited("loki")).mkdir(parents=True)
    found = rollout()
    found.rolled_back_from = back
    transaction._clean_up(found)
    expected = ["1-a", "2-b", "3-c", *([back] if back else [])]
    assert observe.generations("loki") == expected
    assert os.path.lexists(layout.rolled_back_from("loki")) is bool(back)
    for path in (layout.downloads("loki"), layout.pending("loki")):
        assert not os.path.exists(path)
    # An adoption is final.
    assert not os.path.exists(layout.edited("loki"))


# The way back


@pytest.mark.parametrize(("good", "stopped"), [("", [MAIN]), (OLD, [])])
def test_a_giver_of_an_address_that_is_removed_is_started_by_a_dead_run_s_orders(
    monkeypatch: pytest.MonkeyPatch, good: str, stopped: list[str]
) -> None:
    armed: list[Any] = []

    def order(name: str, target: str, before: Any, after: Any) -> Any:
        return name, target, sorted(set(after["units"]) - set(before["units"]))

    monkeypatch.setattr(fallback, "order", order)
    monkeypatch.setattr(fallback, "arm", lambda *words: armed.append(words))
    monkeypatch.setattr(observe, "read_manifest", lambda *_words: None)
    removals = [
        Removal("giver", built(instance(name="giver")), OLD),
        Removal("other", built(instance(name="other")), OLD),
        Removal("unreadable", None, OLD),
    ]
    handovers = (Handover("giver.service", MAIN),)
    rollouts = [rollout(observed=ObservedState(last_known_good=good))]
    result = Result(rollouts, removals, handovers=handovers, component="loki")
    transaction._arm(result)
    # What was never verified has nothing to return to, and would keep the address.
    assert armed == [("loki", [("giver", OLD, stopped)])]
    transaction._arm(replace(result, handovers=()))
    assert armed[1:] == [("loki", [])]


def test_nothing_is_left_when_no_way_back_can_be_ordered(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(fallback, "arm", refuse)
    found = rollout(generation=NEW)
    found.written = True
    Path(layout.generation("loki", NEW)).mkdir(parents=True)
    with pytest.raises(OSError, match="no space left"):
        transaction._arm(Result([found], component="loki"))
    assert not Path(layout.component("loki")).exists()


@pytest.mark.parametrize(
    ("givers", "code", "command", "told"),
    [
        (["b.service", "a.service", MAIN], 0, "a.service b.service", []),
        (["a.service"], 1, "a.service", ["it failed"]),
        ([MAIN], 0, "", []),
        ([], 0, "", []),
    ],
)
def test_what_was_to_be_removed_and_gave_its_address_up_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
    givers: list[str],
    code: int,
    command: str,
    told: list[str],
) -> None:
    ran: list[Any] = []

    def run(
        words: list[str], timeout: float | None = 60
    ) -> subprocess.CompletedProcess[str]:
        ran.append((" ".join(words), timeout))
        return subprocess.CompletedProcess(words, code, "it failed\n")

    monkeypatch.setattr(systemd, "run", run)
    removals = [
        Removal("a", built(instance(name="a")), OLD),
        Removal("b", built(instance(name="b")), OLD),
        Removal("unreadable", None, OLD),
    ]
    handovers = tuple(Handover(giver, "x.service") for giver in givers)
    result = Result([], removals, handovers=handovers)
    assert transaction._restart_removed(result) == told
    expected = [(f"systemctl start -- {command}", None)] if command else []
    assert ran == expected


def test_what_stopped_before_a_switch_that_failed_is_started_again(
    monkeypatch: pytest.MonkeyPatch, states: dict[str, Unit], calls: Calls
) -> None:
    monkeypatch.setattr(generation, "set_links", calls.note("links"))
    monkeypatch.setattr(systemd, "systemctl", calls.note("systemctl"))
    active, inactive = Unit(active="active"), Unit()
    before = {"a": active, "b": active, "c": inactive, "d": inactive}
    states.update(a=inactive, b=active, c=inactive, d=active)
    found = rollout(observed=ObservedState(units=before))
    transaction._undo_preparation(found, found.manifest)
    assert calls == ["links loki", "systemctl start a"]
    calls.clear()
    states.update(a=active)
    transaction._undo_preparation(found, found.manifest)
    assert calls == ["links loki"]


@pytest.mark.parametrize("was_there", [True, False])
def test_a_failed_first_rollout_is_taken_down(
    monkeypatch: pytest.MonkeyPatch, calls: Calls, was_there: bool
) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(
        transaction, "take_down", lambda _name, described: taken.append(described)
    )
    monkeypatch.setattr(transaction, "delete", calls.note("delete"))
    old = built(instance(units=SWEEP)) if was_there else None
    found = rollout(observed=ObservedState(manifest=old))
    transaction._undo_install(found)
    assert taken == ([old] if was_there else []) + [found.manifest]
    assert calls == ["delete loki"]


# Processes


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> Calls:
    """Note what is asked of systemd and of programs."""
    monkeypatch.setattr(systemd, "systemctl", calls.note("systemctl"))
    monkeypatch.setattr(systemd, "record_running", calls.note("record"))
    monkeypatch.setattr(transaction, "_last_reload", calls.note("stamp", 1.5))
    monkeypatch.setattr(transaction, "_reload", calls.note("reload"))
    started = Unit(active="active", main_pid=7, invocation="started")
    monkeypatch.setattr(probe, "started", calls.note("started", started))
    reloaded = replace(started, invocation="reloaded")
    monkeypatch.setattr(probe, "reloaded", calls.note("reloaded", reloaded))
    return calls


RELOADED = [
    f"stamp {MAIN}",
    f"reload {MAIN}",
    f"reloaded {MAIN}",
    f"record loki reloaded {OLD} digest",
]
RESTARTED = [f"systemctl restart {MAIN}", f"started {MAIN}"]


@pytest.mark.parametrize(
    ("action", "pid", "running", "can_reload", "expected"),
    [
        pytest.param(RELOAD, 7, OLD, True, RELOADED, id="reload"),
        pytest.param(RELOAD, 7, OLD, False, RESTARTED, id="no reload before"),
        pytest.param(RELOAD, 7, NEW, True, RESTARTED, id="ran another one"),
        pytest.param(RELOAD, 8, OLD, True, RESTARTED, id="another process"),
        pytest.param(RELOAD, 0, OLD, True, RESTARTED, id="ended"),
        pytest.param(RESTART, 7, OLD, True, RESTARTED, id="restart"),
        pytest.param(SWITCH, 7, OLD, True, [], id="switch"),
        pytest.param(SWITCH, 8, OLD, True, RESTARTED, id="switch and ended"),
    ],
)
def test_a_program_runs_the_restored_generation(
    processes: Calls,
    states: dict[str, Unit],
    action: str,
    pid: int,
    running: str,
    can_reload: bool,
    expected: list[str],
) -> None:
    states[MAIN] = Unit(active="active", main_pid=pid, invocation="now")
    observed = ObservedState(
        running=running, running_unit="digest", units={MAIN: Unit(main_pid=7)}
    )
    before = built(
        instance(units=SWEEP, reload={**RELOAD_PROBE} if can_reload else None)
    )
    transaction._restore_process(rollout(action, observed=observed), OLD, before)
    # A service that a timer starts is not started.
    assert processes == [*expected, f"systemctl restart {TIMER}"]


def test_a_program_that_reports_no_reload_is_restarted(
    processes: Calls, states: dict[str, Unit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "_last_reload", lambda *_words: None)
    unit = Unit(active="active", main_pid=7)
    states[MAIN] = unit
    observed = ObservedState(running=OLD, units={MAIN: unit})
    found = rollout(RELOAD, observed=observed, reload=RELOAD_PROBE)
    transaction._restore_process(found, OLD, found.manifest)
    assert processes == RESTARTED
    processes.clear()
    assert transaction._act_on_process(found) is None
    assert processes == RESTARTED[:1]


@pytest.mark.parametrize(
    ("action", "expected", "stamp"),
    [
        (RELOAD, RELOADED[:2], 1.5),
        (RESTART, RESTARTED[:1], None),
        (SWITCH, [], None),
    ],
)
def test_a_program_is_reloaded_restarted_or_left_alone(
    processes: Calls, action: str, expected: list[str], stamp: float | None
) -> None:
    found = rollout(action, reload=RELOAD_PROBE)
    assert transaction._act_on_process(found) == stamp
    assert processes == expected


@pytest.mark.parametrize(
    ("stamp", "invocation"), [(None, "started"), (1.5, "reloaded"), (0.0, "reloaded")]
)
def test_what_runs_is_recorded_after_it_reported_success(
    processes: Calls, stamp: float | None, invocation: str
) -> None:
    found = rollout(RELOAD, reload=RELOAD_PROBE, generation=NEW)
    found.plan = replace(found.plan, restart_units=(TIMER,))
    transaction._verify(found, stamp)
    digest = found.manifest["unit"]
    assert processes == [
        f"{invocation} {MAIN}",
        f"systemctl restart {TIMER}",
        f"record loki {invocation} {NEW} {digest}",
    ]


@pytest.mark.parametrize("load", ["bad-setting", "not-found", "masked"])
def test_a_unit_that_systemd_does_not_load_is_named(
    processes: Calls, states: dict[str, Unit], load: str
) -> None:
    rollouts = [rollout(units=SWEEP)]
    transaction._reload_manager(rollouts)
    assert processes == ["systemctl daemon-reload"]
    states[TIMER] = Unit(load=load)
    with pytest.raises(ComponentError, match=rf"{TIMER}: .* load it \({load}\)"):
        transaction._reload_manager(rollouts)


# Failures


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, calls: Calls) -> Calls:
    """Note the steps of a rollback, whose instances are restored."""
    monkeypatch.setattr(systemd, "sync_journal", calls.note("sync"))
    monkeypatch.setattr(systemd, "journal", calls.note("journal", "a line"))
    monkeypatch.setattr(systemd, "read_journal", calls.note("read", "notice: told\n"))
    monkeypatch.setattr(systemd, "run", lambda words, timeout: calls.append(words))
    monkeypatch.setattr(fallback, "disarm", calls.note("disarm"))
    monkeypatch.setattr(transaction, "_restart_removed", lambda _result: ["removed"])
    monkeypatch.setattr(
        transaction,
        "_restore_instance",
        lambda one: bool(calls.append("restore " + one.name)) or one.name != "c",
    )
    return calls


def fail(result: Result, reason: str) -> ComponentError:
    with pytest.raises(ComponentError) as caught:
        transaction._roll_back(result, reason, 0)
    return caught.value


def three() -> Result:
    rollouts = [rollout(name=name) for name in ("a", "b", "c")]
    return Result([*rollouts, rollout(NONE, name="d")], component="loki")


def test_a_rollback_restores_in_reverse_and_tells_what_happened(failing: Calls) -> None:
    error = fail(three(), "b.service was not ready")
    assert error.rolled_back == ("b", "a")
    assert str(error).splitlines() == [
        "b.service was not ready",
        "Last log lines of b.service:",
        "a line",
        "removed",
        "told",
        "told",
        "told",
        "Rolled back to the last-known-good generation: b, a.",
    ]
    assert failing == [
        "sync",
        "journal b.service",
        "restore c",
        "restore b",
        "restore a",
        "disarm loki",
        "sync",
        "read a.service",
        "read b.service",
        "read c.service",
    ]


def test_the_logs_of_all_are_told_when_none_is_to_blame(
    failing: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = fail(three(), "No space left ended everything")
    assert str(error).splitlines()[0] == "No space left ended everything"
    assert str(error).count("Last log lines of") == 3
    monkeypatch.setattr(systemd, "journal", lambda *_words: "")
    assert "Last log lines" not in str(fail(three(), "b.service was not ready"))


def test_the_cause_is_what_the_program_that_ended_says(
    failing: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "journal", lambda *_words: 'err="no field x"')
    assert str(fail(three(), "b.service ended at once")).startswith(
        "b.service ended at once: no field x\n"
    )
    assert str(fail(three(), "b.service is slow")).startswith("b.service is slow\n")
    assert str(fail(three(), "all ended at once")).startswith("all ended at once\n")


def test_what_cannot_be_restored_is_told_and_left_to_the_orders(
    failing: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restore(one: Rollout) -> bool:
        if one.name != "a":
            raise OSError("no space left")
        return False

    monkeypatch.setattr(transaction, "_restore_instance", restore)
    error = fail(three(), "x")
    assert error.rolled_back == ()
    assert "b: restore failed: no space left\n" in str(error)
    assert "Rolled back" not in str(error)
    assert "disarm loki" not in failing


UNDONE = ["undo", "give back loki", "discard"]


def test_takers_of_addresses_stop_before_anything_is_restored(failing: Calls) -> None:
    takers = ("b.service", "b.service", "a.service")
    handovers = tuple(Handover("x.service", taker) for taker in takers)
    fail(replace(three(), handovers=handovers), "x")
    stop = ["systemctl", "stop", "--", "b.service", "a.service"]
    assert failing.index(stop) < failing.index("restore c")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("current", "name", "is_pending", "expected"),
    [
        pytest.param(OLD, NEW, False, UNDONE, id="before the switch"),
        pytest.param(OLD, NEW, True, UNDONE, id="unfinished before"),
        pytest.param(OLD, "", False, UNDONE, id="nothing new"),
        pytest.param(
            NEW,
            NEW,
            False,
            [
                f"systemctl stop loki-sweep.service {TIMER}",
                f"switch loki {OLD}",
                "after-restore",
                "links loki",
                "systemctl daemon-reload",
                f"process {OLD}",
                "discard",
                "give back loki",
            ],
            id="after the switch",
        ),
    ],
)
def test_an_instance_is_restored_as_far_as_it_went(
    places: Path,
    monkeypatch: pytest.MonkeyPatch,
    calls: Calls,
    current: str,
    name: str,
    is_pending: bool,
    expected: list[str],
) -> None:
    before = built(instance())
    monkeypatch.setattr(transaction, "_restore_target", lambda *_words: OLD)
    monkeypatch.setattr(observe, "read_manifest", lambda *_words: before)
    monkeypatch.setattr(generation, "current", lambda _name: current)
    monkeypatch.setattr(transaction, "_undo_preparation", calls.note("undo"))
    monkeypatch.setattr(adoption, "undo", calls.note("give back"))
    monkeypatch.setattr(transaction, "_discard_generation", calls.note("discard"))
    monkeypatch.setattr(transaction, "_restore_process", calls.note("process"))
    monkeypatch.setattr(transaction, "failpoint", calls.append)
    monkeypatch.setattr(generation, "switch", calls.note("switch"))
    monkeypatch.setattr(generation, "set_links", calls.note("links"))
    monkeypatch.setattr(systemd, "systemctl", calls.note("systemctl"))
    Path(layout.RUN).mkdir()
    Path(layout.pending("loki")).touch()
    observed = ObservedState(pending=is_pending)
    found = rollout(generation=name, observed=observed, units=SWEEP)
    was_switched = current != OLD
    assert transaction._restore_instance(found) is was_switched
    assert calls == expected
    # What an earlier run left unfinished stays so, and so does a switch without a generation.
    finished = was_switched or (bool(name) and not is_pending)
    assert Path(layout.pending("loki")).exists() is not finished


def test_nothing_is_stopped_when_no_unit_was_added(
    monkeypatch: pytest.MonkeyPatch, places: Path, calls: Calls
) -> None:
    before = built(instance(units=SWEEP))
    monkeypatch.setattr(transaction, "_restore_target", lambda *_words: OLD)
    monkeypatch.setattr(observe, "read_manifest", lambda *_words: before)
    monkeypatch.setattr(generation, "current", lambda _name: NEW)
    for name in ("switch", "set_links"):
        monkeypatch.setattr(generation, name, lambda *_words: None)
    monkeypatch.setattr(transaction, "_restore_process", lambda *_words: None)
    monkeypatch.setattr(systemd, "systemctl", calls.note("systemctl"))
    assert transaction._restore_instance(rollout(generation=NEW, units=SWEEP))
    assert calls == ["systemctl daemon-reload"]


def test_a_first_rollout_has_nothing_to_restore(
    monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    monkeypatch.setattr(transaction, "_undo_install", calls.note("undo"))
    monkeypatch.setattr(observe, "read_manifest", lambda *_words: None)
    assert transaction._restore_instance(rollout()) is False
    assert calls == ["undo"]


# What is told


def test_the_values_of_a_run_are_those_of_its_instances() -> None:
    first = rollout(RELOAD, generation=NEW, observed=ObservedState(current=OLD))
    found = Result([first], [Removal("b", None, OLD)], ["a notice"])
    values = transaction.summary(found)
    assert set(values) == {"changed", "action", "instances", "notices", "diff"}
    assert (values["changed"], values["notices"]) == (True, ["a notice"])
    assert set(values["instances"]) == {"loki", "b"}
    assert [entry["before_header"] for entry in values["diff"]] == ["files of b"]
    assert values["instances"]["loki"] == {
        "action": RELOAD,
        "reasons": [],
        "generation": NEW,
        "previous": OLD,
        "previous_release": "",
        "release": "loki-3.7.8-01234567",
    }
    idle = transaction.summary(Result([rollout(NONE)]))
    assert (idle["changed"], idle["action"]) == (False, NONE)


def test_copies_of_manual_changes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "keep_edited", lambda *_words: ["/x/a", "/x/b"])
    assert transaction.keep_manual_changes(rollout()) == [
        "The manual change is kept as /x/a.",
        "The manual change is kept as /x/b.",
    ]


def test_adopted_paths_are_told_after_the_commit(
    monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    for name in ("_arm", "_switch_all", "_commit", "_clean_up", "remove", "failpoint"):
        monkeypatch.setattr(transaction, name, calls.note(name))
    monkeypatch.setattr(adoption, "copies", lambda _name: {"/etc/a": "/opt/a"})
    result = Result([rollout()], [Removal("b", None, OLD)])
    transaction.switch_and_verify(result)
    assert result.notices == ["The adopted /etc/a is kept as /opt/a."]
    assert calls == [
        "_arm",
        "_switch_all",
        "_commit",
        "failpoint after-commit",
        "remove",
        "_clean_up",
    ]
