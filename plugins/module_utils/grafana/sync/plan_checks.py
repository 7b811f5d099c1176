# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a plan as a whole before anything is written. Pure.

Each check returns the steps, with a conflict in place of each step that cannot be carried out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from ..kinds.base import (
    API,
    CONFLICT,
    CREATE,
    DELETE,
    KEEP,
    NO_PROVENANCE,
    UPDATE,
    Kind,
    Step,
    title,
)
from ..kinds.registry import KINDS, REGISTRY, definition_users, referrers
from ..model import Reference, RequiredObject
from .sync_plan import PRUNE, change_blocker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..kinds.base import Existing, Live
    from ..model import Body
    from .sync_plan import Rules

    # Kind -> identity -> body.
    Bodies = dict[str, dict[str, Body]]

# From this major version on Grafana releases an object of the API to its interface.
RELEASES_TO_UI = 13
NOWHERE = "it is neither desired nor on the server"


def with_conflicts(steps: Sequence[Step], reasons: Mapping[int, str]) -> list[Step]:
    """Return the steps, those with a reason (by id) in conflict; a prune keeps its object."""
    result: list[Step] = []
    for step in steps:
        reason = reasons.get(id(step))
        if reason is None:
            result.append(step)
            continue
        action = KEEP if step.source == PRUNE else CONFLICT
        result.append(replace(step, action=action, reason=reason))
    return result


def references(steps: Iterable[Step]) -> list[tuple[Reference, Step]]:
    """Return the objects that must exist for the writes of these steps."""
    return [
        (reference, step)
        for step in steps
        if step.action in (CREATE, UPDATE)
        for reference in REGISTRY[step.kind].references(step.body)
    ]


def check_references(
    steps: Sequence[Step], existing: Existing, required: Sequence[RequiredObject]
) -> list[Step]:
    """Check that references lead to objects that will exist, as ``required`` objects must."""
    available = _available(steps, existing)
    missing: dict[int, list[str]] = defaultdict(list)
    for (kind, identity), step in references(steps):
        if identity not in available[kind]:
            missing[id(step)].append(title(kind, identity))
    reasons = {
        step: f"it needs {', '.join(titles)}, which is not there"
        for step, titles in missing.items()
    }
    conflicts = [
        Step(item.kind, item.identity, CONFLICT, item.source, reason=NOWHERE)
        for item in missing_objects(steps, existing, required)
        if not item.optional
    ]
    return [*with_conflicts(steps, {**reasons, **_cycles(steps)}), *conflicts]


def missing_objects(
    steps: Sequence[Step], existing: Existing, required: Sequence[RequiredObject]
) -> list[RequiredObject]:
    """Return the required objects that will not exist."""
    available = _available(steps, existing)
    missing = []
    for item in required:
        kind, identity, *_details = item
        if identity in available[kind]:
            continue
        if not _is_defined(kind, identity, available[kind], steps, existing):
            missing.append(RequiredObject(*item))
    return missing


def _available(steps: Sequence[Step], existing: Existing) -> dict[str, set[str]]:
    """Return the identities of all objects that will exist, by kind."""
    available = {kind: set(existing.get(kind, ())) for kind in KINDS}
    for kind in KINDS:
        for live in existing.get(kind, {}).values():
            for reference in REGISTRY[kind].unlisted_references(live.body):
                available[reference.kind].add(reference.identity)
    for step in steps:
        is_gone = step.live is None and step.after is None
        if step.action == DELETE or is_gone:
            available[step.kind].discard(step.identity)
        else:
            available[step.kind].add(step.identity)
    return available


def _is_defined(
    kind: str, name: str, available: set[str], steps: Sequence[Step], existing: Existing
) -> bool:
    """Return whether an available object of the kind defines the name."""
    bodies = {identity: live.body for identity, live in existing.get(kind, {}).items()}
    for step in steps:
        if step.kind == kind and step.after is not None:
            bodies[step.identity] = step.body
    return any(
        name in REGISTRY[kind].definitions(body)
        for identity, body in bodies.items()
        if identity in available
    )


def _cycles(steps: Sequence[Step]) -> dict[int, str]:
    """Return reasons against objects that would be below themselves."""
    reasons: dict[int, str] = {}
    for kind in REGISTRY.values():
        if kind.name not in kind.refers_to:
            continue
        own = {
            step.identity: step
            for step in steps
            if step.kind == kind.name and step.after is not None
        }
        parents = {identity: kind.parent(step.body) for identity, step in own.items()}
        for identity, step in own.items():
            if identity in _ancestors(identity, parents):
                reasons[id(step)] = f"it would be a {kind.label} below itself"
    return reasons


