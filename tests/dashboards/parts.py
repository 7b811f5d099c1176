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
ZERO: Steps = ((GOOD, None), (BAD, 0.000001))
ENV = Variable("env", "Environment", "up")
# Labels of a table's rows.
HOSTS = (("env", "Environment"), ("host", "Host"))


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
            f" (rate({metric}_bucket{{{matchers}}}[$__rate_interval])))",
            f"{names} {name}",
            exemplars=name != "p50",
        )
        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


# Colors by the last word of a series' name: a host may be called mon-1 or web-404.
PERCENTILES = ((" p50", GOOD), (" p95", WARN), (" p99", BAD))
CODES = ((" 2..", GOOD), (" 3..", "blue"), (" 4..", WARN), (" 5..", BAD))


def stat(number: int, title: str, description: str, query: Query, **more: Any) -> Panel:
    """Return a panel of single values, four rows high."""
    size = {"width": 4, "height": 4, **more}
    return Panel(number, "stat", title, description, (query,), **size)


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


def state(
    number: int, title: str, description: str, query: Query, **more: Any
) -> Panel:
    """Return a panel of UP and DOWN, by color."""
    more = {"steps": LOWER_IS_BAD, "up_or_down": True, "minimum": None, **more}
    return stat(number, title, description, query, **more)


def process(job: str, first: int) -> Row:
    """Return the row about the process of a component: numbers `first` and the next three."""
    of = f'{{@, job="{job}"}}'
    name = "{{env}} {{host}}"
    return Row(
        "Process",
        (
            graph(
                first,
                "CPU",
                "Processor cores that the process uses.",
                Query(f"rate(process_cpu_seconds_total{of}[$__rate_interval])", name),
                unit="suffix:cores",
                width=6,
                soft_maximum=0.1,
            ),
            graph(
                first + 1,
                "Memory",
                "Memory that the process holds.",
                Query(f"process_resident_memory_bytes{of}", name),
                unit="bytes",
                width=6,
                soft_maximum=104857600,
            ),
            graph(
                first + 2,
                "Files",
                "Share of its file descriptors that the process uses.",
                Query(f"process_open_fds{of} / process_max_fds{of}", name),
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
                Query(f"scrape_duration_seconds{of}", name),
                unit="s",
                width=6,
                soft_maximum=0.1,
            ),
        ),
    )


def health(job: str, first: int) -> tuple[Panel, ...]:
    """Return the state and the age of a component's process: `first` and the next."""
    of = f'{{@, job="{job}"}}'
    name = "{{env}} {{host}}"
    return (
        state(
            first,
            "State",
            "Whether the process answers Prometheus.",
            Query(f"min by (env, host) (up{of})", name),
        ),
        stat(
            first + 1,
            "Running for",
            "Time since the youngest process started; orange for ten minutes.",
            Query(f"time() - max by (env) (process_start_time_seconds{of})", "{{env}}"),
            unit="dtdurations",
            steps=YOUNG,
        ),
    )
