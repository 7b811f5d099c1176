# SPDX-License-Identifier: GPL-3.0-or-later
"""Run all benchmarks: `python -m tests.benchmarks [--rounds N] [--hosts N ...]`.

It needs Docker for a test host, and some minutes. All durations of one host are ratios to a
playbook of one ping in the same run, since they depend on the machine. It writes the result as
tests/benchmarks/results.json, and its picture in the documentation, docs/images/performance.svg.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.release import __version__ as core_version

from tests.benchmarks import chart, fleet, grafana_noop, noop

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tests/benchmarks/results.json"
PICTURE = ROOT / "docs/images/performance.svg"
GRAFANA = "12.4.3"
DASHBOARDS = (300,)


def main() -> None:
    """Run all benchmarks and write their results."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--hosts", type=int, nargs="+", default=fleet.COUNTS)
    given = options.parse_args()
    runs = [fleet.measure(count) for count in given.hosts]
    results = {
        "versions": {
            "ansible-core": core_version,
            "python": ".".join(map(str, sys.version_info[:3])),
        },
        "one host": one_host(given.rounds),
        "many hosts": {
            "components of a host": len(fleet.COMPONENTS),
            "runs": [run._asdict() for run in runs],
            "line": fleet.fit(runs)._asdict(),
        },
        "grafana": [
            grafana_noop.ours(GRAFANA, count)._asdict() for count in DASHBOARDS
        ],
        "payload": payloads(),
    }
    text = json.dumps(rounded(results), indent=2)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    PICTURE.write_text(chart.picture(json.loads(text)), encoding="utf-8")
    print(text)


def payloads() -> dict[str, int]:
    """Return the zipped bytes of each module.

    Ansible packs in a process of its own, since other benchmarks have loaded plugins otherwise.
    """
    command = [sys.executable, "-m", "tests.benchmarks.payload"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return {module: int(zipped) for module, _ours, _all, zipped, _files in rows}


def one_host(rounds: int) -> dict[str, Any]:
    """Return the median of each run for one host, and its ratio to one ping."""
    times = noop.measure(rounds)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    ping = medians[noop.PING_NAME]
    return {
        name: {"seconds": median, "ratio": median / ping}
        for name, median in medians.items()
    }


def rounded(value: Any) -> Any:
    """Return a structure with three decimals, or four for less than one."""
    if isinstance(value, dict):
        return {key: rounded(element) for key, element in value.items()}
    if isinstance(value, list):
        return [rounded(element) for element in value]
    if isinstance(value, float):
        return round(value, 4 if value < 1 else 2)
    return value


if __name__ == "__main__":
    main()
