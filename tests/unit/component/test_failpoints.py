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
    "stage": {"after-download", "after-unpack", "after-user", "after-generation"},
    "check": {"after-check"},
    "switch": {"after-pending-mark", "after-switch", "after-links", "after-manager-reload"},
    "prove": {"after-process-action", "after-verify"},
    "commit": {"after-commit", "after-cleanup", "after-prune"},
    "roll back": {"after-restore"},
    "remove": {"after-unlink", "after-set-aside"},
}


def reached() -> list[str]:
    """The name in every call of ``failpoint`` in the source."""
    names = []
    for path in sorted(ENGINE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == "failpoint"
            ):
                names.append(ast.literal_eval(node.args[0]))
    return names


def test_every_point_is_passed_somewhere_and_every_passed_one_is_listed() -> None:
    assert set(reached()) == set(failpoints.FAILPOINTS)


def test_no_point_is_listed_twice() -> None:
    assert len(set(failpoints.FAILPOINTS)) == len(failpoints.FAILPOINTS)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_point(stage: str) -> None:
    assert STAGES[stage] & set(reached())


def test_every_point_belongs_to_a_stage() -> None:
    assert set(failpoints.FAILPOINTS) == set.union({"after-lock"}, *STAGES.values())


def test_an_unknown_point_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        failpoints.failpoint("nowhere")


def test_the_module_dies_there_and_only_there() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'collections')!r})\n"
        "from ansible_collections.hippius.monitoring.plugins.module_utils.component.failpoints import failpoint\n"
        "failpoint('after-lock'); print('alive', flush=True); failpoint('after-process-action'); print('not reached')"
    )
    environment = {**os.environ, failpoints.KILL_AT: "after-process-action"}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "alive\n")
