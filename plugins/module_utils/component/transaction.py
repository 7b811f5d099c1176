# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll out: observe, plan, stage, check, switch, verify, then commit or roll back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from . import (
    accounts,
    adoption,
    config_check,
    fallback,
    files,
    generation,
    interruption,
    layout,
    manifest,
    observe,
    ports,
    probe,
    release_store,
    run_lock,
    systemd,
)
from .component_errors import ComponentError, InterruptedRunError
from .failpoints import failpoint
from .removal import delete, plan_removal, remove, take_down
from .rollout_plan import NONE, RELOAD, RESTART, SWITCH, plan, strongest
from .spec import instances

if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .manifest import Manifest
    from .observed_state import ObservedState, Unit
    from .ports import Handover
    from .removal import Removal
    from .rollout_plan import Plan
    from .spec import Instance, ReloadProbe

NO_USER_NAMESPACES = (
    "This host allows no user namespaces (user.max_user_namespaces), so that units run without"
    " PrivateUsers."
)


@dataclass
class Rollout:
    """One instance on its way through the rollout.

    ``manifest`` describes ``desired``. ``generation`` is the one to switch to, and ``written``
    whether this run wrote it. ``rolled_back_from`` is kept until the next rollout.
    """

    desired: Instance
    observed: ObservedState
    manifest: Manifest
    plan: Plan
    generation: str = ""
    written: bool = False
    rolled_back_from: str = ""

    @property
    def name(self) -> str:
        """Name of the instance."""
        return self.desired.name

    @property
    def active_generation(self) -> str:
        """Generation that is current after the switch."""
        return self.generation or self.observed.current

    @property
    def main_unit(self) -> Unit:
        """State of the main unit before the rollout."""
        return self.observed.unit(self.desired.main_unit)

    @property
    def result(self) -> dict[str, Any]:
        """Values that the module returns."""
        former = self.observed.manifest
        return {
            "action": self.plan.action,
            "reasons": list(self.plan.reasons),
            "generation": self.active_generation,
            "previous": self.observed.current,
            "previous_release": former["release"] if former else "",
            "release": self.manifest["release"],
        }


@dataclass
class Result:
    """The instances of one run, addresses that they hand over, and messages to show."""

    rollouts: list[Rollout] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    handovers: tuple[Handover, ...] = ()
    component: str = ""

    @property
    def changing(self) -> list[Rollout]:
        """Rollouts that change the host."""
        return [rollout for rollout in self.rollouts if rollout.plan.changed]


def roll_out(params: dict[str, Any], check_mode: bool) -> Result:
    """Bring a component to the state that the module's options describe.

    A ComponentError means that the host is as before; its ``rolled_back`` names what was restored.
    """
    desired = instances(params, observe.facts())
    if check_mode:
        return _predict_rollout(params, desired)
    with run_lock.held(
        params["name"], params.get("lock_owner") or "", params["lock_timeout"]
    ):
        failpoint("after-lock")
        for instance in desired:
            if adoption.interrupted(instance.name):
                adoption.undo(instance.name)
        key = generation.fingerprint_key(create=_has_secrets(desired))
        result = _plan_rollouts(params, desired, key)
        if is_idle(result):
            _clean_up_killed_runs(result)
            return result
        systemd.require_version()
        # Before anything that would have to be cleaned up.
        _require_releases(result)
        try:
            _stage(result, key, asks_peers=not params.get("without_peers"))
            try:
                switch_and_verify(result)
            except ComponentError as error:
                if not _mark_dead(result, error):
                    raise
                _stage(result, key)
                switch_and_verify(result)
        except ComponentError as error:
            error.notices = tuple(result.notices)
            raise
        finally:
            generation.prune_releases()
        return result


def _mark_dead(result: Result, error: ComponentError) -> bool:
    """Mark what does not start from unchanged files to be staged anew; return whether any is.

    They may be damaged in a way that is not observed, such as by an access control list.
    """
    interrupted = isinstance(error.__context__, InterruptedRunError)
    # What was never verified has been removed, and what it adopted is given back.
    staged_or_removed = any(
        rollout.plan.stage or not rollout.observed.last_known_good
        for rollout in result.changing
    )
    if error.rolled_back or interrupted or staged_or_removed:
        return False
    states = systemd.show([rollout.desired.main_unit for rollout in result.changing])
    dead = [
        rollout
        for rollout in result.changing
        if rollout.plan.action == RESTART
        and states[rollout.desired.main_unit].active != "active"
    ]
    for rollout in dead:
        rollout.plan = replace(rollout.plan, stage=True, reload_manager=True)
        result.notices.append(
            f"{rollout.name} did not start from generation {rollout.observed.current}, which looks"
            " unchanged, so its files are written anew."
        )
    return bool(dead)


