# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rollout: observe, plan, stage, check, switch, prove, then commit or roll back."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from . import (
    config_check,
    files,
    generation,
    layout,
    manifest,
    observe,
    probe,
    release_store,
    removal,
    run_lock,
    systemd,
)
from .component_errors import ComponentError
from .failpoints import reach
from .rollout_plan import (
    INSTALL,
    NONE,
    RELOAD,
    RESTART,
    SWITCH,
    Plan,
    ObservedState,
    Unit,
    plan,
    strongest,
)
from .spec import Instance, instances


@dataclass
class Work:
    """One instance on its way through the rollout.

    ``generation`` is the one that comes into force, and ``written`` whether this run made it. ``withdrawn`` is the one
    that is rolled back from, which is kept until the next rollout.
    """

    wanted: Instance
    observed: ObservedState
    known: dict
    plan: Plan
    generation: str = ""
    written: bool = False
    withdrawn: str = ""
    adopted: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the instance."""
        return self.wanted.name

    @property
    def in_force(self) -> str:
        """Generation that is in force after the switch."""
        return self.generation or self.observed.current

    @property
    def main_unit(self) -> Unit:
        """State of the main unit before the rollout."""
        return self.observed.units.get(self.wanted.main_unit, Unit())


@dataclass
class Result:
    """What the module returns, in the making."""

    works: list = field(default_factory=list)
    removed: list = field(default_factory=list)
    notices: list = field(default_factory=list)


def roll_out(params: dict, check_mode: bool) -> Result:
    """Bring a component to the state that the module's options describe; the one entry point for present.

    Raises ComponentError when the host is as before, with ``rolled_back`` naming what had to be put back.
    """
    wanted = instances(params)
    if check_mode:
        return _predict(params, wanted)
    with run_lock.held(params["name"], params.get("lock_owner") or "", params["lock_timeout"]):
        reach("locked")
        result = _planned(params, wanted, generation.fingerprint_key(create=_has_secrets(wanted)))
        if idle(result):
            _clean(result)
            return result
        systemd.require_version()
        try:
            _stage(result)
            switch_and_prove(result)
        except ComponentError as error:
            error.notices = tuple(result.notices)
            raise
        finally:
            generation.prune_releases()
        return result


def _predict(params: dict, wanted: list) -> Result:
    """What a run would do; the configuration is checked where the release and the user are there."""
    result = _planned(params, wanted, generation.fingerprint_key(create=False))
    if not idle(result):
        systemd.require_version()
    for work in result.works:
        refuse_taken_ports(work)
        if work.plan.changed:
            release_store.foresee(work.wanted.release, work.name)
        if work.plan.stage and work.wanted.check:
            result.notices += config_check.privately(work.wanted, work.known["release"])
    return result


def _planned(params: dict, wanted: list, key: bytes) -> Result:
    result = Result()
    for item in wanted:
        observed = observe.observe(item.name, list(item.units), key, generation.group_of(item.name))
        if observed.manifest and observed.manifest["component"] != item.component:
            raise ComponentError(
                f"{item.name} belongs to component {observed.manifest['component']} on this host already."
            )
        refuse_foreign(observed, params["adopt"])
        known = manifest.build(item, item.release.directory(release_store.architecture()), key)
        result.works.append(Work(item, observed, known, plan(item, known, observed)))
    names = {work.name for work in result.works}
    result.removed = [
        removal.planned(name) for name in observe.instances_of(params["name"]) if name not in names
    ]
    return result


def refuse_foreign(observed: ObservedState, adopt: bool) -> None:
    """Refuse what stands in the way and is not ours, unless it may be taken over."""
    if observed.foreign and not adopt:
        raise ComponentError(
            f"{', '.join(observed.foreign)} exists and was not made by this collection. Remove it, or take it over for"
            " one run with -e monitoring_adopt=true (option adopt), which keeps a copy."
        )


def _has_secrets(wanted: list) -> bool:
    return any(entry.secret for item in wanted for entry in item.files.values())


def idle(result: Result) -> bool:
    """Whether there is nothing to do, nor to clean up."""
    return not result.removed and not any(
        work.plan.changed
        or work.observed.pending
        or work.observed.debris
        or work.observed.withdrawn
        for work in result.works
    )


def _clean(result: Result) -> None:
    """Remove what only a killed run leaves, where nothing else is to be done."""
    for work in result.works:
        files.remove(layout.downloads(work.name))
    generation.tidy()


def _stage(result: Result) -> None:
    """Bring everything to the host and have it checked, before anything in force is touched."""
    with run_lock.releases(exclusive=False):
        try:
            for work in result.works:
                result.notices += _prepare(work)
            for work in result.works:
                if work.generation and work.wanted.check:
                    result.notices += config_check.staged(
                        work.wanted, work.known["release"], work.generation
                    )
                refuse_taken_ports(work)
            reach("checked")
        except BaseException:
            for work in result.works:
                _discard(work)
            raise


def _prepare(work: Work) -> list:
    """Write what the instance needs beside what is in force; return notices for people."""
    notices: list = []
    for path in work.observed.debris:
        files.remove(path)
    if work.plan.changed:
        release_store.stage(work.wanted.release, work.name, _program(work.wanted))
        group = generation.have_user(work.name)
        reach("user")
        if work.plan.stage:
            notices += [
                f"What was changed by hand is kept as {path}."
                for path in generation.keep_edited(work.name, work.observed)
            ]
            work.generation, work.written = generation.write(work.wanted, work.known, group), True
            reach("generation")
    return notices


def _program(wanted: Instance) -> str:
    """Path of the main program inside the release; a program of the component's own is not looked for there."""
    first = wanted.command[0]
    return first[len("{release}/") :] if first.startswith("{release}/") else ""


