# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rollout: observe, plan, stage, check, switch, prove, then commit or roll back."""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from . import files, generation, layout, lock, manifest, observe, probe, release, removal, systemd
from .errors import ComponentError
from .plan import INSTALL, NONE, RELOAD, REMOVE, RESTART, SWITCH, Plan, Seen, Unit, plan, strongest
from .points import reach
from .spec import Instance, instances

ROLLBACK_SECONDS = 60


@dataclass
class Work:
    """One instance on its way through the rollout."""

    wanted: Instance
    seen: Seen
    known: dict
    plan: Plan
    generation: str = ""
    gid: int = 0
    switched: bool = False

    @property
    def name(self) -> str:
        """Name of the instance."""
        return self.wanted.name


@dataclass
class Result:
    """What the module returns, in the making."""

    works: list = field(default_factory=list)
    removed: list = field(default_factory=list)
    notices: list = field(default_factory=list)


def roll_out(params: dict, check_mode: bool) -> Result:
    """Bring a component to the state that the module's options describe; the one entry point for present."""
    wanted = instances(params)
    systemd.require_version()
    if check_mode:
        return _predict(params, wanted)
    with ExitStack() as stack:
        stack.enter_context(lock.held(params["name"], params.get("holder") or "", params["lock_timeout"]))
        reach("locked")
        result = _planned(params, wanted, generation.fingerprint_key(_has_secrets(wanted)))
        if _idle(result):
            _clean(result)
            return result
        _stage(result, params)
        try:
            _switch_and_prove(result)
        finally:
            _sweep_releases()
        return result


def _predict(params: dict, wanted: list) -> Result:
    """What a run would do; the configuration is checked where the release and the user are there."""
    result = _planned(params, wanted, generation.fingerprint_key(create=False))
    for work in result.works:
        _refuse_taken_ports(work)
        if work.plan.stage and work.wanted.check:
            _check_privately(work, result.notices)
    return result


def _planned(params: dict, wanted: list, key: bytes) -> Result:
    result = Result()
    for item in wanted:
        seen = observe.observe(item.name, list(item.units), key, generation.group_of(item.name))
        if seen.foreign and not params["adopt"]:
            raise ComponentError(
                f"{', '.join(seen.foreign)} exists and was not made by this collection. Remove it, or take it over"
                " with adopt: true, which keeps a copy."
            )
        known = manifest.build(item, item.release.directory(release.architecture()), key)
        result.works.append(Work(item, seen, known, plan(item, known, seen)))
    names = {work.name for work in result.works}
    for name in observe.instances_of(params["name"]):
        if name not in names:
            result.removed.append(removal.planned(name))
    return result


def _has_secrets(wanted: list) -> bool:
    return any(entry.secret for item in wanted for entry in item.files.values())


def _idle(result: Result) -> bool:
    return not result.removed and not any(
        work.plan.changed or work.seen.pending or work.seen.debris for work in result.works
    )


def _clean(result: Result) -> None:
    """Remove downloads that nothing needs any more, when a killed run left some."""
    for work in result.works:
        if os.path.lexists(layout.downloads(work.name)):
            files.remove(layout.downloads(work.name))
    if release.unused():
        _sweep_releases()


def _sweep_releases() -> None:
    with lock.releases(exclusive=True) as alone:
        generation.sweep_releases(alone)


def _stage(result: Result, params: dict) -> None:
    """Bring everything to the host and have it checked, before anything in force is touched."""
    with lock.releases(exclusive=False):
        try:
            for work in result.works:
                _prepare(work, params, result.notices)
            for work in result.works:
                _check_staged(work, result.notices)
                _refuse_taken_ports(work)
            reach("checked")
        except BaseException:
            for work in result.works:
                _discard(work)
            raise


def _prepare(work: Work, params: dict, notices: list) -> None:
    for path in work.seen.debris:
        files.remove(path)
    if not work.plan.changed:
        return
    program = _program(work.wanted)
    if not work.seen.release_intact or work.plan.stage:
        release.stage(work.wanted.release, work.name, program)
    work.gid = generation.have_user(work.name)
    reach("user")
    if work.plan.stage:
        if work.seen.manifest:
            notices += [f"A file changed by hand is kept as {path}." for path in generation.keep_edited(work.wanted, work.seen)]
        if params["adopt"]:
            notices += [f"Adopted; the original is kept as {path}." for path in generation.adopt(work.name, work.seen.foreign)]
        work.generation = generation.write(work.wanted, work.known, work.seen, work.gid)
        reach("generation")


