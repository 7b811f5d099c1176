# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen on a host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import layout, observe


@pytest.mark.parametrize(
    ("there", "current", "proven", "running", "expected"),
    [
        pytest.param([], "", "", "", [], id="nothing"),
        pytest.param(["1-a"], "1-a", "1-a", "1-a", [], id="the first"),
        pytest.param(["1-a", "2-b"], "2-b", "2-b", "2-b", [], id="the last two"),
        pytest.param(["1-a", "2-b", "3-c"], "3-c", "3-c", "3-c", ["1-a"], id="beyond the last two"),
        pytest.param(["8-a", "9-b", "10-c"], "10-c", "10-c", "10-c", ["8-a"], id="by count, not by letters"),
        pytest.param(["1-a", "2-b", "3-c"], "3-c", "1-a", "3-c", [], id="what was proven"),
        pytest.param(["1-a", "2-b", "3-c", "4-d"], "4-d", "4-d", "1-a", ["2-b"], id="what runs"),
        pytest.param(["1-a", "2-b", "3-c"], "2-b", "2-b", "2-b", ["3-c"], id="written and never in force"),
        pytest.param(["1-a"], "", "", "", ["1-a"], id="a first one that never came into force"),
        pytest.param(["1-a", "2-b"], "", "1-a", "", ["2-b"], id="no link, but proven"),
    ],
)
def test_generations_that_nobody_needs(there: list, current: str, proven: str, running: str, expected: list) -> None:
    assert observe.superfluous(there, current, proven, running) == expected


def test_debris_is_what_killed_runs_leave(places: Path) -> None:
    for path in ("1-a", "2-b", "3-c", ".staging-4-d"):
        Path(layout.generation("loki", path)).mkdir(parents=True)
    (Path(layout.component("loki")) / "current.new").symlink_to("generations/2-b")
    found = {Path(path).name for path in observe.debris("loki", "2-b", "2-b", "2-b")}
    assert found == {"current.new", ".staging-4-d", "3-c"}


def test_debris_is_what_a_killed_check_left_and_not_what_one_uses_now(places: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = ended.stdout.decode().strip()
    for name, pid in (("loki", dead), ("loki", str(os.getpid())), ("loki-other", dead)):
        Path(layout.private_check(name, pid)).mkdir(parents=True)
    assert observe.debris("loki", "", "", "") == (layout.private_check("loki", dead),)


def test_what_a_killed_first_install_left_is_found_by_its_directory(places: Path) -> None:
    Path(layout.generation("loki", "1-a")).mkdir(parents=True)
    assert observe.instances_of("loki") == ["loki"]
