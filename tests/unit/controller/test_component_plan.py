# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of site.yml whose hosts answer at once: who is contacted, and how much is templated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.lookup import pending_hosts
from tests.benchmarks.fleet import COMPONENTS, inventory_of

ROOT = Path(__file__).parents[3]
# The check of the inventory compiles some for each host, the plan none.
MOST_TEMPLATES_OF_A_HOST = 7
MOST_TEMPLATES_OF_PLAYS = 140


class Fleet:
    """Two hosts with five components each, and the runs for them."""

    def __init__(self, folder: Path) -> None:
        self.state, self.inventory = folder / "state", folder / "inventory.json"
        self.state.mkdir()
        self.counts = self.state / "counts"
        self.variables: dict[str, dict[str, Any]] = {"host-0": {}, "host-1": {}}

    def run(self, *flags: str) -> tuple[subprocess.CompletedProcess[str], Counter[str]]:
        """Run site.yml; return what it printed, and the number of each module and of templates."""
        inventory = inventory_of(2)
        hosts = inventory["all"]["children"]["monitoring"]["hosts"]
        hosts.update(self.variables)
        self.inventory.write_text(json.dumps(inventory))
        self.counts.write_text("")
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.fleet_hosts",
            str(self.state),
        ]
        done = subprocess.run(
            [*command, "-i", str(self.inventory), "site.yml", *flags],
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done, Counter(self.counts.read_text().splitlines())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Return hosts on which everything is installed."""
    hosts = Fleet(tmp_path_factory.mktemp("fleet"))
    done, counts = hosts.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts["host-0 component_rollout"] == len(COMPONENTS)
    return hosts


def recap(done: subprocess.CompletedProcess[str], host: str) -> dict[str, int]:
    """Return the counts of a host at the end of a run."""
    lines = [line for line in done.stdout.splitlines() if "unreachable=" in line]
    [line] = [line for line in lines if line.startswith(f"{host} ")]
    words = line.partition(":")[2].split()
    return {name: int(count) for name, count in (word.split("=") for word in words)}


def modules(counts: Counter[str]) -> dict[str, int]:
    """Return how often each module ran on each host."""
    return {line: counts[line] for line in counts if not line.startswith("template")}


def test_a_run_without_changes_observes_each_host_and_does_no_more(
    fleet: Fleet,
) -> None:
    done, counts = fleet.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts.pop("template of a task") <= 2 * MOST_TEMPLATES_OF_A_HOST
    assert counts.pop("template of a play") <= MOST_TEMPLATES_OF_PLAYS
    assert counts == {f"host-{n} component_observation": 1 for n in range(2)}
    assert (recap(done, "host-0")["changed"], recap(done, "host-1")["changed"]) == (
        0,
        0,
    )
    # Two checks of the run, and the plan.
    assert (recap(done, "host-0")["ok"], recap(done, "host-1")["ok"]) == (3, 1)
    assert "Unchanged: 10 components on 2 hosts." in done.stdout


def test_a_changed_component_is_left_to_its_play_and_others_are_not(
    fleet: Fleet,
) -> None:
    fleet.variables["host-1"] = {"promtail_default_job": "other"}
    done, counts = fleet.run()
    assert done.returncode == 0, done.stdout + done.stderr
    observed = {f"host-{n} component_observation": 1 for n in range(2)}
    assert modules(counts) == {**observed, "host-1 component_rollout": 1}
    assert "TASK [hippius.monitoring.promtail : Roll out Promtail]" in done.stdout
    assert "TASK [hippius.monitoring.node_exporter" not in done.stdout


def test_an_unreachable_host_fails_in_a_play_of_a_component(fleet: Fleet) -> None:
    dead = fleet.state / "host-1.unreachable"
    dead.write_text("")
    done, counts = fleet.run()
    dead.unlink()
    assert (recap(done, "host-0")["unreachable"], recap(done, "host-0")["failed"]) == (
        0,
        0,
    )
    assert (recap(done, "host-1")["unreachable"], recap(done, "host-1")["ok"]) == (1, 1)
    assert counts["host-0 component_observation"] == 1


def test_a_run_for_one_component_has_no_plan(fleet: Fleet) -> None:
    done, counts = fleet.run("--tags", "node_exporter", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert modules(counts) == {f"host-{n} component_rollout": 1 for n in range(2)}


@pytest.mark.parametrize(
    ("pending", "pattern"),
    [
        pytest.param(["a", "b", "c"], "loki", id="all of them"),
        pytest.param([], "all:!all", id="none"),
        pytest.param(["c", "a"], "c,a,&loki", id="some in their order"),
        pytest.param(["::1"], "loki", id="a name with a meaning in a pattern"),
        pytest.param(["!b"], "loki", id="a name that would exclude"),
        pytest.param(["a*"], "loki", id="a name that would match others"),
    ],
)
def test_a_pattern_matches_the_pending_hosts(pending: list[str], pattern: str) -> None:
    assert pending_hosts.pattern_of("loki", ["a", "b", "c"], pending) == pattern