def refuse_taken_ports(work: Work) -> None:
    """Refuse before anything is changed when another process holds a port that the program needs."""
    if work.plan.action not in (INSTALL, RESTART):
        return
    for address in work.wanted.listen_addresses:
        lock_owner = probe.taken(address, work.main_unit.main_pid)
        if lock_owner:
            raise ComponentError(
                f"{work.name} needs {address}, which is held by {lock_owner}. Nothing was changed."
            )


def _discard(work: Work) -> None:
    """Remove a generation that never came into force, and the directories made for it."""
    if work.written:
        files.remove(layout.generation(work.name, work.generation))
    for path in (layout.generations(work.name), layout.component(work.name)):
        if os.path.isdir(path) and not os.listdir(path):
            os.rmdir(path)


def switch_and_prove(result: Result) -> None:
    """Put the new generations in force, have them proven and commit, or put the old ones back and fail."""
    changing = [work for work in result.works if work.plan.changed]
    began = time.time()
    try:
        for work in changing:
            _switch(work)
        if any(work.plan.reload_manager for work in changing):
            systemd.systemctl("daemon-reload")
        reach("manager-reloaded")
        # Instances become ready beside each other.
        for work, stamp in [(work, _act(work)) for work in changing]:
            _prove(work, stamp)
    except (
        Exception
    ) as error:  # Whatever goes wrong after the switch, the old generation comes back.
        _roll_back(changing, str(error), began)
    _commit(result)
    for work in changing:
        result.notices += [
            f"The adopted {path} is kept as {kept}." for path, kept in work.adopted.items()
        ]
    for item in result.removed:
        removal.remove(item)
    for work in result.works:
        _finish(work)


def _commit(result: Result) -> None:
    """Note what was proven; a rollback later returns all instances to where they were before a rollout."""
    renewed = any(work.generation for work in result.works)
    for work in result.works:
        if renewed or work.observed.proven != work.in_force:
            by_hand = work.observed.current if work.observed.drift or work.observed.strays else ""
            generation.commit(
                work.name, work.in_force, {work.observed.withdrawn, work.withdrawn, by_hand}
            )
    reach("committed")


def _switch(work: Work) -> None:
    files.replace(layout.pending(work.name), b"", 0o600)
    reach("pending")
    work.adopted = generation.adopt(work.name, work.observed.foreign)
    if work.plan.stop_units:
        systemd.systemctl("stop", *work.plan.stop_units)
    if work.generation:
        generation.switch(work.name, work.generation)
    reach("switched")
    generation.set_links(work.name, work.known)
    reach("linked")


def _act(work: Work) -> float | None:
    """Do what the program needs; return when it last reloaded before that, where it is to prove a reload."""
    unit_name, reload = work.wanted.main_unit, work.wanted.reload
    stamp = (
        probe.metric(unit_name, reload, reload["timestamp"]) if work.plan.action == RELOAD else None
    )
    if stamp is not None:
        _wait_for_next_second(stamp)
        systemd.systemctl("reload", unit_name)
    elif work.plan.action != SWITCH:
        # A program that does not tell about its last reload could not prove the next one either.
        systemd.systemctl("restart", unit_name)
    reach("acted")
    return stamp


def _prove(work: Work, stamp: float | None) -> None:
    """Wait for the program's own proof."""
    unit_name, wanted = work.wanted.main_unit, work.wanted
    if stamp is not None:
        state = probe.reloaded(unit_name, wanted.reload, stamp, work.main_unit.main_pid)
    else:
        state = probe.started(unit_name, list(wanted.listen_addresses), wanted.ready)
    for further in work.plan.restart_units:
        systemd.systemctl("restart", further)
    systemd.record_running(work.name, state.invocation, work.in_force, work.known["unit"])
    reach("proven")


