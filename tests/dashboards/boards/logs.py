# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of logs: Loki, Promtail, and the lines of containers."""

from __future__ import annotations

from tests.dashboards.boards.application import LEVEL, SEARCH, logs_row
from tests.dashboards.model import Board, Query, Row, Variable
from tests.dashboards.parts import (
    CODES,
    ENV,
    OF_HOST,
    RATE,
    ZERO,
    events,
    graph,
    health,
    hosts,
    increases,
    limit,
    process,
    rate_by,
    rates,
    speeds,
    stat,
    states,
    top,
    upper,
)

LATENCY = "loki_request_duration_seconds"

LOKI = Board(
    name="loki",
    role="loki",
    title="Loki",
    description="Lines, requests, streams and storage of Loki.",
    variables=(ENV, hosts("loki_build_info")),
    runbook="loki",
    rows=(
        Row(
            "Now",
            (
                *health("loki", 1),
                stat(
                    3,
                    "Lines",
                    "Lines per second.",
                    rate_by("env", "loki_distributor_lines_received_total"),
                    unit="suffix:/s",
                ),
                stat(
                    4,
                    "Streams",
                    "Streams in memory.",
                    "sum by (env) (loki_ingester_memory_streams{@})",
                    unit="short",
                ),
                stat(
                    5,
                    "Discarded",
                    "Lines that were discarded in the chosen time.",
                    "sum by (env) (increase(loki_discarded_samples_total{@}[$__range]))",
                    steps=ZERO,
                    decimals=0,
                    no_value="none",
                ),
                stat(
                    6,
                    "Last compaction",
                    "Time since the index was compacted; three hours are an alert.",
                    (
                        "time() - max by (env)"
                        " (loki_boltdb_shipper_compact_tables_operation"
                        "_last_successful_run_timestamp_seconds{@} > 0)"
                    ),
                    unit="dtdurations",
                    steps=limit(7200, 10800),
                    no_value="not yet",
                ),
            ),
        ),
        Row(
            "Lines",
            (
                speeds(
                    7,
                    "Lines received",
                    "Lines per second.",
                    rates("env, host", "loki_distributor_lines_received_total"),
                ),
                graph(
                    8,
                    "Bytes received",
                    "Bytes per second.",
                    rates("env, host", "loki_distributor_bytes_received_total"),
                    unit="Bps",
                    soft_maximum=1024,
                ),
                speeds(
                    9,
                    "Discarded",
                    "Lines per second that were discarded, by reason.",
                    rates("env, host, reason", "loki_discarded_samples_total"),
                    no_value="none",
                    alerts=("LokiDiscardingLines",),
                ),
            ),
        ),
        Row(
            "Requests",
            (
                graph(
                    10,
                    "Requests",
                    "Requests per second by status code.",
                    rates(
                        "env, host, status_code",
                        "loki_request_duration_seconds_count",
                        matchers='@, job="loki"',
                    ),
                    unit="reqps",
                    soft_maximum=1,
                    colors=CODES,
                    alerts=("LokiRequestErrors",),
                ),
                graph(
                    11,
                    "Pushes, 99 of 100",
                    "Time to store a batch of lines; a second is an alert.",
                    Query(
                        "histogram_quantile(0.99, sum by (le, env, host)"
                        f' (rate({LATENCY}_bucket{{@, job="loki", route="loki_api_v1_push"}}'
                        f"{RATE})))",
                        OF_HOST,
                    ),
                    unit="s",
                    soft_maximum=1.2,
                    steps=upper(1),
                    lines=True,
                    alerts=("LokiPushSlow",),
                ),
                graph(
                    12,
                    "Queries, 99 of 100",
                    "Time of a query; ten seconds are an alert.",
                    Query(
                        "histogram_quantile(0.99, sum by (le, env, host)"
                        f' (rate({LATENCY}_bucket{{@, job="loki",'
                        f' route=~"loki_api_v1_query(_range)?"}}{RATE})))',
                        OF_HOST,
                    ),
                    unit="s",
                    soft_maximum=12,
                    steps=upper(10),
                    lines=True,
                    no_value="no queries",
                    alerts=("LokiQueriesSlow",),
                ),
            ),
        ),
        Row(
            "Storage",
            (
                graph(
                    13,
                    "Streams and chunks",
                    "Streams and chunks in memory.",
                    Query("loki_ingester_memory_streams{@}", f"{OF_HOST} streams"),
                    Query("loki_ingester_memory_chunks{@}", f"{OF_HOST} chunks"),
                    unit="short",
                    soft_maximum=100,
                ),
                graph(
                    14,
                    "Write-ahead log",
                    "Bytes per second that are written to the log.",
                    Query(
                        f"rate(loki_ingester_wal_logged_bytes_total{{@}}{RATE})",
                        OF_HOST,
                    ),
                    unit="Bps",
                    soft_maximum=1024,
                ),
                events(
                    15,
                    "Faults",
                    "Faults within ten minutes: full disk, failed flushes, panics.",
                    Query(
                        "increase(loki_ingester_wal_disk_full_failures_total{@}[10m])",
                        f"{OF_HOST} disk full",
                    ),
                    increases(
                        "env, host",
                        "loki_ingester_chunks_flush_failures_total",
                        "flush failed",
                    ),
                    increases("env, host, job", "loki_panic_total", "panic"),
                    alerts=("LokiWalDiskFull", "LokiFlushFailing", "LokiPanic"),
                ),
                graph(
                    16,
                    "Since the last run",
                    "Time since the index was compacted and old lines were deleted.",
                    Query(
                        "time() - (loki_boltdb_shipper_compact_tables_operation"
                        "_last_successful_run_timestamp_seconds{@} > 0)",
                        f"{OF_HOST} compaction",
                    ),
                    Query(
                        "time() - (loki_compactor_apply_retention"
                        "_last_successful_run_timestamp_seconds{@} > 0)",
                        f"{OF_HOST} retention",
                    ),
                    unit="s",
                    soft_maximum=10800,
                    width=12,
                    no_value="not yet",
                    alerts=("LokiCompactionStale", "LokiRetentionStale"),
                ),
                states(
                    17,
                    "State",
                    "1 if it answers, 1 if its runtime configuration is accepted.",
                    Query('up{@, job="loki"}', f"{OF_HOST} up"),
                    Query(
                        "loki_runtime_config_last_reload_successful{@}",
                        f"{OF_HOST} runtime",
                    ),
                    width=12,
                    alerts=("LokiDown", "LokiRingIncomplete", "LokiOverridesRejected"),
                ),
            ),
        ),
        process("loki", 30),
    ),
)

