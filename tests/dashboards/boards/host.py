# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard of hosts."""

from __future__ import annotations

from tests.dashboards.boards.stack import FREE
from tests.dashboards.model import (
    BAD,
    LOWER_IS_BAD,
    PLAIN,
    WARN,
    YOUNG,
    Board,
    Column,
    Query,
    Row,
    Steps,
)
from tests.dashboards.parts import (
    ENV,
    HOSTS,
    OF_HOST,
    RATE,
    ZERO,
    events,
    graph,
    hosts,
    limit,
    lower,
    stat,
    states,
    table,
    top,
    upper,
    worst,
)

DISK = "{{env}} {{host}} {{device}}"
PART = "{{env}} {{host}} {{name}}"
CONTAINER = "{{env}} {{host}} {{container_name}}"
INODES = """max by (env, host, device) (
  node_filesystem_files_free{@, fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"}
  / node_filesystem_files
)"""


def cpu(mode: str) -> str:
    """Return the share of time that the processors spend in a mode."""
    return (
        f'avg by (env, host) (rate(node_cpu_seconds_total{{@, mode="{mode}"}}{RATE}))'
    )


BUSY = f"1 - {cpu('idle')}"
MEMORY = "1 - node_memory_MemAvailable_bytes{@} / node_memory_MemTotal_bytes{@}"
LOAD = (
    "max by (env, host) (node_load1{@}) / count by (env, host)"
    ' (node_cpu_seconds_total{@, mode="idle"})'
)
AGE = "node_time_seconds{@} - node_boot_time_seconds{@}"
OFFSET = "abs(node_timex_offset_seconds{@})"
CPU_STEPS = limit(0.7, 0.9)
MEMORY_STEPS = limit(0.8, 0.9)
CLOCK_STEPS = limit(0.02, 0.05)
DISK_STEPS: Steps = ((BAD, None), (WARN, 0.05), (PLAIN, 0.3))


def traffic(way: str) -> str:
    """Return the bytes per second that a host receives or sends."""
    metric = f'node_network_{way}_bytes_total{{@, device!="lo"}}'
    return f"sum by (env, host) (rate({metric}{RATE}))"