def _program(wanted: Instance) -> str:
    """Path of the main program inside the release; a program of the component's own is not looked for there."""
    first = wanted.command[0]
    return first[len("{release}/"):] if first.startswith("{release}/") else ""


def _check_staged(work: Work, notices: list) -> None:
    if not work.generation or not work.wanted.check:
        return
    etc = os.path.join(layout.generation(work.name, work.generation), "etc")
    mount_point = layout.etc(work.name)
    if not os.path.lexists(mount_point):
        files.make_directory(mount_point)
    try:
        _judge(work, etc, notices)
    finally:
        if not work.seen.manifest and os.path.isdir(mount_point) and not os.path.islink(mount_point):
            os.rmdir(mount_point)


def _check_privately(work: Work, notices: list) -> None:
    """Run the checker on a copy below /run, in check mode."""
    missing = [what for what, there in (
        ("the release", release.intact(work.known["release"])),
        ("the user", work.seen.user),
        (layout.etc(work.name), os.path.exists(layout.etc(work.name))),
    ) if not there]  # fmt: skip
    if missing:
        notices.append(f"The configuration of {work.name} was not checked: {' and '.join(missing)} is not there yet.")
        return
    directory = os.path.join(layout.RUN, f"check-{work.name}-{os.getpid()}")
    had_run = os.path.isdir(layout.RUN)
    try:
        files.make_directory(directory)
        generation.write_files(work.wanted, directory, generation.group_of(work.name) or 0)
        _judge(work, os.path.join(directory, "etc"), notices)
    finally:
        files.remove(directory)
        if not had_run:
            os.rmdir(layout.RUN)


def _judge(work: Work, etc: str, notices: list) -> None:
    """Let the new release's own checker decide; its words are the error."""
    values = {**layout.placeholders(work.name), "{release}": release.path_of(work.known["release"])}
    command = [layout.fill(word, values) for word in work.wanted.check]
    environment = {key: layout.fill(value, values) for key, value in work.wanted.environment.items()}
    result = systemd.check(work.name, work.name, etc, command, environment)
    told = result.stdout.strip()
    if result.returncode == 0:
        return
    if work.wanted.check_accept and told and all(
        re.search(work.wanted.check_accept, line) for line in told.splitlines() if line.strip()
    ):
        notices.append(f"The checker of {work.name} warns: {told}")
        return
    raise ComponentError(f"The configuration of {work.name} is refused by its own checker ({' '.join(command)}): {told}")


def _refuse_taken_ports(work: Work) -> None:
    """Refuse before anything is changed when another process holds a port that the program needs."""
    if work.plan.action not in (INSTALL, RESTART):
        return
    pid = work.seen.units.get(work.wanted.main_unit, Unit()).main_pid
    for address in work.wanted.listens:
        holder = probe.taken(address, pid)
        if holder:
            raise ComponentError(f"{work.name} needs {address}, which is held by {holder}.")


def _discard(work: Work) -> None:
    if work.generation and not work.switched:
        files.remove(layout.generation(work.name, work.generation))
    if not work.seen.manifest and not work.switched:
        for path in (layout.generations(work.name), layout.component(work.name)):
            if os.path.isdir(path) and not os.listdir(path):
                os.rmdir(path)


def _switch_and_prove(result: Result) -> None:
    changing = [work for work in result.works if work.plan.changed]
    try:
        for work in changing:
            _switch(work)
        if any(work.plan.reload_manager for work in changing):
            systemd.systemctl("daemon-reload")
        reach("manager-reloaded")
        for work in changing:
            _act_and_prove(work)
    except (ComponentError, probe.NotProven, OSError) as error:
        _roll_back(changing, str(error))
    for work in changing:
        _commit(work)
    reach("committed")
    for item in result.removed:
        removal.remove(item)
    for work in result.works:
        _finish(work)


def _switch(work: Work) -> None:
    files.replace(layout.pending(work.name), b"", 0o600)
    reach("pending")
    if work.generation:
        work.switched = True
        generation.switch(work.name, work.generation)
    reach("switched")
    generation.set_links(work.name, work.known, work.seen.manifest)
    reach("linked")


def _act_and_prove(work: Work) -> None:
    """Do what the program needs and wait for its own proof."""
    in_force = work.generation or work.seen.current
    state = _act(work)
    reach("acted")
    for unit_name in work.plan.restart_units:
        systemd.systemctl("restart", unit_name)
    if work.plan.action in (RELOAD, SWITCH):
        systemd.record_running(work.name, state.invocation, in_force)
    reach("proven")