def _predict_rollout(params: dict[str, Any], desired: list[Instance]) -> Result:
    """Plan, and check configurations whose release and user exist."""
    result = _plan_rollouts(params, desired, generation.fingerprint_key(create=False))
    if not is_idle(result):
        systemd.require_version()
    ports.handovers(result.rollouts, result.removals)
    for rollout in result.rollouts:
        if rollout.plan.changed:
            release_store.require_available(rollout.desired.release, rollout.name)
        if rollout.plan.stage and config_check.is_needed(rollout.desired):
            release = rollout.manifest["release"]
            result.notices += config_check.check_copy(rollout.desired, release)
    if not params.get("without_peers"):
        require_peers(result)
    return result


def _plan_rollouts(
    params: dict[str, Any], desired: list[Instance], key: bytes
) -> Result:
    result = Result(component=params["name"])
    installed = observe.instances_of(params["name"])
    if installed and not desired:
        raise ComponentError(
            f"instances: is empty, which would remove {', '.join(installed)}; remove all of them"
            " by state: absent. Nothing was changed."
        )
    for instance in desired:
        result.rollouts.append(_plan_rollout(instance, params["adopt"], key))
    names = {instance.name for instance in desired}
    for name in installed:
        if name not in names:
            result.removals.append(plan_removal(name))
    result.notices += filter(None, map(downgrade_notice, result.changing))
    if result.changing and not systemd.has_user_namespaces():
        result.notices.append(NO_USER_NAMESPACES)
    return result


def _plan_rollout(desired: Instance, adopt: bool, key: bytes) -> Rollout:
    group = accounts.group_of(desired.name)
    observed = observe.observe(desired.name, desired.units, key, group)
    owner = observed.manifest["component"] if observed.manifest else desired.component
    if owner != desired.component:
        raise ComponentError(
            f"{desired.name}: belongs to component {owner} on this host; choose another name."
        )
    refuse_obstacles(observed, adopt, adoption.interrupted(desired.name))
    accounts.refuse_person(desired.name)
    generation.refuse_linked_data(desired, observed)
    release = desired.release.directory(release_store.host_architecture())
    desired_manifest = manifest.build(desired, release, key)
    return Rollout(
        desired, observed, desired_manifest, plan(desired, desired_manifest, observed)
    )


def refuse_obstacles(
    observed: ObservedState, adopt: bool, interrupted: tuple[str, ...] = ()
) -> None:
    """Refuse masked units, and unmanaged paths unless they may be adopted.

    ``interrupted`` are those that a killed run had moved.
    """
    if observed.masked:
        names = " ".join(observed.masked)
        raise ComponentError(
            f"{names}: masked on this host, so it cannot start; run `systemctl unmask {names}` and"
            " roll out again. Nothing was changed."
        )
    paths = list(dict.fromkeys([*observed.unmanaged, *interrupted]))
    if paths and not adopt:
        raise ComponentError(
            f"{', '.join(paths)}: not made by this collection; remove it, or adopt it"
            " for one run with -e monitoring_adopt=true (option adopt), which keeps a copy."
        )


def downgrade_notice(rollout: Rollout) -> str:
    """Return what to say about an older version that has data of a newer one."""
    running = rollout.observed.running_manifest or rollout.observed.manifest
    release = rollout.manifest["release"]
    if not running or not manifest.is_older(release, running["release"]):
        return ""
    data = layout.data(rollout.name)
    if not files.listing(data):
        return ""
    return (
        f"{rollout.name}: {release} is older than {running['release']}, which has written to"
        f" {data}; it may not read what the newer one wrote, so see the release notes, and have a"
        " backup."
    )


def _has_secrets(desired: list[Instance]) -> bool:
    return any(file.secret for instance in desired for file in instance.files.values())


