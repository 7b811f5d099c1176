# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of each component of the fleet, and the faults of the last two hours. Pure.

Names and labels are those of the real programs; a test compares them with what dashboards ask.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests.testbed.fleet.series import (
    DAY,
    HOUR,
    MINUTE,
    Curve,
    Labels,
    Series,
    flat,
    last_run,
    phase,
    ramp,
    since,
    times,
    wave,
    whole,
    within,
)

GB = 1024**3
MB = 1024**2


class Host(NamedTuple):
    """A host of the fleet and what runs on it."""

    env: str
    name: str
    parts: tuple[str, ...]
    # Share of the load of a busy host.
    load: float = 1.0


HOSTS = (
    Host("prod", "api-1", ("api",)),
    Host("prod", "api-2", ("api",), 0.8),
    Host("prod", "db-1", ("redis", "postgres"), 0.9),
    Host("prod", "mon-1", ("stack",)),
    Host("staging", "stage-app", ("api", "redis", "postgres"), 0.2),
    Host("staging", "stage-mon", ("stack",), 0.3),
)
# The host that is gone, and since when.
DOWN, DOWN_SINCE = "api-2", -25 * MINUTE
# When requests were slow and failed.
SLOW = (-50 * MINUTE, -20 * MINUTE)
FULL_REDIS, FULL_SINCE = "queue", -45 * MINUTE
# The host whose PostgreSQL is a replica, and whose network loses packets.
REPLICA = "stage-app"
# When the exporter of PostgreSQL was restarted.
RESTART = -8 * MINUTE

SERVICES = {"hippius-s3-api": 40.0, "hippius-gateway": 15.0, "hippius-accounts": 6.0}
WORKERS = {"uploader": 9.0, "substrate": 3.0, "downloader": 14.0}
HANDLERS = (
    ("GET", "/{bucket}/{key:path}", 10),
    ("PUT", "/{bucket}/{key:path}", 4),
    ("HEAD", "/{bucket}/{key:path}", 3),
    ("GET", "/{bucket}", 2),
    ("DELETE", "/{bucket}/{key:path}", 1),
    ("POST", "/{bucket}/{key:path}/multipart-uploads", 1),
    ("GET", "/user/list_buckets", 1),
)
SLOW_ROUTE = "/{bucket}"
CODES = {
    "200": 0.94,
    "206": 0.03,
    "304": 0.01,
    "404": 0.012,
    "403": 0.004,
    "429": 0.003,
    "500": 0.001,
}
LIMITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
QUEUES = {"upload": 40, "substrate": 12, "download": 90, "pin-check": 4}
DEAD = "upload-dead-letters"
REDIS = {
    "prod": ("main", "accounts", "chain", "queue", "rate-limit"),
    "staging": ("main", "accounts", "queue"),
}
DATABASES = {"hippius": 1.0, "hippius_keys": 0.3, "postgres": 0.01}

KEPT_RUNNING = ("hippius-s3-api-1", "hippius-s3-uploader-1")
CONTAINERS: tuple[Labels, ...] = tuple(
    {
        "env": host.env,
        "host": host.name,
        "container_name": f"{service}-1",
        "job": "hippius-s3",
    }
    for host in HOSTS
    if "api" in host.parts
    for service in (*SERVICES, *(f"hippius-{worker}" for worker in WORKERS))
)


@dataclass(frozen=True)
class Metric:
    """A metric of a component with its labels, before it is known where the component runs."""

    name: str
    level: float
    share: float = 0.0
    # Label -> values, of which each combination is a series.
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_counter: bool = False
    is_time: bool = False
    curve: Curve | None = None


def gauge(
    name: str, level: float, share: float = 0.0, /, **labels: tuple[str, ...]
) -> Metric:
    """Return a gauge that varies by a share around a level; it is whole if that is."""
    return Metric(name, level, share, labels)


def rate(name: str, level: float, **labels: tuple[str, ...]) -> Metric:
    """Return a counter that grows by about a level in a second."""
    return Metric(name, level, 0.3 if level else 0.0, labels, is_counter=True)


def moment(name: str, curve: Curve, **labels: tuple[str, ...]) -> Metric:
    """Return a gauge whose value is a Unix time."""
    return Metric(name, 0, 0, labels, curve=curve, is_time=True)


