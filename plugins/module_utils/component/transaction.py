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
from .failpoints import failpoint
from .rollout_plan import (
    INSTALL,
    NONE,
    RELOAD,
    RESTART,
    SWITCH,
    ObservedState,
    Plan,
    Unit,
    plan,
    strongest,
)
from .spec import Instance, instances


@dataclass
class Rollout:
    """One instance on its way through the rollout.

    ``generation`` is the one that comes into force, and ``written`` whether this run made it. ``rolled_back_from`` is the one
    that is rolled back from, which is kept until the next rollout.
    """

    desired: Instance
    observed: ObservedState
    known: dict
    plan: Plan
    generation: str = ""
    written: bool = False
    rolled_back_from: str = ""
    adopted: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the instance."""
        return self.desired.name

    @property
    def in_force(self) -> str:
        """Generation that is in force after the switch."""
        return self.generation or self.observed.current

    @property
    def main_unit(self) -> Unit:
        """State of the main unit before the rollout."""
        return self.observed.units.get(self.desired.main_unit, Unit())


@dataclass
class Result:
    """What the module returns, in the making."""

    rollouts: list = field(default_factory=list)
    removed: list = field(default_factory=list)
    notices: list = field(default_factory=list)


def roll_out(params: dict, check_mode: bool) -> Result:
    """Bring a component to the state that the module's options describe; the one entry point for present.

    Raises ComponentError when the host is as before, with ``rolled_back`` naming what had to be put back.
    """
    desired = instances(params)
    if check_mode:
        return _predict(params, desired)
    with run_lock.held(params["name"], params.get("lock_owner") or "", params["lock_timeout"]):
        failpoint("after-lock")
        result = _planned(params, desired, generation.fingerprint_key(create=_has_secrets(desired)))
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


def _predict(params: dict, desired: list) -> Result:
    """What a run would do; the configuration is checked where the release and the user are there."""
    result = _planned(params, desired, generation.fingerprint_key(create=False))
    if not idle(result):
        systemd.require_version()
    for rollout in result.rollouts:
        refuse_taken_ports(rollout)
        if rollout.plan.changed:
            release_store.foresee(rollout.desired.release, rollout.name)
        if rollout.plan.stage and rollout.desired.check:
            result.notices += config_check.privately(rollout.desired, rollout.known["release"])
    return result


def _planned(params: dict, desired: list, key: bytes) -> Result:
    result = Result()
    for item in desired:
        observed = observe.observe(item.name, list(item.units), key, generation.group_of(item.name))
        if observed.manifest and observed.manifest["component"] != item.component:
            raise ComponentError(
                f"{item.name} belongs to component {observed.manifest['component']} on this host already."
            )
        refuse_foreign(observed, params["adopt"])
        known = manifest.build(item, item.release.directory(release_store.architecture()), key)
        result.rollouts.append(Rollout(item, observed, known, plan(item, known, observed)))
    names = {rollout.name for rollout in result.rollouts}
    result.removed = [
        removal.planned(name) for name in observe.instances_of(params["name"]) if name not in names
    ]
    return result


def refuse_foreign(observed: ObservedState, adopt: bool) -> None:
    """Refuse what stands in the way and is not ours, unless it may be taken over."""
    if observed.unmanaged and not adopt:
        raise ComponentError(
            f"{', '.join(observed.unmanaged)} exists and was not made by this collection. Remove it, or take it over for"
            " one run with -e monitoring_adopt=true (option adopt), which keeps a copy."
        )


def _has_secrets(desired: list) -> bool:
    return any(entry.secret for item in desired for entry in item.files.values())


def idle(result: Result) -> bool:
    """Whether there is nothing to do, nor to clean up."""
    return not result.removed and not any(
        rollout.plan.changed
        or rollout.observed.pending
        or rollout.observed.leftovers
        or rollout.observed.rolled_back_from
        for rollout in result.rollouts
    )


def _clean(result: Result) -> None:
    """Remove what only a killed run leaves, where nothing else is to be done."""
    for rollout in result.rollouts:
        files.remove(layout.downloads(rollout.name))
    generation.tidy()


def _stage(result: Result) -> None:
    """Bring everything to the host and have it checked, before anything in force is touched."""
    with run_lock.releases(exclusive=False):
        try:
            for rollout in result.rollouts:
                result.notices += _prepare(rollout)
            for rollout in result.rollouts:
                if rollout.generation and rollout.desired.check:
                    result.notices += config_check.staged(
                        rollout.desired, rollout.known["release"], rollout.generation
                    )
                refuse_taken_ports(rollout)
            failpoint("after-check")
        except BaseException:
            for rollout in result.rollouts:
                _discard(rollout)
            raise


def _prepare(rollout: Rollout) -> list:
    """Write what the instance needs beside what is in force; return notices for people."""
    notices: list = []
    for path in rollout.observed.leftovers:
        files.remove(path)
    if rollout.plan.changed:
        release_store.stage(rollout.desired.release, rollout.name, _program(rollout.desired))
        group = generation.have_user(rollout.name)
        failpoint("after-user")
        if rollout.plan.stage:
            notices += [
                f"What was changed by hand is kept as {path}."
                for path in generation.keep_edited(rollout.name, rollout.observed)
            ]
            rollout.generation, rollout.written = (
                generation.write(rollout.desired, rollout.known, group),
                True,
            )
            failpoint("after-generation")
    return notices


def _program(desired: Instance) -> str:
    """Path of the main program inside the release; a program of the component's own is not looked for there."""
    first = desired.command[0]
    return first[len("{release}/") :] if first.startswith("{release}/") else ""


