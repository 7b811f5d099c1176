# SPDX-License-Identifier: GPL-3.0-or-later
"""Ownership record: the objects that an owner made in a Grafana, kept in that Grafana. Pure.

A message template ``<owner>.owned`` lists them in a comment; nothing uses it. Marks in the objects
themselves would not work: folders, contact points and mute timings have no free field for one in
Grafana 11, 12 or 13, and a tag of a dashboard or an annotation of a rule is copied with the
object, so that a manual copy would be taken for ours and deleted with it.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ..grafana_errors import GrafanaError
from ..kinds.base import DELETE
from ..kinds.registry import KINDS
from ..model import PRESENT
from .sync_plan import PRUNE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kinds.base import Existing, Step
    from ..model import DesiredObject
    from .sync_plan import Owned, Plan

SUFFIX = ".owned"
NOTE = "Made by automation; deleting this makes it forget what it owns."
# The name becomes a file's name in the Alertmanager.
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Record(NamedTuple):
    """The record of one owner as Grafana has it; without an owner nothing is recorded."""

    owner: str = ""
    template: str = ""
    owned: Owned = MappingProxyType({})


def check_owner(owner: str) -> None:
    """Raise GrafanaError if the name cannot be that of an owner."""
    if owner and not OWNER.fullmatch(owner):
        raise GrafanaError(
            f"{owner!r} is no name for an owner: use letters, digits, dots and dashes"
        )


def template_name(owner: str) -> str:
    """Return the name of an owner's template."""
    return owner + SUFFIX


def is_record(template: str) -> bool:
    """Return whether a message template is an ownership record."""
    return NOTE in template


def encode(owner: str, owned: Owned) -> str:
    """Return the template that records owned objects."""
    lists = {kind: sorted(owned[kind]) for kind in KINDS if owned.get(kind)}
    # An escaped slash, since */ would end the comment.
    comment = json.dumps(lists, indent=1, ensure_ascii=True).replace("/", "\\/")
    name = template_name(owner)
    return f'{{{{ define "{name}" }}}}{{{{/* {NOTE}\n{comment}\n*/}}}}{{{{ end }}}}'


def decode(template: str) -> dict[str, frozenset[str]]:
    """Return the objects that a template records, none for any other template."""
    match = re.search(r"\{\{/\*.*?\n(\{.*\})\s*\*/\}\}", template, re.DOTALL)
    try:
        lists = json.loads(match.group(1)) if match else {}
    except ValueError:
        lists = {}
    return {kind: frozenset(_texts(lists.get(kind))) for kind in KINDS}


def _texts(value: object) -> list[str]:
    """Return the texts in a list; a record that was edited owns no more than it can name."""
    found = value if isinstance(value, list) else []
    return [item for item in found if isinstance(item, str)]


def owned_during(plan: Plan) -> dict[str, frozenset[str]]:
    """Return the record to save before the writes: all that exists or may exist soon."""
    owned = {kind: set(plan.rules.owned.get(kind, ())) for kind in KINDS}
    for step in plan.steps:
        if step.source != PRUNE and step.after is not None and _is_claimed(step, plan):
            owned[step.kind].add(step.identity)
    return {kind: frozenset(identities) for kind, identities in owned.items()}


def _is_claimed(step: Step, plan: Plan) -> bool:
    """Return whether a run owns the object of a step, which may be there as desired already.

    One that no owner has recorded was made by someone else.
    """
    is_recorded = step.identity in plan.rules.others.get(step.kind, ())
    return step.writes or plan.rules.adopt or is_recorded


def owned_after(
    plan: Plan, desired: Sequence[DesiredObject], existing: Existing
) -> dict[str, frozenset[str]]:
    """Return the record to save after all writes."""
    owned = {kind: set(identities) for kind, identities in owned_during(plan).items()}
    for step in plan.steps:
        shared = plan.rules.others.get(step.kind, frozenset())
        is_given_up = step.source == PRUNE and step.identity in shared
        is_gone = step.after is None and step.live is None
        if step.action == DELETE or is_given_up or is_gone:
            owned[step.kind].discard(step.identity)
    for kind in plan.rules.prune:
        if any(item.kind == kind and item.state == PRESENT for item in desired):
            # All owned objects were read, so one that is missing was deleted.
            planned = {step.identity for step in plan.steps if step.kind == kind}
            owned[kind] &= planned | set(existing[kind])
    return {kind: frozenset(identities) for kind, identities in owned.items()}