def is_idle(result: Result) -> bool:
    """Return whether there is nothing to do, nor to clean up."""
    return not result.removals and not any(
        rollout.plan.changed
        or rollout.observed.pending
        or rollout.observed.leftovers
        or rollout.observed.rolled_back_from
        for rollout in result.rollouts
    )


def _clean_up_killed_runs(result: Result) -> None:
    for rollout in result.rollouts:
        files.remove(layout.downloads(rollout.name))
    fallback.disarm(result.component)
    generation.tidy()


def _stage(result: Result, key: bytes, asks_peers: bool = False) -> None:
    """Prepare and check all generations before anything current is touched."""
    with run_lock.releases(exclusive=False):
        try:
            _require_releases(result)
            if key:
                # From here on no end of another component removes it.
                generation.keep_fingerprint_key(key)
            for rollout in result.rollouts:
                # From here on the lock protects it, and then a generation.
                files.remove(layout.staged_release(rollout.name))
                _remove_leftovers(rollout)
                if rollout.plan.changed:
                    result.notices += _prepare_generation(rollout)
            for rollout in result.rollouts:
                result.notices += check_generation(rollout)
            result.handovers = ports.handovers(result.rollouts, result.removals)
            if asks_peers:
                require_peers(result)
            failpoint("after-check")
        except BaseException:
            for rollout in result.rollouts:
                _discard_generation(rollout)
            raise


def _require_releases(result: Result) -> None:
    """Raise ReleaseRequired unless the releases of all rollouts are unpacked and intact."""
    for rollout in result.changing:
        program = _program(rollout.desired)
        release_store.require_staged(rollout.desired.release, rollout.name, program)


def _remove_leftovers(rollout: Rollout) -> None:
    for path in rollout.observed.leftovers:
        files.remove(path)


def _prepare_generation(rollout: Rollout) -> list[str]:
    """Stage user and generation; return notices."""
    group = accounts.ensure_user(rollout.name)
    failpoint("after-user")
    if not rollout.plan.stage:
        return []
    notices = keep_manual_changes(rollout)
    rollout.generation = generation.write(rollout.desired, rollout.manifest, group)
    rollout.written = True
    failpoint("after-generation")
    return notices


def keep_manual_changes(rollout: Rollout) -> list[str]:
    """Copy manually changed files of the current generation; return notices."""
    copies = generation.keep_edited(rollout.name, rollout.observed)
    return [f"The manual change is kept as {path}." for path in copies]


def _program(desired: Instance) -> str:
    """Return the main program's path in the release, empty when it is not there."""
    word = desired.command[0]
    prefix = "{release}/"
    return word[len(prefix) :] if word.startswith(prefix) else ""


def check_generation(rollout: Rollout) -> list[str]:
    """Run the checker on a generation that is to become current; return notices."""
    if not rollout.generation or not config_check.is_needed(rollout.desired):
        return []
    release = rollout.manifest["release"]
    return config_check.check_staged(rollout.desired, release, rollout.generation)


def require_peers(result: Result) -> None:
    """Raise ComponentError if a program is to be stopped while another host's is not ready."""
    for rollout in result.changing:
        is_stopped = (
            rollout.plan.action == RESTART and rollout.main_unit.active == "active"
        )
        if is_stopped and rollout.desired.ready.get("peers"):
            from . import peers

            former = rollout.observed.manifest
            peers.require(
                rollout.name,
                layout.generation(rollout.name, rollout.active_generation),
                rollout.desired.ready,
                former["ready"] if former else {},
            )


def _discard_generation(rollout: Rollout) -> None:
    """Remove a generation that never became current, and the directories made for it."""
    if rollout.written:
        files.remove(layout.generation(rollout.name, rollout.generation))
    files.remove_empty(layout.generations(rollout.name))
    files.remove(layout.staged_release(rollout.name))
    # An unfinished download is resumed by the next run.
    release_store.leave(rollout.name)


def switch_and_verify(result: Result) -> None:
    """Switch, verify and commit, or restore the old generations and fail."""
    start = time.time()
    _arm(result)
    with interruption.handled():
        try:
            try:
                _switch_all(result)
            finally:
                # Neither a commit nor a rollback is interrupted; a signal until here rolls back.
                interruption.ignore()
        # Whatever fails after the switch, the old generation comes back.
        except Exception as error:
            _roll_back(result, str(error), start)
        _commit(result)
    failpoint("after-commit")
    for rollout in result.rollouts:
        for path, copy in adoption.copies(rollout.name).items():
            result.notices.append(f"The adopted {path} is kept as {copy}.")
    for removal in result.removals:
        remove(removal)
    for rollout in result.rollouts:
        _clean_up(rollout)


