# SPDX-License-Identifier: GPL-3.0-or-later
"""The overview of the whole stack, and the dashboards of its metrics and alerts."""

from __future__ import annotations

from tests.dashboards.model import (
    LOWER_IS_BAD,
    NONE,
    PLAIN,
    WARN,
    YOUNG,
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
    OF_HOST,
    RATE,
    ZERO,
    events,
    graph,
    health,
    hosts,
    limit,
    lower,
    process,
    quantiles,
    rate_by,
    rates,
    speeds,
    stat,
    states,
    table,
    top,
    upper,
)

DISKS = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660", mountpoint!~"/etc/.+"'
FREE = f"""max by (env, host, device) (
  node_filesystem_avail_bytes{{@, {DISKS}}} / node_filesystem_size_bytes
)"""
JOB = "by (env, job)"

STACK = Board(
    name="stack",
    role="prometheus",
    title="Monitoring stack",
    description="The start: what runs, what fires, what comes in, and how much room is left.",
    variables=(ENV, hosts("up")),
    runbook="prometheus",
    rows=(
        Row(
            "Now",
            (
                stat(
                    12,
                    "Targets down",
                    "Targets that do not answer Prometheus.",
                    "sum by (env) (up{@} == bool 0)",
                    steps=ZERO,
                ),
                stat(
                    13,
                    "Samples",
                    "Samples that Prometheus stores per second.",
                    rate_by("env", "prometheus_tsdb_head_samples_appended_total"),
                    unit="suffix:/s",
                ),
                stat(
                    14,
                    "Log lines",
                    "Lines that Loki stores per second.",
                    rate_by("env", "loki_distributor_lines_received_total"),
                    unit="suffix:/s",
                ),
                stat(
                    15,
                    "Spans",
                    "Spans that Tempo stores per second.",
                    rate_by("env", "tempo_distributor_spans_received_total"),
                    unit="suffix:/s",
                ),
                stat(
                    16,
                    "Least disk left",
                    "Free share of the fullest file system.",
                    f"min by (env) ({FREE})",
                    unit="percentunit",
                    steps=(("red", None), (WARN, 0.05), (PLAIN, 0.3)),
                ),
                stat(
                    17,
                    "Messages failed",
                    "Messages of Alertmanager that failed in the last hour.",
                    (
                        "sum by (env)"
                        " (increase(alertmanager_notifications_failed_total{@}[1h]))"
                    ),
                    steps=ZERO,
                    decimals=0,
                ),
                table(
                    1,
                    "Components",
                    "Each scrape job: what is down comes first.",
                    (IN_ENV, ("job", "Component")),
                    Column(
                        "State",
                        f"min {JOB} (up{{@}})",
                        steps=LOWER_IS_BAD,
                        up_or_down=True,
                    ),
                    Column(
                        "Targets down", f"sum {JOB} (up{{@}} == bool 0)", steps=ZERO
                    ),
                    Column("Targets", f"count {JOB} (up{{@}})"),
                    Column(
                        "Running for",
                        f"time() - max {JOB} (process_start_time_seconds{{@}})"
                        f" or min {JOB} (otelcol_process_uptime_seconds_total{{@}})",
                        "dtdurations",
                        YOUNG,
                    ),
                    sorted_by="Targets down",
                    width=16,
                ),
                Panel(
                    8,
                    "alertlist",
                    "Alerts",
                    "Alerts that fire or are about to, in Grafana, the newest first.",
                    width=8,
                ),
            ),
        ),
        Row(
            "Data",
            (
                speeds(
                    3,
                    "Metrics stored",
                    "Samples that Prometheus stores per second. It falls when targets are gone,"
                    " and rises with new label values.",
                    rates("env, host", "prometheus_tsdb_head_samples_appended_total"),
                ),
                speeds(
                    4,
                    "Logs received",
                    "Log lines that Loki takes per second.",
                    rates("env, host", "loki_distributor_lines_received_total"),
                    alerts=("LogIngestionStopped",),
                ),
                speeds(
                    5,
                    "Spans received",
                    "Spans that Tempo takes per second, from the collector and from applications.",
                    rates("env, host", "tempo_distributor_spans_received_total"),
                    alerts=("SpanIngestionStopped",),
                ),
                graph(
                    6,
                    "Waiting at the collector",
                    "Bytes on disk for each destination. A queue that only grows has a destination"
                    " that is away.",
                    Query(
                        top("otelcol_exporter_queue_size{@}"),
                        "{{env}} {{host}} {{exporter}} {{data_type}}",
                    ),
                    unit="bytes",
                    soft_maximum=1048576,
                ),
                speeds(
                    9,
                    "Lost on the way",
                    "Spans, metric points and log lines per second that a part of the stack"
                    " refused or discarded.",
                    rates(
                        "env, host",
                        "otelcol_receiver_refused_spans_total",
                        "collector, spans",
                    ),
                    rates(
                        "env, host",
                        "otelcol_receiver_refused_metric_points_total",
                        "collector, points",
                    ),
                    rates("env, host", "loki_discarded_samples_total", "Loki, lines"),
                    rates("env, host", "tempo_discarded_spans_total", "Tempo, spans"),
                ),
                graph(
                    7,
                    "Disk left",
                    "Share of each file system that is free: orange below 30 %, red below 5 %.",
                    Query(f"bottomk(10, {FREE})", "{{env}} {{host}} {{device}}"),
                    unit="percentunit",
                    maximum=1,
                    steps=lower(0.05, 0.3),
                    lines=True,
                ),
            ),
        ),
        Row(
            "Programs",
            (
                states(
                    2,
                    "Targets that do not answer",
                    "Targets of each host and job that are down.",
                    Query(
                        "sum by (env, host, job) (up{@} == bool 0) > 0",
                        "{{env}} {{host}} {{job}}",
                    ),
                    no_value="All targets answer.",
                    alerts=("TargetDown", "JobDown", "HostDown"),
                ),
                graph(
                    10,
                    "Memory",
                    "Memory that each component holds, the ten largest.",
                    Query(
                        top(
                            "process_resident_memory_bytes{@}"
                            " or otelcol_process_memory_rss_bytes{@}"
                        ),
                        "{{env}} {{host}} {{job}}",
                    ),
                    unit="bytes",
                    soft_maximum=104857600,
                ),
                graph(
                    11,
                    "CPU",
                    "Processor cores that each component uses, the ten largest.",
                    Query(
                        top(
                            f"rate(process_cpu_seconds_total{{@}}{RATE})"
                            f" or rate(otelcol_process_cpu_seconds_total{{@}}{RATE})"
                        ),
                        "{{env}} {{host}} {{job}}",
                    ),
                    unit="suffix:cores",
                    soft_maximum=0.1,
                ),
                graph(
                    18,
                    "Starts",
                    "Starts of each process within 15 minutes; three of them are an alert.",
                    Query(
                        top("changes(process_start_time_seconds{@}[15m]) > 0"),
                        "{{env}} {{host}} {{job}}",
                    ),
                    soft_maximum=3,
                    decimals=0,
                    no_value="Nothing has started.",
                    alerts=("ProcessRestarting",),
                ),
                graph(
                    19,
                    "File descriptors",
                    "Share of the file descriptors that each process uses, the ten largest.",
                    Query(
                        top("process_open_fds{@} / process_max_fds{@}"),
                        "{{env}} {{host}} {{job}}",
                    ),
                    unit="percentunit",
                    soft_maximum=1,
                    steps=upper(0.8),
                    lines=True,
                    alerts=("FileDescriptorsLow",),
                ),
            ),
        ),
    ),
)

