# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a rollout without changes: `python -m tests.benchmarks.noop [--rounds N]`.

It rolls site.yml out to a test host, then runs in turn, over SSH with pipelining and the same
ansible.cfg: a playbook of one ping, one with a play of a ping for each component and Grafana's
content, site.yml, site.yml without Grafana's content, and site.yml with a changed scrape interval,
which is one line and one reload. It prints the median of each and its ratio to the first. The
mirror gets no request at that point: a no-op needs only SSH. The target is a ratio of at most 2.0,
and of 1.6 without content.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.testbed import cache, hosts, site

ROOT = Path(__file__).resolve().parents[2]
PING = {
    "hosts": "all",
    "gather_facts": False,
    "tasks": [{"name": "Ping", "ansible.builtin.ping": {}}],
}
# Their servers need not answer.
EXPORTERS = {
    "redis_exporter_instances": [
        {
            "name": "main",
            "listen_address": "127.0.0.1:9121",
            "redis_address": "127.0.0.1:6379",
        }
    ],
    "postgres_exporter_instances": [
        {
            "name": "main",
            "listen_address": "127.0.0.1:9187",
            "postgres_address": "127.0.0.1:5432",
        }
    ],
}
# The group of all hosts is no component.
PLAYS = len(site.GROUPS) - 1 + 1
# Measurement -> arguments of ansible-playbook.
PING_NAME, CHANGE_NAME = "one ping", "site.yml, one changed line"
MEASURED = {
    PING_NAME: ["ping.json"],
    f"{PLAYS} plays of a ping": ["pings.json"],
    "site.yml": ["site.yml"],
    "site.yml without content": ["site.yml", "--skip-tags", "grafana_content"],
}
FIRST_NAME = "first rollout of site.yml"


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    times = measure(options.parse_args().rounds)
    ping = statistics.median(times[PING_NAME])
    for name, taken in times.items():
        median = statistics.median(taken)
        every = " ".join(f"{duration:.2f}" for duration in taken)
        print(f"{name}: {median / ping:.1f} x, median {median:.2f} s of {every}")


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the durations of each measurement."""
    host = hosts.up("bench")
    folder = cache.directory("benchmarks")
    inventory = hosts.inventory([host], site.GROUPS)
    inventory["all"]["vars"] |= site.variables(host) | EXPORTERS
    (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    (folder / "ping.json").write_text(json.dumps([PING]), encoding="utf-8")
    (folder / "pings.json").write_text(json.dumps([PING] * PLAYS), encoding="utf-8")
    cold = seconds(["site.yml"], folder)
    for arguments in MEASURED.values():
        seconds(arguments, folder)
    times: dict[str, list[float]] = {name: [] for name in MEASURED}
    for _round in range(rounds):
        for name, taken in times.items():
            taken.append(seconds(MEASURED[name], folder))
    changes = [f"prometheus_scrape_interval={16 + number}s" for number in range(rounds)]
    changed = [seconds(["site.yml", "-e", change], folder) for change in changes]
    hosts.down("bench")
    return {**times, CHANGE_NAME: changed, FIRST_NAME: [cold]}


def seconds(arguments: list[str], folder: Path) -> float:
    """Return the duration of one run of ansible-playbook, which must not fail.

    Playbooks other than site.yml are in the folder.
    """
    playbook, *flags = arguments
    path = playbook if playbook == "site.yml" else str(folder / playbook)
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    began = time.monotonic()
    done = subprocess.run(
        [program, "-i", str(folder / "inventory.json"), path, *flags],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
