# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a plan against Grafana, loading the objects that each check needs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..kinds.base import CREATE, DELETE, UPDATE, title
from ..kinds.registry import REGISTRY
from . import plan_checks, unique_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..api.client import Client
    from ..kinds.base import Kind, Step
    from ..model import RequiredObject
    from .load import Loader
    from .sync_plan import Plan

NOT_RELEASED = (
    f"Grafana before {plan_checks.RELEASES_TO_UI} does not make an object of the API editable "
    "in its interface: delete it first"
)
DANGLING = "neither desired nor on the server, so Grafana shows an error there"


def check(plan: Plan, loader: Loader, required: Sequence[RequiredObject]) -> Plan:
    """Return the plan with a conflict in place of each step that cannot be carried out."""
    steps = plan_checks.check_moves(plan.steps, loader.existing, plan.rules)
    loader.ensure_loaded(
        reference for reference, _step in plan_checks.references(steps)
    )
    loader.ensure_listed(*plan_checks.kinds_for_use_check(steps))
    steps = plan_checks.check_use(steps, loader.existing)
    steps = plan_checks.check_references(steps, loader.existing, required)
    steps = _check_server(steps, loader)
    for item in plan_checks.missing_objects(steps, loader.existing, required):
        if item.optional:
            about = title(item.kind, item.identity)
            loader.client.warn(f"{item.source}: {about} is {DANGLING}.")
    name_owners = loader.name_owners(unique_names.kinds_with_new_names(steps))
    steps = unique_names.check(steps, name_owners)
    steps = _check_releases_to_ui(steps, loader.client)
    steps = _check_containers(steps, loader)
    return plan._replace(steps=tuple(steps), unique_kinds=frozenset(name_owners))


def _check_server(steps: list[Step], loader: Loader) -> list[Step]:
    """Check that this server understands the bodies that are written."""
    release, existing = loader.client.major_version, loader.existing
    reasons = {}
    for step in steps:
        if step.action in (CREATE, UPDATE):
            kind = REGISTRY[step.kind]
            reason = kind.server_blocker(step.body, release, existing)
            reason = reason or kind.refusal(loader.client, step)
            reasons.update({id(step): reason} if reason else {})
    return plan_checks.with_conflicts(steps, reasons)


def _check_releases_to_ui(steps: list[Step], client: Client) -> list[Step]:
    released = plan_checks.steps_released_to_ui(steps)
    if not released or not 0 < client.major_version() < plan_checks.RELEASES_TO_UI:
        return steps
    return plan_checks.with_conflicts(
        steps, {id(step): NOT_RELEASED for step in released}
    )


def _check_containers(steps: list[Step], loader: Loader) -> list[Step]:
    """Check that containers are deleted only when nothing will be in them."""
    for kind in REGISTRY.values():
        if kind.is_container:
            deletions = [
                step
                for step in steps
                if step.kind == kind.name and step.action == DELETE
            ]
            # Inner ones first, since one that is kept keeps its parent.
            for step in reversed(kind.order(deletions)):
                steps = _check_container(kind, step, steps, loader)
    return steps


def _check_container(
    kind: Kind, step: Step, steps: list[Step], loader: Loader
) -> list[Step]:
    inside = plan_checks.subtree(kind, step.identity, loader.existing[kind.name])
    remaining: Counter[str] = Counter()
    for name, number in kind.contents(loader.client, step.identity).items():
        remaining[_first_count_name(name)] += number
    remaining -= plan_checks.leaving(steps, inside)
    parts = [f"{number} {name}" for name, number in sorted(remaining.items())]
    if not parts:
        return steps
    reason = f"it holds {', '.join(parts)}, and is deleted only when empty"
    return plan_checks.with_conflicts(steps, {id(step): reason})


def _first_count_name(name: str) -> str:
    for kind in REGISTRY.values():
        if name in kind.count_names:
            return kind.count_names[0]
    return name