def drawn(name: str, curve: Curve, **labels: tuple[str, ...]) -> Metric:
    """Return a gauge of a given curve."""
    return Metric(name, 0, 0, labels, curve=curve)


def buckets(
    name: str, level: float, typical: float, **labels: tuple[str, ...]
) -> list[Metric]:
    """Return the counters of a histogram with a typical value."""
    found = [
        Metric(
            f"{name}_bucket",
            level * below(limit, typical),
            0.3,
            {**labels, "le": (f"{limit:g}",)},
            is_counter=True,
        )
        for limit in LIMITS
    ]
    every = Metric(
        f"{name}_bucket", level, 0.3, {**labels, "le": ("+Inf",)}, is_counter=True
    )
    return [*found, every, rate(f"{name}_count", level, **labels)]


def below(limit: float, typical: float) -> float:
    """Return the share of values below a limit, half of which are below the typical one."""
    return 1 / (1 + (typical / limit) ** 2.2)


def process(memory: float, cpu: float, start: float = -20 * DAY) -> list[Metric]:
    """Return the metrics of a Go program."""
    return [
        rate("process_cpu_seconds_total", cpu),
        gauge("process_resident_memory_bytes", memory, 0.1),
        gauge("process_open_fds", 60, 0.2),
        gauge("process_max_fds", 1024),
        moment("process_start_time_seconds", flat(start)),
    ]


ROOT_DISK = {"mountpoint": ("/",), "device": ("/dev/vda1",), "fstype": ("ext4",)}
DATA_DISK = {"mountpoint": ("/srv",), "device": ("/dev/vdb",), "fstype": ("xfs",)}
NODE = [
    rate("node_cpu_seconds_total", 0.7, mode=("idle",), cpu=("0", "1", "2", "3")),
    rate("node_cpu_seconds_total", 0.2, mode=("user",), cpu=("0", "1", "2", "3")),
    rate("node_cpu_seconds_total", 0.02, mode=("iowait",), cpu=("0", "1", "2", "3")),
    rate("node_cpu_seconds_total", 0.004, mode=("steal",), cpu=("0", "1", "2", "3")),
    gauge("node_load1", 1.8, 0.5),
    gauge("node_memory_MemTotal_bytes", 16 * GB),
    gauge("node_memory_MemAvailable_bytes", 7 * GB, 0.15),
    rate("node_vmstat_oom_kill", 0),
    rate("node_vmstat_pswpin", 0.2),
    rate("node_vmstat_pswpout", 0.5),
    rate("node_pressure_memory_stalled_seconds_total", 0.001),
    rate("node_pressure_io_stalled_seconds_total", 0.01),
    gauge("node_filesystem_size_bytes", 100 * GB, **ROOT_DISK),
    gauge("node_filesystem_size_bytes", 500 * GB, **DATA_DISK),
    gauge("node_filesystem_avail_bytes", 55 * GB, 0.02, **ROOT_DISK),
    gauge("node_filesystem_avail_bytes", 220 * GB, 0.02, **DATA_DISK),
    gauge("node_filesystem_files", 6e6, **ROOT_DISK),
    gauge("node_filesystem_files_free", 5.4e6, 0.01, **ROOT_DISK),
    gauge("node_filesystem_files", 3e7, **DATA_DISK),
    gauge("node_filesystem_files_free", 2.9e7, 0.01, **DATA_DISK),
    gauge("node_filesystem_readonly", 0, **ROOT_DISK),
    gauge("node_filesystem_readonly", 0, **DATA_DISK),
    gauge("node_filesystem_device_error", 0, **ROOT_DISK),
    gauge("node_filesystem_device_error", 0, **DATA_DISK),
    gauge("node_md_disks", 0, device=("md0",), state=("failed",)),
    rate("node_disk_io_time_seconds_total", 0.12, device=("vda", "vdb")),
    rate("node_disk_read_bytes_total", 2 * MB, device=("vda", "vdb")),
    rate("node_disk_written_bytes_total", 9 * MB, device=("vda", "vdb")),
    *(
        rate(f"node_network_{way}_{what}_total", level, device=("eth0", "docker0"))
        for way in ("receive", "transmit")
        for what, level in (("bytes", 12e6), ("packets", 9e3), ("errs", 0.0))
    ),
    gauge("node_nf_conntrack_entries", 30_000, 0.3),
    gauge("node_nf_conntrack_entries_limit", 262_144),
    gauge("node_timex_offset_seconds", 0.0004, 1.5),
    gauge("node_timex_maxerror_seconds", 0.02, 0.5),
    gauge("node_timex_sync_status", 1),
    gauge("node_textfile_scrape_error", 0),
    *(
        gauge(f"monitoring_rollout_{state}", 0, name=("node-exporter", "promtail"))
        for state in ("drift", "unverified", "rolled_back")
    ),
    gauge("monitoring_units_failed", 1),
    gauge("monitoring_unit_failed", 1, unit=("backup.service",)),
    gauge("monitoring_container_running", 1, container_name=KEPT_RUNNING[:1]),
    gauge("monitoring_container_running", 0, container_name=KEPT_RUNNING[1:]),
    gauge("monitoring_container_unhealthy", 1, container_name=KEPT_RUNNING[:1]),
    gauge("monitoring_container_restarts_total", 2, container_name=KEPT_RUNNING),
    gauge("node_uname_info", 1, nodename=("x",)),
    moment("node_time_seconds", lambda seconds: seconds),
    moment("node_boot_time_seconds", flat(-90 * DAY)),
    *process(30 * MB, 0.01),
]

