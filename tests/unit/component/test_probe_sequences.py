# SPDX-License-Identifier: GPL-3.0-or-later
"""A start is good after several good answers in a row, and a checker runs without rights."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    probe,
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    Unit,
)

GOOD, BAD = None, "HTTP 503"


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        pytest.param([GOOD], 5, id="always good"),
        pytest.param([BAD, BAD, GOOD], 7, id="bad, then good"),
        pytest.param([GOOD, GOOD, BAD, GOOD], 8, id="good, bad, good"),
        pytest.param([GOOD] * 4 + [BAD, GOOD], 10, id="bad at the last moment"),
    ],
)
def test_a_start_needs_good_answers_in_a_row(
    monkeypatch: pytest.MonkeyPatch, answers: list[str | None], asked: int
) -> None:
    count = 0

    def answer(*_arguments: Any) -> str | None:
        nonlocal count
        count += 1
        return answers[min(count, len(answers)) - 1]

    state = Unit(active="active", sub="running", main_pid=7, invocation="i")
    monkeypatch.setattr(systemd, "show", lambda names: dict.fromkeys(names, state))
    monkeypatch.setattr(probe, "not_ready", answer)
    monkeypatch.setattr(probe, "INTERVAL_SECONDS", 0)
    ready = {"url": "http://127.0.0.1/ready"}
    assert probe.started("loki.service", [], ready) == state
    assert count == asked


def test_a_checker_runs_as_the_component_without_further_rights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def run(command: list[str], timeout: float | None) -> Any:
        calls.append((command, timeout))
        return subprocess.CompletedProcess(command, 0, "")

    monkeypatch.setattr(systemd, "run", run)
    systemd.check("loki", "/staged", ["/bin/loki", "-x=$HOME"], {"A": "b"}, ["X=y"])
    ((command, timeout),) = calls
    end = command.index("--")
    assert set(command[:end]) == {
        "systemd-run",
        "--quiet",
        "--wait",
        "--pipe",
        "--collect",
        "--service-type=exec",
        "--property=User=loki",
        "--property=Group=loki",
        f"--property=BindReadOnlyPaths=/staged:{layout.etc('loki')}",
        "--property=ProtectSystem=strict",
        "--property=PrivateTmp=yes",
        "--property=NoNewPrivileges=yes",
        f"--property=RuntimeMaxSec={systemd.CHECK_SECONDS}",
        "--property=X=y",
        "--setenv=A=b",
    }
    assert command[end + 1 :] == ["/bin/loki", "-x=$$HOME"]
    # systemd ends it first, and says so.
    assert timeout is not None
    assert timeout > systemd.CHECK_SECONDS
