# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to find that nothing has to change: `python -m tests.benchmarks.noop [--rounds N]`.

Rolls site.yml out to a test host, then runs a playbook of one ping and site.yml in turn, over SSH with pipelining and
the same ansible.cfg, and prints the median of each and their ratio. The mirror is stopped being asked by then: a no-op
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

from tests.bed import engine, hosts, site

ROOT = Path(__file__).resolve().parents[2]
PING = [{"hosts": "all", "gather_facts": False, "tasks": [{"name": "Ping", "ansible.builtin.ping": {}}]}]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    host = hosts.up("bench")
    folder = engine.cache("benchmarks")
    inventory = hosts.inventory([host], site.GROUPS)
    inventory["all"]["vars"] |= site.variables(host)
    (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    (folder / "ping.json").write_text(json.dumps(PING), encoding="utf-8")
    cold = seconds("site.yml", folder)
    for name in ("ping", "site"):
        seconds(playbook(name, folder), folder)
    times: dict[str, list[float]] = {"ping": [], "site": []}
    for _round in range(rounds):
        for name, taken in times.items():
            taken.append(seconds(playbook(name, folder), folder))
    hosts.down("bench")
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"first rollout {cold:.1f} s")
    for name, taken in times.items():
        print(f"{name}: median {medians[name]:.2f} s of {' '.join(f'{second:.2f}' for second in taken)}")
    print(
        f"no-op of site.yml with {len(site.GROUPS) - 1} components = {medians['site'] / medians['ping']:.1f} x one ping"
    )


def playbook(name: str, folder: Path) -> str:
    """Path of a playbook."""
    return "site.yml" if name == "site" else str(folder / "ping.json")


def seconds(path: str, folder: Path) -> float:
    """Wall time of one run, which must not fail."""
    began = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(folder / "inventory.json"), path],
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