HOST = Board(
    name="host",
    role="node_exporter",
    title="Hosts",
    description="Processors, memory, disks, network and clock of each host.",
    runbook="node-exporter",
    variables=(ENV, hosts('up{job="node"}')),
    rows=(
        Row(
            "Now",
            (
                stat(
                    25,
                    "Hosts down",
                    "Hosts whose node exporter does not answer.",
                    'sum by (env) (up{@, job="node"} == bool 0)',
                    steps=ZERO,
                ),
                stat(
                    1,
                    "CPU busy",
                    "Share of time that the processors of the busiest host work.",
                    worst("max", BUSY),
                    unit="percentunit",
                    steps=CPU_STEPS,
                ),
                stat(
                    2,
                    "Memory used",
                    "Share of the fullest host's memory that is not available; 90 % are an alert.",
                    worst("max", MEMORY),
                    unit="percentunit",
                    steps=MEMORY_STEPS,
                ),
                stat(
                    3,
                    "Least disk left",
                    "Free share of the fullest file system; 5 % are an alert.",
                    worst("min", FREE),
                    unit="percentunit",
                    steps=DISK_STEPS,
                ),
                stat(
                    4,
                    "Running for",
                    "Time since the youngest host started; orange for ten minutes.",
                    worst("min", AGE),
                    unit="dtdurations",
                    steps=YOUNG,
                ),
                stat(
                    5,
                    "Clock off by",
                    "Largest distance of a clock from its server; 50 ms are an alert.",
                    worst("max", OFFSET),
                    unit="s",
                    steps=CLOCK_STEPS,
                ),
                table(
                    24,
                    "Hosts",
                    "One line for each host; a click on its name shows it alone.",
                    HOSTS,
                    Column(
                        "State",
                        'min by (env, host) (up{@, job="node"})',
                        steps=LOWER_IS_BAD,
                        up_or_down=True,
                    ),
                    Column("CPU busy", BUSY, "percentunit", CPU_STEPS),
                    Column(
                        "Memory used",
                        f"max by (env, host) ({MEMORY})",
                        "percentunit",
                        MEMORY_STEPS,
                    ),
                    Column(
                        "Least disk left",
                        f"min by (env, host) ({FREE})",
                        "percentunit",
                        DISK_STEPS,
                    ),
                    Column("Load", f"max by (env, host) ({LOAD})", decimals=2),
                    Column("Received", traffic("receive"), "Bps"),
                    Column("Sent", traffic("transmit"), "Bps"),
                    Column(
                        "Clock off by",
                        f"max by (env, host) ({OFFSET})",
                        "s",
                        CLOCK_STEPS,
                    ),
                    Column(
                        "Running for",
                        f"min by (env, host) ({AGE})",
                        "dtdurations",
                        YOUNG,
                    ),
                ),
            ),
        ),
        Row(
            "Processors and memory",
            (
                graph(
                    6,
                    "CPU busy",
                    "Share of time that the processors work, the ten busiest hosts.",
                    Query(top(BUSY), OF_HOST),
                    unit="percentunit",
                    maximum=1,
                    steps=upper(0.9),
                    lines=True,
                    alerts=("CpuBusy",),
                ),
                graph(
                    7,
                    "Waiting and stolen",
                    "Share of time that processors wait for disks, or that the hypervisor takes.",
                    Query(cpu("iowait"), f"{OF_HOST} waits"),
                    Query(cpu("steal"), f"{OF_HOST} stolen"),
                    unit="percentunit",
                    soft_maximum=0.3,
                    alerts=("IoWaitHigh", "CpuStolen"),
                ),
                graph(
                    8,
                    "Load by processor",
                    "Programs that run or wait, for each processor.",
                    Query(top(LOAD), OF_HOST),
                    unit="none",
                    decimals=2,
                    soft_maximum=1,
                    steps=upper(2),
                    lines=True,
                ),
                graph(
                    9,
                    "Memory used",
                    "Share of memory that is not available, the ten fullest hosts.",
                    Query(top(MEMORY), OF_HOST),
                    unit="percentunit",
                    maximum=1,
                    steps=upper(0.9),
                    lines=True,
                    alerts=("MemoryLow",),
                ),
                graph(
                    10,
                    "Swapped and killed",
                    "Pages per second to and from swap, and programs that the kernel killed.",
                    Query(
                        f"rate(node_vmstat_pswpin{{@}}{RATE})"
                        f" + rate(node_vmstat_pswpout{{@}}{RATE})",
                        f"{OF_HOST} pages/s",
                    ),
                    Query(
                        "increase(node_vmstat_oom_kill{@}[10m])", f"{OF_HOST} killed"
                    ),
                    unit="short",
                    soft_maximum=10,
                    colors=((" killed", "red"),),
                    alerts=("SwapThrashing", "OutOfMemoryKill"),
                ),
                graph(
                    11,
                    "Pressure",
                    "Share of time in which all programs wait for memory or disks.",
                    Query(
                        f"rate(node_pressure_memory_stalled_seconds_total{{@}}{RATE})",
                        f"{OF_HOST} memory",
                    ),
                    Query(
                        f"rate(node_pressure_io_stalled_seconds_total{{@}}{RATE})",
                        f"{OF_HOST} disks",
                    ),
                    unit="percentunit",
                    soft_maximum=0.1,
                    alerts=("MemoryPressure",),
                ),
            ),
        ),
        Row(
            "Disks",
            (
                graph(
                    12,
                    "Disk left",
                    "Free share of each file system: orange below 30 %, red below 5 %.",
                    Query(f"bottomk(10, {FREE})", DISK),
                    unit="percentunit",
                    maximum=1,
                    steps=lower(0.05, 0.3),
                    lines=True,
                    alerts=("DiskAlmostFull", "DiskFilling"),
                ),
                graph(
                    13,
                    "Left in a day",
                    "Free bytes in 24 hours if the last six hours go on, the ten lowest.",
                    Query(
                        "bottomk(10, max by (env, host, device) (predict_linear("
                        "node_filesystem_avail_bytes{@,"
                        ' fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"}[6h], 86400)))',
                        DISK,
                    ),
                    unit="bytes",
                    minimum=None,
                    soft_maximum=1073741824,
                    steps=lower(0, 0),
                    lines=True,
                ),
                graph(
                    14,
                    "Inodes left",
                    "Free share of the inodes of each file system.",
                    Query(f"bottomk(10, {INODES})", DISK),
                    unit="percentunit",
                    maximum=1,
                    steps=lower(0.05, 0.1),
                    lines=True,
                    alerts=("InodesAlmostGone",),
                ),
                graph(
                    15,
                    "Disk busy",
                    "Share of time in which a disk has work, the ten busiest.",
                    Query(
                        top(f"rate(node_disk_io_time_seconds_total{{@}}{RATE})"), DISK
                    ),
                    unit="percentunit",
                    soft_maximum=1,
                ),
                graph(
                    16,
                    "Read and written",
                    "Bytes per second of each disk, the ten busiest.",
                    Query(
                        top(
                            f"rate(node_disk_read_bytes_total{{@}}{RATE})"
                            f" + rate(node_disk_written_bytes_total{{@}}{RATE})"
                        ),
                        DISK,
                    ),
                    unit="Bps",
                    soft_maximum=1048576,
                ),
                states(
                    17,
                    "Faults",
                    "File systems that became read-only or cannot be read, and failed disks of"
                    " arrays.",
                    Query(
                        'node_filesystem_readonly{@, fstype=~"ext.|xfs|btrfs|zfs"}',
                        "{{env}} {{host}} {{mountpoint}} read-only",
                    ),
                    Query(
                        'node_filesystem_device_error{@, fstype=~"ext.|xfs|btrfs|zfs|nfs.?"}',
                        "{{env}} {{host}} {{mountpoint}} error",
                    ),
                    Query(
                        'node_md_disks{@, state="failed"}',
                        "{{env}} {{host}} {{device}} failed",
                    ),
                    alerts=("FilesystemReadOnly", "FilesystemError", "RaidDegraded"),
                ),
            ),
        ),
        Row(
            "Units and containers",
            (
                graph(
                    31,
                    "Failed units",
                    "Units of systemd that have failed.",
                    Query("monitoring_unit_failed{@}", "{{env}} {{host}} {{unit}}"),
                    soft_maximum=1,
                    decimals=0,
                    no_value="no failed units",
                    alerts=("UnitFailed",),
                ),
                graph(
                    32,
                    "Containers that do not work",
                    "Containers that Docker should keep running and that do not run, and those"
                    " whose health check fails.",
                    Query(
                        "monitoring_container_running{@} < 1", f"{CONTAINER} stopped"
                    ),
                    Query(
                        "monitoring_container_unhealthy{@} > 0",
                        f"{CONTAINER} unhealthy",
                    ),
                    soft_maximum=1,
                    decimals=0,
                    no_value="all containers work",
                    alerts=("ContainerStopped", "ContainerUnhealthy"),
                ),
                events(
                    33,
                    "Restarts of containers",
                    "How often Docker restarted a container within 15 minutes.",
                    Query(
                        top("increase(monitoring_container_restarts_total{@}[15m])"),
                        CONTAINER,
                    ),
                    decimals=0,
                    alerts=("ContainerRestarting",),
                ),
            ),
        ),
        Row(
            "Network and clock",
            (
                graph(
                    18,
                    "Network",
                    "Bytes per second of each interface, the ten busiest.",
                    Query(
                        top(
                            f'rate(node_network_receive_bytes_total{{@, device!="lo"}}{RATE})'
                            f' + rate(node_network_transmit_bytes_total{{@, device!="lo"}}{RATE})'
                        ),
                        DISK,
                    ),
                    unit="Bps",
                    soft_maximum=1024,
                ),
                graph(
                    19,
                    "Network errors",
                    "Packets with errors per second.",
                    Query(
                        f"rate(node_network_receive_errs_total{{@}}{RATE})"
                        f" + rate(node_network_transmit_errs_total{{@}}{RATE}) > 0",
                        DISK,
                    ),
                    unit="pps",
                    soft_maximum=1,
                    no_value="no errors",
                    alerts=("NetworkErrors",),
                ),
                graph(
                    20,
                    "Tracked connections",
                    "Share of the connections that the firewall can track.",
                    Query(
                        "node_nf_conntrack_entries{@} / node_nf_conntrack_entries_limit{@}",
                        OF_HOST,
                    ),
                    unit="percentunit",
                    soft_maximum=1,
                    steps=upper(0.8),
                    lines=True,
                    alerts=("ConntrackFull",),
                ),
                graph(
                    21,
                    "Clock",
                    "Distance of the clock from its server.",
                    Query("node_timex_offset_seconds{@}", OF_HOST),
                    unit="s",
                    minimum=None,
                    soft_maximum=0.05,
                    alerts=("ClockSkewed",),
                ),
                states(
                    22,
                    "Clock's state",
                    "1 if the clock is synchronized, and 1 if a file of metrics cannot be read.",
                    Query("node_timex_sync_status{@}", f"{OF_HOST} synchronized"),
                    Query(
                        "node_textfile_scrape_error{@}", f"{OF_HOST} unreadable file"
                    ),
                    alerts=("ClockNotSynchronized", "TextfileUnreadable"),
                ),
                graph(
                    23,
                    "Starts",
                    "Time since each host started, so that restarts are seen.",
                    Query(AGE, OF_HOST),
                    unit="s",
                    soft_maximum=3600,
                    alerts=("HostRebooted",),
                ),
                graph(
                    30,
                    "Rollouts",
                    "Files and units that are not as rolled out, rollouts that did not finish, and"
                    " components that were rolled back.",
                    Query("monitoring_rollout_drift{@}", f"{PART} changed"),
                    Query("monitoring_rollout_unverified{@}", f"{PART} unfinished"),
                    Query("monitoring_rollout_rolled_back{@}", f"{PART} rolled back"),
                    soft_maximum=1,
                    decimals=0,
                    alerts=(
                        "RolloutChanged",
                        "RolloutUnverified",
                        "RolloutRolledBack",
                        "RolloutStateStale",
                        "CertificateExpiring",
                        "CertificateExpired",
                    ),
                ),
            ),
        ),
    ),
)
