# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of the collector and of Tempo."""

from __future__ import annotations

from tests.dashboards.model import BAD, GOOD, YOUNG, Board, Query, Row
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
    state,
    states,
    top,
    upper,
)

QUEUE = "otelcol_exporter_queue_size{@} / otelcol_exporter_queue_capacity{@}"
SIGNALS = (("spans_total", "spans"), ("metric_points_total", "points"))


COLLECTOR = Board(
    name="collector",
    role="otel_collector",
    title="Collector",
    description="What the collector takes, refuses, sends and keeps on disk.",
    variables=(ENV, hosts("otelcol_process_uptime_seconds_total")),
    runbook="otel-collector",
    rows=(
        Row(
            "Now",
            (
                state(
                    1,
                    "State",
                    "Whether both pages of metrics answer Prometheus.",
                    Query(
                        'min by (env, host) (up{@, job="otel-collector"}'
                        ' or up{@, job="otel-collector-self"})',
                        OF_HOST,
                    ),
                ),
                stat(
                    2,
                    "Running for",
                    "Time since the youngest process started; orange for ten minutes.",
                    "min by (env) (otelcol_process_uptime_seconds_total{@})",
                    unit="dtdurations",
                    steps=YOUNG,
                ),
                stat(
                    3,
                    "Spans",
                    "Spans per second.",
                    rate_by("env", "otelcol_receiver_accepted_spans_total"),
                    unit="suffix:/s",
                ),
                stat(
                    4,
                    "Metrics",
                    "Metric points per second.",
                    rate_by("env", "otelcol_receiver_accepted_metric_points_total"),
                    unit="suffix:/s",
                ),
                stat(
                    5,
                    "Fullest queue",
                    "Share of the fullest queue that is used; 60 % are an alert.",
                    f"max by (env) ({QUEUE})",
                    unit="percentunit",
                    steps=limit(0.3, 0.6),
                ),
                stat(
                    6,
                    "Lost",
                    "Spans that destinations refused in the chosen time.",
                    (
                        "sum by (env)"
                        " (increase(otelcol_exporter_send_failed_spans_total{@}[$__range]))"
                    ),
                    steps=ZERO,
                    decimals=0,
                    no_value="none",
                ),
            ),
        ),
        Row(
            "In",
            (
                speeds(
                    7,
                    "Accepted",
                    "Spans and metric points per second.",
                    *(
                        Query(
                            rate_by(
                                "env, host, receiver",
                                f"otelcol_receiver_accepted_{signal}",
                            ),
                            f"{{{{env}}}} {{{{host}}}} {{{{receiver}}}} {name}",
                        )
                        for signal, name in SIGNALS
                    ),
                    alerts=("ApplicationMetricsStopped",),
                ),
                speeds(
                    8,
                    "Refused",
                    "Spans and metric points per second that applications have to send again.",
                    *(
                        Query(
                            rate_by(
                                "env, host, receiver",
                                f"otelcol_receiver_refused_{signal}",
                            ),
                            f"{{{{env}}}} {{{{host}}}} {{{{receiver}}}} {name}",
                        )
                        for signal, name in SIGNALS
                    ),
                    alerts=("CollectorRefusing",),
                ),
                speeds(
                    9,
                    "Failed",
                    "Spans and metric points per second that failed inside the collector.",
                    *(
                        Query(
                            rate_by(
                                "env, host, receiver",
                                f"otelcol_receiver_failed_{signal}",
                            ),
                            f"{{{{env}}}} {{{{host}}}} {{{{receiver}}}} {name}",
                        )
                        for signal, name in SIGNALS
                    ),
                    alerts=("CollectorReceiverFailing", "CollectorDown"),
                ),
            ),
        ),
        Row(
            "Out",
            (
                speeds(
                    10,
                    "Sent",
                    "Spans and metric points per second to each destination.",
                    *(
                        Query(
                            rate_by(
                                "env, host, exporter", f"otelcol_exporter_sent_{signal}"
                            ),
                            f"{{{{env}}}} {{{{host}}}} {{{{exporter}}}} {name}",
                        )
                        for signal, name in SIGNALS
                    ),
                ),
                events(
                    11,
                    "Lost",
                    "Spans and metric points that a destination or the queue refused, within ten"
                    " minutes.",
                    *(
                        Query(
                            f"increase(otelcol_exporter_{what}_failed_{signal}{{@}}[10m])",
                            f"{{{{env}}}} {{{{host}}}} {{{{exporter}}}} {name}, {words}",
                        )
                        for what, words in (("send", "refused"), ("enqueue", "queue"))
                        for signal, name in SIGNALS
                    ),
                    no_value="none",
                    alerts=("CollectorLosingData", "CollectorEnqueueFailing"),
                ),
                graph(
                    12,
                    "Queue",
                    "Share of each queue on disk that is used; the line is the limit of the alert.",
                    Query(top(QUEUE), "{{env}} {{host}} {{exporter}} {{data_type}}"),
                    unit="percentunit",
                    soft_maximum=1,
                    steps=upper(0.6),
                    lines=True,
                    alerts=(
                        "CollectorQueueFilling",
                        "CollectorQueueFull",
                        "CollectorNotSending",
                    ),
                ),
            ),
        ),
        Row(
            "Process",
            (
                graph(
                    13,
                    "Memory",
                    "Memory that the process holds; otel_collector_memory_limit_mib is its limit.",
                    Query("otelcol_process_memory_rss_bytes{@}", OF_HOST),
                    unit="bytes",
                    soft_maximum=104857600,
                    width=12,
                ),
                graph(
                    14,
                    "CPU",
                    "Processor cores that the process uses.",
                    Query(
                        f"rate(otelcol_process_cpu_seconds_total{{@}}{RATE})", OF_HOST
                    ),
                    unit="suffix:cores",
                    soft_maximum=0.1,
                    width=12,
                ),
            ),
        ),
    ),
)