def _arm(result: Result) -> None:
    """Order the way back for the case that this run dies."""
    orders = []
    for rollout in result.changing:
        target = _restore_target(rollout.name, rollout.observed)
        before = observe.read_manifest(rollout.name, target)
        if before:
            after = _with_takers(result, before, rollout.manifest)
            orders.append(fallback.order(rollout.name, target, before, after))
    givers = {handover.giver for handover in result.handovers}
    for removal in result.removals:
        described = removal.manifest
        if described and givers & set(described["units"]):
            # Stopped for another one, and not removed before the commit.
            name, target = removal.name, removal.generation
            after = _with_takers(result, described, described)
            orders.append(fallback.order(name, target, described, after))
    try:
        fallback.arm(result.component, orders)
    except BaseException:
        for rollout in result.changing:
            _discard_generation(rollout)
        raise


def _with_takers(result: Result, before: Manifest, after: Manifest) -> Manifest:
    """Return ``after`` with the units of first installs that take an address from ``before``.

    They have no generation to return to, and would keep the address from the program that has.
    """
    takers = {one.taker for one in result.handovers if one.giver in before["units"]}
    units = dict(after["units"])
    for rollout in result.changing:
        new = not rollout.observed.last_known_good
        if new and rollout.desired.main_unit in takers:
            units.update(rollout.manifest["units"])
    return {**after, "units": units}


def _switch_all(result: Result) -> None:
    """Switch to the new generations and verify them."""
    rollouts = result.changing
    for rollout in rollouts:
        _switch(rollout)
    if any(rollout.plan.reload_manager for rollout in rollouts):
        _reload_manager(rollouts)
    failpoint("after-manager-reload")
    if result.handovers:
        givers = dict.fromkeys(handover.giver for handover in result.handovers)
        systemd.systemctl("stop", *givers)
    # Programs become ready in parallel.
    stamps = [_act_on_process(rollout) for rollout in rollouts]
    for rollout, stamp in zip(rollouts, stamps):
        _verify(rollout, stamp)


def _reload_manager(rollouts: list[Rollout]) -> None:
    """Let systemd load the units, and raise unless it has loaded each."""
    systemd.systemctl("daemon-reload")
    names = [unit_name for rollout in rollouts for unit_name in rollout.desired.units]
    for unit_name, state in systemd.show(names).items():
        if state.load != "loaded":
            raise ComponentError(
                f"{unit_name}: systemd does not load it ({state.load}); see"
                f" `systemd-analyze verify {unit_name}`."
            )


def _switch(rollout: Rollout) -> None:
    files.replace(layout.pending(rollout.name), b"", 0o600)
    failpoint("after-pending-mark")
    generation.restore_modes(rollout.name)
    adoption.adopt(rollout.name, rollout.observed)
    if rollout.plan.stop_units:
        systemd.systemctl("stop", *rollout.plan.stop_units)
    if rollout.generation:
        generation.switch(rollout.name, rollout.generation)
    failpoint("after-switch")
    generation.set_links(rollout.name, rollout.manifest)
    failpoint("after-links")


def _act_on_process(rollout: Rollout) -> float | None:
    """Reload or restart the program; return when it had last reloaded if this is a reload."""
    unit_name = rollout.desired.main_unit
    stamp = None
    if rollout.plan.action == RELOAD:
        stamp = _last_reload(
            unit_name, rollout.desired.reload, rollout.main_unit.main_pid
        )
    if stamp is not None:
        _reload(unit_name, stamp)
    elif rollout.plan.action != SWITCH:
        # A program that does not report its last reload could not show the next one either.
        systemd.systemctl("restart", unit_name)
    failpoint("after-process-action")
    return stamp


def _last_reload(unit_name: str, reload: ReloadProbe, pid: int) -> float | None:
    return probe.metric(unit_name, reload, reload["timestamp"], pid)


