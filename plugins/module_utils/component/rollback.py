# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Go back to what was proven before the last rollout, by the same switch and proof as a rollout."""

from __future__ import annotations

import os

from . import (
    files,
    generation,
    layout,
    manifest,
    observe,
    release_store,
    run_lock,
    systemd,
    transaction,
)
from .component_errors import ComponentError
from .failpoints import failpoint
from .rollout_plan import ObservedState, plan
from .spec import Entry, Instance, Release, UnitRole
from .transaction import Result, Rollout


def roll_back(params: dict, check_mode: bool) -> Result:
    """Bring a component to the generation before its last rollout; a component that is there already stays.

    Raises ComponentError when there is none, and when it cannot be proven, which leaves the host as it was.
    """
    if check_mode:
        return _planned(params)
    with run_lock.held(params["name"], params.get("lock_owner") or "", params["lock_timeout"]):
        failpoint("after-lock")
        result = _planned(params)
        changing = [rollout for rollout in result.rollouts if rollout.plan.changed]
        kept = [
            path
            for rollout in changing
            for path in generation.keep_edited(rollout.name, rollout.observed)
        ]
        by_hand = [f"What was changed by hand is kept as {path}." for path in kept]
        for rollout in changing:
            generation.withdraw(rollout.name, rollout.rolled_back_from)
        if changing or any(rollout.observed.pending for rollout in result.rollouts):
            _switch(result, by_hand)
        result.notices += by_hand
        return result


def target(observed: ObservedState) -> str:
    """The generation to go back to, nothing where there is none; the current one where that was done. Pure."""
    if rolled_back_from(observed):
        return observed.current
    if observed.last_known_good and observed.last_known_good != observed.current:
        # What is in force was never proven: a run was killed, or failed and could not be undone.
        return observed.last_known_good
    return observed.previous if observed.previous != observed.current else ""


def rolled_back_from(observed: ObservedState) -> str:
    """The generation that was rolled back from, and not rolled forward since; nothing where there is none. Pure."""
    both = observed.rolled_back_from and observed.current
    return (
        observed.rolled_back_from
        if both and manifest.number(observed.rolled_back_from) > manifest.number(observed.current)
        else ""
    )


def _planned(params: dict) -> Result:
    component = params["name"]
    names = observe.instances_of(component)
    if not names:
        raise ComponentError(f"{component} is not on this host, so there is nothing to roll back.")
    systemd.require_version()
    result = Result()
    for name in names:
        rollout = _work(name, params["adopt"])
        if rollout is not None:
            result.rollouts.append(rollout)
    if not result.rollouts:
        current = ", ".join(filter(None, (generation.current(name) for name in names)))
        raise ComponentError(
            f"{component} has no proven generation before {current or 'this one'}, so there is nothing to roll back to."
        )
    for rollout in result.rollouts:
        transaction.refuse_taken_ports(rollout)
        result.notices.append(_told(rollout))
    return result


def _work(name: str, adopt: bool) -> Rollout | None:
    """What an instance needs to go back; None where it has nothing to go back to."""
    key, group = generation.fingerprint_key(create=False), generation.group_of(name)
    desired = target(observe.observe(name, [], key, group))
    if not desired:
        return None
    known = _sound(name, desired, key, group)
    described = instance(known, layout.generation(name, desired))
    observed = observe.observe(name, list(known["units"]), key, group)
    transaction.refuse_foreign(observed, adopt)
    way = plan(described, known, observed)
    return Rollout(
        described,
        observed,
        known,
        way,
        generation=desired,
        rolled_back_from=rolled_back_from(observed) or observed.current,
    )


def _sound(name: str, desired: str, key: bytes, group: int | None) -> dict:
    """The manifest of a generation, which must be as it was when it was proven."""
    known = observe.read_manifest(name, desired)
    if known is None:
        raise ComponentError(
            f"The manifest of generation {desired} of {name} is damaged. Nothing was changed."
        )
    by_hand = observe.changed(name, desired, known, key, group)
    if by_hand:
        raise ComponentError(
            f"Generation {desired} of {name} is not what was proven, since {', '.join(by_hand)} was changed by hand."
            " Nothing was changed."
        )
    if not release_store.intact(known["release"]):
        raise ComponentError(
            f"{release_store.path_of(known['release'])}, which generation {desired} of {name} runs, is damaged."
            " Nothing was changed."
        )
    return known


def instance(known: dict, directory: str) -> Instance:
    """An instance as the manifest and the files of its generation describe it."""
    entries = {
        path: Entry(
            content=files.read(os.path.join(directory, path)) or b"",
            mode=int(record["mode"], 8),
            on_change=record["on_change"],
            secret="fingerprint" in record,
        )
        for path, record in known["files"].items()
    }
    roles = {
        name: UnitRole(tuple(role["wanted_by"]), role["started"])
        for name, role in known["units"].items()
    }
    return Instance(
        component=known["component"],
        name=known["name"],
        release=Release(known["release"], ""),
        files=entries,
        units=roles,
        unit=known["unit"],
        listen_addresses=tuple(known["listen_addresses"]),
        ready=known["ready"],
        reload=known["reload"],
    )


def _told(rollout: Rollout) -> str:
    onward = "The next rollout brings what the inventory says, so change that first."
    if rollout.observed.current == rollout.generation:
        return f"{rollout.name} was rolled back from generation {rollout.rolled_back_from} to {rollout.generation} already. {onward}"
    return f"{rollout.name} is rolled back from generation {rollout.rolled_back_from} to {rollout.generation}. {onward}"


def _switch(result: Result, notices: list) -> None:
    try:
        transaction.switch_and_prove(result)
    except ComponentError as error:
        error.notices = tuple(notices)
        for rollout in result.rollouts:
            if generation.current(rollout.name) == rollout.rolled_back_from:
                files.remove(layout.rolled_back_from(rollout.name))
        raise