def _ancestors(identity: str, parents: Mapping[str, str]) -> set[str]:
    ancestors: set[str] = set()
    parent = parents[identity]
    while parent in parents and parent not in ancestors:
        ancestors.add(parent)
        parent = parents[parent]
    return ancestors


def check_moves(steps: Sequence[Step], existing: Existing, rules: Rules) -> list[Step]:
    """Check that parts move only out of objects that may be changed, and note the moves.

    A move that the kind carries out in stages is noted in all steps of the kind.
    """
    checked = list(steps)
    for kind in REGISTRY.values():
        if kind.parts:
            checked = _check_moves_of(kind, checked, existing.get(kind.name, {}), rules)
    return checked


def _check_moves_of(
    kind: Kind, steps: Sequence[Step], live: Mapping[str, Live], rules: Rules
) -> list[Step]:
    owners = {
        part["uid"]: identity
        for identity, candidate in live.items()
        for part in candidate.body[kind.parts]
    }
    moved_by_step: dict[int, set[str]] = {}
    for step in steps:
        if step.kind == kind.name and step.after is not None:
            moved_by_step[id(step)] = _moved_parts(step, kind.parts, owners)
    all_moved = frozenset[str]().union(*moved_by_step.values())
    checked: list[Step] = []
    for step in steps:
        if step.kind != kind.name:
            checked.append(step)
            continue
        losers = {owners[uid] for uid in moved_by_step.get(id(step), ())}
        result = _check_losers(kind, step, losers, live, rules)
        checked.append(
            replace(result, moves=all_moved if kind.stages_moves else frozenset())
        )
    return checked


def _moved_parts(step: Step, parts: str, owners: Mapping[str, str]) -> set[str]:
    uids = {part["uid"] for part in step.body[parts]}
    return {uid for uid in uids if owners.get(uid, step.identity) != step.identity}


def _check_losers(
    kind: Kind, step: Step, losers: set[str], live: Mapping[str, Live], rules: Rules
) -> Step:
    """Return the step, in conflict if an object that loses parts to it may not be changed."""
    for identity in sorted(losers):
        action, reason = change_blocker(kind, identity, live[identity], rules)
        if action:
            where = title(kind.name, identity)
            reason = f"its {kind.part_label}s are now in {where}, and {reason}"
            return replace(step, action=action, reason=reason)
    return step


def emptied(steps: Sequence[Step], existing: Existing) -> dict[Reference, Step]:
    """Return objects that lose their last part, each with a step that takes one."""
    takers: dict[tuple[str, str], Step] = {}
    for step in steps:
        if step.moves and step.after is not None:
            own = _part_uids(REGISTRY[step.kind], step.body)
            takers.update({(step.kind, uid): step for uid in step.moves & own})
    # One that is to be deleted stays when something still uses it.
    planned = {(step.kind, step.identity) for step in steps if step.action != DELETE}
    losers: dict[Reference, Step] = {}
    for kind in REGISTRY.values():
        if not kind.stages_moves:
            continue
        for identity, live in existing.get(kind.name, {}).items():
            keys = {(kind.name, uid) for uid in _part_uids(kind, live.body)}
            if keys and keys <= set(takers) and (kind.name, identity) not in planned:
                losers[Reference(kind.name, identity)] = takers[next(iter(keys))]
    return losers


def _part_uids(kind: Kind, body: Body) -> set[str]:
    return {part["uid"] for part in body[kind.parts]}


def kinds_for_use_check(steps: Sequence[Step]) -> list[str]:
    """Return the kinds that check_use needs as a whole."""
    kinds: list[str] = []
    for step in steps:
        if _may_break_references(step):
            kinds += referrers(step.kind)
    for step in steps_removing_definitions(steps):
        kinds += [step.kind, *definition_users(step.kind)]
    return list(dict.fromkeys(kinds))


def _may_break_references(step: Step) -> bool:
    is_deleted = step.action == DELETE and REGISTRY[step.kind].in_use_blocker
    return bool(is_deleted or step.moves)


def check_use(steps: Sequence[Step], existing: Existing) -> list[Step]:
    """Check that nothing is removed that remaining objects use."""
    checked = with_conflicts(steps, _broken_references(steps, existing))
    # An object that is kept uses others in its turn.
    while True:
        reasons = _lost_definitions(checked, existing)
        if not reasons:
            return checked
        checked = with_conflicts(checked, reasons)


