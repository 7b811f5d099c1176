# SPDX-License-Identifier: GPL-3.0-or-later
"""Check names that only one object may have, and order the writes that pass them on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..kinds.base import CREATE, DELETE, KEEP, UPDATE, Step
from ..kinds.registry import REGISTRY
from .plan_checks import with_conflicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..kinds.base import Name
    from ..model import Body

    # Kind -> name -> uids.
    NameOwners = Mapping[str, Mapping[Name, Sequence[str]]]


class Wait(NamedTuple):
    """A step that needs a name which another step of the same kind gives up."""

    step: Step
    name: str
    giver: Step


def names(kind: str, identity: str, body: Body) -> dict[str, Name]:
    """Return the unique names of an object or of its parts: uid -> name."""
    return REGISTRY[kind].unique_names(identity, body)


def kinds_with_new_names(steps: Iterable[Step]) -> list[str]:
    """Return the kinds of which an object is created, renamed or moved."""
    return sorted({step.kind for step in steps if _new_names(step)})


def check(steps: Sequence[Step], name_owners: NameOwners) -> list[Step]:
    """Return the steps, in conflict if their name is taken or passed on in a circle."""
    reasons = {**_taken_names(steps, name_owners), **_uid_conflicts(steps)}
    for kind in name_owners:
        own = [step for step in steps if step.kind == kind]
        for wait in order_by_name_dependency(own)[1]:
            reason = (
                f"its name {wait.name!r} is still that of {wait.giver.about}, and they are passed "
                "on in a circle: give one a third name first"
            )
            reasons.setdefault(id(wait.step), reason)
    return with_conflicts(steps, reasons)


def _uid_conflicts(steps: Sequence[Step]) -> dict[int, str]:
    reasons: dict[int, str] = {}
    desired = {(step.kind, step.identity) for step in steps if step.after is not None}
    for step in steps:
        if step.action != CREATE:
            continue
        for other in REGISTRY[step.kind].uids_differ_from:
            if (other, step.identity) in desired:
                label = REGISTRY[other].label
                reasons[id(step)] = (
                    f"a {label} has the same uid, which Grafana 11 does not accept"
                )
    return reasons


def _taken_names(steps: Sequence[Step], name_owners: NameOwners) -> dict[int, str]:
    """Return reasons against names that another step or another live object has."""
    freed = {(step.kind, uid) for step in steps for uid in _freed_names(step)}
    deleted = {
        (step.kind, uid)
        for step in steps
        if step.action == DELETE
        for uid in _live_names(step)
    }
    first_by_name: dict[tuple[str, Name], tuple[Step, bool]] = {}
    reasons: dict[int, str] = {}
    for step in steps:
        if step.kind not in name_owners:
            continue
        new_names = _new_names(step)
        for uid, name in _desired_names(step).items():
            is_new = uid in new_names
            first, first_is_new = first_by_name.setdefault(
                (step.kind, name), (step, is_new)
            )
            # Two live objects with one name, which newer servers allow, are left alone.
            if first is not step and (is_new or first_is_new):
                reasons[id(step)] = f"{first.about} has the same name and place"
                continue
            live_owners = name_owners[step.kind].get(name, ()) if is_new else ()
            others = [
                owner
                for owner in live_owners
                if owner != uid and (step.kind, owner) not in freed
            ]
            if others:
                is_deleted = (step.kind, others[0]) in deleted
                reasons[id(step)] = _taken(step, str(name[0]), others[0], is_deleted)
    return reasons


def _taken(step: Step, name: str, owner: str, is_deleted: bool) -> str:
    kind = REGISTRY[step.kind]
    label = kind.part_label or kind.label
    reason = f"its name {name!r} is taken there by the {label} with the uid {owner}"
    return f"{reason}, which is deleted only after all writes" if is_deleted else reason


def order_by_name_dependency(
    steps: Sequence[Step],
) -> tuple[list[list[Step]], list[Wait]]:
    """Return steps of one kind in batches, each after those whose names it takes.

    The second list are the steps that wait for each other in a circle.
    """
    givers: dict[Name, tuple[str, Step]] = {}
    for step in steps:
        if REGISTRY[step.kind].renames_in_order:
            givers.update(
                {name: (uid, step) for uid, name in _freed_names(step).items()}
            )
    waits = {id(step): _waits(step, givers) for step in steps}
    batches: list[list[Step]] = []
    waiting = list(steps)
    while waiting:
        ids = {id(step) for step in waiting}
        # The server orders the names that are passed on within a group.
        pending = {
            id(step): [
                wait
                for wait in waits[id(step)]
                if id(wait.giver) in ids and wait.giver is not step
            ]
            for step in waiting
        }
        ready = [step for step in waiting if not pending[id(step)]]
        if not ready:
            return batches, [pending[id(step)][0] for step in waiting]
        batches.append(ready)
        waiting = [step for step in waiting if pending[id(step)]]
    return batches, []


def _waits(step: Step, givers: Mapping[Name, tuple[str, Step]]) -> list[Wait]:
    waits: list[Wait] = []
    for uid, name in _new_names(step).items():
        former_uid, giver = givers.get(name, (uid, step))
        if former_uid != uid:
            waits.append(Wait(step, str(name[0]), giver))
    return waits


def _live_names(step: Step) -> dict[str, Name]:
    return names(step.kind, step.identity, step.live.body) if step.live else {}


def _desired_names(step: Step) -> dict[str, Name]:
    if step.action not in (CREATE, UPDATE, KEEP) or step.after is None:
        return {}
    return names(step.kind, step.identity, step.body)


def _new_names(step: Step) -> dict[str, Name]:
    """Return the names that are new to their uid."""
    if step.action == KEEP:
        return {}
    live = _live_names(step)
    return {
        uid: name for uid, name in _desired_names(step).items() if live.get(uid) != name
    }


def _freed_names(step: Step) -> dict[str, Name]:
    """Return the names that their uid has no more once the step is written."""
    if step.action != UPDATE:
        return {}
    desired = _desired_names(step)
    return {
        uid: name for uid, name in _live_names(step).items() if desired.get(uid) != name
    }