def _reload(unit_name: str, stamp: float) -> None:
    """Reload in a later second than the last time, since some programs record whole seconds."""
    while int(stamp) <= time.time() < int(stamp) + 1:
        time.sleep(0.05)
    systemd.systemctl("reload", unit_name)


def _verify(rollout: Rollout, stamp: float | None) -> None:
    """Wait until the program itself reports success."""
    desired, unit_name = rollout.desired, rollout.desired.main_unit
    if stamp is None:
        state = probe.started(unit_name, list(desired.listen_addresses), desired.ready)
        if desired.exposure is not None:
            from . import exposure

            exposure.require_private(
                unit_name, state.main_pid, desired.listen_addresses, desired.exposure
            )
    else:
        state = probe.reloaded(
            unit_name, desired.reload, stamp, rollout.main_unit.main_pid
        )
    for further_unit in rollout.plan.restart_units:
        systemd.systemctl("restart", further_unit)
    unit_digest = rollout.manifest["unit"]
    systemd.record_running(
        rollout.name, state.invocation, rollout.active_generation, unit_digest
    )
    failpoint("after-verify")


def _commit(result: Result) -> None:
    """Record what was verified, for all instances since they roll back together."""
    fallback.disarm(result.component)
    staged = any(rollout.generation for rollout in result.rollouts)
    for rollout in result.rollouts:
        observed = rollout.observed
        if staged or observed.last_known_good != rollout.active_generation:
            unfit = {observed.rolled_back_from, rollout.rolled_back_from}
            if observed.drift or observed.untracked:
                unfit.add(observed.current)
            generation.commit(rollout.name, rollout.active_generation, unfit)


def _roll_back(result: Result, reason: str, start: float) -> NoReturn:
    """Restore the last-known-good generations and fail with the reason."""
    rollouts, restored = result.changing, []
    complete = True
    systemd.sync_journal()
    words = reason.split()
    failed = [rollout for rollout in rollouts if rollout.desired.main_unit in words]
    excerpts = [_journal_excerpt(rollout, start) for rollout in failed or rollouts]
    # Only a program that ended says the cause itself.
    cause = systemd.cause(excerpts[0]) if failed and " ended " in reason else ""
    message = [f"{reason}: {cause}" if cause else reason, *excerpts]
    restoring = time.time()
    takers = dict.fromkeys(handover.taker for handover in result.handovers)
    if takers:
        systemd.run(["systemctl", "stop", "--", *takers], timeout=None)
    for rollout in reversed(rollouts):
        try:
            if _restore_instance(rollout):
                restored.append(rollout.name)
        except Exception as error:
            message.append(f"{rollout.name}: restore failed: {error}")
            complete = False
    message += _restart_removed(result)
    # What could not be restored is tried again by the unit that waits for the end of the run.
    if complete:
        fallback.disarm(result.component)
    systemd.sync_journal()
    for rollout in rollouts:
        # Such as a database that a restored version has restored as well.
        message += systemd.notices(
            systemd.read_journal(rollout.desired.main_unit, restoring)
        )
    if restored:
        message.append(
            f"Rolled back to the last-known-good generation: {', '.join(restored)}."
        )
    raise ComponentError("\n".join(filter(None, message)), rolled_back=tuple(restored))


def _restart_removed(result: Result) -> list[str]:
    """Start again what was to be removed and had given its address up; return what failed."""
    givers = {handover.giver for handover in result.handovers}
    removed = {
        unit_name
        for removal in result.removals
        for unit_name in (removal.manifest["units"] if removal.manifest else ())
    }
    if not givers & removed:
        return []
    command = ["systemctl", "start", "--", *sorted(givers & removed)]
    started = systemd.run(command, timeout=None)
    return [started.stdout.strip()] if started.returncode else []


def _journal_excerpt(rollout: Rollout, start: float) -> str:
    unit_name = rollout.desired.main_unit
    lines = systemd.journal(unit_name, start)
    return f"Last log lines of {unit_name}:\n{lines}" if lines else ""


