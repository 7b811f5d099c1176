# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of applications: requests, and workers with their queues."""

from __future__ import annotations

from tests.dashboards.model import (
    BAD,
    GOOD,
    WARN,
    Board,
    Column,
    Panel,
    Query,
    Row,
    Variable,
)
from tests.dashboards.parts import (
    CODES,
    ENV,
    IN_ENV,
    PERCENTILES,
    RATE,
    ZERO,
    events,
    graph,
    limit,
    quantiles,
    rates,
    speeds,
    stat,
    table,
    top,
    upper,
    worst,
)

REQUESTS = "http_request_duration_seconds"
FROM = '@, job="otel-collector"'
SERVICE = "{{env}} {{exported_job}}"
BY = "sum by (env, exported_job)"
LEVELS = (
    ("debug", "blue"),
    ("info", GOOD),
    ("warn.*", WARN),
    ("(error|critical|fatal)", BAD),
)
COUNTED = f"{BY} (rate({REQUESTS}_count{{{FROM}}}{RATE}))"
FAILED = f'{BY} (rate({REQUESTS}_count{{{FROM}, status_code=~"5.."}}{RATE}))'
ERRORS = f"({FAILED} or {COUNTED} * 0) / {COUNTED}"
A_WEEK_AGO = f"{BY} (rate({REQUESTS}_count{{{FROM}}}{RATE} offset 1w))"
NO_REQUESTS = "no requests"
ERROR_STEPS = limit(0.01, 0.05)
SLOW_STEPS = limit(0.5, 1)


def quantile(share: float) -> str:
    """Return the duration that a share of a service's requests does not exceed."""
    buckets = f"rate({REQUESTS}_bucket{{{FROM}}}{RATE})"
    return f"histogram_quantile({share}, sum by (le, env, exported_job) ({buckets}))"


SLOWEST = quantile(0.95)
WORKERS = ("uploader", "substrate", "downloader")


def logs_row(selector: str, first: int) -> Row:
    """Return the row of log lines: how many of each level, and the lines themselves."""
    chosen = f'{selector} | detected_level=~"$level" |~ "$search"'
    return Row(
        "Logs",
        (
            Panel(
                first,
                "timeseries",
                "Lines by level",
                "Log lines of the chosen services by level.",
                (
                    Query(
                        f"sum by (env, detected_level) (count_over_time({chosen} [$__auto]))",
                        "{{env}} {{detected_level}}",
                        source="loki",
                    ),
                ),
                unit="short",
                width=24,
                height=6,
                bars=True,
                stacked=True,
                soft_maximum=10,
                colors=tuple((f" {level}", color) for level, color in LEVELS),
            ),
            Panel(
                first + 1,
                "logs",
                "Logs",
                "Log lines of the chosen services with the chosen levels and words.",
                (Query(chosen, "", source="loki"),),
                width=24,
                height=16,
            ),
        ),
    )


LEVEL = Variable(
    "level", "Level", values=("debug", "info", "warn", "error", "critical", "unknown")
)
SEARCH = Variable("search", "Search", text=True)