def _wait_for_next_second(stamp: float) -> None:
    """Some programs stamp reloads with whole seconds, so a proof needs a later second than the last one's."""
    while int(stamp) <= time.time() < int(stamp) + 1:
        time.sleep(0.05)


def _roll_back(works: list, reason: str, began: float) -> None:
    """Put the last proven generations back, prove them, and fail with the reason."""
    told = [reason, *[_last_words(work, began) for work in works]]
    restored = []
    for work in reversed(works):
        try:
            if _restore(work):
                restored.append(work.name)
        except Exception as error:
            told.append(f"{work.name} could not be put back: {error}")
    if restored:
        told.append(f"Rolled back to the last proven generation: {', '.join(restored)}.")
    raise ComponentError("\n".join(part for part in told if part), rolled_back=tuple(restored))


def _last_words(work: Work, since: float) -> str:
    text = systemd.journal(work.wanted.main_unit, since)
    return f"Last lines of {work.wanted.main_unit}:\n{text}" if text else ""


def _restore(work: Work) -> bool:
    """Put one instance back; return whether there was something to put back."""
    # The note of what was proven may be damaged, but one that was never made means a first install.
    target = (
        work.observed.proven
        if work.observed.proven_manifest or not work.observed.proven
        else work.observed.current
    )
    before = observe.read_manifest(work.name, target)
    if before is None:
        for known in filter(None, (work.observed.manifest, work.known)):
            removal.withdraw(work.name, known)
        files.remove(layout.component(work.name))
        _give_back(work)
        return False
    if generation.current(work.name) == target:
        return False
    added = [unit_name for unit_name in work.known["units"] if unit_name not in before["units"]]
    if added:
        systemd.systemctl("stop", *added)
    generation.switch(work.name, target)
    reach("restored")
    generation.set_links(work.name, before)
    systemd.systemctl("daemon-reload")
    _return_process(work, target, before)
    _discard(work)
    files.remove(layout.pending(work.name))
    return True


def _give_back(work: Work) -> None:
    """Put back what was adopted, and have its service run again where it did."""
    generation.give_back(work.adopted)
    if work.adopted:
        systemd.systemctl("daemon-reload")
    if work.adopted and work.main_unit.active == "active":
        systemd.systemctl("start", work.wanted.main_unit)


def _return_process(work: Work, target: str, before: dict) -> None:
    """Have the program run the generation that is back in force."""
    unit_name = work.wanted.main_unit
    state = systemd.show([unit_name])[unit_name]
    same_process = (
        state.main_pid
        and state.main_pid == work.main_unit.main_pid
        and work.observed.running == target
    )
    reload = before["reload"] if same_process and work.plan.action == RELOAD else None
    stamp = probe.metric(unit_name, reload, reload["timestamp"]) if reload else None
    if reload and stamp is not None:
        # The program kept what it had when it refused the new file; now it reads the old file, which it accepts.
        _wait_for_next_second(stamp)
        systemd.systemctl("reload", unit_name)
        state = probe.reloaded(unit_name, reload, stamp, state.main_pid)
        systemd.record_running(work.name, state.invocation, target, work.observed.running_unit)
    elif not (same_process and work.plan.action == SWITCH):
        systemd.systemctl("restart", unit_name)
        probe.started(unit_name, before["listen_addresses"], before["ready"])
    for further, role in before["units"].items():
        if role["started"] and further != unit_name:
            systemd.systemctl("restart", further)


def _finish(work: Work) -> None:
    """Clean up after the commit; a run that is killed here is finished by the next one."""
    links = (generation.current, generation.proven, generation.previous)
    for path in observe.debris(work.name, {work.withdrawn, *[link(work.name) for link in links]}):
        files.remove(path)
    if not work.withdrawn:
        files.remove(layout.withdrawn(work.name))
    files.remove(layout.downloads(work.name))
    files.remove(layout.pending(work.name))
    reach("finished")


def summary(result: Result) -> dict:
    """The module's return values."""
    told = {}
    for work in result.works:
        told[work.name] = {
            "action": work.plan.action,
            "reasons": list(work.plan.reasons),
            "generation": work.in_force,
            "previous": work.observed.current,
            "release": work.known["release"],
        }
    for item in result.removed:
        told[item.name] = removal.told(item)
    action = strongest(item["action"] for item in told.values())
    return {
        "changed": action != NONE,
        "action": action,
        "instances": told,
        "notices": result.notices,
        "diff": [entry for work in result.works for entry in work.plan.diff]
        + [entry for item in result.removed for entry in item.diff],
    }