def refuse_taken_ports(rollout: Rollout) -> None:
    """Refuse before anything is changed when another process holds a port that the program needs."""
    if rollout.plan.action not in (INSTALL, RESTART):
        return
    for address in rollout.desired.listen_addresses:
        lock_owner = probe.address_owner(address, rollout.main_unit.main_pid)
        if lock_owner:
            raise ComponentError(
                f"{rollout.name} needs {address}, which is held by {lock_owner}. Nothing was changed."
            )


def _discard(rollout: Rollout) -> None:
    """Remove a generation that never came into force, and the directories made for it."""
    if rollout.written:
        files.remove(layout.generation(rollout.name, rollout.generation))
    for path in (layout.generations(rollout.name), layout.component(rollout.name)):
        if os.path.isdir(path) and not os.listdir(path):
            os.rmdir(path)


def switch_and_prove(result: Result) -> None:
    """Put the new generations in force, have them proven and commit, or put the old ones back and fail."""
    changing = [rollout for rollout in result.rollouts if rollout.plan.changed]
    began = time.time()
    try:
        for rollout in changing:
            _switch(rollout)
        if any(rollout.plan.reload_manager for rollout in changing):
            systemd.systemctl("daemon-reload")
        failpoint("after-manager-reload")
        # Instances become ready beside each other.
        for rollout, stamp in [(rollout, _act(rollout)) for rollout in changing]:
            _prove(rollout, stamp)
    except (
        Exception
    ) as error:  # Whatever goes wrong after the switch, the old generation comes back.
        _roll_back(changing, str(error), began)
    _commit(result)
    for rollout in changing:
        result.notices += [
            f"The adopted {path} is kept as {kept}." for path, kept in rollout.adopted.items()
        ]
    for item in result.removed:
        removal.remove(item)
    for rollout in result.rollouts:
        _finish(rollout)


def _commit(result: Result) -> None:
    """Note what was proven; a rollback later returns all instances to where they were before a rollout."""
    renewed = any(rollout.generation for rollout in result.rollouts)
    for rollout in result.rollouts:
        if renewed or rollout.observed.last_known_good != rollout.in_force:
            by_hand = (
                rollout.observed.current
                if rollout.observed.drift or rollout.observed.untracked
                else ""
            )
            generation.commit(
                rollout.name,
                rollout.in_force,
                {rollout.observed.rolled_back_from, rollout.rolled_back_from, by_hand},
            )
    failpoint("after-commit")


def _switch(rollout: Rollout) -> None:
    files.replace(layout.pending(rollout.name), b"", 0o600)
    failpoint("after-pending-mark")
    rollout.adopted = generation.adopt(rollout.name, rollout.observed.unmanaged)
    if rollout.plan.stop_units:
        systemd.systemctl("stop", *rollout.plan.stop_units)
    if rollout.generation:
        generation.switch(rollout.name, rollout.generation)
    failpoint("after-switch")
    generation.set_links(rollout.name, rollout.known)
    failpoint("after-links")


def _act(rollout: Rollout) -> float | None:
    """Do what the program needs; return when it last reloaded before that, where it is to prove a reload."""
    unit_name, reload = rollout.desired.main_unit, rollout.desired.reload
    stamp = (
        probe.metric(unit_name, reload, reload["timestamp"])
        if rollout.plan.action == RELOAD
        else None
    )
    if stamp is not None:
        _wait_for_next_second(stamp)
        systemd.systemctl("reload", unit_name)
    elif rollout.plan.action != SWITCH:
        # A program that does not tell about its last reload could not prove the next one either.
        systemd.systemctl("restart", unit_name)
    failpoint("after-process-action")
    return stamp


def _prove(rollout: Rollout, stamp: float | None) -> None:
    """Wait for the program's own proof."""
    unit_name, desired = rollout.desired.main_unit, rollout.desired
    if stamp is not None:
        state = probe.reloaded(unit_name, desired.reload, stamp, rollout.main_unit.main_pid)
    else:
        state = probe.started(unit_name, list(desired.listen_addresses), desired.ready)
    for further in rollout.plan.restart_units:
        systemd.systemctl("restart", further)
    systemd.record_running(rollout.name, state.invocation, rollout.in_force, rollout.known["unit"])
    failpoint("after-verify")


