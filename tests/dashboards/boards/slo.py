# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard of service level objectives."""

from __future__ import annotations

from tests.dashboards.model import BAD, GOOD, WARN, Board, Query, Row, Variable
from tests.dashboards.parts import ENV, graph, limit, lower, stat, upper

NAME = "{{env}} {{service}} {{slo}}"
LEFT = "slo:period_error_budget_remaining:ratio{@}"
BURN = "slo:current_burn_rate:ratio{@}"
NONE = "no objectives"

SLO = Board(
    name="slo",
    role="prometheus",
    title="Service level objectives",
    description="How much of each error budget is left, and how fast it burns.",
    matchers='env=~"$env", slo=~"$slo"',
    runbook="application",
    variables=(ENV, Variable("slo", "Objective", "slo:objective:ratio")),
    rows=(
        Row(
            "Now",
            (
                stat(
                    1,
                    "Budget left",
                    "Share of the error budget of the period that is left.",
                    Query(LEFT, NAME),
                    unit="percentunit",
                    width=8,
                    steps=((BAD, None), (WARN, 0), (GOOD, 0.3)),
                    no_value=NONE,
                ),
                stat(
                    2,
                    "Speed",
                    "Times as fast as the budget allows; at 1 it lasts for the period.",
                    Query(BURN, NAME),
                    width=8,
                    steps=limit(1, 6),
                    decimals=2,
                    no_value=NONE,
                ),
                stat(
                    3,
                    "Objective",
                    "Share of events that has to be good.",
                    Query("slo:objective:ratio{@}", NAME),
                    unit="percentunit",
                    width=8,
                    decimals=2,
                    no_value=NONE,
                ),
            ),
        ),
        Row(
            "Budget",
            (
                graph(
                    4,
                    "Budget left",
                    "Share of the error budget of the period that is left; below zero the"
                    " objective is missed.",
                    Query(LEFT, NAME),
                    unit="percentunit",
                    minimum=None,
                    maximum=1,
                    steps=lower(0, 0.3),
                    lines=True,
                    width=12,
                    no_value=NONE,
                ),
                graph(
                    5,
                    "Speed",
                    "Times as fast as the budget allows. 14.4 for an hour is critical.",
                    Query(BURN, NAME),
                    unit="none",
                    soft_maximum=2,
                    steps=upper(1),
                    lines=True,
                    width=12,
                    no_value=NONE,
                ),
                *(
                    graph(
                        number,
                        f"Bad events within {window}",
                        f"Share of events within {window} that were bad.",
                        Query(f"slo:sli_error:ratio_rate{window}{{@}}", NAME),
                        unit="percentunit",
                        soft_maximum=0.01,
                        no_value=NONE,
                    )
                    for number, window in ((6, "1h"), (7, "6h"), (8, "3d"))
                ),
            ),
        ),
    ),
)
