# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a Grafana to what is wanted: list, plan, guard, apply in order, list again, and find nothing left to do."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from .. import redact
from ..api.client import Client, Raced
from ..grafana_errors import GrafanaError, Refused, Uncertain
from ..kinds.base import Settings
from ..kinds.dashboard import searched
from ..kinds.folder import by_depth, content_counts
from ..kinds.names import KINDS
from ..kinds.registry import REGISTRY
from ..model import PRESENT, DesiredObject
from . import ownership, plan_checks, unique_names
from .sync_plan import (
    CONFLICT,
    CREATE,
    DELETE,
    KEEP,
    PRUNE,
    UNMANAGED,
    UNPRUNED,
    UPDATE,
    Rules,
    Step,
    plan,
    plan_one,
    title,
)

# Side by side at most, since SQLite, which most Grafanas have, locks.
WRITERS = 2
ATTEMPTS = 5
LEDGER = "ledger"
COUNTED = (CREATE, UPDATE, KEEP, DELETE)


@dataclass(frozen=True)
class Options:
    """How a run behaves.

    ``owner`` is the name under which it owns what it makes (none: it owns nothing, so prunes nothing), ``prune``
    are the kinds of which it deletes what it owns and nobody wants any more, ``required`` are things that must be
    there, as (kind, identity, source).
    """

    check: bool = False
    owner: str = ""
    fingerprint_key: str = ""
    editable: bool = False
    adopt: bool = False
    prune: tuple = ()
    prune_max: int = 10
    exact_json_data: bool = False
    required: tuple = ()


@dataclass
class Result:
    """What was done, or in check mode would be; nothing in it is secret."""

    counts: dict = field(default_factory=dict)
    changes: list = field(default_factory=list)
    diff: list = field(default_factory=list)
    warnings: list = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return bool(self.changes)

    def values(self) -> dict:
        """As a module returns it."""
        return {
            "changed": self.changed,
            "counts": self.counts,
            "changes": self.changes,
            "diff": self.diff,
        }


def reconcile(client: Client, desired: list, options: Options) -> Result:
    """Make Grafana have what is wanted; raises GrafanaError, whose ``result`` tells what was done before."""
    return _Run(client, list(desired), options).go()


def live(client: Client, kinds: tuple = KINDS) -> dict:
    """Kind -> identity -> Live of all objects, without what this library keeps for itself."""
    client.probe()
    found = {kind: REGISTRY[kind].read(client, None) for kind in kinds}
    if "template" in found:
        found["template"] = _without_ledgers(found["template"])
    return found


def _without_ledgers(templates: dict) -> dict:
    return {
        name: held
        for name, held in templates.items()
        if ownership.NOTE not in held.body["template"]
    }


