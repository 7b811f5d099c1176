# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards of Redis and PostgreSQL."""

from __future__ import annotations

from tests.dashboards.model import (
    BAD,
    GOOD,
    LOWER_IS_BAD,
    WARN,
    YOUNG,
    Board,
    Column,
    Query,
    Row,
    Steps,
    Variable,
)
from tests.dashboards.parts import (
    ENV,
    HOSTS,
    RATE,
    ZERO,
    events,
    graph,
    limit,
    lower,
    speeds,
    stat,
    states,
    table,
    top,
    upper,
    worst,
)

REDIS_NAME = "{{env}} {{host}} {{redis}}"
HITS, MISSES = (
    f"rate(redis_keyspace_{kind}_total{{@}}{RATE})" for kind in ("hits", "misses")
)

HIT_RATE = f"{HITS} / ({HITS} + {MISSES})"
OF = "max by (env, host, redis)"
USED = "redis_memory_used_bytes{@} / (redis_memory_max_bytes{@} > 0)"
CLIENTS = "redis_connected_clients{@} / redis_max_clients{@}"
USED_STEPS = limit(0.8, 0.9)
CONNECTION_STEPS = limit(0.6, 0.8)
NO_LIMIT = "no maxmemory"

REDIS = Board(
    name="redis",
    role="redis_exporter",
    title="Redis",
    description="State, memory, clients, commands and persistence of each Redis server.",
    matchers='env=~"$env", redis=~"$redis"',
    runbook="redis-exporter",
    variables=(ENV, Variable("redis", "Redis", "redis_up")),
    rows=(
        Row(
            "Now",
            (
                stat(
                    1,
                    "Servers down",
                    "Servers that do not answer their exporter.",
                    "sum by (env) (redis_up{@} == bool 0)",
                    width=6,
                    steps=ZERO,
                ),
                stat(
                    2,
                    "Running for",
                    "Time since the youngest server started; orange for ten minutes.",
                    "min by (env) (redis_uptime_in_seconds{@})",
                    unit="dtdurations",
                    width=6,
                    steps=YOUNG,
                ),
                stat(
                    9,
                    "Memory used",
                    "Share of maxmemory that the fullest server uses; 90 % are an alert.",
                    worst("max", USED),
                    unit="percentunit",
                    width=6,
                    steps=USED_STEPS,
                    no_value=NO_LIMIT,
                ),
                stat(
                    22,
                    "Connections",
                    "Share of maxclients of the fullest server; 80 % are an alert.",
                    worst("max", CLIENTS),
                    unit="percentunit",
                    width=6,
                    steps=CONNECTION_STEPS,
                ),
                table(
                    23,
                    "Servers",
                    "One line for each server.",
                    (*HOSTS, ("redis", "Redis")),
                    Column(
                        "State",
                        f"{OF} (redis_up{{@}})",
                        steps=LOWER_IS_BAD,
                        up_or_down=True,
                    ),
                    Column("Memory used", f"{OF} ({USED})", "percentunit", USED_STEPS),
                    Column("Memory", f"{OF} (redis_memory_used_bytes{{@}})", "bytes"),
                    Column(
                        "Connections",
                        f"{OF} ({CLIENTS})",
                        "percentunit",
                        CONNECTION_STEPS,
                    ),
                    Column(
                        "Commands",
                        f"{OF} (rate(redis_commands_processed_total{{@}}{RATE}))",
                        "suffix:/s",
                        decimals=0,
                    ),
                    Column(
                        "Evicted",
                        f"{OF} (rate(redis_evicted_keys_total{{@}}{RATE}))",
                        "suffix:/s",
                        ZERO,
                        decimals=1,
                    ),
                    Column("Hit rate", f"{OF} ({HIT_RATE})", "percentunit"),
                    Column(
                        "Running for",
                        f"{OF} (redis_uptime_in_seconds{{@}})",
                        "dtdurations",
                        YOUNG,
                    ),
                ),
            ),
        ),
        Row(
            "Memory",
            (
                graph(
                    4,
                    "Memory used",
                    "Share of maxmemory; the line is the limit of the alert. Servers without"
                    " maxmemory are not shown.",
                    Query(top(USED), REDIS_NAME),
                    unit="percentunit",
                    maximum=1,
                    steps=upper(0.9),
                    lines=True,
                    no_value=NO_LIMIT,
                    alerts=("RedisMemoryHigh", "RedisMemoryFull"),
                ),
                graph(
                    10,
                    "Memory",
                    "Memory of the data of each server.",
                    Query(top("redis_memory_used_bytes{@}"), REDIS_NAME),
                    unit="bytes",
                    soft_maximum=1048576,
                ),
                graph(
                    11,
                    "Fragmentation",
                    "Memory of the process by that of its data; it means little below 1 GB.",
                    Query(top("redis_mem_fragmentation_ratio{@}"), REDIS_NAME),
                    unit="none",
                    decimals=2,
                    soft_maximum=2,
                    steps=upper(1.5),
                    lines=True,
                    alerts=("RedisFragmented",),
                ),
                speeds(
                    7,
                    "Evicted and refused",
                    "Keys that were deleted for want of memory, writes that were refused for it,"
                    " and connections that were rejected, per second.",
                    Query(
                        f"rate(redis_evicted_keys_total{{@}}{RATE})",
                        f"{REDIS_NAME} evicted",
                    ),
                    Query(
                        f'rate(redis_errors_total{{@, err="OOM"}}{RATE})',
                        f"{REDIS_NAME} refused",
                    ),
                    Query(
                        f"rate(redis_rejected_connections_total{{@}}{RATE})",
                        f"{REDIS_NAME} rejected",
                    ),
                    alerts=(
                        "RedisEvicting",
                        "RedisOutOfMemoryErrors",
                        "RedisRejectingConnections",
                    ),
                ),
                graph(
                    12,
                    "Keys",
                    "Keys of each database, the ten largest.",
                    Query(
                        top("redis_db_keys{@} > 0"), "{{env}} {{host}} {{redis}} {{db}}"
                    ),
                    unit="short",
                    soft_maximum=10,
                ),
                graph(
                    3,
                    "Hit rate",
                    "Share of reads that found their key. It means little for a queue.",
                    Query(HIT_RATE, REDIS_NAME),
                    unit="percentunit",
                    maximum=1,
                    no_value="no reads",
                ),
            ),
        ),
        Row(
            "Clients and commands",
            (
                graph(
                    6,
                    "Connections",
                    "Share of maxclients; the line is the limit of the alert.",
                    Query(top(CLIENTS), REDIS_NAME),
                    unit="percentunit",
                    soft_maximum=1,
                    steps=upper(0.8),
                    lines=True,
                    alerts=("RedisConnectionsHigh",),
                ),
                graph(
                    13,
                    "Clients",
                    "Clients, and those that wait for a job.",
                    Query("redis_connected_clients{@}", f"{REDIS_NAME} connected"),
                    Query("redis_blocked_clients{@}", f"{REDIS_NAME} waiting"),
                    unit="short",
                    soft_maximum=10,
                ),
                speeds(
                    5,
                    "Commands",
                    "Commands per second.",
                    Query(
                        top(f"rate(redis_commands_processed_total{{@}}{RATE})"),
                        REDIS_NAME,
                    ),
                ),
                graph(
                    14,
                    "Time by command",
                    "Mean time of each command, the ten slowest.",
                    Query(
                        top(
                            f"rate(redis_commands_duration_seconds_total{{@}}{RATE})"
                            f" / (rate(redis_commands_total{{@}}{RATE}) > 0)"
                        ),
                        "{{env}} {{host}} {{redis}} {{cmd}}",
                    ),
                    unit="s",
                    soft_maximum=0.001,
                    no_value="no commands",
                ),
                graph(
                    15,
                    "Slow commands",
                    "Commands in the slow log per ten minutes; 20 are an alert.",
                    Query("delta(redis_slowlog_last_id{@}[10m])", REDIS_NAME),
                    unit="short",
                    soft_maximum=20,
                    steps=upper(20),
                    lines=True,
                    alerts=("RedisSlowCommands",),
                ),
                graph(
                    8,
                    "Network",
                    "Bytes per second, received and sent.",
                    Query(
                        f"rate(redis_net_input_bytes_total{{@}}{RATE})",
                        f"{REDIS_NAME} in",
                    ),
                    Query(
                        f"rate(redis_net_output_bytes_total{{@}}{RATE})",
                        f"{REDIS_NAME} out",
                    ),
                    unit="Bps",
                    soft_maximum=1024,
                ),
            ),
        ),
        Row(
            "Persistence and replication",
            (
                graph(
                    16,
                    "Changes that are not saved",
                    "Changes since the last save, which a crash would lose without an append-only"
                    " file.",
                    Query(top("redis_rdb_changes_since_last_save{@}"), REDIS_NAME),
                    unit="short",
                    soft_maximum=100,
                ),
                graph(
                    17,
                    "Since the last save",
                    "Time since the data was saved; it grows where saving is switched off.",
                    Query(
                        "time() - redis_rdb_last_save_timestamp_seconds{@}", REDIS_NAME
                    ),
                    unit="s",
                    soft_maximum=3600,
                    alerts=("RedisSaveOld",),
                ),
                states(
                    18,
                    "State",
                    "1 if it answers, if its exporter has errors, if it loads its data, and if the"
                    " last save and write of the append-only file succeeded.",
                    Query("redis_up{@}", f"{REDIS_NAME} up"),
                    Query(
                        "redis_exporter_last_scrape_error{@}",
                        f"{REDIS_NAME} exporter error",
                    ),
                    Query("redis_loading_dump_file{@}", f"{REDIS_NAME} loading"),
                    Query("redis_rdb_last_bgsave_status{@}", f"{REDIS_NAME} saved"),
                    Query("redis_aof_last_write_status{@}", f"{REDIS_NAME} written"),
                    alerts=(
                        "RedisDown",
                        "RedisExporterFailing",
                        "RedisLoading",
                        "RedisSaveFailed",
                    ),
                ),
                states(
                    19,
                    "Replication",
                    "Replicas of each server, and for a replica: 1 if it has its master.",
                    Query("redis_connected_slaves{@}", f"{REDIS_NAME} replicas"),
                    Query("redis_master_link_up{@}", f"{REDIS_NAME} has its master"),
                    alerts=("RedisReplicationDown", "RedisReplicaLost"),
                ),
                graph(
                    20,
                    "Since the master spoke",
                    "Time since a replica heard of its master; 30 seconds are an alert.",
                    Query("redis_master_last_io_seconds_ago{@}", REDIS_NAME),
                    unit="s",
                    soft_maximum=30,
                    steps=upper(30),
                    lines=True,
                    no_value="no replica",
                    alerts=("RedisReplicationLag",),
                ),
                graph(
                    21,
                    "Age",
                    "Time since each server started, so that restarts are seen.",
                    Query("redis_uptime_in_seconds{@}", REDIS_NAME),
                    unit="s",
                    soft_maximum=3600,
                    alerts=("RedisRestarted",),
                ),
            ),
        ),
    ),
)

