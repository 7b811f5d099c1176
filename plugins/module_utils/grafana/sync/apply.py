# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a plan: write in the order of the kinds, then read back and find nothing left to do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from ..api.client import Raced
from ..grafana_errors import GrafanaError, Refused, Uncertain
from ..kinds.base import CONFLICT, CREATE, DELETE, KEEP, UNMANAGED, UPDATE, Step
from ..kinds.names import TEMPLATE
from ..kinds.registry import KINDS, REGISTRY
from ..model import ABSENT, PRESENT, DesiredObject
from . import ownership
from .report import OWNERSHIP, discrepancy
from .sync_plan import plan_object
from .unique_names import order_by_name_dependency

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..api.client import Client
    from ..kinds.base import Kind, Live
    from .report import Result
    from .sync_plan import Owned, Plan, Rules

# More parallel writers lock SQLite, the database of most Grafanas.
WRITERS = 2
ATTEMPTS = 5


def apply(
    client: Client,
    plan: Plan,
    record: ownership.Record,
    owned_after: Owned,
    result: Result,
) -> None:
    """Carry out a plan and add each change to the result.

    The ownership record is saved before the first write, with all that may be created, and after
    the last one, so that a run that is killed leaves nothing that no record has.
    """
    record = _save_ownership(
        client, record, ownership.owned_during(plan), plan.rules, result
    )
    for kind in KINDS:
        _write_all(client, plan, _steps_of(plan, kind, CREATE, UPDATE), result)
    for kind in reversed(KINDS):
        _write_all(client, plan, _steps_of(plan, kind, DELETE), result)
        for step in plan.steps:
            if step.kind == kind and step.moves and step.after is not None:
                REGISTRY[kind].finish(client, step, plan.rules.settings)
    _verify(client, plan)
    _save_ownership(client, record, owned_after, plan.rules, result)


def _steps_of(plan: Plan, kind: str, *actions: str) -> list[Step]:
    return [step for step in plan.steps if step.kind == kind and step.action in actions]


def _save_ownership(
    client: Client, record: ownership.Record, owned: Owned, rules: Rules, result: Result
) -> ownership.Record:
    """Write the ownership record if it differs, and return it."""
    if not record.owner or owned == record.owned:
        return record
    template = ownership.encode(record.owner, owned)
    if template == record.template:
        return record
    kind, name = REGISTRY[TEMPLATE], ownership.template_name(record.owner)
    desired = DesiredObject(
        TEMPLATE, name, {"name": name, "template": template}, OWNERSHIP
    )
    rules = replace(rules, adopt=True)
    _write(
        client, plan_object(kind, desired, _read_one(client, kind, name), rules), rules
    )
    result.add_ownership_change(record.owner)
    return ownership.Record(record.owner, template, owned)


def _write_all(
    client: Client, plan: Plan, steps: Sequence[Step], result: Result
) -> None:
    """Write steps of one kind; the first error ends them, and with them the run."""
    if not steps:
        return
    kind = REGISTRY[steps[0].kind]
    is_deletion = steps[0].action == DELETE
    ordered = kind.order(steps)
    if is_deletion:
        ordered.reverse()
    parallel = 1 if kind.serial or is_deletion else min(WRITERS, client.concurrency)
    batches = [ordered]
    if kind.name in plan.unique_kinds:
        batches = order_by_name_dependency(ordered)[0]
    errors: list[GrafanaError] = []

    def attempt(step: Step) -> None:
        if errors:
            return
        try:
            _write(client, step, plan.rules)
        except GrafanaError as error:
            errors.append(error)
        else:
            result.add_change(step)

    for batch in batches:
        _run_each(attempt, batch, parallel)
    if errors:
        # One message for a cause that several objects met.
        raise GrafanaError("; ".join(dict.fromkeys(str(error) for error in errors)))


def _run_each(
    attempt: Callable[[Step], None], steps: Sequence[Step], parallel: int
) -> None:
    if parallel < 2 or len(steps) < 2:
        for step in steps:
            attempt(step)
        return
    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(attempt, steps))


def _write(client: Client, step: Step, rules: Rules) -> None:
    """Carry one step out.

    If a write may have been carried out or not, read the object and write only what is missing.
    """
    kind = REGISTRY[step.kind]
    desired = _desired(step)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _send(client, kind, step, rules)
            return
        except Uncertain as error:
            given_up = GrafanaError(f"{error}; given up after {attempt} attempts")
            is_final = isinstance(error, Raced) and error.is_final
            # A name may be taken by the write before, which came about late.
            if attempt == ATTEMPTS or (is_final and attempt == 1):
                raise given_up from None
            client.pause(attempt - 1)
            live = _read_one(client, kind, step.identity)
            remaining = plan_object(kind, desired, live, rules)
            if remaining.action == KEEP:
                return
            if remaining.action in (CONFLICT, UNMANAGED):
                raise GrafanaError(f"{error}; and now {remaining.reason}") from None
            if is_final:
                raise given_up from None
            step = replace(remaining, moves=step.moves)


def _send(client: Client, kind: Kind, step: Step, rules: Rules) -> None:
    if step.action != DELETE:
        kind.write(client, step, rules.settings)
        return
    try:
        kind.delete(client, step)
    except Refused as refused:
        # It is gone: with the last of its parts, or another client deleted it.
        if refused.status != 404:
            raise


def _verify(client: Client, plan: Plan) -> None:
    """Read what was written, and raise GrafanaError unless a second plan is empty."""
    for kind in REGISTRY.values():
        written = {
            step.identity: step for step in plan.changes if step.kind == kind.name
        }
        if not written:
            continue
        existing = kind.read(client, frozenset(written))
        for identity, step in written.items():
            again = plan_object(
                kind, _desired(step), existing.get(identity), plan.rules
            )
            if again.action != KEEP:
                raise GrafanaError(client.scrub(f"{step.about}: {discrepancy(again)}"))


def _desired(step: Step) -> DesiredObject:
    state = ABSENT if step.action == DELETE else PRESENT
    return DesiredObject(step.kind, step.identity, step.asked, step.source, state)


def _read_one(client: Client, kind: Kind, identity: str) -> Live | None:
    return kind.read(client, frozenset({identity})).get(identity)