def _act(work: Work) -> Unit:
    unit_name = work.wanted.main_unit
    before = work.seen.units.get(unit_name, Unit())
    if work.plan.action == SWITCH:
        return before
    if work.plan.action == RELOAD:
        stamp = probe.metric(work.wanted.reload["url"], work.wanted.reload["timestamp"])
        _wait_for_next_second(stamp)
        systemd.systemctl("reload", unit_name)
        return probe.reloaded(unit_name, work.wanted.reload, stamp, before.main_pid)
    systemd.systemctl("restart", unit_name)
    return probe.started(unit_name, list(work.wanted.listens), work.wanted.ready)


def _wait_for_next_second(stamp: float | None) -> None:
    """Programs stamp reloads with whole seconds, so a proof needs a later second than the last one's."""
    while stamp is not None and time.time() < int(stamp) + 1:
        time.sleep(0.05)


def _roll_back(works: list, reason: str) -> None:
    """Put the last proven generations back, prove them, and fail with the reason."""
    told = [reason, *[_last_words(work) for work in works if work.switched or work.plan.action == RESTART]]
    restored, lost = [], []
    for work in reversed(works):
        try:
            if _restore(work):
                restored.append(work.name)
        except (ComponentError, probe.NotProven, OSError) as error:
            lost.append(f"{work.name} could not be put back: {error}")
    if restored:
        told.append(f"Rolled back: {', '.join(restored)}.")
    raise ComponentError("\n".join(part for part in told + lost if part), rolled_back=tuple(restored))


def _last_words(work: Work) -> str:
    text = systemd.journal(work.wanted.main_unit)
    return f"Last lines of {work.wanted.main_unit}:\n{text}" if text else ""


def _restore(work: Work) -> bool:
    """Put one instance back; return whether there was something to put back."""
    target = work.seen.proven or work.seen.current
    before = observe.read_manifest(work.name, target)
    if before is None:
        removal.withdraw(work.name, work.known)
        _discard_failed(work)
        return False
    here = os.path.basename(files.link_target(layout.current(work.name)) or "")
    if here == target:
        return False
    generation.switch(work.name, target)
    generation.set_links(work.name, before, work.known)
    systemd.systemctl("daemon-reload")
    _return_process(work, before, target)
    _discard_failed(work)
    files.remove(layout.pending(work.name))
    return True


def _return_process(work: Work, before: dict, target: str) -> None:
    """Have the program run the generation that is back in force."""
    state = systemd.show([work.wanted.main_unit])[work.wanted.main_unit]
    same_process = state.active == "active" and state.main_pid == work.seen.units[work.wanted.main_unit].main_pid
    if same_process and work.plan.action == RELOAD and before["reload"]:
        systemd.systemctl("reload", work.wanted.main_unit)
        # The program kept the configuration that it had when it refused the new one; this makes it read the old file.
        probe.reloaded(work.wanted.main_unit, before["reload"], None, state.main_pid)
        systemd.record_running(work.name, state.invocation, target)
    elif not (same_process and work.plan.action == SWITCH):
        systemd.systemctl("restart", work.wanted.main_unit)
        probe.started(work.wanted.main_unit, before["listens"], before["ready"], ROLLBACK_SECONDS)
    for unit_name, role in before["units"].items():
        if role["started"] and unit_name != work.wanted.main_unit:
            systemd.systemctl("restart", unit_name)


def _discard_failed(work: Work) -> None:
    if work.generation:
        files.remove(layout.generation(work.name, work.generation))
    work.switched = False
    _discard(work)


def _commit(work: Work) -> None:
    in_force = work.generation or work.seen.current
    generation.commit(work.name, in_force)


def _finish(work: Work) -> None:
    """Clean up after the commit; a run that is killed here is finished by the next one."""
    current = os.path.basename(files.link_target(layout.current(work.name)) or "")
    for path in observe.debris(work.name, current, current, ""):
        files.remove(path)
    files.remove(layout.downloads(work.name))
    files.remove(layout.pending(work.name))


def summary(result: Result) -> dict:
    """The module's return values."""
    told = {}
    for work in result.works:
        told[work.name] = {
            "action": work.plan.action,
            "reasons": list(work.plan.reasons),
            "generation": work.generation or work.seen.current,
            "previous": work.seen.current,
            "release": work.known["release"],
        }
    for item in result.removed:
        told[item.name] = {"action": REMOVE, "reasons": ["it is no longer wanted"], "previous": item.generation,
                           "generation": "", "release": item.release}  # fmt: skip
    actions = [item["action"] for item in told.values()]
    return {
        "changed": any(action != NONE for action in actions),
        "action": strongest(actions),
        "instances": told,
        "notices": result.notices,
        "diff": [entry for work in result.works for entry in work.plan.diff]
        + [entry for item in result.removed for entry in item.diff],
    }
