# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to find that nothing has to change: `python -m tests.benchmarks.noop [--rounds N]`.

Rolls site.yml out to a test host, then runs in turn, over SSH with pipelining and the same ansible.cfg: a playbook of
one ping, one of as many plays of a ping as site.yml runs modules on the host, site.yml, and site.yml without Grafana's
content. Prints the median of each and its ratio to the first one. The mirror is not asked any more by then: a no-op
needs nothing but SSH. The target is a ratio of at most 6.
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
# A module for each component and one for Grafana's content; the sweep asks only hosts that lack a component.
MODULES = len(site.GROUPS) - 1 + 1
# What is measured: its name, and the arguments of ansible-playbook.
MEASURED = {
    "one ping": ["ping.json"],
    f"{MODULES} plays of a ping": ["pings.json"],
    "site.yml": ["site.yml"],
    "site.yml without content": ["site.yml", "--skip-tags", "grafana_content"],
}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    host = hosts.up("bench")
    folder = cache.directory("benchmarks")
    inventory = hosts.inventory([host], site.GROUPS)
    inventory["all"]["vars"] |= site.variables(host)
    (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    (folder / "ping.json").write_text(json.dumps([PING]), encoding="utf-8")
    (folder / "pings.json").write_text(json.dumps([PING] * MODULES), encoding="utf-8")
    cold = seconds(["site.yml"], folder)
    for arguments in MEASURED.values():
        seconds(arguments, folder)
    times: dict[str, list[float]] = {name: [] for name in MEASURED}
    for _round in range(rounds):
        for name, taken in times.items():
            taken.append(seconds(MEASURED[name], folder))
    hosts.down("bench")
    print(f"first rollout {cold:.1f} s")
    ping = statistics.median(times["one ping"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(
            f"{name}: {median / ping:.1f} x, median {median:.2f} s of {' '.join(f'{one:.2f}' for one in taken)}"
        )


def seconds(arguments: list[str], folder: Path) -> float:
    """Wall time of one run of ansible-playbook, which must not fail; its own playbooks are in the folder."""
    playbook, *flags = arguments
    path = playbook if playbook == "site.yml" else str(folder / playbook)
    began = time.monotonic()
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i",
            str(folder / "inventory.json"),
            path,
            *flags,
        ],
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