APPLICATION = Board(
    name="application",
    role="otel_collector",
    title="Application",
    description="Rate, errors and duration of the requests to each service, and its log lines.",
    matchers='env=~"$env", exported_job=~"$service"',
    runbook="application",
    variables=(
        ENV,
        Variable(
            "service",
            "Service",
            f'{REQUESTS}_count{{job="otel-collector"}}',
            key="exported_job",
        ),
        LEVEL,
        SEARCH,
    ),
    rows=(
        Row(
            "Now",
            (
                stat(
                    8,
                    "Requests",
                    "Requests per second.",
                    f"sum by (env) ({COUNTED})",
                    unit="reqps",
                    width=6,
                    no_value=NO_REQUESTS,
                ),
                stat(
                    9,
                    "Errors",
                    "Share of the worst service's requests with a 5xx status; 5 % is an alert.",
                    worst("max", ERRORS),
                    unit="percentunit",
                    width=6,
                    steps=ERROR_STEPS,
                    no_value=NO_REQUESTS,
                ),
                stat(
                    10,
                    "Duration (p95)",
                    "One request in twenty takes longer, of the slowest service; a second is an"
                    " alert.",
                    worst("max", SLOWEST),
                    unit="s",
                    width=6,
                    steps=SLOW_STEPS,
                    no_value=NO_REQUESTS,
                ),
                stat(
                    11,
                    "Compared with a week ago",
                    "Requests per second now, as a share of those at this time a week ago.",
                    f"sum by (env) ({COUNTED}) / sum by (env) ({A_WEEK_AGO})",
                    unit="percentunit",
                    width=6,
                    no_value="no data of a week ago",
                ),
                table(
                    15,
                    "Services",
                    "One line for each service; a click on its name shows it alone.",
                    (IN_ENV, ("exported_job", "Service")),
                    Column("Requests", COUNTED, "reqps"),
                    Column("Errors", ERRORS, "percentunit", ERROR_STEPS),
                    Column("Half are faster than", quantile(0.5), "s"),
                    Column("95 of 100", SLOWEST, "s", SLOW_STEPS),
                    Column("99 of 100", quantile(0.99), "s"),
                    Column(
                        "Of last week",
                        f"{COUNTED} / ({A_WEEK_AGO})",
                        "percentunit",
                    ),
                ),
            ),
        ),
        Row(
            "Requests",
            (
                graph(
                    1,
                    "Requests",
                    "Requests per second by handler and method, the ten most frequent.",
                    Query(
                        top(
                            "sum by (env, exported_job, handler, method)"
                            f" (rate({REQUESTS}_count{{{FROM}}}{RATE}))"
                        ),
                        "{{env}} {{exported_job}} {{method}} {{handler}}",
                    ),
                    unit="reqps",
                    soft_maximum=1,
                    width=12,
                    no_value=NO_REQUESTS,
                    alerts=("ApplicationNoTraffic",),
                ),
                graph(
                    2,
                    "Errors",
                    "Share of requests with a 5xx status; the line is the limit of the alert.",
                    Query(ERRORS, SERVICE),
                    unit="percentunit",
                    soft_maximum=0.1,
                    steps=upper(0.05),
                    lines=True,
                    width=12,
                    no_value=NO_REQUESTS,
                    alerts=("ApplicationErrors",),
                ),
                graph(
                    3,
                    "Duration",
                    "Median, 95th and 99th percentile. The diamonds are example requests that lead"
                    " to their traces.",
                    *quantiles(REQUESTS, "env, exported_job", FROM),
                    unit="s",
                    soft_maximum=1.2,
                    steps=upper(1),
                    lines=True,
                    colors=PERCENTILES,
                    width=12,
                    no_value=NO_REQUESTS,
                    alerts=("ApplicationSlow",),
                ),
                graph(
                    5,
                    "Duration by handler",
                    "95th percentile of each handler, the ten slowest.",
                    Query(
                        top(
                            "histogram_quantile(0.95,"
                            " sum by (le, env, exported_job, handler, method)"
                            f" (rate({REQUESTS}_bucket{{{FROM}}}{RATE})))"
                        ),
                        "{{env}} {{exported_job}} {{method}} {{handler}}",
                    ),
                    unit="s",
                    soft_maximum=1.2,
                    width=12,
                    no_value=NO_REQUESTS,
                ),
                graph(
                    6,
                    "Status codes",
                    "Requests per second by status code.",
                    rates(
                        "env, exported_job, status_code",
                        "http_request_duration_seconds_count",
                        matchers='@, job="otel-collector"',
                    ),
                    unit="reqps",
                    soft_maximum=1,
                    colors=CODES,
                    width=12,
                    no_value=NO_REQUESTS,
                ),
                graph(
                    12,
                    "Turned away",
                    "Share of requests with status 429 (too many), 401 or 403 (not allowed).",
                    Query(
                        f'{BY} (rate({REQUESTS}_count{{{FROM}, status_code="429"}}{RATE}))'
                        f" / {COUNTED}",
                        f"{SERVICE} throttled",
                    ),
                    Query(
                        f'{BY} (rate({REQUESTS}_count{{{FROM}, status_code=~"401|403"}}{RATE}))'
                        f" / {COUNTED}",
                        f"{SERVICE} unauthorized",
                    ),
                    unit="percentunit",
                    soft_maximum=0.1,
                    width=12,
                    no_value="none",
                    alerts=("ApplicationThrottling", "ApplicationUnauthorized"),
                ),
            ),
        ),
        logs_row('{env=~"$env", container_name=~"$service-.*"}', 13),
    ),
)


def jobs(worker: str, extra: str = "") -> str:
    """Return the rate of a worker's jobs."""
    return f"{BY} (rate({worker}_requests_total{{@{extra}}}{RATE}))"


