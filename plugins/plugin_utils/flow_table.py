# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The verdicts about flows as a table and as data. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from . import flow_plan
from .flow_verdicts import BROKEN, OK, SKIPPED, UNCHECKED, Verdict
from .rollout_table import render

HEADERS = ("FLOW", "CHECK", "STATE", "TIME", "DETAILS")
SHOWN_ERRORS = 5
# Flows whose right checks are as many rows as there are targets or programs, so they are counted.
COUNTED = ("components", "targets", "selectors", "rules")


def table_of(verdicts: Iterable[Verdict], width: int | None) -> list[str]:
    """Return the verdicts in columns, flow by flow, and the sum of them."""
    listed = list(verdicts)
    rows = []
    for flow in flow_plan.FLOWS:
        own = [verdict for verdict in listed if verdict.check.flow == flow]
        right = [verdict for verdict in own if verdict.state == OK]
        if flow in COUNTED and right:
            rows.append(_counted_row(flow, right))
            own = [verdict for verdict in own if verdict.state != OK]
        rows += _rows(own)
    return [*render(HEADERS, rows, width), summary_of(listed)]


def _rows(verdicts: list[Verdict]) -> list[tuple[str, ...]]:
    """Return a row for each verdict, and one for all that have not been checked for a reason."""
    reasons = Counter(
        verdict.reason for verdict in verdicts if verdict.state == UNCHECKED
    )
    rows = []
    for verdict in verdicts:
        row = _row(verdict)
        if verdict.state == UNCHECKED:
            count = reasons.pop(verdict.reason, 0)
            if not count:
                continue
            if count > 1:
                row = (row[0], f"{count} checks", *row[2:])
        rows.append(row)
    return rows


def _counted_row(flow: str, right: list[Verdict]) -> tuple[str, ...]:
    notes = "; ".join(verdict.reason for verdict in right if verdict.reason)
    subject = f"{len(right)} checks" if len(right) > 1 else right[0].check.subject
    return flow, subject, OK, "", notes or flow_plan.FLOWS[flow]


def _row(verdict: Verdict) -> tuple[str, ...]:
    check = verdict.check
    details = verdict.reason
    if verdict.state == BROKEN and check.remedy:
        details = f"{details}; {check.remedy}"
    return (check.flow, check.subject, verdict.state, seconds_of(verdict), details)


def seconds_of(verdict: Verdict) -> str:
    """Return the time that data took, empty without."""
    seconds = verdict.check.seconds
    return "" if seconds is None else f"{seconds:.1f} s"


def summary_of(verdicts: list[Verdict]) -> str:
    """Return one sentence with the number of checks in each state."""
    counts = Counter(verdict.state for verdict in verdicts)
    states = (OK, BROKEN, UNCHECKED, SKIPPED)
    words = [f"{counts[state]} {state}" for state in states if counts[state]]
    return f"Checks: {', '.join(words) or 'none'}."


def report_of(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Return the verdicts as data."""
    listed = list(verdicts)
    return {
        "ok": not errors_of(listed),
        "checks": [
            {
                "id": verdict.check.id,
                "flow": verdict.check.flow,
                "host": verdict.check.host,
                "subject": verdict.check.subject,
                "state": verdict.state,
                "reason": verdict.reason,
                "remedy": verdict.check.remedy if verdict.state == BROKEN else "",
                "seconds": verdict.check.seconds,
            }
            for verdict in listed
        ],
    }


def errors_of(verdicts: Iterable[Verdict]) -> list[str]:
    """Return a sentence about the broken checks, or that there was nothing to check.

    The table above it has the reasons.
    """
    listed = list(verdicts)
    if not listed:
        return ["Nothing was checked; name flows of components that the inventory has."]
    broken = [verdict for verdict in listed if verdict.state == BROKEN]
    if not broken:
        return []
    subjects = [verdict.check.subject for verdict in broken[:SHOWN_ERRORS]]
    if len(broken) > SHOWN_ERRORS:
        subjects.append(f"{len(broken) - SHOWN_ERRORS} more")
    return [f"Broken: {', '.join(subjects)}."]
