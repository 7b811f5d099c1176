# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that several dashboards share. Pure."""

from __future__ import annotations

from typing import Any

from tests.dashboards.model import (
    BAD,
    GOOD,
    LOWER_IS_BAD,
    NONE,
    PLAIN,
    WARN,
    YOUNG,
    Column,
    Panel,
    Query,
    Row,
    Steps,
    Variable,
)

# Series in one panel that are still readable.
TOP = 10
RATE = "[$__rate_interval]"
OF_HOST = "{{env}} {{host}}"
ZERO: Steps = ((GOOD, None), (BAD, 0.000001))
ENV = Variable("env", "Environment", "up")
# Labels of a table's rows.
IN_ENV = ("env", "Env")
HOSTS = (IN_ENV, ("host", "Host"))


def hosts(metric: str) -> Variable:
    """Return the variable for the hosts that have a metric in the chosen environments."""
    return Variable("host", "Host", metric)


def limit(warn: float, bad: float) -> Steps:
    """Return steps for a value that is bad when it is high."""
    return ((PLAIN, None), (WARN, warn), (BAD, bad))


def upper(bad: float) -> Steps:
    """Return the step of a single upper limit."""
    return ((NONE, None), (BAD, bad))


def lower(bad: float, warn: float) -> Steps:
    """Return steps for a value that is bad when it is low, drawn as lines."""
    return ((BAD, None), (WARN, bad), (NONE, warn))


def top(expr: str) -> str:
    """Return a query of the largest series only."""
    return f"topk({TOP}, {expr})"


def quantiles(metric: str, labels: str, matchers: str = "@") -> tuple[Query, ...]:
    """Return the median, the 95th and the 99th percentile of a histogram."""
    names = " ".join(f"{{{{{label}}}}}" for label in labels.split(", "))
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by (le, {labels})"
            f" (rate({metric}_bucket{{{matchers}}}{RATE})))",
            f"{names} {name}",
            exemplars=name != "p50",
        )
        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


# Colors by the last word of a series' name: a host may be called mon-1 or web-404.
PERCENTILES = ((" p50", GOOD), (" p95", WARN), (" p99", BAD))
CODES = ((" 2..", GOOD), (" 3..", "blue"), (" 4..", WARN), (" 5..", BAD))


def legend(labels: str, name: str = "") -> str:
    """Return the legend of series with these labels, and what they are."""
    words = [f"{{{{{label}}}}}" for label in labels.split(", ")]
    return " ".join([*words, name] if name else words)


def rate_by(labels: str, metric: str, matchers: str = "@") -> str:
    """Return the rate of a counter by labels."""
    return f"sum by ({labels}) (rate({metric}{{{matchers}}}{RATE}))"


def rates(labels: str, metric: str, name: str = "", matchers: str = "@") -> Query:
    """Return the query of a counter's rate by labels."""
    return Query(rate_by(labels, metric, matchers), legend(labels, name))


def increases(labels: str, metric: str, name: str = "") -> Query:
    """Return the query of what a counter grew by within ten minutes."""
    grown = f"sum by ({labels}) (increase({metric}{{@}}[10m]))"
    return Query(grown, legend(labels, name))


def stat(number: int, title: str, description: str, expr: str, **more: Any) -> Panel:
    """Return a panel of one value for each environment, four rows high.

    Those of more series would be too small to read; they are in tables.
    """
    size = {"width": 4, "height": 4, **more}
    return Panel(number, "stat", title, description, (Query(expr, "{{env}}"),), **size)


def table(
    number: int,
    title: str,
    description: str,
    labels: tuple[tuple[str, str], ...],
    *columns: Column,
    **more: Any,
) -> Panel:
    """Return a table over the whole width: one row for each combination of labels."""
    size = {"width": 24, **more}
    return Panel(
        number, "table", title, description, labels=labels, columns=columns, **size
    )


def worst(function: str, expr: str) -> str:
    """Return a query of one value for each environment."""
    return f"{function} by (env) ({expr})"


def graph(
    number: int, title: str, description: str, *queries: Query, **more: Any
) -> Panel:
    """Return a panel of lines over time."""
    return Panel(number, "timeseries", title, description, queries, **more)


def speeds(
    number: int, title: str, description: str, *queries: Query, **more: Any
) -> Panel:
    """Return a panel of what happens in a second."""
    look = {"unit": "suffix:/s", "soft_maximum": 1, **more}
    return graph(number, title, description, *queries, **look)


def events(
    number: int, title: str, description: str, *queries: Query, **more: Any
) -> Panel:
    """Return a panel of how often something happened, of which one is too many."""
    look = {"unit": "short", "soft_maximum": 1, **more}
    return graph(number, title, description, *queries, **look)


def states(
    number: int, title: str, description: str, *queries: Query, **more: Any
) -> Panel:
    """Return a panel of values that are 0 or 1."""
    look = {"soft_maximum": 1, "decimals": 0, **more}
    return graph(number, title, description, *queries, **look)


def state(
    number: int, title: str, description: str, query: Query, **more: Any
) -> Panel:
    """Return a panel of UP and DOWN, by color."""
    look = {"steps": LOWER_IS_BAD, "up_or_down": True, "minimum": None}
    size = {"width": 4, "height": 4, **more}
    return Panel(number, "stat", title, description, (query,), **look, **size)


def process(job: str, first: int) -> Row:
    """Return the row about the process of a component: numbers `first` and the next three."""
    of = f'{{@, job="{job}"}}'
    return Row(
        "Process",
        (
            graph(
                first,
                "CPU",
                "Processor cores that the process uses.",
                Query(f"rate(process_cpu_seconds_total{of}{RATE})", OF_HOST),
                unit="suffix:cores",
                width=6,
                soft_maximum=0.1,
            ),
            graph(
                first + 1,
                "Memory",
                "Memory that the process holds.",
                Query(f"process_resident_memory_bytes{of}", OF_HOST),
                unit="bytes",
                width=6,
                soft_maximum=104857600,
            ),
            graph(
                first + 2,
                "Files",
                "Share of its file descriptors that the process uses.",
                Query(f"process_open_fds{of} / process_max_fds{of}", OF_HOST),
                unit="percentunit",
                width=6,
                soft_maximum=1,
                steps=upper(0.8),
                lines=True,
            ),
            graph(
                first + 3,
                "Scrape",
                "Time that Prometheus needs to read the metrics.",
                Query(f"scrape_duration_seconds{of}", OF_HOST),
                unit="s",
                width=6,
                soft_maximum=0.1,
            ),
        ),
    )


def health(job: str, first: int) -> tuple[Panel, ...]:
    """Return the state and the age of a component's process: `first` and the next."""
    of = f'{{@, job="{job}"}}'
    return (
        state(
            first,
            "State",
            "Whether the process answers Prometheus.",
            Query(f"min by (env, host) (up{of})", OF_HOST),
        ),
        stat(
            first + 1,
            "Running for",
            "Time since the youngest process started; orange for ten minutes.",
            f"time() - max by (env) (process_start_time_seconds{of})",
            unit="dtdurations",
            steps=YOUNG,
        ),
    )