TEMPO = Board(
    name="tempo",
    role="tempo",
    title="Tempo",
    description="Spans, requests, storage, and the metrics that Tempo makes of spans.",
    variables=(ENV, hosts("tempo_distributor_spans_received_total")),
    runbook="tempo",
    rows=(
        Row(
            "Now",
            (
                *health("tempo", 1),
                stat(
                    3,
                    "Spans",
                    "Spans per second.",
                    rate_by("env", "tempo_distributor_spans_received_total"),
                    unit="suffix:/s",
                ),
                stat(
                    4,
                    "Open traces",
                    "Traces that still get spans. Tempo 3 does not count them so.",
                    "sum by (env) (tempo_ingester_live_traces{@})",
                    unit="short",
                ),
                stat(
                    5,
                    "Blocks",
                    "Blocks that are searched.",
                    "max by (env) (tempodb_blocklist_length{@})",
                    unit="short",
                ),
                stat(
                    6,
                    "Discarded",
                    "Spans that were discarded in the chosen time.",
                    "sum by (env) (increase(tempo_discarded_spans_total{@}[$__range]))",
                    steps=ZERO,
                    decimals=0,
                    no_value="none",
                ),
            ),
        ),
        Row(
            "Spans",
            (
                speeds(
                    7,
                    "Received",
                    "Spans per second.",
                    rates("env, host", "tempo_distributor_spans_received_total"),
                ),
                speeds(
                    8,
                    "Discarded",
                    "Spans per second that were discarded, by reason.",
                    rates("env, host, reason", "tempo_discarded_spans_total"),
                    no_value="none",
                    alerts=("TempoDiscardingSpans",),
                ),
                graph(
                    9,
                    "Requests",
                    "Requests per second by status code.",
                    rates(
                        "env, host, status_code", "tempo_request_duration_seconds_count"
                    ),
                    unit="reqps",
                    soft_maximum=1,
                    colors=CODES,
                    alerts=("TempoRequestErrors",),
                ),
            ),
        ),
        Row(
            "Storage",
            (
                graph(
                    10,
                    "Blocks",
                    "Blocks that are searched.",
                    Query("max by (env, host) (tempodb_blocklist_length{@})", OF_HOST),
                    unit="short",
                    soft_maximum=10,
                ),
                events(
                    11,
                    "Faults",
                    "Faults within ten minutes: flushes, compactions and polls that failed.",
                    *(
                        Query(
                            f"sum by (env, host) (increase({metric}{{@}}[10m]))",
                            f"{OF_HOST} {name}",
                        )
                        for metric, name in (
                            ("tempo_ingester_failed_flushes_total", "flush"),
                            ("tempodb_compaction_errors_total", "compaction"),
                            ("tempodb_blocklist_poll_errors_total", "poll"),
                        )
                    ),
                    alerts=(
                        "TempoFlushFailing",
                        "TempoCompactionFailing",
                        "TempoPollsFailing",
                    ),
                ),
                states(
                    12,
                    "State",
                    "1 if it answers.",
                    Query('up{@, job="tempo"}', f"{OF_HOST} up"),
                    alerts=("TempoDown", "TempoRingIncomplete"),
                ),
            ),
        ),
        Row(
            "Metrics of spans",
            (
                graph(
                    13,
                    "Series",
                    "Series that Tempo makes of spans.",
                    Query(
                        "sum by (env, host)"
                        " (tempo_metrics_generator_registry_active_series{@})",
                        OF_HOST,
                    ),
                    unit="short",
                    soft_maximum=100,
                    alerts=("TempoSeriesLimited",),
                ),
                speeds(
                    14,
                    "Sent to Prometheus",
                    "Samples per second, and those that failed.",
                    rates(
                        "env, host",
                        "prometheus_remote_storage_samples_total",
                        "sent",
                        matchers='@, job="tempo"',
                    ),
                    rates(
                        "env, host",
                        "prometheus_remote_storage_samples_failed_total",
                        "failed",
                        matchers='@, job="tempo"',
                    ),
                    colors=((" sent", GOOD), (" failed", BAD)),
                    alerts=("TempoRemoteWriteFailing",),
                ),
                events(
                    15,
                    "Collections failed",
                    "Failed attempts within ten minutes to make metrics of spans.",
                    increases(
                        "env, host",
                        "tempo_metrics_generator_registry_collections_failed_total",
                    ),
                    alerts=("TempoGeneratorFailing",),
                ),
            ),
        ),
        process("tempo", 30),
    ),
)
