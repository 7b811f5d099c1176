# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the action for each object from desired and existing objects. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from .. import normalize
from ..grafana_errors import GrafanaError
from ..kinds.base import (
    API,
    CONFLICT,
    CREATE,
    DELETE,
    KEEP,
    NO_PROVENANCE,
    UNMANAGED,
    UPDATE,
    Kind,
    Live,
    Settings,
    Step,
    title,
)
from ..kinds.registry import KINDS, REGISTRY
from ..model import ABSENT, PRESENT, DesiredObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..kinds.base import Existing

    # Kind -> identities.
    Owned = Mapping[str, frozenset[str]]

# Source of a step that deletes an owned object which is no longer desired.
PRUNE = "prune"
# Up to so many objects are named in one message.
NAMED_IN_MESSAGE = 20
FILE_PROVENANCE = (
    "it is provisioned from a file, which would bring it back at the next start: remove it from "
    "Grafana's provisioning directory, or delete it there by its delete list, first"
)
UNMANAGED_REASON = "it was made manually, and is replaced only with adopt: true"


@dataclass(frozen=True)
class Rules:
    """Permissions of a run; ``owned`` is its ownership record, ``others`` that of other owners."""

    settings: Settings = field(default_factory=Settings)
    adopt: bool = False
    has_owner: bool = False
    owned: Owned = field(default_factory=dict)
    others: Owned = field(default_factory=dict)
    prune: tuple[str, ...] = ()


class Plan(NamedTuple):
    """Steps for all objects of a run.

    ``unique_kinds`` are kinds of which steps take names that only one object may have.
    """

    steps: tuple[Step, ...]
    rules: Rules
    unique_kinds: frozenset[str] = frozenset()

    @property
    def changes(self) -> list[Step]:
        """Return the steps that write."""
        return [step for step in self.steps if step.writes]

    @property
    def blockers(self) -> list[str]:
        """Return one line for each object that keeps the run from beginning."""
        return [
            f"{step.about}: {step.reason}"
            for step in self.steps
            if step.action in (CONFLICT, UNMANAGED)
        ]

    def raise_if_unsafe(self, prune_max: int) -> None:
        """Raise GrafanaError if more than ``prune_max`` objects would be pruned."""
        pruned = [step for step in self.changes if step.source == PRUNE]
        if len(pruned) > prune_max:
            names = ", ".join(step.title for step in pruned[:NAMED_IN_MESSAGE])
            raise GrafanaError(
                f"Nothing was changed. {len(pruned)} objects are no longer desired, more than "
                f"prune_max ({prune_max}): {names}"
            )

    def raise_if_blocked(self) -> None:
        """Raise GrafanaError with all blockers."""
        if self.blockers:
            raise GrafanaError("Nothing was changed. " + "; ".join(self.blockers))


def make_plan(
    desired: Sequence[DesiredObject], existing: Existing, rules: Rules
) -> Plan:
    """Plan all desired objects, and the pruning of owned objects that are no longer desired."""
    desired = resolve_absent(desired, existing)
    steps = [
        plan_object(
            REGISTRY[item.kind], item, existing[item.kind].get(item.identity), rules
        )
        for item in desired
    ]
    return Plan(
        (*_duplicates(desired), *steps, *_prune(desired, existing, rules)), rules
    )


def plan_object(
    kind: Kind, desired: DesiredObject, live: Live | None, rules: Rules
) -> Step:
    """Plan one object."""
    step = Step(
        kind.name,
        desired.identity,
        KEEP,
        desired.source,
        desired.body,
        desired.body,
        live,
    )
    if desired.state == ABSENT:
        return _plan_deletion(kind, step)
    # The prepared body depends on the live one, so its blockers come first.
    try:
        body = kind.prepared(desired.body, live, rules.settings)
    except ValueError as error:
        return replace(step, action=CONFLICT, reason=str(error))
    blocker = kind.blocker(body, live)
    if blocker:
        return replace(step, action=CONFLICT, reason=blocker)
    after = kind.comparable(kind.expected(body), body)
    before = None if live is None else kind.comparable(live.body, body)
    if kind.provenance_is_compared:
        after = {**after, "provenance": rules.settings.provenance}
        if live is not None:
            before = {**(before or {}), "provenance": live.provenance}
    step = replace(step, body=body, before=before, after=after)
    if live is None:
        return replace(step, action=CREATE)
    if normalize.same(before, after):
        return step
    action, reason = change_blocker(kind, step.identity, live, rules)
    return replace(step, action=action or UPDATE, reason=reason)


def _plan_deletion(kind: Kind, step: Step) -> Step:
    live = step.live
    if live is None or kind.is_initial(live):
        return step
    step = replace(step, action=DELETE, before=kind.comparable(live.body, live.body))
    blocker = (
        kind.deletion_blocker(step.identity) or live.locked or _provenance_blocker(live)
    )
    return replace(step, action=CONFLICT, reason=blocker) if blocker else step


