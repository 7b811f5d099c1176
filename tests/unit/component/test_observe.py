# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe what is on a host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    observe,
)


def test_leftovers_are_what_killed_runs_leave(places: Path) -> None:
    for path in ("1-a", "2-b", "3-c", ".staging-4-d"):
        Path(layout.generation("loki", path)).mkdir(parents=True)
    (Path(layout.component("loki")) / "current.new").symlink_to("generations/2-b")
    names = {Path(path).name for path in observe.leftovers("loki", {"1-a", "2-b", ""})}
    assert names == {"current.new", ".staging-4-d", "3-c"}


def test_leftovers_include_the_directory_of_a_killed_check_and_not_of_a_running_one(
    places: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        check=True,
    )
    dead = ended.stdout.decode().strip()
    for name, pid in (("loki", dead), ("loki", str(os.getpid())), ("loki-other", dead)):
        Path(layout.private_check(name, pid)).mkdir(parents=True)
    assert observe.leftovers("loki", set()) == (layout.private_check("loki", dead),)


def test_an_instance_of_a_killed_first_install_is_named_by_its_directory(
    places: Path,
) -> None:
    Path(layout.generation("loki", "1-a")).mkdir(parents=True)
    assert observe.instances_of("loki") == ["loki"]
