# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure runs without changes for many hosts: `python -m tests.benchmarks.fleet [--hosts N ...]`.

Each host has five components and answers at once, so that only the controller works. It prints the
processor time of the controller, all its processes together, and the memory of its largest process,
then the straight line through the times. The target is 0.02 s for each host and component.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.noop import EXPORTERS

ROOT = Path(__file__).resolve().parents[2]
COUNTS = (1, 10, 50, 200)
COMPONENTS = (
    "otel_collector",
    "promtail",
    "redis_exporter",
    "postgres_exporter",
    "node_exporter",
)
VARIABLES: dict[str, Any] = {
    "monitoring_environment": "dev",
    "otel_collector_listen_addresses": ["127.0.0.1"],
    # Stores that are not of this inventory.
    "promtail_loki_url": "https://loki.example.com/loki/api/v1/push",
    **EXPORTERS,
}
CHANGED = ("changed=", "unreachable=", "failed=")


class Run(NamedTuple):
    """A run without changes: its hosts, seconds of processor time, and MiB of memory."""

    hosts: int
    seconds: float
    memory: int


class Line(NamedTuple):
    """Seconds of a run without hosts, and for each host and component."""

    start: float
    share: float
    correlation: float


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--hosts", type=int, nargs="+", default=COUNTS)
    runs = [measure(count) for count in options.parse_args().hosts]
    for run_of_site in runs:
        share = run_of_site.seconds / run_of_site.hosts / len(COMPONENTS)
        print(
            f"{run_of_site.hosts} hosts: {run_of_site.seconds:.2f} s of processor time,"
            f" {share:.4f} s a host and component, {run_of_site.memory} MiB"
        )
    if len(runs) > 1:
        line = fit(runs)
        print(
            f"line: {line.start:.2f} s + {line.share:.4f} s a host and component,"
            f" correlation {line.correlation:.5f}"
        )


def fit(runs: list[Run]) -> Line:
    """Return the straight line through the times of several runs."""
    counts = [run_of_site.hosts for run_of_site in runs]
    seconds = [run_of_site.seconds for run_of_site in runs]
    line = statistics.linear_regression(counts, seconds)
    correlation = statistics.correlation(counts, seconds)
    return Line(line.intercept, line.slope / len(COMPONENTS), correlation)


def measure(count: int) -> Run:
    """Return time and memory of a run without changes for some hosts."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "state").mkdir()
        inventory = folder / "inventory.json"
        inventory.write_text(json.dumps(inventory_of(count)), encoding="utf-8")
        run(folder, inventory)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        recap = run(folder, inventory)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    idle = [line for line in recap if all(f"{word}0 " in line for word in CHANGED)]
    if len(idle) != count:
        raise SystemExit("\n".join(recap))
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(count, seconds, after.ru_maxrss // 1024)


def inventory_of(count: int) -> dict[str, Any]:
    """Return an inventory of hosts that have the five components each."""
    names = [f"host-{number}" for number in range(count)]
    groups = {component: {"hosts": dict.fromkeys(names)} for component in COMPONENTS}
    return {
        "all": {
            "vars": VARIABLES,
            "children": {"monitoring": {"hosts": dict.fromkeys(names)}, **groups},
        }
    }


def run(folder: Path, inventory: Path) -> list[str]:
    """Run site.yml with hosts that answer at once; return the lines of its recap."""
    command = [sys.executable, "-m", "tests.benchmarks.fleet_hosts"]
    command += [str(folder / "state"), "-i", str(inventory), "site.yml"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    return [line for line in done.stdout.splitlines() if "unreachable=" in line]


if __name__ == "__main__":
    main()