FILES = tuple(
    f"/var/lib/docker/containers/{name}/{name}-json.log" for name in ("6f0e", "a81c")
)
DROPPED = ("ingester_error", "rate_limited", "stream_limited", "line_too_long")
PROMTAIL = [
    gauge("promtail_build_info", 1, version=("3.6.7",)),
    gauge("promtail_files_active_total", 7),
    gauge("promtail_file_bytes_total", 4 * MB, path=FILES),
    gauge("promtail_read_bytes_total", 3.99 * MB, path=FILES),
    rate("promtail_sent_entries_total", 120),
    rate("promtail_dropped_entries_total", 0, reason=DROPPED),
    rate("promtail_request_duration_seconds_count", 1.2, status_code=("204",)),
    rate("promtail_request_duration_seconds_count", 0.01, status_code=("-1",)),
    *process(90 * MB, 0.04),
]

QUEUED = {"exporter": ("otlp_grpc/tempo",), "data_type": ("traces",)}
TO_METRICS = {"exporter": ("otlp_http/metrics",), "data_type": ("metrics",)}
RECEIVER = {"receiver": ("otlp",), "transport": ("grpc",)}
COLLECTOR = [
    gauge("otelcol_exporter_queue_size", 3 * MB, 0.9, **QUEUED),
    gauge("otelcol_exporter_queue_capacity", 100 * MB, **QUEUED),
    gauge("otelcol_exporter_queue_size", 1 * MB, 0.9, **TO_METRICS),
    gauge("otelcol_exporter_queue_capacity", 100 * MB, **TO_METRICS),
    *(
        rate(f"otelcol_receiver_{what}_{signal}_total", level * size, **RECEIVER)
        for what, level in (("accepted", 1.0), ("refused", 0.0), ("failed", 0.0))
        for signal, size in (("spans", 400.0), ("metric_points", 900.0))
    ),
    *(
        rate(f"otelcol_exporter_{what}_{signal}_total", level * size, exporter=exporter)
        for what, level in (
            ("sent", 1.0),
            ("send_failed", 0.0),
            ("enqueue_failed", 0.0),
        )
        for signal, size, exporter in (
            ("spans", 400.0, ("otlp_grpc/tempo",)),
            ("metric_points", 900.0, ("otlp_http/metrics",)),
        )
    ),
    drawn("otelcol_process_uptime_seconds_total", since(-20 * DAY)),
    gauge("otelcol_process_memory_rss_bytes", 210 * MB, 0.2),
    rate("otelcol_process_cpu_seconds_total", 0.15),
]