PROMETHEUS = Board(
    name="prometheus",
    role="prometheus",
    title="Prometheus",
    description="Targets, series, rules, storage and queries of Prometheus.",
    variables=(ENV, hosts("up"), Variable("job", "Job of targets", "up")),
    runbook="prometheus",
    rows=(
        Row(
            "Now",
            (
                *health("prometheus", 1),
                stat(
                    3,
                    "Series",
                    "Series in memory.",
                    "sum by (env) (prometheus_tsdb_head_series{@})",
                    unit="short",
                ),
                stat(
                    4,
                    "Targets",
                    "Targets that answer.",
                    "sum by (env) (up{@})",
                    unit="short",
                ),
                stat(
                    5,
                    "Rules failing",
                    "Evaluations of rules that failed within five minutes.",
                    (
                        "sum by (env)"
                        " (increase(prometheus_rule_evaluation_failures_total{@}[5m]))"
                    ),
                    steps=ZERO,
                    decimals=0,
                ),
                stat(
                    6,
                    "Oldest sample",
                    "Age of the oldest sample, which the retention limits.",
                    (
                        "time() - min by (env)"
                        " (prometheus_tsdb_lowest_timestamp_seconds{@} > 0)"
                    ),
                    unit="dtdurations",
                ),
            ),
        ),
        Row(
            "Targets",
            (
                Panel(
                    7,
                    "state-timeline",
                    "Targets",
                    "Which targets answered Prometheus, and when they did not.",
                    (Query('up{@, job=~"$job"}', "{{env}} {{host}} {{job}}"),),
                    width=24,
                    height=10,
                    steps=LOWER_IS_BAD,
                    up_or_down=True,
                    minimum=None,
                ),
                graph(
                    8,
                    "Slowest scrapes",
                    "Time to read the metrics of a target, the ten longest. Prometheus gives up"
                    " after ten seconds.",
                    Query(
                        top('scrape_duration_seconds{@, job=~"$job"}'),
                        "{{env}} {{host}} {{job}}",
                    ),
                    unit="s",
                    soft_maximum=1,
                ),
                graph(
                    9,
                    "Largest targets",
                    "Samples that a target delivers, the ten largest.",
                    Query(
                        top('scrape_samples_scraped{@, job=~"$job"}'),
                        "{{env}} {{host}} {{job}}",
                    ),
                    unit="short",
                    soft_maximum=1000,
                ),
                speeds(
                    10,
                    "Samples rejected",
                    "Samples per second that Prometheus rejects: duplicates, out of order, over"
                    " the limit.",
                    *(
                        Query(
                            "sum by (env, host)"
                            f" (rate(prometheus_target_scrapes_{reason}_total"
                            f'{{@, job="prometheus"}}{RATE}))',
                            f"{OF_HOST} {name}",
                        )
                        for reason, name in (
                            ("exceeded_sample_limit", "limit"),
                            ("sample_duplicate_timestamp", "duplicate"),
                            ("sample_out_of_order", "out of order"),
                        )
                    ),
                    alerts=("PrometheusSamplesRejected",),
                ),
            ),
        ),
        Row(
            "Storage",
            (
                graph(
                    11,
                    "Series",
                    "Series in memory; twice as many as a day ago are an alert.",
                    Query("prometheus_tsdb_head_series{@}", OF_HOST),
                    Query(
                        "prometheus_tsdb_head_series{@} offset 1d",
                        f"{OF_HOST} a day ago",
                    ),
                    unit="short",
                    soft_maximum=1000,
                    alerts=("PrometheusSeriesDoubled",),
                ),
                graph(
                    12,
                    "Disk used",
                    "Blocks, write-ahead log and head chunks. The limit is"
                    " prometheus_retention_size.",
                    Query(
                        "prometheus_tsdb_storage_blocks_bytes{@}", f"{OF_HOST} blocks"
                    ),
                    Query(
                        'prometheus_tsdb_wal_storage_size_bytes{@, job="prometheus"}',
                        f"{OF_HOST} log",
                    ),
                    Query(
                        "prometheus_tsdb_head_chunks_storage_size_bytes{@}",
                        f"{OF_HOST} head",
                    ),
                    unit="bytes",
                    soft_maximum=1048576,
                ),
                events(
                    13,
                    "Storage faults",
                    "Faults per hour: damaged or unwritable log, failed compactions, blocks that"
                    " were deleted for want of space.",
                    *(
                        Query(
                            f'increase(prometheus_tsdb_{name}_total{{@, job="prometheus"}}[1h])',
                            f"{OF_HOST} {words}",
                        )
                        for name, words in (
                            ("wal_corruptions", "log damaged"),
                            ("wal_writes_failed", "log not written"),
                            ("compactions_failed", "compactions failed"),
                            ("size_retentions", "deleted early"),
                        )
                    ),
                    alerts=(
                        "PrometheusWalCorrupted",
                        "PrometheusWalWritesFailing",
                        "PrometheusCompactionsFailing",
                        "PrometheusRetentionShortened",
                    ),
                ),
            ),
        ),
        Row(
            "Rules and queries",
            (
                speeds(
                    14,
                    "Rules failing",
                    "Failed evaluations per second by group.",
                    rates(
                        "env, host, rule_group",
                        "prometheus_rule_evaluation_failures_total",
                    ),
                    alerts=("PrometheusRuleFailures",),
                ),
                graph(
                    15,
                    "Groups by duration",
                    "Share of its interval that the evaluation of a group takes.",
                    Query(
                        top(
                            "prometheus_rule_group_last_duration_seconds{@}"
                            " / prometheus_rule_group_interval_seconds{@}"
                        ),
                        "{{env}} {{host}} {{rule_group}}",
                    ),
                    unit="percentunit",
                    soft_maximum=1,
                    steps=upper(1),
                    lines=True,
                    alerts=("PrometheusRuleGroupSlow",),
                ),
                graph(
                    16,
                    "Queries",
                    "Duration of queries by part, 99 of 100.",
                    Query(
                        "max by (env, host, slice)"
                        ' (prometheus_engine_query_duration_seconds{@, quantile="0.99"})',
                        "{{env}} {{host}} {{slice}}",
                    ),
                    unit="s",
                    soft_maximum=1,
                    no_value="no queries",
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                graph(
                    17,
                    "Alerts sent",
                    "Alerts per second to Alertmanager, and those that failed.",
                    rates("env, host", "prometheus_notifications_sent_total", "sent"),
                    rates(
                        "env, host", "prometheus_notifications_errors_total", "failed"
                    ),
                    unit="suffix:/s",
                    soft_maximum=0.1,
                    colors=((" failed", "red"), (" sent", "green")),
                    width=12,
                    alerts=("PrometheusAlertsNotSent",),
                ),
                states(
                    18,
                    "Configuration and Alertmanagers",
                    "1 if the last reload succeeded, and the number of Alertmanagers.",
                    Query(
                        "prometheus_config_last_reload_successful{@}",
                        f"{OF_HOST} reload",
                    ),
                    Query(
                        "prometheus_notifications_alertmanagers_discovered{@}",
                        f"{OF_HOST} Alertmanagers",
                    ),
                    Query('up{@, job="prometheus"}', f"{OF_HOST} up"),
                    width=12,
                    alerts=(
                        "PrometheusConfigReloadFailed",
                        "PrometheusWithoutAlertmanager",
                        "PrometheusDown",
                    ),
                ),
            ),
        ),
        process("prometheus", 30),
    ),
)

ALERTMANAGER = Board(
    name="alertmanager",
    role="alertmanager",
    title="Alertmanager",
    description="Alerts, messages and silences of Alertmanager.",
    variables=(ENV, hosts("alertmanager_build_info")),
    runbook="alertmanager",
    rows=(
        Row(
            "Now",
            (
                *health("alertmanager", 1),
                stat(
                    3,
                    "Alerts",
                    "Alerts that fire.",
                    'sum by (env) (alertmanager_alerts{@, state="active"})',
                    steps=ZERO,
                ),
                stat(
                    4,
                    "Silences",
                    "Silences in effect.",
                    'sum by (env) (alertmanager_silences{@, state="active"})',
                ),
                stat(
                    5,
                    "Messages failed",
                    "Messages that failed in the chosen time.",
                    (
                        "sum by (env)"
                        " (increase(alertmanager_notifications_failed_total{@}[$__range]))"
                    ),
                    steps=ZERO,
                    decimals=0,
                ),
                stat(
                    6,
                    "Receivers",
                    "Integrations of the configuration.",
                    "sum by (env) (alertmanager_integrations{@})",
                ),
            ),
        ),
        Row(
            "Messages",
            (
                graph(
                    7,
                    "Messages sent",
                    "Messages per second by integration.",
                    Query(
                        "sum by (env, host, integration)"
                        f" (rate(alertmanager_notifications_total{{@}}{RATE})) > 0",
                        "{{env}} {{host}} {{integration}}",
                    ),
                    unit="suffix:/s",
                    soft_maximum=0.1,
                    no_value="no messages",
                ),
                graph(
                    8,
                    "Messages failed",
                    "Failed messages per second by integration.",
                    rates(
                        "env, host, integration",
                        "alertmanager_notifications_failed_total",
                    ),
                    unit="suffix:/s",
                    soft_maximum=0.1,
                    alerts=("AlertmanagerNotSending",),
                ),
                graph(
                    9,
                    "Delivery time",
                    "Time to deliver a message, 95 of 100.",
                    Query(
                        "histogram_quantile(0.95, sum by (le, env, integration)"
                        f" (rate(alertmanager_notification_latency_seconds_bucket{{@}}{RATE})))",
                        "{{env}} {{integration}}",
                    ),
                    unit="s",
                    soft_maximum=1,
                    no_value="no messages",
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                states(
                    10,
                    "Alerts",
                    "Alerts by state.",
                    Query(
                        "sum by (env, host, state) (alertmanager_alerts{@})",
                        "{{env}} {{host}} {{state}}",
                    ),
                ),
                graph(
                    11,
                    "Alerts received",
                    "Alerts per second, and those that are invalid.",
                    rates("env, host, status", "alertmanager_alerts_received_total"),
                    rates("env, host", "alertmanager_alerts_invalid_total", "invalid"),
                    unit="suffix:/s",
                    soft_maximum=0.1,
                    colors=((" invalid", "red"),),
                    alerts=("AlertmanagerAlertsInvalid",),
                ),
                graph(
                    12,
                    "State",
                    "1 if it answers, 1 if the last reload succeeded, and failures to save"
                    " silences and sent messages.",
                    Query('up{@, job="alertmanager"}', f"{OF_HOST} up"),
                    Query(
                        "alertmanager_config_last_reload_successful{@}",
                        f"{OF_HOST} reload",
                    ),
                    Query(
                        "increase(alertmanager_silences_maintenance_errors_total{@}[1h])"
                        " + increase(alertmanager_nflog_maintenance_errors_total{@}[1h])",
                        f"{OF_HOST} saves failed",
                    ),
                    soft_maximum=1,
                    alerts=(
                        "AlertmanagerDown",
                        "AlertmanagerClusterIncomplete",
                        "AlertmanagerConfigReloadFailed",
                        "AlertmanagerStateNotSaved",
                    ),
                ),
            ),
        ),
        process("alertmanager", 30),
    ),
)

GRAFANA = Board(
    name="grafana",
    role="grafana",
    title="Grafana",
    description="Requests, alerts, messages and datasources of Grafana.",
    variables=(ENV, hosts('up{job="grafana"}')),
    runbook="grafana",
    rows=(
        Row(
            "Now",
            (
                *health("grafana", 1),
                stat(
                    3,
                    "Alerts",
                    "Alert instances that fire.",
                    'sum by (env) (grafana_alerting_alerts{@, state="alerting"})',
                    steps=ZERO,
                ),
                stat(
                    4,
                    "Rules",
                    "Alert rules that are evaluated.",
                    "sum by (env) (grafana_alerting_schedule_alert_rules{@})",
                ),
                stat(
                    5,
                    "Behind",
                    "Delay of the evaluations.",
                    "max by (env) (grafana_alerting_scheduler_behind_seconds{@})",
                    unit="s",
                    steps=limit(30, 60),
                ),
                stat(
                    6,
                    "Dashboards",
                    "Dashboards in the database.",
                    "sum by (env) (grafana_stat_totals_dashboard{@})",
                ),
            ),
        ),
        Row(
            "Alerts",
            (
                graph(
                    7,
                    "Evaluations failing",
                    "Failed evaluations of alert rules per second.",
                    rates(
                        "env, host", "grafana_alerting_rule_evaluation_failures_total"
                    ),
                    unit="suffix:/s",
                    soft_maximum=0.1,
                    alerts=("GrafanaRulesFailing",),
                ),
                graph(
                    8,
                    "Messages failed",
                    "Failed messages per second by integration.",
                    rates(
                        "env, host, integration",
                        "grafana_alerting_notifications_failed_total",
                    ),
                    unit="suffix:/s",
                    soft_maximum=0.1,
                    no_value="none failed",
                    alerts=("GrafanaNotSending",),
                ),
                graph(
                    9,
                    "Behind",
                    "Delay of the evaluations.",
                    Query("grafana_alerting_scheduler_behind_seconds{@}", OF_HOST),
                    unit="s",
                    soft_maximum=60,
                    steps=upper(60),
                    lines=True,
                    alerts=("GrafanaEvaluationBehind",),
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
                        "grafana_http_request_duration_seconds_count",
                    ),
                    unit="reqps",
                    soft_maximum=1,
                    colors=CODES,
                    alerts=("GrafanaRequestsFailing",),
                ),
                graph(
                    11,
                    "Duration",
                    "Duration of requests, 95 and 99 of 100.",
                    *quantiles("grafana_http_request_duration_seconds", "env, host")[
                        1:
                    ],
                    unit="s",
                    soft_maximum=1,
                ),
                graph(
                    12,
                    "Datasource errors",
                    "Share of the queries to a datasource that fail.",
                    Query(
                        "sum by (env, host, datasource)"
                        f' (rate(grafana_datasource_request_total{{@, code=~"5.."}}{RATE}))'
                        " / sum by (env, host, datasource)"
                        f" (rate(grafana_datasource_request_total{{@}}{RATE}))",
                        "{{env}} {{host}} {{datasource}}",
                    ),
                    Query('up{@, job="grafana"} == 0', f"{OF_HOST} is down"),
                    unit="percentunit",
                    soft_maximum=0.1,
                    no_value="none failed",
                    steps=((NONE, None), ("red", 0.05)),
                    lines=True,
                    alerts=("GrafanaDatasourceErrors", "GrafanaDown"),
                ),
            ),
        ),
        process("grafana", 30),
    ),
)