def _wait_for_next_second(stamp: float) -> None:
    """Some programs stamp reloads with whole seconds, so a proof needs a later second than the last one's."""
    while int(stamp) <= time.time() < int(stamp) + 1:
        time.sleep(0.05)


def _roll_back(rollouts: list, reason: str, began: float) -> None:
    """Put the last proven generations back, prove them, and fail with the reason."""
    told = [reason, *[_last_words(rollout, began) for rollout in rollouts]]
    restored = []
    for rollout in reversed(rollouts):
        try:
            if _restore(rollout):
                restored.append(rollout.name)
        except Exception as error:
            told.append(f"{rollout.name} could not be put back: {error}")
    if restored:
        told.append(f"Rolled back to the last proven generation: {', '.join(restored)}.")
    raise ComponentError("\n".join(part for part in told if part), rolled_back=tuple(restored))


def _last_words(rollout: Rollout, since: float) -> str:
    text = systemd.journal(rollout.desired.main_unit, since)
    return f"Last lines of {rollout.desired.main_unit}:\n{text}" if text else ""


def _restore(rollout: Rollout) -> bool:
    """Put one instance back; return whether there was something to put back."""
    # The note of what was proven may be damaged, but one that was never made means a first install.
    target = (
        rollout.observed.last_known_good
        if rollout.observed.last_known_good_manifest or not rollout.observed.last_known_good
        else rollout.observed.current
    )
    before = observe.read_manifest(rollout.name, target)
    if before is None:
        for known in filter(None, (rollout.observed.manifest, rollout.known)):
            removal.withdraw(rollout.name, known)
        files.remove(layout.component(rollout.name))
        _give_back(rollout)
        return False
    if generation.current(rollout.name) == target:
        return False
    added = [unit_name for unit_name in rollout.known["units"] if unit_name not in before["units"]]
    if added:
        systemd.systemctl("stop", *added)
    generation.switch(rollout.name, target)
    failpoint("after-restore")
    generation.set_links(rollout.name, before)
    systemd.systemctl("daemon-reload")
    _return_process(rollout, target, before)
    _discard(rollout)
    files.remove(layout.pending(rollout.name))
    return True


def _give_back(rollout: Rollout) -> None:
    """Put back what was adopted, and have its service run again where it did."""
    generation.give_back(rollout.adopted)
    if rollout.adopted:
        systemd.systemctl("daemon-reload")
    if rollout.adopted and rollout.main_unit.active == "active":
        systemd.systemctl("start", rollout.desired.main_unit)


def _return_process(rollout: Rollout, target: str, before: dict) -> None:
    """Have the program run the generation that is back in force."""
    unit_name = rollout.desired.main_unit
    state = systemd.show([unit_name])[unit_name]
    same_process = (
        state.main_pid
        and state.main_pid == rollout.main_unit.main_pid
        and rollout.observed.running == target
    )
    reload = before["reload"] if same_process and rollout.plan.action == RELOAD else None
    stamp = probe.metric(unit_name, reload, reload["timestamp"]) if reload else None
    if reload and stamp is not None:
        # The program kept what it had when it refused the new file; now it reads the old file, which it accepts.
        _wait_for_next_second(stamp)
        systemd.systemctl("reload", unit_name)
        state = probe.reloaded(unit_name, reload, stamp, state.main_pid)
        systemd.record_running(
            rollout.name, state.invocation, target, rollout.observed.running_unit
        )
    elif not (same_process and rollout.plan.action == SWITCH):
        systemd.systemctl("restart", unit_name)
        probe.started(unit_name, before["listen_addresses"], before["ready"])
    for further, role in before["units"].items():
        if role["started"] and further != unit_name:
            systemd.systemctl("restart", further)


def _finish(rollout: Rollout) -> None:
    """Clean up after the commit; a run that is killed here is finished by the next one."""
    links = (generation.current, generation.last_known_good, generation.previous)
    for path in observe.leftovers(
        rollout.name, {rollout.rolled_back_from, *[link(rollout.name) for link in links]}
    ):
        files.remove(path)
    if not rollout.rolled_back_from:
        files.remove(layout.rolled_back_from(rollout.name))
    files.remove(layout.downloads(rollout.name))
    files.remove(layout.pending(rollout.name))
    failpoint("after-cleanup")


def summary(result: Result) -> dict:
    """The module's return values."""
    told = {}
    for rollout in result.rollouts:
        told[rollout.name] = {
            "action": rollout.plan.action,
            "reasons": list(rollout.plan.reasons),
            "generation": rollout.in_force,
            "previous": rollout.observed.current,
            "release": rollout.known["release"],
        }
    for item in result.removed:
        told[item.name] = removal.told(item)
    action = strongest(item["action"] for item in told.values())
    return {
        "changed": action != NONE,
        "action": action,
        "instances": told,
        "notices": result.notices,
        "diff": [entry for rollout in result.rollouts for entry in rollout.plan.diff]
        + [entry for item in result.removed for entry in item.diff],
    }