TARGET_FAULTS = (
    "exceeded_sample_limit",
    "sample_duplicate_timestamp",
    "sample_out_of_order",
)
RULES = ("/etc/prometheus/rules/slo.yml;slo", "/etc/prometheus/rules/alerts.yml;loki")
SLICES = ("inner_eval", "prepare_time", "queue_time", "result_sort")
RECEIVER_OF_ALERTS = {"alertmanager": ("http://127.0.0.1:9093/api/v2/alerts",)}
LAST_RUN = "last_successful_run_timestamp_seconds"
COMPACTED = f"loki_boltdb_shipper_compact_tables_operation_{LAST_RUN}"
RETAINED = f"loki_compactor_apply_retention_{LAST_RUN}"
STACK = {
    "prometheus": [
        gauge("prometheus_tsdb_head_series", 9e4, 0.05),
        rate("prometheus_tsdb_head_samples_appended_total", 6000),
        gauge("prometheus_tsdb_head_chunks_storage_size_bytes", 60 * MB, 0.3),
        gauge("prometheus_tsdb_storage_blocks_bytes", 9 * GB, 0.05),
        gauge("prometheus_tsdb_wal_storage_size_bytes", 400 * MB, 0.3),
        moment("prometheus_tsdb_lowest_timestamp_seconds", flat(-29 * DAY)),
        rate("prometheus_tsdb_size_retentions_total", 0),
        rate("prometheus_tsdb_compactions_failed_total", 0),
        rate("prometheus_tsdb_wal_corruptions_total", 0),
        rate("prometheus_tsdb_wal_writes_failed_total", 0),
        *(
            rate(f"prometheus_target_scrapes_{fault}_total", 0)
            for fault in TARGET_FAULTS
        ),
        gauge("prometheus_config_last_reload_successful", 1),
        gauge("prometheus_notifications_alertmanagers_discovered", 1),
        rate("prometheus_notifications_sent_total", 0.05, **RECEIVER_OF_ALERTS),
        rate("prometheus_notifications_errors_total", 0, **RECEIVER_OF_ALERTS),
        rate("prometheus_rule_evaluation_failures_total", 0, rule_group=RULES[:1]),
        gauge("prometheus_rule_group_interval_seconds", 60, rule_group=RULES),
        gauge(
            "prometheus_rule_group_last_duration_seconds", 0.03, 0.6, rule_group=RULES
        ),
        gauge(
            "prometheus_engine_query_duration_seconds",
            0.02,
            0.7,
            quantile=("0.99",),
            slice=SLICES,
        ),
        *process(1.4 * GB, 0.3),
    ],
    "alertmanager": [
        gauge("alertmanager_build_info", 1, version=("0.34.1",)),
        gauge("alertmanager_alerts", 4, 0.2, state=("active",)),
        gauge("alertmanager_alerts", 1, state=("suppressed",)),
        gauge("alertmanager_silences", 1, state=("active",)),
        gauge("alertmanager_silences", 3, state=("expired",)),
        gauge("alertmanager_integrations", 3),
        gauge("alertmanager_config_last_reload_successful", 1),
        rate("alertmanager_alerts_received_total", 0.05, status=("firing", "resolved")),
        rate("alertmanager_alerts_invalid_total", 0),
        rate(
            "alertmanager_notifications_total",
            0.004,
            integration=("discord", "webhook", "email"),
        ),
        rate(
            "alertmanager_notifications_failed_total",
            0,
            integration=("discord", "webhook", "email"),
            reason=("other",),
        ),
        rate("alertmanager_silences_maintenance_errors_total", 0),
        rate("alertmanager_nflog_maintenance_errors_total", 0),
        *buckets(
            "alertmanager_notification_latency_seconds",
            0.004,
            0.3,
            integration=("discord",),
        ),
        *process(40 * MB, 0.01),
    ],
    "loki": [
        gauge("loki_build_info", 1, version=("3.7.8",)),
        rate("loki_distributor_lines_received_total", 350, tenant=("fake",)),
        rate("loki_distributor_bytes_received_total", 60_000, tenant=("fake",)),
        rate(
            "loki_discarded_samples_total",
            0,
            tenant=("fake",),
            reason=("rate_limited",),
        ),
        gauge("loki_ingester_memory_streams", 180, 0.1),
        gauge("loki_ingester_memory_chunks", 420, 0.2),
        rate("loki_ingester_wal_logged_bytes_total", 70_000),
        rate("loki_ingester_wal_disk_full_failures_total", 0),
        rate("loki_ingester_chunks_flush_failures_total", 0),
        rate("loki_panic_total", 0),
        moment(COMPACTED, last_run(10 * MINUTE)),
        moment(RETAINED, last_run(10 * MINUTE)),
        gauge("loki_runtime_config_last_reload_successful", 1),
        *buckets(
            "loki_request_duration_seconds",
            7,
            0.004,
            route=("loki_api_v1_push",),
            status_code=("204",),
            method=("POST",),
        ),
        *buckets(
            "loki_request_duration_seconds",
            0.4,
            0.2,
            route=("loki_api_v1_query_range",),
            status_code=("200",),
            method=("GET",),
        ),
        rate(
            "loki_request_duration_seconds_count",
            0.002,
            route=("loki_api_v1_query_range",),
            status_code=("500",),
            method=("GET",),
        ),
        *process(700 * MB, 0.2),
    ],
    "tempo": [
        rate("tempo_distributor_spans_received_total", 400),
        rate(
            "tempo_discarded_spans_total", 0, reason=("rate_limited", "trace_too_large")
        ),
        gauge("tempo_ingester_live_traces", 900, 0.3),
        rate("tempo_ingester_failed_flushes_total", 0),
        gauge("tempodb_blocklist_length", 60, 0.1),
        rate("tempodb_blocklist_poll_errors_total", 0),
        rate("tempodb_compaction_errors_total", 0),
        gauge("tempo_metrics_generator_registry_active_series", 2400, 0.1),
        rate("tempo_metrics_generator_registry_series_limited_total", 0),
        rate("tempo_metrics_generator_registry_collections_failed_total", 0),
        rate("prometheus_remote_storage_samples_total", 160),
        rate("prometheus_remote_storage_samples_failed_total", 0),
        rate(
            "tempo_request_duration_seconds_count",
            4,
            status_code=("200",),
            route=("/tempopb.Pusher/PushBytesV2",),
        ),
        rate(
            "tempo_request_duration_seconds_count",
            0.1,
            status_code=("404",),
            route=("api_traces_traceid",),
        ),
        rate(
            "tempo_request_duration_seconds_count",
            0.001,
            status_code=("500",),
            route=("api_search",),
        ),
        *process(500 * MB, 0.15),
    ],
    "grafana": [
        gauge("grafana_alerting_alerts", 3, 0.2, state=("alerting",)),
        gauge("grafana_alerting_alerts", 60, state=("normal",)),
        gauge("grafana_alerting_schedule_alert_rules", 110),
        gauge("grafana_alerting_scheduler_behind_seconds", 0.3, 0.5),
        gauge("grafana_stat_totals_dashboard", 15),
        rate("grafana_alerting_rule_evaluation_failures_total", 0),
        rate(
            "grafana_alerting_notifications_failed_total", 0, integration=("discord",)
        ),
        rate(
            "grafana_datasource_request_total",
            2,
            datasource=("prometheus", "loki"),
            code=("200",),
        ),
        rate(
            "grafana_datasource_request_total",
            0.01,
            datasource=("prometheus",),
            code=("500",),
        ),
        *buckets(
            "grafana_http_request_duration_seconds",
            3,
            0.02,
            handler=("/api/ds/query",),
            status_code=("200",),
        ),
        *buckets(
            "grafana_http_request_duration_seconds",
            1,
            0.005,
            handler=("/api/health",),
            status_code=("200",),
        ),
        rate(
            "grafana_http_request_duration_seconds_count",
            0.02,
            handler=("/api/ds/query",),
            status_code=("400",),
        ),
        rate(
            "grafana_http_request_duration_seconds_count",
            0.01,
            handler=("/api/ds/query",),
            status_code=("500",),
        ),
        *process(300 * MB, 0.1),
    ],
}