class _Run:
    """One run: what was seen, what is planned, what was done."""

    def __init__(self, client: Client, desired: list, options: Options) -> None:
        self.client, self.desired, self.options = client, desired, options
        settings = Settings(
            editable=options.editable,
            fingerprint_key=options.fingerprint_key,
            salt=secrets.token_hex(8),
            exact_json_data=options.exact_json_data,
        )
        self.rules = Rules(settings, options.adopt, bool(options.owner), prune=tuple(options.prune))
        self.seen: dict = {kind: {} for kind in KINDS}
        self.whole: set = set()
        # Kinds of which names are taken in this run that only one object may have.
        self.unique: frozenset = frozenset()
        self.ledger_text: str | None = None
        self.result = Result()
        if options.owner and not ownership.OWNER.fullmatch(options.owner):
            raise GrafanaError(
                f"{options.owner!r} is no name for an owner: letters, digits, dots and dashes"
            )
        for one in desired:
            if one.state == PRESENT:
                client.secrets |= {
                    text for text in REGISTRY[one.kind].secrets(one.body) if len(text) > 2
                }

    def go(self) -> Result:
        self.client.probe()
        self._read()
        steps = self._guarded(plan(self.desired, self.seen, self.rules))
        refused = plan_checks.refused(steps)
        if refused:
            raise GrafanaError("Nothing was changed. " + "; ".join(refused))
        self._tell(steps)
        if self.options.check:
            self.result.changes += [_change(step) for step in steps if step.writes]
            if self.options.owner and self._owned(steps, done=True) != self.rules.owned:
                self.result.changes.append(
                    _change(Step(LEDGER, self.options.owner, UPDATE, LEDGER))
                )
            return self._end()
        try:
            self._carry_out(steps)
        except GrafanaError as error:
            error.result = self._end()
            raise
        return self._end()

    def _end(self) -> Result:
        self.result.warnings = list(dict.fromkeys([*self.result.warnings, *self.client.warnings]))
        return self.result

    # What is there

    def _read(self) -> None:
        needed = {one.kind for one in self.desired} | {one[0] for one in self.options.required}
        if self.options.owner:
            needed.add("template")
            self._see("template", None)
            mine = self.seen["template"].get(ownership.name(self.options.owner))
            self.ledger_text = mine.body["template"] if mine else ""
            rest = _without_ledgers(self.seen["template"])
            texts = [
                held.body["template"]
                for name, held in self.seen["template"].items()
                if name not in rest
            ]
            others = [ownership.read(text) for text in texts if text != self.ledger_text]
            shared = {kind: frozenset().union(*(other[kind] for other in others)) for kind in KINDS}
            self.rules = replace(self.rules, owned=ownership.read(self.ledger_text), others=shared)
            self.seen["template"] = rest
        for kind in KINDS:
            if kind in needed and kind not in self.whole:
                self._see(kind, self._interesting(kind))

    def _interesting(self, kind: str) -> frozenset:
        """Identities that the plan may ask for."""
        named = {one.identity for one in self.desired if one.kind == kind}
        named |= {one[1] for one in self.options.required if one[0] == kind}
        return frozenset(
            named | set(self.rules.owned.get(kind, ()) if kind in self.rules.prune else ())
        )

    def _see(self, kind: str, identities: frozenset | None) -> None:
        found = REGISTRY[kind].read(self.client, identities)
        self.seen[kind] = {**self.seen[kind], **found}
        if identities is None or kind in (
            "template",
            "mute_timing",
            "contact_point",
            "policy",
            "rule_group",
        ):
            self.whole.add(kind)

    def _need(self, *kinds: str) -> None:
        for kind in kinds:
            if kind not in self.whole:
                self._see(kind, None)

    # What must hold

    def _guarded(self, steps: list) -> list:
        steps = plan_checks.check_moves(steps, self.seen, self.rules)
        for kind, identity, _step in plan_checks.references(steps):
            if kind == "folder" and identity not in self.seen["folder"]:
                self._see("folder", frozenset({identity}))
            elif kind != "folder":
                self._need(kind)
        deleting = any(
            step.action == DELETE and step.kind in ("contact_point", "mute_timing")
            for step in steps
        )
        if deleting or any(step.moves for step in steps):
            self._need("policy", "rule_group")
        if plan_checks.undefining(steps):
            self._need("template", "contact_point")
        steps = plan_checks.check_use(steps, self.seen)
        steps = plan_checks.check_references(steps, self.seen, list(self.options.required))
        steps = unique_names.check(steps, self._holders(unique_names.taking(steps)))
        back = plan_checks.hands_back(steps)
        if back and 0 < self.client.major_version() < plan_checks.HANDS_BACK:
            reason = "Grafana before 13 does not hand an object of the API back to the interface: delete it first"
            steps = plan_checks.objected(steps, dict.fromkeys(map(id, back), reason))
        return self._prune_guarded(self._folders_guarded(steps))

    def _holders(self, kinds: list) -> dict:
        """Kind -> what people know an object by -> uids, of all that the server has."""
        found: dict = {}
        if "rule_group" in kinds and self.client.major_version() >= unique_names.RULES_ARE_FREE:
            kinds.remove("rule_group")
        for kind in kinds:
            found[kind] = {}
            if kind == "dashboard":
                bodies = {
                    item["uid"]: {
                        "dashboard": {"title": item["title"]},
                        "folderUid": item.get("folderUid"),
                    }
                    for item in searched(self.client)
                }
            else:
                # The lists of datasources and rules have them all, whichever were looked for.
                if kind == "folder":
                    self._need("folder")
                bodies = {uid: held.body for uid, held in self.seen[kind].items()}
            for identity, body in bodies.items():
                for uid, name in unique_names.names(kind, identity, body).items():
                    found[kind].setdefault(name, []).append(uid)
        self.unique = frozenset(found)
        return found

    def _folders_guarded(self, steps: list) -> list:
        """Steps, without the deletion of folders that would still hold something."""
        going = [step for step in steps if step.kind == "folder" and step.action == DELETE]
        # Those within others first, since one that stays keeps what it is in.
        for step in reversed(by_depth(going)):
            leaving = plan_checks.leaving_folder(
                steps, plan_checks.inside(step.identity, self.seen["folder"])
            )
            counts = content_counts(self.client, step.identity)
            held = {word: number - leaving.get(word, 0) for word, number in counts.items()}
            rest = ", ".join(
                f"{number} {word}" for word, number in sorted(held.items()) if number > 0
            )
            if rest:
                steps = plan_checks.objected(
                    steps, {id(step): f"it holds {rest}, and is deleted only when empty"}
                )
        return steps

    def _prune_guarded(self, steps: list) -> list:
        present = {one.kind for one in self.desired if one.state == PRESENT}
        for kind in self.options.prune:
            if kind not in present and kind not in UNPRUNED and self.rules.owned.get(kind):
                self._warn(f"No {title(kind, '')} is wanted at all, so none is pruned.")
        for step in steps:
            if step.source == PRUNE and not step.writes:
                reason = step.reason or "somebody else has taken it over"
                self._warn(
                    f"{title(step.kind, step.identity)} is no longer wanted, but is kept: {reason}."
                )
        doomed = [step for step in steps if step.source == PRUNE and step.writes]
        if len(doomed) > self.options.prune_max:
            unique_names = ", ".join(title(step.kind, step.identity) for step in doomed[:20])
            raise GrafanaError(
                f"Nothing was changed. {len(doomed)} objects are no longer wanted, more than prune_max "
                f"({self.options.prune_max}): {unique_names}"
            )
        return steps

    def _warn(self, text: str) -> None:
        self.result.warnings.append(text)

    # What is done

    def _carry_out(self, steps: list) -> None:
        self._note(self._owned(steps, done=False))
        for kind in KINDS:
            self._stage(
                [step for step in steps if step.kind == kind and step.action in (CREATE, UPDATE)]
            )
        for kind in reversed(KINDS):
            self._stage([step for step in steps if step.kind == kind and step.action == DELETE])
            if kind == "contact_point":
                self._finish(
                    [
                        step
                        for step in steps
                        if step.kind == kind and step.after is not None and step.moves
                    ]
                )
        self._verify([step for step in steps if step.writes])
        self._note(self._owned(steps, done=True))

    def _owned(self, steps: list, done: bool) -> dict:
        """What the ledger says before the writes, which is more than is there, and when they are done."""
        owned = {kind: set(self.rules.owned.get(kind, ())) for kind in KINDS}
        for step in steps:
            if step.source != PRUNE and step.after is not None:
                owned[step.kind].add(step.identity)
        for step in steps if done else ():
            given_up = step.source == PRUNE and step.identity in self.rules.others.get(
                step.kind, ()
            )
            if step.action == DELETE or given_up or (step.after is None and step.live is None):
                owned[step.kind].discard(step.identity)
        for kind in self.options.prune if done else ():
            if any(one.kind == kind and one.state == PRESENT for one in self.desired):
                # All that is owned was looked for; what was not found is gone.
                owned[kind] &= {step.identity for step in steps if step.kind == kind} | set(
                    self.seen[kind]
                )
        return {kind: frozenset(identities) for kind, identities in owned.items()}

    def _note(self, owned: dict) -> None:
        """Write the ledger where it differs."""
        owner = self.options.owner
        text = ownership.written(owner, owned) if owner else self.ledger_text
        if not owner or text == self.ledger_text or owned == self.rules.owned:
            return
        template = {"name": ownership.name(owner), "template": text}
        desired = DesiredObject("template", ownership.name(owner), template, LEDGER)
        held = REGISTRY["template"].read(self.client, None).get(ownership.name(owner))
        rules = replace(self.rules, adopt=True)
        self._write(plan_one(REGISTRY["template"], desired, held, rules), desired, rules)
        self.ledger_text, self.rules = text, replace(self.rules, owned=owned)
        if not any(change["kind"] == LEDGER for change in self.result.changes):
            self.result.changes.append(_change(Step(LEDGER, owner, UPDATE, LEDGER)))

    def _stage(self, steps: list) -> None:
        """Writes of one kind; the first error ends the stage, and with it the run."""
        if not steps:
            return
        kind = REGISTRY[steps[0].kind]
        deleting = steps[0].action == DELETE
        ordered = list(reversed(kind.order(steps))) if deleting else kind.order(steps)
        workers = 1 if kind.serial or deleting else min(WRITERS, self.client.concurrency)
        errors: list = []
        for together in unique_names.in_turn(ordered)[0] if kind.name in self.unique else [ordered]:
            if workers < 2 or len(together) < 2:
                for step in together:
                    self._attempt(step, errors)
            else:
                with ThreadPoolExecutor(workers) as pool:
                    list(pool.map(lambda step: self._attempt(step, errors), together))
        if errors:
            # One text for a cause that met several objects.
            raise GrafanaError("; ".join(dict.fromkeys(str(error) for error in errors)))

    def _attempt(self, step: Step, errors: list) -> None:
        if errors:
            return
        try:
            self._write(step, self._wish(step), self.rules)
        except GrafanaError as error:
            errors.append(error)
        else:
            self.result.changes.append(_change(step))

    def _wish(self, step: Step) -> DesiredObject:
        state = "absent" if step.action == DELETE else PRESENT
        return DesiredObject(step.kind, step.identity, step.asked, step.source, state)

    def _write(self, step: Step, desired: DesiredObject, rules: Rules) -> None:
        """Carry one step out. Where it is not known whether a write came about, look, and write only what is left."""
        kind = REGISTRY[step.kind]
        for attempt in range(ATTEMPTS):
            try:
                return self._send(kind, step, rules)
            except Uncertain as error:
                final = isinstance(error, Raced) and error.is_final
                # A name that is taken may be so by the write before, which came about late.
                if attempt + 1 == ATTEMPTS or (final and not attempt):
                    raise GrafanaError(f"{error}; given up after {attempt + 1} attempts") from None
                self.client.pause(attempt)
                held = kind.read(self.client, frozenset({step.identity})).get(step.identity)
                again = plan_one(kind, desired, held, rules)
                if again.action == KEEP:
                    return None
                if again.action in (CONFLICT, UNMANAGED):
                    raise GrafanaError(f"{error}; and now {again.reason}") from None
                if final:
                    raise GrafanaError(f"{error}; given up after {attempt + 1} attempts") from None
                step = replace(again, moves=step.moves)
        return None

    def _send(self, kind: Any, step: Step, rules: Rules) -> None:
        if step.action != DELETE:
            kind.write(self.client, step, rules.settings)
            return
        try:
            kind.delete(self.client, step)
        except Refused as refused:
            # It is gone, as the last of its parts went, or by somebody else's hand.
            if refused.status != 404:
                raise

    def _finish(self, steps: list) -> None:
        for step in steps:
            REGISTRY[step.kind].finish(self.client, step, self.rules.settings)

    # What came of it

    def _verify(self, steps: list) -> None:
        """Read what was written; a second plan must be empty."""
        for kind in KINDS:
            written = {step.identity: step for step in steps if step.kind == kind}
            if not written:
                continue
            found = REGISTRY[kind].read(self.client, frozenset(written))
            for identity, step in written.items():
                again = plan_one(REGISTRY[kind], self._wish(step), found.get(identity), self.rules)
                if again.action != KEEP:
                    raise GrafanaError(self.client.scrub(f"{step.about}: {_otherwise(again)}"))

    def _tell(self, steps: list) -> None:
        counts = {
            kind: dict.fromkeys(COUNTED, 0)
            for kind in KINDS
            if any(step.kind == kind for step in steps)
        }
        for step in steps:
            counts[step.kind][step.action] += 1
            if step.writes:
                entry = _diff(step)
                texts = {key: self.client.scrub(entry[key]) for key in ("before", "after")}
                self.result.diff.append({**entry, **texts})
        self.result.counts = counts


def _change(step: Step) -> dict:
    return {
        "kind": step.kind,
        "identity": step.identity,
        "action": step.action,
        "source": step.source,
    }


def _diff(step: Step) -> dict:
    kind = REGISTRY[step.kind]
    before = None if step.before is None else kind.shown(step.before)
    after = None if step.after is None else kind.shown(step.after)
    if before is not None and after is not None:
        after = redact.told_apart(before, step.before, step.after, after)
    return redact.entry(title(step.kind, step.identity), before, after)


def _otherwise(step: Step) -> str:
    """How an object differs from what was sent."""
    if step.action in (CREATE, DELETE):
        return "Grafana took the write, but it " + (
            "is not there" if step.action == CREATE else "is still there"
        )
    if step.action != UPDATE:
        return f"Grafana took the write, but now {step.reason}"
    entry = _diff(step)
    has, sent = (" ".join(entry[key].split()) for key in ("before", "after"))
    if has == sent:
        return "Grafana took the write, but its secrets, which cannot be shown, are not those that were sent"
    return f"Grafana took the write, but has it otherwise: {has} where {sent} was sent"