PG = "{{env}} {{host}} {{postgres}}"
DB = "{{env}} {{host}} {{datname}}"
BY = "sum by (env, host, postgres, datname)"


def per_second(metric: str) -> str:
    """Return the rate of a counter by database."""
    return f"{BY} (rate(pg_stat_database_{metric}{{@}}{RATE}))"


CONNECTIONS = """sum by (env, host, postgres) (pg_stat_activity_count{@})
/ sum by (env, host, postgres) (
  pg_settings_max_connections{@} - pg_settings_superuser_reserved_connections{@}
)"""
HIT = (
    f"{per_second('blks_hit')} / ({per_second('blks_hit')} + {per_second('blks_read')})"
)
UNDONE = (
    f"{per_second('xact_rollback')}"
    f" / ({per_second('xact_rollback')} + {per_second('xact_commit')})"
)

SERVER_HIT = HIT.replace(", datname", "")
LONGEST = "pg_stat_activity_max_tx_duration{@}"
LONGEST_STEPS = limit(300, 900)
HIT_STEPS: Steps = ((BAD, None), (WARN, 0.9), (GOOD, 0.95))
SERVER = "max by (env, host, postgres)"
SERVER_SUM = "sum by (env, host, postgres)"

POSTGRES = Board(
    name="postgres",
    role="postgres_exporter",
    title="PostgreSQL",
    description="State, connections, transactions, cache and maintenance of each server.",
    matchers='env=~"$env", host=~"$host", postgres=~"$postgres"',
    runbook="postgres-exporter",
    variables=(
        ENV,
        Variable("host", "Host", "pg_up"),
        Variable("postgres", "Server", "pg_up"),
    ),
    rows=(
        Row(
            "Now",
            (
                stat(
                    1,
                    "Servers down",
                    "Servers that do not answer their exporter.",
                    "sum by (env) (pg_up{@} == bool 0)",
                    width=6,
                    steps=ZERO,
                ),
                stat(
                    2,
                    "Connections",
                    "Share of the fullest server's connections that are in use; 80 % are an"
                    " alert.",
                    worst("max", CONNECTIONS),
                    unit="percentunit",
                    width=6,
                    steps=CONNECTION_STEPS,
                ),
                stat(
                    3,
                    "Cache hits",
                    "Share of pages that were in the cache of the worst server.",
                    worst("min", SERVER_HIT),
                    unit="percentunit",
                    width=6,
                    steps=HIT_STEPS,
                    no_value="no reads",
                ),
                stat(
                    4,
                    "Longest transaction",
                    "Time that the oldest transaction has been open; 15 minutes are an alert.",
                    worst("max", LONGEST),
                    unit="s",
                    width=6,
                    steps=LONGEST_STEPS,
                ),
                table(
                    20,
                    "Servers",
                    "One line for each server.",
                    (*HOSTS, ("postgres", "Server")),
                    Column(
                        "State",
                        f"{SERVER} (pg_up{{@}})",
                        steps=LOWER_IS_BAD,
                        up_or_down=True,
                    ),
                    Column("Connections", CONNECTIONS, "percentunit", CONNECTION_STEPS),
                    Column("Cache hits", SERVER_HIT, "percentunit", HIT_STEPS),
                    Column(
                        "Transactions",
                        f"{SERVER_SUM} (rate(pg_stat_database_xact_commit{{@}}{RATE}))",
                        "suffix:/s",
                        decimals=0,
                    ),
                    Column(
                        "Longest transaction",
                        f"{SERVER} ({LONGEST})",
                        "s",
                        LONGEST_STEPS,
                    ),
                    Column(
                        "Size", f"{SERVER_SUM} (pg_database_size_bytes{{@}})", "bytes"
                    ),
                ),
            ),
        ),
        Row(
            "Problems",
            (
                graph(
                    5,
                    "Connections",
                    "Share of the connections that are in use; the line is the limit of the alert.",
                    Query(CONNECTIONS, PG),
                    unit="percentunit",
                    soft_maximum=1,
                    steps=upper(0.8),
                    lines=True,
                    alerts=("PostgresConnectionsHigh", "PostgresConnectionsFull"),
                ),
                graph(
                    6,
                    "Longest transaction",
                    "Time of the oldest transaction by state.",
                    Query(
                        top(
                            "max by (env, host, datname, state)"
                            " (pg_stat_activity_max_tx_duration{@}) > 0"
                        ),
                        "{{env}} {{host}} {{datname}} {{state}}",
                    ),
                    unit="s",
                    soft_maximum=60,
                    no_value="no transaction",
                    alerts=("PostgresIdleInTransaction", "PostgresLongTransaction"),
                ),
                events(
                    7,
                    "Deadlocks",
                    "Deadlocks within ten minutes.",
                    Query(f"{BY} (increase(pg_stat_database_deadlocks{{@}}[10m]))", DB),
                    alerts=("PostgresDeadlocks",),
                ),
                graph(
                    8,
                    "Rolled back",
                    "Share of transactions that are rolled back; 10 % are an alert.",
                    Query(UNDONE, DB),
                    unit="percentunit",
                    soft_maximum=0.2,
                    steps=upper(0.1),
                    lines=True,
                    no_value="no transactions",
                    alerts=("PostgresRollbacks",),
                ),
                graph(
                    9,
                    "Cache hits",
                    "Share of pages that were in the cache, not those that the kernel has.",
                    Query(HIT, DB),
                    unit="percentunit",
                    maximum=1,
                    steps=lower(0.9, 0.9),
                    no_value="no reads",
                    alerts=("PostgresCacheHitLow",),
                ),
                graph(
                    10,
                    "Temporary files",
                    "Bytes per second of sorts and joins that do not fit into memory.",
                    Query(per_second("temp_bytes"), DB),
                    unit="Bps",
                    soft_maximum=1048576,
                    alerts=("PostgresTempFiles",),
                ),
            ),
        ),
        Row(
            "Trends",
            (
                speeds(
                    11,
                    "Transactions",
                    "Transactions per second that are committed.",
                    Query(per_second("xact_commit"), DB),
                ),
                speeds(
                    12,
                    "Rows written",
                    "Rows per second that are inserted, updated and deleted.",
                    Query(
                        f"{per_second('tup_inserted')} + {per_second('tup_updated')}"
                        f" + {per_second('tup_deleted')}",
                        DB,
                    ),
                ),
                graph(
                    13,
                    "Connections by state",
                    "Connections by state.",
                    Query(
                        "sum by (env, host, postgres, state) (pg_stat_activity_count{@}) > 0",
                        "{{env}} {{host}} {{postgres}} {{state}}",
                    ),
                    unit="short",
                    soft_maximum=10,
                ),
            ),
        ),
        Row(
            "Maintenance",
            (
                graph(
                    14,
                    "Size",
                    "Size of each database, the ten largest.",
                    Query(top("pg_database_size_bytes{@}"), DB),
                    unit="bytes",
                    soft_maximum=1048576,
                ),
                graph(
                    15,
                    "Dead rows",
                    "Share of the rows of a table that are dead, the ten largest.",
                    Query(
                        top(
                            "pg_stat_user_tables_n_dead_tup{@}"
                            " / (pg_stat_user_tables_n_live_tup{@}"
                            " + pg_stat_user_tables_n_dead_tup{@} > 1000)"
                        ),
                        "{{env}} {{host}} {{datname}} {{relname}}",
                    ),
                    unit="percentunit",
                    soft_maximum=0.3,
                    steps=upper(0.3),
                    lines=True,
                    no_value="no table with 1000 rows",
                    alerts=("PostgresDeadRows",),
                ),
                graph(
                    16,
                    "Locks",
                    "Locks by mode, the ten most frequent, and sessions that wait for one.",
                    Query(
                        top(
                            "sum by (env, host, datname, mode) (pg_locks_count{@}) > 0"
                        ),
                        "{{env}} {{host}} {{datname}} {{mode}}",
                    ),
                    Query(
                        "sum by (env, host, datname)"
                        ' (pg_stat_activity_count{@, wait_event_type="Lock"})',
                        "{{env}} {{host}} {{datname}} waits",
                    ),
                    unit="short",
                    soft_maximum=10,
                    colors=((" waits", "red"),),
                    alerts=("PostgresLocksWaiting",),
                ),
            ),
        ),
        Row(
            "Replication and archive",
            (
                graph(
                    17,
                    "Lag",
                    "Time that a replica is behind; 30 seconds are an alert.",
                    Query(
                        "pg_replication_lag_seconds{@} and pg_replication_is_replica{@} == 1",
                        PG,
                    ),
                    unit="s",
                    soft_maximum=30,
                    steps=upper(30),
                    lines=True,
                    no_value="no replica",
                    alerts=("PostgresReplicationLag", "PostgresReplicationStopped"),
                ),
                states(
                    18,
                    "State",
                    "1 if it answers, if its exporter has errors, if it is a replica, and if each"
                    " replication slot is read.",
                    Query("pg_up{@}", f"{PG} up"),
                    Query("pg_exporter_last_scrape_error{@}", f"{PG} exporter error"),
                    Query("pg_replication_is_replica{@}", f"{PG} replica"),
                    Query(
                        "pg_replication_slot_slot_is_active{@}",
                        "{{env}} {{host}} {{postgres}} slot {{slot_name}}",
                    ),
                    alerts=(
                        "PostgresDown",
                        "PostgresExporterFailing",
                        "PostgresRoleChanged",
                        "PostgresSlotInactive",
                    ),
                ),
                events(
                    19,
                    "Archive failures",
                    "Failed attempts to archive the log within ten minutes.",
                    Query("increase(pg_stat_archiver_failed_count{@}[10m])", PG),
                    alerts=("PostgresArchiveFailing",),
                ),
            ),
        ),
    ),
)