COMMANDS = ("get", "set", "lpush", "brpop", "hgetall", "expire")
REDIS_METRICS = [
    gauge("redis_up", 1),
    drawn("redis_uptime_in_seconds", since(-38 * DAY)),
    gauge("redis_memory_used_bytes", 420 * MB, 0.05),
    gauge("redis_memory_max_bytes", GB),
    gauge("redis_mem_fragmentation_ratio", 1.12, 0.05),
    gauge("redis_connected_clients", 40, 0.3),
    gauge("redis_blocked_clients", 6, 0.3),
    gauge("redis_max_clients", 1000),
    gauge("redis_connected_slaves", 1),
    gauge("redis_db_keys", 120_000, 0.05, db=("db0", "db1")),
    rate("redis_keyspace_hits_total", 900),
    rate("redis_keyspace_misses_total", 60),
    rate("redis_commands_processed_total", 1500),
    *(
        rate("redis_commands_total", 1500 / len(COMMANDS), cmd=(command,))
        for command in COMMANDS
    ),
    *(
        rate(
            "redis_commands_duration_seconds_total", 0.004 * (index + 1), cmd=(command,)
        )
        for index, command in enumerate(COMMANDS)
    ),
    rate("redis_evicted_keys_total", 0),
    rate("redis_errors_total", 0, err=("OOM",)),
    rate("redis_rejected_connections_total", 0),
    rate("redis_net_input_bytes_total", 300_000),
    rate("redis_net_output_bytes_total", 900_000),
    gauge("redis_slowlog_last_id", 35),
    gauge("redis_exporter_last_scrape_error", 0),
    gauge("redis_loading_dump_file", 0),
    gauge("redis_rdb_last_bgsave_status", 1),
    gauge("redis_aof_last_write_status", 1),
    gauge("redis_rdb_changes_since_last_save", 800, 0.9),
    moment("redis_rdb_last_save_timestamp_seconds", last_run(5 * MINUTE)),
    rate("redis_rdb_saves_total", 1 / 300),
    gauge("redis_master_link_up", 1, master_host=("10.0.0.4",)),
    gauge("redis_master_last_io_seconds_ago", 2, 0.8, master_host=("10.0.0.4",)),
    *process(15 * MB, 0.005),
]

