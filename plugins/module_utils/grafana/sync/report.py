# SPDX-License-Identifier: GPL-3.0-or-later
"""Report a run: counts, changes, diffs and warnings, with no secret in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import redact
from ..kinds.base import CREATE, DELETE, KEEP, UPDATE, Step
from ..kinds.registry import KINDS, REGISTRY
from ..model import PRESENT
from .sync_plan import PRUNE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..model import DesiredObject
    from .sync_plan import Plan

# Kind and source of the change of an ownership record.
OWNERSHIP = "ownership"
COUNTED_ACTIONS = (CREATE, UPDATE, KEEP, DELETE)


@dataclass
class Result:
    """Report of what was done, or in check mode would be; nothing in it is secret."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: list[dict[str, str]] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Return whether anything was written."""
        return bool(self.changes)

    def values(self) -> dict[str, Any]:
        """Return the values of a module."""
        return {
            "changed": self.changed,
            "counts": self.counts,
            "changes": self.changes,
            "diff": self.diff,
        }

    def add_change(self, step: Step) -> None:
        """Add what a step has written."""
        self.changes.append(
            {
                "kind": step.kind,
                "identity": step.identity,
                "action": step.action,
                "source": step.source,
            }
        )

    def add_ownership_change(self, owner: str) -> None:
        """Add the change of an ownership record, once."""
        if not any(change["kind"] == OWNERSHIP for change in self.changes):
            self.add_change(Step(OWNERSHIP, owner, UPDATE, OWNERSHIP))

    def add_warnings(self, warnings: Sequence[str]) -> None:
        """Add warnings, each once."""
        self.warnings = list(dict.fromkeys([*self.warnings, *warnings]))


def report_plan(
    plan: Plan, desired: Sequence[DesiredObject], scrub: Callable[[str], str]
) -> Result:
    """Return the report of a plan before its writes; ``scrub`` removes secrets."""
    result = Result()
    for kind in KINDS:
        actions = [step.action for step in plan.steps if step.kind == kind]
        if actions:
            result.counts[kind] = {
                action: actions.count(action) for action in COUNTED_ACTIONS
            }
    for step in plan.changes:
        diff = diff_of(step)
        result.diff.append(
            {**diff, **{key: scrub(diff[key]) for key in ("before", "after")}}
        )
    result.add_warnings(prune_warnings(plan, desired))
    return result


def prune_warnings(plan: Plan, desired: Sequence[DesiredObject]) -> list[str]:
    """Return warnings of kinds and objects that are not pruned."""
    present = {item.kind for item in desired if item.state == PRESENT}
    warnings: list[str] = []
    for name in plan.rules.prune:
        kind = REGISTRY[name]
        if name not in present and kind.prunable and plan.rules.owned.get(name):
            warnings.append(f"No {kind.label} is desired at all, so none is pruned.")
    for step in plan.steps:
        if step.source == PRUNE and not step.writes:
            reason = step.reason or "it has been taken over by another tool or user"
            warnings.append(
                f"{step.title} is no longer desired, but is kept: {reason}."
            )
    return warnings


def diff_of(step: Step) -> dict[str, str]:
    """Return the diff of a step as Ansible shows it."""
    kind = REGISTRY[step.kind]
    before = None if step.before is None else kind.redacted(step.before)
    after = None if step.after is None else kind.redacted(step.after)
    if before is not None and after is not None:
        after = redact.mark_changed_secrets(before, step.before, step.after, after)
    return redact.entry(step.title, before, after)


def discrepancy(step: Step) -> str:
    """Return how Grafana differs from what was written, for the step that would mend it."""
    if step.action == CREATE:
        return "Grafana accepted the write, but the object does not exist"
    if step.action == DELETE:
        return "Grafana accepted the deletion, but the object still exists"
    if step.action != UPDATE:
        return f"Grafana accepted the write, but now {step.reason}"
    diff = diff_of(step)
    stored, sent = (" ".join(diff[key].split()) for key in ("before", "after"))
    if stored == sent:
        return "Grafana accepted the write, but its secrets differ from those that were sent"
    return f"Grafana accepted the write, but stored {stored} where {sent} was sent"
