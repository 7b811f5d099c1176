# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard of service level objectives."""

from __future__ import annotations

from tests.dashboards.model import (
    BAD,
    GOOD,
    WARN,
    Board,
    Column,
    Query,
    Row,
    Steps,
    Variable,
)
from tests.dashboards.parts import (
    ENV,
    IN_ENV,
    ZERO,
    graph,
    limit,
    lower,
    stat,
    table,
    upper,
    worst,
)

NAME = "{{env}} {{service}} {{slo}}"
LEFT = "slo:period_error_budget_remaining:ratio{@}"
BURN = "slo:current_burn_rate:ratio{@}"
NONE = "no objectives"
WINDOWS = ("1h", "6h", "3d")
LEFT_STEPS: Steps = ((BAD, None), (WARN, 0), (GOOD, 0.3))
BURN_STEPS = limit(1, 6)


def of(metric: str) -> str:
    """Return the value of each objective."""
    return f"max by (env, service, slo) ({metric})"


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
                    "Share of the smallest error budget of the period that is left.",
                    worst("min", LEFT),
                    unit="percentunit",
                    width=8,
                    steps=LEFT_STEPS,
                    no_value=NONE,
                ),
                stat(
                    2,
                    "Speed",
                    "Times as fast as the budget allows, of the fastest; at 1 it lasts for the"
                    " period.",
                    worst("max", BURN),
                    width=8,
                    steps=BURN_STEPS,
                    decimals=2,
                    no_value=NONE,
                ),
                stat(
                    3,
                    "Missed",
                    "Objectives whose budget of the period is spent.",
                    f"sum by (env) ({LEFT} <= bool 0)",
                    width=8,
                    steps=ZERO,
                    no_value=NONE,
                ),
                table(
                    9,
                    "Objectives",
                    "One line for each objective.",
                    (
                        IN_ENV,
                        ("service", "Service"),
                        ("slo", "Objective"),
                    ),
                    Column(
                        "Good events",
                        of("slo:objective:ratio{@}"),
                        "percentunit",
                        decimals=2,
                    ),
                    Column("Budget left", of(LEFT), "percentunit", LEFT_STEPS),
                    Column("Speed", of(BURN), "none", BURN_STEPS, decimals=2),
                    *(
                        Column(
                            f"Bad within {window}",
                            of(f"slo:sli_error:ratio_rate{window}{{@}}"),
                            "percentunit",
                            decimals=3,
                        )
                        for window in WINDOWS
                    ),
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
                    for number, window in enumerate(WINDOWS, start=6)
                ),
            ),
        ),
    ),
)