TABLES = ("objects", "parts", "chunks", "buckets")
DB = {"datname": tuple(DATABASES)}
POSTGRES_METRICS = [
    gauge("pg_up", 1),
    gauge("pg_exporter_last_scrape_error", 0),
    gauge("pg_settings_max_connections", 200, server=("127.0.0.1:5432",)),
    gauge("pg_settings_superuser_reserved_connections", 3, server=("127.0.0.1:5432",)),
    *(
        gauge(
            "pg_stat_activity_count",
            level,
            0.3,
            **DB,
            state=(state,),
            server=("127.0.0.1:5432",),
            wait_event_type=("Lock" if "idle in" in state else "Client",),
        )
        for state, level in (("active", 9), ("idle", 40), ("idle in transaction", 2))
    ),
    *(
        gauge("pg_stat_activity_max_tx_duration", level, 0.8, **DB, state=(state,))
        for state, level in (("active", 20), ("idle in transaction", 3))
    ),
    *(
        rate(f"pg_stat_database_{name}", level, **DB)
        for name, level in (
            ("blks_hit", 9000.0),
            ("blks_read", 120.0),
            ("deadlocks", 0.0),
            ("temp_bytes", 20_000.0),
            ("tup_deleted", 5.0),
            ("tup_inserted", 60.0),
            ("tup_updated", 80.0),
            ("xact_commit", 140.0),
            ("xact_rollback", 1.5),
        )
    ),
    gauge("pg_database_size_bytes", 12 * GB, **DB),
    gauge(
        "pg_locks_count",
        6,
        0.4,
        **DB,
        mode=("accesssharelock", "rowexclusivelock", "exclusivelock"),
    ),
    gauge(
        "pg_stat_user_tables_n_live_tup", 900_000, datname=("hippius",), relname=TABLES
    ),
    gauge(
        "pg_stat_user_tables_n_dead_tup",
        60_000,
        0.5,
        datname=("hippius",),
        relname=TABLES,
    ),
    gauge("pg_replication_is_replica", 0),
    gauge("pg_replication_lag_seconds", 0.4, 0.5),
    gauge("pg_replication_slot_slot_is_active", 1, slot_name=("standby_1",)),
    rate("pg_stat_archiver_failed_count", 0),
    *process(18 * MB, 0.01),
]

# Targets of each part: job, port, metrics and labels of the target.
PORTS = {
    "prometheus": 9090,
    "alertmanager": 9093,
    "loki": 3100,
    "tempo": 3200,
    "grafana": 3000,
}


class Target(NamedTuple):
    """What Prometheus scrapes: a job of a host with its metrics."""

    host: Host
    job: str
    port: int
    metrics: list[Metric]
    extra: Labels


