# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the rules of service level objectives."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.hippius.monitoring.plugins.filter.slo_rules import slo_rules

API = {
    "name": "api",
    "service": "s3",
    "objective": 99.9,
    "good": "sum by (env) (rate(good_total[$window]))",
    "total": "sum by (env) (rate(all_total[$window]))",
}


def rules(**changes: Any) -> list[dict[str, Any]]:
    """Return the rules of one objective."""
    [group] = slo_rules([{**API, **changes}])["groups"]
    return group["rules"]


def test_no_objective_is_no_group() -> None:
    assert slo_rules([]) == {"groups": []}


def test_each_window_is_recorded_once() -> None:
    recorded = [rule["record"] for rule in rules() if "record" in rule]
    assert len(set(recorded)) == len(recorded)
    assert "slo:sli_error:ratio_rate3d" in recorded
    [first, *_others] = rules()
    assert first["expr"] == (
        "1 - (\n  sum by (env) (rate(good_total[5m]))\n) / (\n"
        "  sum by (env) (rate(all_total[5m]))\n)"
    )


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        pytest.param({}, [0.0144, 0.006, 0.003, 0.001], id="30 days"),
        pytest.param(
            {"window": "7d"}, [0.00336, 0.0014, 0.0007, 0.0002333333], id="7 days"
        ),
        pytest.param({"objective": "90"}, [0.6, 0.3, 0.1], id="no fast burn"),
    ],
)
def test_limits_follow_from_objective_and_period(
    changes: dict[str, Any], limits: list[float]
) -> None:
    alerts = [rule for rule in rules(**changes) if "alert" in rule]
    assert [float(rule["expr"].rpartition("> ")[2]) for rule in alerts] == limits
    assert all(
        f"> {limit} and" in rule["expr"]
        for rule, limit in zip(alerts, limits, strict=True)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"objective": 100}, "objective is 100", id="no budget"),
        pytest.param({"objective": "most"}, "objective is 'most'", id="no number"),
        pytest.param({"window": "4w"}, "window is '4w'", id="weeks"),
        pytest.param(
            {"good": "rate(x[5m])"}, "good has no [$window]", id="fixed range"
        ),
        pytest.param({"total": ""}, "total is missing", id="missing"),
        pytest.param({"gaol": 1}, "gaol is unknown", id="typing error"),
    ],
)
def test_an_objective_that_cannot_be_measured_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        rules(**changes)
    assert str(error.value).startswith("prometheus_slos[0] (api): ")
    assert message in str(error.value)


def test_a_name_is_used_once() -> None:
    with pytest.raises(AnsibleFilterError, match="the name is used twice"):
        slo_rules([API, API])