def _broken_references(steps: Sequence[Step], existing: Existing) -> dict[int, str]:
    removed = {step.kind for step in steps if _may_break_references(step)}
    users = {name for kind in removed for name in referrers(kind)}
    used: set[Reference] = set()
    for name in users:
        for body in _bodies_after(name, steps, existing).values():
            used.update(REGISTRY[name].references(body))
    reasons: dict[int, str] = {}
    for step in steps:
        blocker = REGISTRY[step.kind].in_use_blocker
        is_used = Reference(step.kind, step.identity) in used
        if step.action == DELETE and blocker and is_used:
            reasons[id(step)] = blocker
    for loser, step in emptied(steps, existing).items():
        if loser in used:
            kind = REGISTRY[loser.kind]
            reasons[id(step)] = (
                f"it takes the last {kind.part_label} of {title(*loser)}, and {kind.in_use_blocker}"
            )
    return reasons


def _bodies_after(
    kind: str, steps: Sequence[Step], existing: Existing
) -> dict[str, Body]:
    """Return the bodies of all objects of a kind as they will be."""
    bodies = {identity: live.body for identity, live in existing.get(kind, {}).items()}
    for step in steps:
        if step.kind != kind:
            continue
        if step.action == DELETE:
            bodies.pop(step.identity, None)
        elif step.action in (CREATE, UPDATE):
            bodies[step.identity] = REGISTRY[kind].expected(step.body)
    return bodies


def steps_removing_definitions(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that remove names by which other objects may use theirs."""
    return [step for step in steps if _removed_definitions(step)]


def _removed_definitions(step: Step) -> set[str]:
    kind = REGISTRY[step.kind]
    if step.live is None or not definition_users(step.kind):
        return set()
    before = set(kind.definitions(step.live.body))
    if step.action == DELETE:
        return before
    if step.action == UPDATE:
        return before - set(kind.definitions(kind.expected(step.body)))
    return set()


def _lost_definitions(steps: Sequence[Step], existing: Existing) -> dict[int, str]:
    """Return reasons against steps that remove definitions which remaining objects use."""
    removing = steps_removing_definitions(steps)
    if not removing:
        return {}
    bodies = {kind: _bodies_after(kind, steps, existing) for kind in KINDS}
    for loser in emptied(steps, existing):
        bodies[loser.kind].pop(loser.identity, None)
    users = _definition_users(bodies)
    defined = {
        Reference(kind, name)
        for kind in {step.kind for step in removing}
        for body in bodies[kind].values()
        for name in REGISTRY[kind].definitions(body)
    }
    reasons: dict[int, str] = {}
    for step in removing:
        for name in _in_order(step, _removed_definitions(step)):
            definition = Reference(step.kind, name)
            if definition in users and definition not in defined:
                kind = REGISTRY[step.kind]
                reasons[id(step)] = (
                    f"{users[definition]} still uses its {kind.label} {name}"
                )
    return reasons


def _in_order(step: Step, names: set[str]) -> list[str]:
    """Return the names in the order in which the live object defines them."""
    defined = REGISTRY[step.kind].definitions(step.live.body) if step.live else []
    return [name for name in defined if name in names]


def _definition_users(bodies: Bodies) -> dict[Reference, str]:
    """Return the title of one object that uses each definition."""
    users: dict[Reference, str] = {}
    for kind, by_identity in bodies.items():
        for identity, body in sorted(by_identity.items()):
            for definition in REGISTRY[kind].definitions_used(body):
                users[definition] = title(kind, identity)
    return users


def steps_released_to_ui(steps: Sequence[Step]) -> list[Step]:
    """Return the steps that make an object of the API editable in the interface."""
    return [step for step in steps if step.action == UPDATE and _is_released(step)]


def _is_released(step: Step) -> bool:
    before, after = step.before or {}, step.after or {}
    return (before.get("provenance"), after.get("provenance")) == (API, NO_PROVENANCE)


def subtree(kind: Kind, identity: str, live: Mapping[str, Live]) -> set[str]:
    """Return the identities of a container and of all that are known below it."""
    inside: set[str] = set()
    added = {identity}
    while added:
        inside |= added
        below = {
            name
            for name, candidate in live.items()
            if kind.parent(candidate.body) in inside
        }
        added = below - inside
    return inside


def leaving(steps: Sequence[Step], containers: set[str]) -> Counter[str]:
    """Return how many objects leave these containers in this run, by the first count name."""
    counts: Counter[str] = Counter()
    for step in steps:
        kind = REGISTRY[step.kind]
        if not kind.count_names or step.live is None:
            continue
        if kind.parent(step.live.body) not in containers:
            continue
        moves = step.action == UPDATE and kind.parent(step.body) not in containers
        if step.action == DELETE or moves:
            counts[kind.count_names[0]] += (
                len(step.live.body[kind.parts]) if kind.parts else 1
            )
    return counts
