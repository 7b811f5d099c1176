# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Describe service level objectives as rules of Prometheus."""

from __future__ import annotations

DOCUMENTATION = r"""
name: slo_rules
short_description: Describe service level objectives as rules of Prometheus
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Returns recording rules for the share of errors over several windows and for the rest of the
    error budget, and an alert for each pair of windows in which the budget burns too fast.
  - An alert that the objective makes impossible, since even errors only would not burn the budget
    as fast, is left out.
options:
  _input:
    description: Objectives as in the variable C(prometheus_slos).
    type: list
    elements: dict
    required: true
  documentation_url:
    description: Address of a server with the pages of this collection, for the links to runbooks.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show the rules of an objective
  ansible.builtin.debug:
    msg: "{{ [objective] | hippius.monitoring.slo_rules }}"
  vars:
    objective:
      name: api-availability
      service: api
      objective: 99.9
      good: sum by (env) (rate(http_requests_total{status!~"5.."}[$window]))
      total: sum by (env) (rate(http_requests_total[$window]))
"""

RETURN = r"""
_value:
  description: Rule file of Prometheus.
  type: dict
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ansible.errors import AnsibleFilterError

from ansible_collections.hippius.monitoring.plugins.plugin_utils import documentation

Document = dict[str, Any]
Rule = dict[str, Any]
RUNBOOK = "docs/slo.md#errorbudgetburn"
KEYS = ("name", "service", "objective", "window", "good", "total")
REQUIRED = ("name", "service", "objective", "good", "total")
RATE = "$window"
DAYS = re.compile(r"([1-9]\d*)d")
HOURS_IN = {"m": 1 / 60, "h": 1, "d": 24}
SHORTEST = "5m"


class Burn(NamedTuple):
    """A pair of windows, and the share of the budget that burns within the long one.

    The numbers are those of chapter 5 of Google's SRE workbook.
    """

    long: str
    short: str
    share: float
    severity: str
    wait: str


BURNS = (
    Burn("1h", "5m", 0.02, "critical", "2m"),
    Burn("6h", "30m", 0.05, "critical", "15m"),
    Burn("1d", "2h", 0.1, "high", "1h"),
    Burn("3d", "6h", 0.1, "medium", "3h"),
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def slo_rules(
    objectives: list[dict[str, Any]], documentation_url: str = ""
) -> Document:
    """Return a rule file with a group for each objective."""
    names = [objective.get("name") for objective in objectives]
    groups = []
    for index, objective in enumerate(objectives):
        where = f"prometheus_slos[{index}] ({objective.get('name', 'no name')})"
        _check(objective, where)
        if names.count(objective["name"]) > 1:
            raise AnsibleFilterError(
                f"{where}: the name is used twice; rename one of them."
            )
        group = _group(objective)
        groups.append(documentation.rules_with_addresses(group, documentation_url))
    return {"groups": groups}


def _check(objective: dict[str, Any], where: str) -> None:
    """Raise AnsibleFilterError for an objective that cannot be measured."""
    unknown = sorted(set(objective) - set(KEYS))
    if unknown:
        raise AnsibleFilterError(
            f"{where}: {', '.join(unknown)} is unknown; use {', '.join(KEYS)}."
        )
    missing = [key for key in REQUIRED if not objective.get(key)]
    if missing:
        raise AnsibleFilterError(f"{where}: {', '.join(missing)} is missing; set it.")
    if not 0 < _percentage(objective["objective"]) < 100:
        raise AnsibleFilterError(
            f"{where}: objective is {objective['objective']!r};"
            " write a percentage above 0 and below 100."
        )
    if not DAYS.fullmatch(str(objective.get("window", "30d"))):
        raise AnsibleFilterError(
            f"{where}: window is {objective['window']!r}; write days, such as 30d."
        )
    for key in ("good", "total"):
        if f"[{RATE}]" not in objective[key]:
            raise AnsibleFilterError(
                f"{where}: {key} has no [{RATE}]; write rate(<metric>[{RATE}])."
            )


def _percentage(value: Any) -> float:
    """Return a number, or 0 for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0


def _group(objective: dict[str, Any]) -> Document:
    period = str(objective.get("window", "30d"))
    # Rounded, since 1 - 0.999 is 0.0010000000000000009.
    budget = round(1 - float(objective["objective"]) / 100, 10)
    labels = {"slo": objective["name"], "service": objective["service"]}
    rules = [_errors(objective, window, labels) for window in WINDOWS]
    rules += _budget(period, budget, labels)
    for burn in BURNS:
        factor = burn.share * _hours(period) / _hours(burn.long)
        limit = round(factor * budget, 10)
        if limit < 1:
            rules.append(_alert(burn, limit, labels))
    return {"name": f"slo-{objective['name']}", "interval": "30s", "rules": rules}


def _hours(duration: str) -> float:
    """Return the hours of a duration such as 30m."""
    return int(duration[:-1]) * HOURS_IN[duration[-1]]


def _series(window: str, labels: dict[str, str]) -> str:
    """Return the selector of the recorded share of errors."""
    return f'slo:sli_error:ratio_rate{window}{{slo="{labels["slo"]}"}}'


def _errors(objective: dict[str, Any], window: str, labels: dict[str, str]) -> Rule:
    """Return the rule that records the share of errors over a window."""
    good, total = (
        objective[key].strip().replace(RATE, window) for key in ("good", "total")
    )
    return {
        "record": f"slo:sli_error:ratio_rate{window}",
        "expr": f"1 - (\n  {good}\n) / (\n  {total}\n)",
        "labels": labels,
    }


def _budget(period: str, budget: float, labels: dict[str, str]) -> list[Rule]:
    """Return the rules that record the objective and the rest of its budget."""
    shortest = _series(SHORTEST, labels)
    # The mean of the short windows, since a rate over the whole period reads all samples.
    mean = f"avg_over_time({shortest}[{period}])"
    expressions = {
        "slo:objective:ratio": f"{shortest} * 0 + {round(1 - budget, 10)}",
        "slo:period_error_budget_remaining:ratio": f"1 - {mean} / {budget}",
        "slo:current_burn_rate:ratio": f"{shortest} / {budget}",
    }
    return [
        {"record": record, "expr": expr, "labels": labels}
        for record, expr in expressions.items()
    ]


def _alert(burn: Burn, limit: float, labels: dict[str, str]) -> Rule:
    long, short = _series(burn.long, labels), _series(burn.short, labels)
    share = f"{burn.share:.0%}"
    return {
        "alert": "ErrorBudgetBurn",
        "expr": f"{long} > {limit} and {short} > {limit}",
        "for": burn.wait,
        "labels": {
            "severity": burn.severity,
            "component": "slo",
            "window": burn.long,
            **labels,
        },
        "annotations": {
            "summary": f"{labels['service']} in {{{{ $labels.env }}}} misses its objective"
            f" {labels['slo']}: {{{{ $value | humanizePercentage }}}} errors within {burn.long}",
            "description": f"At this rate {share} of the error budget are spent every {burn.long}."
            " Look at the dashboard SLO for the start, and at `docker logs --tail 100` of the"
            " service's container.",
            "runbook_url": RUNBOOK,
        },
    }


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., Document]]:
        """Return the filters of this file by name."""
        return {"slo_rules": slo_rules}
