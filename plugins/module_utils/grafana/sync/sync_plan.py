# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide what each object needs, from what is wanted and what Grafana has. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .. import normalize
from ..kinds.base import API, NO_PROVENANCE, Kind, Live, Settings
from ..kinds.names import KINDS
from ..kinds.policy import FIRST_RECEIVERS, is_first
from ..kinds.registry import REGISTRY
from ..model import ABSENT, PRESENT, DesiredObject

CREATE, UPDATE, KEEP, DELETE = "create", "update", "keep", "delete"
# Made by somebody else, or such that it cannot be done: nothing is written, and the run fails.
UNMANAGED, CONFLICT = "unmanaged", "conflict"
# The source of what is deleted since nobody wants it any more.
PRUNE = "prune"
# Kinds that are never pruned: there is one tree, and it is reset only when that is asked for.
UNPRUNED = ("policy",)


@dataclass(frozen=True)
class Step:
    """What one object needs. ``before`` and ``after`` are what was compared, None for an object that is not there.

    ``asked`` is the body that was asked for, ``body`` what is sent, ``moves`` are uids of integrations that change
    their contact point in this run.
    """

    kind: str
    identity: str
    action: str
    source: str
    asked: dict = field(default_factory=dict)
    body: dict = field(default_factory=dict)
    live: Live | None = None
    before: dict | None = None
    after: dict | None = None
    reason: str = ""
    moves: frozenset = frozenset()

    @property
    def about(self) -> str:
        """The object and where it was asked for, for messages."""
        return f"{title(self.kind, self.identity)} ({self.source})"

    @property
    def writes(self) -> bool:
        """Whether something is sent."""
        return self.action in (CREATE, UPDATE, DELETE)


@dataclass(frozen=True)
class Rules:
    """What the user allows; ``owned`` is kind -> identities, as the ledger has it, ``others`` those of other owners."""

    settings: Settings = field(default_factory=Settings)
    adopt: bool = False
    has_ledger: bool = False
    owned: dict = field(default_factory=dict)
    others: dict = field(default_factory=dict)
    prune: tuple = ()


def title(kind: str, identity: str) -> str:
    """An object in words."""
    name = kind.replace("_", " ")
    return f"{name} {identity}" if identity else f"{name} tree" if kind == "policy" else name


def plan(desired: list, live: dict, rules: Rules) -> list:
    """Steps for all wanted objects, and for those that are owned and no longer wanted; live is kind -> identity."""
    desired = resolved(desired, live)
    steps = [*_duplicates(desired)]
    steps += [
        plan_one(REGISTRY[one.kind], one, live[one.kind].get(one.identity), rules)
        for one in desired
    ]
    return [*steps, *_prune(desired, live, rules)]


def plan_one(kind: Kind, desired: DesiredObject, live: Live | None, rules: Rules) -> Step:
    """What one object needs."""
    step = Step(kind.name, desired.identity, KEEP, desired.source, desired.body, desired.body, live)
    if desired.state == ABSENT:
        return _gone(kind, step)
    # What is sent may depend on what is there, so a problem is looked for first.
    body = kind.prepared(desired.body, live, rules.settings)
    reason = kind.problem(body, live)
    if reason:
        return replace(step, action=CONFLICT, reason=reason)
    after = kind.comparable(kind.expected(body), body)
    before = None if live is None else kind.comparable(live.body, body)
    if kind.provenance_is_compared:
        after = {**after, "provenance": rules.settings.provenance}
        before = None if before is None else {**before, "provenance": live.provenance}
    step = replace(step, body=body, before=before, after=after)
    if live is None:
        return replace(step, action=CREATE)
    if normalize.same(before, after):
        return step
    reason, action = hindrance(kind, step.identity, live, rules)
    return replace(step, action=action or UPDATE, reason=reason)


def _gone(kind: Kind, step: Step) -> Step:
    if step.live is None or (kind.name == "policy" and is_first(step.live.body)):
        return step
    before = kind.comparable(step.live.body, step.live.body)
    step = replace(step, action=DELETE, before=before)
    reason = step.live.locked or _provenance_problem(step.live)
    if kind.name == "contact_point" and step.identity in FIRST_RECEIVERS:
        reason = "Grafana needs it"
    return replace(step, action=CONFLICT, reason=reason) if reason else step