def targets(host: Host) -> Iterator[Target]:
    """Yield the targets of a host."""
    yield Target(host, "node", 9100, NODE, {})
    yield Target(host, "promtail", 9080, PROMTAIL, {})
    yield Target(host, "otel-collector-self", 8888, COLLECTOR, {})
    application = list(requests()) + list(jobs()) if "api" in host.parts else []
    yield Target(host, "otel-collector", 8889, application, {})
    if "stack" in host.parts:
        for job, port in PORTS.items():
            yield Target(host, job, port, STACK[job], {})
        yield Target(host, "", 0, list(objectives()), {})
    if "redis" in host.parts:
        for index, name in enumerate(REDIS[host.env]):
            extra = {"redis": name}
            yield Target(host, f"redis-{name}", 9121 + index, REDIS_METRICS, extra)
    if "postgres" in host.parts:
        extra = {"postgres": "main"}
        yield Target(host, "postgres", 9187, POSTGRES_METRICS, extra)


def requests() -> Iterator[Metric]:
    """Yield the metrics of requests to each service."""
    weights = sum(weight for _method, _path, weight in HANDLERS)
    for service, level in SERVICES.items():
        for method, handler, weight in HANDLERS:
            for code, share in CODES.items():
                labels = {
                    "exported_job": (service,),
                    "method": (method,),
                    "handler": (handler,),
                    "status_code": (code,),
                }
                per_second = level * weight / weights * share
                typical = 0.02 + 0.15 * phase(f"{service} {method} {handler}")
                if code == "200":
                    yield from buckets(
                        "http_request_duration_seconds", per_second, typical, **labels
                    )
                else:
                    yield rate(
                        "http_request_duration_seconds_count", per_second, **labels
                    )


def jobs() -> Iterator[Metric]:
    """Yield the metrics of workers and their queues."""
    for worker, level in WORKERS.items():
        service = (f"hippius-{worker}",)
        for success, share in (("true", 0.985), ("false", 0.015)):
            name = f"{worker}_requests_total"
            yield rate(name, level * share, exported_job=service, success=(success,))
    for queue, level in QUEUES.items():
        exported = ("hippius-queue-monitor",)
        yield gauge(
            "hippius_queue_length",
            level,
            0.8,
            exported_job=exported,
            queue_name=(queue,),
        )
    yield drawn(
        "hippius_queue_length",
        whole(ramp(*SLOW, 0, 12)),
        exported_job=("hippius-queue-monitor",),
        queue_name=(DEAD,),
    )


def objectives() -> Iterator[Metric]:
    """Yield the recorded series of service level objectives."""
    for service, slo, objective, left in (
        ("s3-api", "availability", 0.999, 0.42),
        ("s3-api", "latency", 0.99, -0.08),
        ("gateway", "availability", 0.995, 0.93),
    ):
        labels = {"service": (service,), "slo": (slo,)}
        errors = 1 - objective
        yield gauge("slo:objective:ratio", objective, **labels)
        yield drawn("slo:period_error_budget_remaining:ratio", flat(left), **labels)
        yield gauge("slo:current_burn_rate:ratio", 1.2 - left, 0.5, **labels)
        for window in ("1h", "6h", "3d"):
            name = f"slo:sli_error:ratio_rate{window}"
            yield gauge(name, errors * (1 - left), 0.4, **labels)


def fleet() -> Iterator[Series]:
    """Yield all series of the fleet."""
    for host in HOSTS:
        for target in targets(host):
            yield from of_target(target)


def of_target(target: Target) -> Iterator[Series]:
    """Yield the series of a target, and Prometheus' own of it."""
    host = target.host
    labels = {"env": host.env, "host": host.name}
    if target.job:
        instance = f"{host.name}:{target.port}"
        labels |= {"instance": instance, "job": target.job} | target.extra
        yield from own(target, labels)
    for metric in target.metrics:
        for combination in itertools.product(*metric.labels.values()):
            of_series = {**labels, **dict(zip(metric.labels, combination, strict=True))}
            one = Series(
                metric.name,
                of_series,
                metric.curve or usual(metric, of_series, host),
                metric.is_counter,
                DOWN_SINCE if host.name == DOWN else float("inf"),
                metric.is_time,
            )
            yield replace(one, curve=faulty(one))