FAILURES = ', success="false"'
DONE = " or ".join(map(jobs, WORKERS))
FAILING = " or ".join(
    f"({jobs(worker, FAILURES)} or {jobs(worker)} * 0) / {jobs(worker)}"
    for worker in WORKERS
)
FAILING_STEPS = limit(0.01, 0.1)
QUEUE = "{{env}} {{queue_name}}"
QUEUE_STEPS = limit(500, 1000)
LENGTH = 'hippius_queue_length{@, queue_name=~"$queue"}'
WAITING = f"max by (env, queue_name) ({LENGTH})"
DEAD = (
    'max by (env, queue_name) (hippius_queue_length{@, queue_name=~".*(dead|dlq).*"})'
)
GROWTH = f"max by (env, queue_name) (deriv({LENGTH}{RATE}))"
# A queue that hardly shrinks would be empty in weeks, beside which no other line can be read.
DRAIN = f"max by (env, queue_name) ({LENGTH} / -(deriv({LENGTH}{RATE}) < 0) < 86400)"

WORKER = Board(
    name="workers",
    role="otel_collector",
    title="Workers and queues",
    description="Jobs that wait, that are done and that fail.",
    matchers='env=~"$env"',
    runbook="application",
    variables=(
        ENV,
        Variable("queue", "Queue", "hippius_queue_length", key="queue_name"),
    ),
    rows=(
        Row(
            "Now",
            (
                stat(
                    1,
                    "Waiting",
                    "Jobs in the longest queue; 1000 are an alert.",
                    worst("max", WAITING),
                    unit="short",
                    width=6,
                    steps=QUEUE_STEPS,
                ),
                stat(
                    10,
                    "Dead letters",
                    "Jobs that failed for good.",
                    worst("sum", DEAD),
                    unit="short",
                    width=6,
                    steps=ZERO,
                    no_value="none",
                ),
                stat(
                    2,
                    "Jobs",
                    "Jobs per second of all workers.",
                    worst("sum", DONE),
                    unit="suffix:/s",
                    width=6,
                    no_value="no jobs",
                ),
                stat(
                    3,
                    "Failures",
                    "Share of the worst worker's jobs that fail; 10 % are an alert.",
                    worst("max", FAILING),
                    unit="percentunit",
                    width=6,
                    steps=FAILING_STEPS,
                    no_value="no jobs",
                ),
                table(
                    11,
                    "Queues",
                    "Jobs in each queue, how fast it grows, and when it is empty if it shrinks.",
                    (IN_ENV, ("queue_name", "Queue")),
                    Column("Waiting", WAITING, "short", QUEUE_STEPS),
                    Column("Growth", GROWTH, "suffix:/s", decimals=2),
                    Column("Time to drain", DRAIN, "s"),
                    width=12,
                ),
                table(
                    12,
                    "Workers",
                    "Jobs per second of each worker, and the share of them that fails.",
                    (IN_ENV, ("exported_job", "Worker")),
                    Column("Jobs", DONE, "suffix:/s", decimals=2),
                    Column("Failures", FAILING, "percentunit", FAILING_STEPS),
                    width=12,
                ),
            ),
        ),
        Row(
            "Queues",
            (
                graph(
                    4,
                    "Waiting",
                    "Jobs in each queue.",
                    Query(WAITING, QUEUE),
                    unit="short",
                    soft_maximum=10,
                    width=12,
                    alerts=("QueueBacklog", "QueueNotDraining"),
                ),
                speeds(
                    5,
                    "Growth",
                    "Jobs per second by which a queue grows, or shrinks below zero.",
                    Query(GROWTH, QUEUE),
                    minimum=None,
                    width=12,
                ),
                events(
                    6,
                    "Dead letters",
                    "Jobs that failed for good.",
                    Query(DEAD, QUEUE),
                    width=12,
                    no_value="no dead letters",
                    alerts=("DeadLetters",),
                ),
                graph(
                    7,
                    "Time to drain",
                    "Time until a queue is empty if it goes on shrinking like this, up to a day.",
                    Query(DRAIN, QUEUE),
                    unit="s",
                    soft_maximum=60,
                    width=12,
                    no_value="no queue shrinks",
                ),
            ),
        ),
        Row(
            "Workers",
            (
                speeds(
                    8,
                    "Jobs",
                    "Jobs per second of each worker.",
                    Query(DONE, SERVICE),
                    width=12,
                    no_value="no jobs",
                ),
                graph(
                    9,
                    "Failures",
                    "Share of jobs that fail; the line is the limit of the alert.",
                    Query(FAILING, SERVICE),
                    unit="percentunit",
                    soft_maximum=0.2,
                    steps=upper(0.1),
                    lines=True,
                    width=12,
                    no_value="no jobs",
                    alerts=("WorkerFailing",),
                ),
            ),
        ),
    ),
)