def change_blocker(
    kind: Kind, identity: str, live: Live, rules: Rules
) -> tuple[str, str]:
    """Return the action and the reason if a live object may not be changed, else "" twice."""
    reason = live.locked or _provenance_blocker(live)
    if reason:
        return CONFLICT, reason
    if rules.adopt or kind.is_initial(live) or _is_ours(kind, identity, live, rules):
        return "", ""
    return UNMANAGED, UNMANAGED_REASON


def _is_ours(kind: Kind, identity: str, live: Live, rules: Rules) -> bool:
    # Automation made an object of the API; of editable objects, which have the provenance of
    # manual ones, only the ownership record says whose they are.
    if not kind.has_provenance or live.provenance == API:
        return True
    if not rules.has_owner and live.provenance == rules.settings.provenance:
        return True
    return identity in rules.owned.get(kind.name, ())


def _provenance_blocker(live: Live) -> str:
    if live.provenance in (API, NO_PROVENANCE):
        return ""
    if live.provenance == "file":
        return FILE_PROVENANCE
    return f"its provenance is {live.provenance}, which only its own tool may change"


def resolve_absent(
    desired: Sequence[DesiredObject], existing: Existing
) -> list[DesiredObject]:
    """Return the objects, with identities for absent ones that are named by another key.

    A datasource may be named by its name, an integration or a rule by its uid.
    """
    resolved: list[DesiredObject] = []
    for item in desired:
        kind = REGISTRY[item.kind]
        if item.state != ABSENT:
            resolved.append(item)
        elif kind.lookup_field:
            resolved.append(_looked_up(item, kind.lookup_field, existing[item.kind]))
        elif kind.parts and item.body.get("uid") and not item.identity:
            resolved += _without_part(item, kind.parts, desired, existing[item.kind])
        else:
            resolved.append(item)
    return resolved


def _looked_up(
    item: DesiredObject, field_name: str, live: Mapping[str, Live]
) -> DesiredObject:
    if item.identity in live:
        return item
    name = item.body.get(field_name)
    for identity, candidate in live.items():
        if candidate.body.get(field_name) == name:
            return replace(item, identity=identity)
    return item


def _without_part(
    item: DesiredObject,
    parts: str,
    desired: Sequence[DesiredObject],
    live: Mapping[str, Live],
) -> list[DesiredObject]:
    """Return the object that has the part, desired without it; none if it is desired elsewhere."""
    uid = item.body["uid"]
    present = {
        other.identity: other
        for other in desired
        if other.kind == item.kind and other.state == PRESENT
    }
    if any(
        part.get("uid") == uid
        for other in present.values()
        for part in other.body[parts]
    ):
        return []
    for identity, candidate in live.items():
        remaining = [part for part in candidate.body[parts] if part["uid"] != uid]
        if len(remaining) == len(candidate.body[parts]) or identity in present:
            continue
        body = {**candidate.body, parts: remaining}
        state = PRESENT if remaining else ABSENT
        return [replace(item, identity=identity, body=body, state=state)]
    return []


def _duplicates(desired: Sequence[DesiredObject]) -> list[Step]:
    """Return conflicts of objects, rules and integrations that are desired twice."""
    first_by_key: dict[tuple[str, str], DesiredObject] = {}
    conflicts: list[Step] = []
    for item in desired:
        for key in dict.fromkeys(_keys(item)):
            first = first_by_key.setdefault(key, item)
            if first is not item:
                reason = f"{title(*key)} stands in {first.source} as well"
                step = Step(
                    item.kind, item.identity, CONFLICT, item.source, reason=reason
                )
                conflicts.append(step)
    return conflicts


def _keys(item: DesiredObject) -> Iterator[tuple[str, str]]:
    """Yield the keys of an object and of its parts, which must be unique."""
    yield item.kind, item.identity
    kind = REGISTRY[item.kind]
    if kind.parts and item.state == PRESENT:
        for part in item.body[kind.parts]:
            if part.get("uid"):
                yield kind.part_label, part["uid"]


def _prune(
    desired: Sequence[DesiredObject], existing: Existing, rules: Rules
) -> list[Step]:
    """Return steps for owned objects that exist and are no longer desired."""
    steps: list[Step] = []
    for name in KINDS:
        own = [item for item in desired if item.kind == name]
        # A kind of which nothing is desired is left alone: its files may not have been read.
        is_desired = any(item.state == PRESENT for item in own)
        if name not in rules.prune or not REGISTRY[name].prunable or not is_desired:
            continue
        unwanted = set(rules.owned.get(name, ())) - {item.identity for item in own}
        for identity in sorted(unwanted & set(existing[name])):
            live = existing[name][identity]
            steps.append(_plan_prune(REGISTRY[name], identity, live, rules))
    return steps


def _plan_prune(kind: Kind, identity: str, live: Live, rules: Rules) -> Step:
    step = _plan_deletion(kind, Step(kind.name, identity, KEEP, PRUNE, live=live))
    if identity in rules.others.get(kind.name, ()):
        return replace(step, action=KEEP, reason="another owner has it too")
    # Otherwise it was taken over since, or created anew under its name.
    is_ours = not kind.has_provenance or live.provenance == rules.settings.provenance
    return step if step.action == DELETE and is_ours else replace(step, action=KEEP)