def own(target: Target, labels: Labels) -> Iterator[Series]:
    """Yield what Prometheus says about a target."""
    up = ramp(DOWN_SINCE - 1, DOWN_SINCE, 1, 0) if target.host.name == DOWN else flat(1)
    size = max(20, 3 * len(target.metrics))
    for name, curve in (
        ("up", up),
        ("scrape_duration_seconds", wave(0.004 + size / 20_000, 0.4, str(labels))),
        ("scrape_samples_scraped", flat(size)),
    ):
        yield Series(name, labels, curve)


def usual(metric: Metric, labels: Labels, host: Host) -> Curve:
    """Return the curve of a series on a good day."""
    seed = f"{host.name} {sorted(labels.items())}"
    if metric.is_counter and metric.name.endswith(("_bucket", "_count")):
        # The buckets of a histogram rise and fall together.
        shared = {key: value for key, value in labels.items() if key != "le"}
        seed = f"{host.name} {sorted(shared.items())}"
    scale = host.load if metric.is_counter or metric.share else 1.0
    if metric.name.startswith("slo:") or "mem" in metric.name.lower():
        scale = 1.0
    if "cpu" in metric.name or "datname" in labels:
        scale *= DATABASES.get(labels.get("datname", ""), 1.0)
    if metric.name == "node_cpu_seconds_total" and labels["mode"] == "idle":
        return wave(1 - 0.35 * host.load, 0.15, seed)
    curve = wave(metric.level * scale, metric.share, seed)
    is_count = isinstance(metric.level, int) and not metric.is_counter
    return whole(curve) if is_count else curve


def faulty(one: Series) -> Curve:
    """Return the curve of a series with the faults that concern it."""
    labels, curve = one.labels, one.curve
    is_prod = labels["env"] == "prod"
    if one.name.startswith("http_request_duration") and is_prod:
        return slow_requests(one)
    if (
        one.name == "hippius_queue_length"
        and labels["queue_name"] == "upload"
        and is_prod
    ):
        grown = ramp(*SLOW, 40, 1400)
        shrunk = ramp(SLOW[1], SLOW[1] + HOUR, 1400, 30)
        return whole(within(SLOW[1], float("inf"), shrunk, grown))
    if labels.get("redis") == FULL_REDIS and is_prod:
        return full_redis(one)
    if (labels["host"], one.name) == (REPLICA, "pg_replication_is_replica"):
        return flat(1)
    if one.name == "node_network_receive_errs_total" and labels["host"] == REPLICA:
        return flat(0.4)
    if labels["host"] == "stage-app" and labels.get("mountpoint") == "/srv":
        if one.name == "node_filesystem_avail_bytes":
            return ramp(-8 * HOUR, 8 * HOUR, 120 * 1024**3, 6 * 1024**3)
        return curve
    if labels.get("job") == "postgres" and one.name == "process_start_time_seconds":
        return within(RESTART, float("inf"), flat(RESTART), curve)
    return curve


def slow_requests(one: Series) -> Curve:
    """Return the curve of requests, some of which were slow and failed for a while."""
    labels, curve = one.labels, one.curve
    if labels["exported_job"] != "hippius-s3-api":
        return curve
    if labels["status_code"] == "500":
        return within(*SLOW, times(curve, 90), curve)
    if labels["handler"] == SLOW_ROUTE and labels.get("le", "+Inf") != "+Inf":
        limit = float(labels["le"])
        share = below(limit, 1.8) / below(limit, 0.1)
        return within(*SLOW, times(curve, min(1.0, share)), curve)
    return curve


def full_redis(one: Series) -> Curve:
    """Return the curve of the Redis server whose memory ran out."""
    curve = one.curve
    found = {
        "redis_memory_used_bytes": ramp(
            FULL_SINCE - HOUR, FULL_SINCE, 450 * MB, 1020 * MB
        ),
        "redis_evicted_keys_total": within(FULL_SINCE, float("inf"), flat(35), flat(0)),
        "redis_errors_total": within(FULL_SINCE, float("inf"), flat(4), flat(0)),
        "redis_up": within(-12 * MINUTE, -9 * MINUTE, flat(0), flat(1)),
    }
    return found.get(one.name, curve)