PROMTAIL = Board(
    name="promtail",
    role="promtail",
    title="Promtail",
    description="Files that Promtail reads, how far behind it is, and what it sends.",
    variables=(ENV, hosts("promtail_build_info")),
    runbook="promtail",
    rows=(
        Row(
            "Now",
            (
                *health("promtail", 1),
                stat(
                    3,
                    "Files",
                    "Files that are read.",
                    "sum by (env) (promtail_files_active_total{@})",
                    unit="short",
                ),
                stat(
                    4,
                    "Behind",
                    "Bytes that are not read yet.",
                    (
                        "sum by (env)"
                        " (promtail_file_bytes_total{@} - promtail_read_bytes_total{@})"
                    ),
                    unit="bytes",
                    steps=limit(1000000, 10000000),
                ),
                stat(
                    5,
                    "Lines",
                    "Lines per second that are sent.",
                    rate_by("env", "promtail_sent_entries_total"),
                    unit="suffix:/s",
                ),
                stat(
                    6,
                    "Dropped",
                    "Lines that were dropped in the chosen time.",
                    (
                        "sum by (env)"
                        " (increase(promtail_dropped_entries_total{@}[$__range]))"
                    ),
                    steps=ZERO,
                    decimals=0,
                ),
            ),
        ),
        Row(
            "Reading",
            (
                graph(
                    7,
                    "Behind",
                    "Bytes of each file that are not read yet, the ten largest; 10 MB are an"
                    " alert.",
                    Query(
                        top(
                            "promtail_file_bytes_total{@} - promtail_read_bytes_total{@}"
                        ),
                        "{{env}} {{host}} {{path}}",
                    ),
                    unit="bytes",
                    soft_maximum=1000000,
                    width=12,
                    alerts=("PromtailLagging", "PromtailFileNotRead"),
                ),
                graph(
                    8,
                    "Read",
                    "Bytes per second of each file, the ten largest; 1 MB is an alert.",
                    Query(
                        top(f"rate(promtail_read_bytes_total{{@}}{RATE})"),
                        "{{env}} {{host}} {{path}}",
                    ),
                    unit="Bps",
                    soft_maximum=1024,
                    width=12,
                    alerts=("ContainerLogFlood",),
                ),
            ),
        ),
        Row(
            "Sending",
            (
                graph(
                    9,
                    "Batches",
                    "Batches per second by Loki's answer; -1 is no answer.",
                    rates(
                        "env, host, status_code",
                        "promtail_request_duration_seconds_count",
                    ),
                    unit="reqps",
                    soft_maximum=1,
                    colors=(*CODES, (" -1", "red")),
                    alerts=("PromtailSendErrors",),
                ),
                speeds(
                    10,
                    "Dropped",
                    "Lines per second that were dropped, by reason.",
                    rates("env, host, reason", "promtail_dropped_entries_total"),
                    alerts=("PromtailDroppingLines",),
                ),
                states(
                    11,
                    "State",
                    "1 if it answers.",
                    Query('up{@, job="promtail"}', f"{OF_HOST} up"),
                    alerts=("PromtailDown",),
                ),
            ),
        ),
        process("promtail", 30),
    ),
)

CONTAINERS = Board(
    name="logs",
    role="promtail",
    title="Container logs",
    description="Lines and bytes of each container, and the lines themselves.",
    matchers='env=~"$env", host=~"$host"',
    variables=(
        ENV,
        hosts("promtail_build_info"),
        Variable("container", "Container", text=True),
        LEVEL,
        SEARCH,
    ),
    runbook="promtail",
    rows=(
        Row(
            "Volume",
            (
                speeds(
                    1,
                    "Lines by container",
                    "Lines per second of each container, the ten largest.",
                    Query(
                        "topk(10, sum by (env, host, container_name)"
                        ' (rate({@, container_name=~".*$container.*"} [$__auto])))',
                        "{{env}} {{host}} {{container_name}}",
                        source="loki",
                    ),
                    width=12,
                ),
                graph(
                    2,
                    "Bytes by container",
                    "Bytes per second of each container, the ten largest.",
                    Query(
                        "topk(10, sum by (env, host, container_name)"
                        ' (bytes_rate({@, container_name=~".*$container.*"} [$__auto])))',
                        "{{env}} {{host}} {{container_name}}",
                        source="loki",
                    ),
                    unit="Bps",
                    soft_maximum=1024,
                    width=12,
                ),
            ),
        ),
        logs_row('{@, container_name=~".*$container.*"}', 3),
    ),
)