def _restore_instance(rollout: Rollout) -> bool:
    """Restore an instance; return whether there was anything to restore."""
    target = _restore_target(rollout.name, rollout.observed)
    before = observe.read_manifest(rollout.name, target)
    if before is None:
        _undo_install(rollout)
        return False
    if generation.current(rollout.name) == target:
        _undo_preparation(rollout, before)
        adoption.undo(rollout.name)
        _discard_generation(rollout)
        if rollout.generation and not rollout.observed.pending:
            # It was not switched to, so nothing is left to complete.
            files.remove(layout.pending(rollout.name))
        return False
    added = [
        unit_name
        for unit_name in rollout.manifest["units"]
        if unit_name not in before["units"]
    ]
    if added:
        systemd.systemctl("stop", *added)
    generation.switch(rollout.name, target)
    failpoint("after-restore")
    generation.set_links(rollout.name, before)
    systemd.systemctl("daemon-reload")
    _restore_process(rollout, target, before)
    _discard_generation(rollout)
    files.remove(layout.pending(rollout.name))
    adoption.undo(rollout.name)
    return True


def _undo_preparation(rollout: Rollout, before: Manifest) -> None:
    """Undo what happens without a rename: units that are stopped, paths that are moved."""
    generation.set_links(rollout.name, before)
    units = rollout.observed.units
    stopped = [
        unit_name
        for unit_name, state in systemd.show(list(units)).items()
        if state.active == "inactive" and units[unit_name].active == "active"
    ]
    if stopped:
        systemd.systemctl("start", *stopped)


def _restore_target(name: str, observed: ObservedState) -> str:
    """Return the generation to restore, empty after a first install.

    One whose manifest can be read comes first. Where none can, the last-known-good generation
    is still what answered before this rollout.
    """
    if not observed.last_known_good:
        return ""
    recovered = ""
    for candidate in (observed.last_known_good, observed.current):
        candidate_manifest = observe.read_manifest(name, candidate)
        if candidate_manifest and candidate_manifest["id"]:
            return candidate
        if candidate_manifest and not recovered:
            recovered = candidate
    return recovered


def _undo_install(rollout: Rollout) -> None:
    """Remove the instance and undo the adoption."""
    if rollout.observed.manifest:
        take_down(rollout.name, rollout.observed.manifest)
    take_down(rollout.name, rollout.manifest)
    delete(rollout.name)


def _restore_process(rollout: Rollout, target: str, before: Manifest) -> None:
    """Make the program run the restored generation."""
    unit_name, action = rollout.desired.main_unit, rollout.plan.action
    state = systemd.show([unit_name])[unit_name]
    survived = state.main_pid and state.main_pid == rollout.main_unit.main_pid
    same_process = survived and rollout.observed.running == target
    reload = before["reload"]
    stamp = None
    if same_process and action == RELOAD and reload:
        stamp = _last_reload(unit_name, reload, state.main_pid)
    if stamp is not None:
        # The program kept its configuration when it refused the new file, and accepts the old one.
        _reload(unit_name, stamp)
        state = probe.reloaded(unit_name, reload, stamp, state.main_pid)
        unit_digest = rollout.observed.running_unit
        systemd.record_running(rollout.name, state.invocation, target, unit_digest)
    elif action != SWITCH or not same_process:
        systemd.systemctl("restart", unit_name)
        probe.started(unit_name, before["listen_addresses"], before["ready"])
    for further_unit, role in before["units"].items():
        if role["started"] and further_unit != unit_name:
            systemd.systemctl("restart", further_unit)


def _clean_up(rollout: Rollout) -> None:
    """Clean up; the next run finishes it when this one is killed."""
    name = rollout.name
    used = {
        generation.current(name),
        generation.last_known_good(name),
        generation.previous(name),
        rollout.rolled_back_from,
    }
    for path in observe.leftovers(name, used):
        files.remove(path)
    if not rollout.rolled_back_from:
        files.remove(layout.rolled_back_from(name))
    files.remove(layout.downloads(name))
    adoption.forget(name)
    files.remove(layout.pending(name))
    failpoint("after-cleanup")


def summary(result: Result) -> dict[str, Any]:
    """Return the module's values."""
    reported = {rollout.name: rollout.result for rollout in result.rollouts}
    reported.update({removal.name: removal.result for removal in result.removals})
    diff = [entry for rollout in result.rollouts for entry in rollout.plan.diff]
    diff += [removal.diff for removal in result.removals]
    action = strongest([instance["action"] for instance in reported.values()])
    return {
        "changed": action != NONE,
        "action": action,
        "instances": reported,
        "notices": result.notices,
        "diff": diff,
    }