def hindrance(kind: Kind, identity: str, live: Live, rules: Rules) -> tuple:
    """Why a live object may not be changed, as reason and action; nothing when it may."""
    reason = live.locked or _provenance_problem(live)
    if reason:
        return reason, CONFLICT
    # An object of the API was made by automation; whose it was can only be told of ours. What is editable has the
    # provenance of what people make, and is only known by the ledger.
    ours = not kind.stamped or live.provenance == API
    ours = ours or (not rules.has_ledger and live.provenance == rules.settings.provenance)
    ours = ours or rules.adopt or identity in rules.owned.get(kind.name, ())
    if ours or (kind.name == "policy" and is_first(live.body)):
        return "", ""
    return "it was made by hand, and is replaced only with adopt: true", UNMANAGED


def _provenance_problem(live: Live) -> str:
    if live.provenance in (API, NO_PROVENANCE):
        return ""
    if live.provenance == "file":
        return (
            "it is provisioned from a file, which would bring it back at the next start: remove it from Grafana's "
            "provisioning directory, or delete it there by its delete list, first"
        )
    return f"its provenance is {live.provenance}, which only its own tool may change"


def resolved(desired: list, live: dict) -> list:
    """Absent objects that are named by another key than their identity, as what they are on the server.

    A datasource may be named by its name, an integration or a rule by its uid.
    """
    return [found for one in desired for found in _resolved(one, desired, live)]


def _resolved(one: DesiredObject, desired: list, live: dict) -> list:
    if one.state != ABSENT or one.kind not in ("datasource", "contact_point", "rule_group"):
        return [one]
    if one.kind == "datasource":
        named = [
            uid
            for uid, held in live["datasource"].items()
            if held.body.get("name") == one.body.get("name")
        ]
        return (
            [replace(one, identity=named[0])]
            if one.identity not in live["datasource"] and named
            else [one]
        )
    uid, parts = (
        one.body.get("uid"),
        {"contact_point": "receivers", "rule_group": "rules"}[one.kind],
    )
    if one.identity or not uid:
        return [one]
    present = [other for other in desired if other.kind == one.kind and other.state == PRESENT]
    if any(part.get("uid") == uid for other in present for part in other.body[parts]):
        return []
    for identity, held in live[one.kind].items():
        rest = [part for part in held.body[parts] if part["uid"] != uid]
        if len(rest) == len(held.body[parts]) or identity in {other.identity for other in present}:
            continue
        state = PRESENT if rest else ABSENT
        return [replace(one, identity=identity, body={**held.body, parts: rest}, state=state)]
    return []


def _duplicates(desired: list) -> list:
    """Objects that are asked for twice, and rules and integrations with a uid that another one has."""
    places: dict = {}
    steps = []
    for one in desired:
        parts = {"contact_point": "receivers", "rule_group": "rules"}.get(one.kind)
        keys = [(one.kind, one.identity)]
        if parts and one.state == PRESENT:
            keys += [(parts[:-1], part["uid"]) for part in one.body[parts] if part.get("uid")]
        for key in dict.fromkeys(keys):
            other = places.setdefault(key, one)
            if other is not one:
                reason = f"{title(*key)} stands in {other.source} as well"
                steps.append(Step(one.kind, one.identity, CONFLICT, one.source, reason=reason))
    return steps


def _prune(desired: list, live: dict, rules: Rules) -> list:
    """Steps for what is owned, is there, and is no longer wanted."""
    steps = []
    for name in KINDS:
        named = {one.identity for one in desired if one.kind == name}
        if (
            name not in rules.prune
            or name in UNPRUNED
            or not any(one.kind == name and one.state == PRESENT for one in desired)
        ):
            continue
        for identity in sorted(set(rules.owned.get(name, ())) - named):
            held = live[name].get(identity)
            if held is None:
                continue
            step = _gone(REGISTRY[name], Step(name, identity, KEEP, PRUNE, live=held))
            made_by_us = not REGISTRY[name].stamped or held.provenance == rules.settings.provenance
            shared = identity in rules.others.get(name, ())
            reason = "another owner has it too" if shared else step.reason
            # Or somebody took it over since, or made it anew under its name.
            deletes = step.action == DELETE and made_by_us and not shared
            steps.append(step if deletes else replace(step, action=KEEP, reason=reason))
    return steps
