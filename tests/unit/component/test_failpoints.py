# SPDX-License-Identifier: GPL-3.0-or-later
"""The points at which a rollout may be killed."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import failpoints

ROOT = Path(__file__).parents[3]
ENGINE = ROOT / "plugins/module_utils/component"
# What each stage of the transaction must have at least one point of.
STAGES = {
    "stage": {"downloaded", "unpacked", "user", "generation"},
    "check": {"checked"},
    "switch": {"pending", "switched", "linked", "manager-reloaded"},
    "prove": {"acted", "proven"},
    "commit": {"committed", "finished", "pruned"},
    "roll back": {"restored"},
    "remove": {"rolled_back_from", "left"},
}


def reached() -> list[str]:
    """The name in every call of ``reach`` in the source."""
    names = []
    for path in sorted(ENGINE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == "reach"
            ):
                names.append(ast.literal_eval(node.args[0]))
    return names


def test_every_point_is_passed_somewhere_and_every_passed_one_is_listed() -> None:
    assert set(reached()) == set(failpoints.POINTS)


def test_no_point_is_listed_twice() -> None:
    assert len(set(failpoints.POINTS)) == len(failpoints.POINTS)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_point(stage: str) -> None:
    assert STAGES[stage] & set(reached())


def test_every_point_belongs_to_a_stage() -> None:
    assert set(failpoints.POINTS) == set.union({"locked"}, *STAGES.values())


def test_an_unknown_point_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        failpoints.reach("nowhere")


def test_the_module_dies_there_and_only_there() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'collections')!r})\n"
        "from ansible_collections.hippius.monitoring.plugins.module_utils.component.points import reach\n"
        "reach('locked'); print('alive', flush=True); reach('acted'); print('not reached')"
    )
    environment = {**os.environ, failpoints.KILL_AT: "acted"}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "alive\n")
