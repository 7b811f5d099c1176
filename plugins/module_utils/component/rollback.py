# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll back to the generations before the last rollout, switched and verified like a rollout."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import (
    accounts,
    config_check,
    files,
    generation,
    layout,
    manifest,
    observe,
    ports,
    release_store,
    run_lock,
    systemd,
    transaction,
)
from .component_errors import ComponentError
from .failpoints import failpoint
from .rollout_plan import plan
from .spec import DesiredFile, Instance, Release, UnitRole
from .transaction import Result, Rollout

if TYPE_CHECKING:
    from typing import Any

    from .manifest import Manifest
    from .observed_state import ObservedState

NOTICE = (
    "{name} is rolled back from generation {rolled_back_from} to {target}. The next rollout applies"
    " the inventory again, so change the inventory first."
)


def roll_back(params: dict[str, Any], check_mode: bool) -> Result:
    """Return a component to the generation before its last rollout, unless it is there already.

    A ComponentError means that the host is as before.
    """
    if check_mode:
        result = _plan_rollback(params)
        for rollout in result.changing:
            if config_check.is_needed(rollout.desired):
                release = rollout.manifest["release"]
                result.notices += config_check.check_copy(rollout.desired, release)
        if not params.get("without_peers"):
            transaction.require_peers(result)
        return result
    with run_lock.held(
        params["name"], params.get("lock_owner") or "", params["lock_timeout"]
    ):
        failpoint("after-lock")
        result = _plan_rollback(params)
        notices: list[str] = []
        for rollout in result.changing:
            # What was accepted before the last rollout may be refused since.
            notices += transaction.check_generation(rollout)
        if not params.get("without_peers"):
            transaction.require_peers(result)
        for rollout in result.changing:
            notices += transaction.keep_manual_changes(rollout)
        for rollout in result.changing:
            mark(rollout.name, rollout.rolled_back_from)
        if result.changing or any(
            rollout.observed.pending for rollout in result.rollouts
        ):
            _switch(result, notices)
        result.notices += notices
        return result


def mark(name: str, generation_name: str) -> None:
    """Record the generation that is rolled back from."""
    generation.link(generation_name, layout.rolled_back_from(name))


def target(observed: ObservedState) -> str:
    """Return the generation to roll back to, the current one when that is done. Pure."""
    if rolled_back_from(observed):
        return observed.current
    if observed.last_known_good and observed.last_known_good != observed.current:
        # The current one was never verified: a run was killed or could not restore.
        return observed.last_known_good
    return observed.previous if observed.previous != observed.current else ""


def rolled_back_from(observed: ObservedState) -> str:
    """Return the generation rolled back from, empty after a rollout since. Pure."""
    later = observed.rolled_back_from
    if (
        later
        and observed.current
        and manifest.number(later) > manifest.number(observed.current)
    ):
        return later
    return ""


def _plan_rollback(params: dict[str, Any]) -> Result:
    component = params["name"]
    names = observe.instances_of(component)
    if not names:
        raise ComponentError(
            f"{component}: not on this host; there is nothing to roll back."
        )
    systemd.require_version()
    rollouts = (_plan_instance(name, params["adopt"]) for name in names)
    result = Result([rollout for rollout in rollouts if rollout], component=component)
    if not result.rollouts:
        current = ", ".join(filter(None, map(generation.current, names)))
        raise ComponentError(
            f"{component}: no verified generation before {current or 'the current one'};"
            " there is nothing to roll back to."
        )
    result.handovers = ports.handovers(result.rollouts, result.removals)
    for rollout in result.rollouts:
        notice = NOTICE.format(
            name=rollout.name,
            rolled_back_from=rollout.rolled_back_from,
            target=rollout.generation,
        )
        result.notices.append(notice)
    result.notices += filter(None, map(transaction.downgrade_notice, result.changing))
    return result


def _plan_instance(name: str, adopt: bool) -> Rollout | None:
    """Plan the rollback of an instance, or return None when it has no target."""
    key, group = generation.fingerprint_key(create=False), accounts.group_of(name)
    target_name = target(observe.observe(name, [], key, group))
    if not target_name:
        return None
    target_manifest = _intact_manifest(name, target_name, key, group)
    desired = instance(target_manifest, layout.generation(name, target_name))
    observed = observe.observe(name, target_manifest["units"], key, group)
    transaction.refuse_obstacles(observed, adopt)
    return Rollout(
        desired,
        observed,
        target_manifest,
        plan(desired, target_manifest, observed),
        generation=target_name,
        rolled_back_from=rolled_back_from(observed) or observed.current,
    )


def _intact_manifest(
    name: str, target_name: str, key: bytes, group: int | None
) -> Manifest:
    """Return the manifest of a generation that is as it was verified."""
    generation_name = f"generation {target_name} of {name}"
    target_manifest = observe.read_manifest(name, target_name)
    if target_manifest is None or not target_manifest["id"]:
        raise ComponentError(
            f"{generation_name}: its manifest is damaged; roll out instead. Nothing was changed."
        )
    changed = observe.changed_files(name, target_name, target_manifest, key, group)
    if changed:
        raise ComponentError(
            f"{generation_name}: {', '.join(changed)} was changed manually; roll out instead."
            " Nothing was changed."
        )
    release = target_manifest["release"]
    if not release_store.intact(release):
        raise ComponentError(
            f"{generation_name}: {release_store.path_of(release)} is damaged; roll out instead."
            " Nothing was changed."
        )
    return target_manifest


def instance(described: Manifest, directory: str) -> Instance:
    """Return the instance that a generation describes."""
    desired_files = {}
    for path, record in described["files"].items():
        desired_files[path] = DesiredFile(
            content=files.read(os.path.join(directory, path)) or b"",
            mode=int(record["mode"], 8),
            on_change=record["on_change"],
            secret="fingerprint" in record,
        )
    roles = {}
    for unit_name, role in described["units"].items():
        roles[unit_name] = UnitRole(tuple(role["wanted_by"]), role["started"])
    return Instance(
        component=described["component"],
        name=described["name"],
        release=Release(described["release"], ""),
        files=desired_files,
        units=roles,
        unit_digest=described["unit"],
        listen_addresses=tuple(described["listen_addresses"]),
        ready=described["ready"],
        reload=described["reload"],
        check=tuple(described["check"]),
        check_ignore_pattern=described["check_ignore_pattern"],
        environment=described["environment"],
    )


def _switch(result: Result, notices: list[str]) -> None:
    try:
        transaction.switch_and_verify(result)
    except ComponentError as error:
        error.notices = tuple(notices)
        for rollout in result.rollouts:
            if generation.current(rollout.name) == rollout.rolled_back_from:
                files.remove(layout.rolled_back_from(rollout.name))
        raise
