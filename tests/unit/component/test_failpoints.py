# SPDX-License-Identifier: GPL-3.0-or-later
"""Failpoints, at which a test can kill a rollout."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    failpoints,
)
from tests.failpoints import FAILPOINTS

ROOT = Path(__file__).parents[3]
ENGINE = ROOT / "plugins/module_utils/component"
# Each stage of the transaction must have at least one of its failpoints.
STAGES = {
    "stage": {"after-download", "after-unpack", "after-user", "after-generation"},
    "check": {"after-check"},
    "switch": {
        "after-pending-mark",
        "after-switch",
        "after-links",
        "after-manager-reload",
    },
    "verify": {"after-process-action", "after-verify"},
    "commit": {"after-commit", "after-cleanup", "after-prune"},
    "roll back": {"after-restore"},
    "remove": {"after-unlink", "after-set-aside"},
}


def reached() -> list[str]:
    """Return the name in every call of ``failpoint`` in the source."""
    names = []
    for path in sorted(ENGINE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and called(node) == "failpoint":
                names.append(ast.literal_eval(node.args[0]))
    return names


def called(node: ast.Call) -> str:
    """Return the last name of the called expression."""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def test_the_listed_failpoints_are_those_of_the_source() -> None:
    assert set(reached()) == set(FAILPOINTS)


def test_no_failpoint_is_listed_twice() -> None:
    assert len(set(FAILPOINTS)) == len(FAILPOINTS)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_failpoint(stage: str) -> None:
    assert STAGES[stage] & set(reached())


def test_every_failpoint_belongs_to_a_stage() -> None:
    assert set(FAILPOINTS) == set.union({"after-lock"}, *STAGES.values())


@pytest.mark.parametrize(
    ("suffix", "number"),
    [
        pytest.param("", signal.SIGKILL, id="crash"),
        pytest.param(":SIGTERM", signal.SIGTERM, id="signal"),
    ],
)
def test_the_process_is_killed_at_the_failpoint_only(suffix: str, number: int) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'collections')!r})\n"
        f"from {failpoints.__name__} import failpoint\n"
        "failpoint('after-lock'); print('alive', flush=True)\n"
        "failpoint('after-process-action'); print('not reached')"
    )
    environment = {**os.environ, failpoints.KILL_AT: "after-process-action" + suffix}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (-number, "alive\n")
