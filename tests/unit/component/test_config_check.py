# SPDX-License-Identifier: GPL-3.0-or-later
"""Error messages about a configuration that the program's own checker refuses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    config_check,
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.factories import instance

MAIN = {"path": "main.yml", "content": "a: 1\nb: 2\n"}
RULES = {"path": "rules/own.yml", "content": "groups:\n- x\n"}


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        pytest.param(
            "yaml: line 2: field b not found",
            ["main.yml, line 2: b: 2"],
            id="no file is named",
        ),
        pytest.param(
            "Checking /etc/daemon/main.yml\n"
            "  FAILED: /etc/daemon/rules/own.yml: yaml: line 1: no\n"
            "  line 2: nor that",
            ["rules/own.yml, line 1: groups:", "rules/own.yml, line 2: - x"],
            id="the file that was named last",
        ),
        pytest.param(
            "/etc/daemon/rules/own.yml:2:3: no",
            ["rules/own.yml, line 2: - x"],
            id="file and line in one word",
        ),
        pytest.param(
            "line 2: no\nline 2: no",
            ["main.yml, line 2: b: 2"],
            id="the same line twice",
        ),
        pytest.param(
            "line 7: no, /etc/daemon/main.yml:0", [], id="a line that does not exist"
        ),
        pytest.param(
            "/etc/daemon/secret.yml: line 1: no", [], id="a secret is not quoted"
        ),
        pytest.param("unknown flag at deadline 2", [], id="no line"),
    ],
)
def test_the_lines_that_a_checker_names_are_quoted(
    output: str, lines: list[str]
) -> None:
    desired = instance(
        config=[MAIN, RULES],
        secrets={"secret.yml": "c: canary\n"},
        check=["c", "--file={etc}/main.yml"],
    )
    assert config_check.quoted_lines(output, desired) == lines


@pytest.mark.parametrize(
    ("code", "reason"), [(203, "without noexec"), (1, "(no output)")]
)
def test_a_checker_that_systemd_could_not_execute_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, reason: str
) -> None:
    done = subprocess.CompletedProcess(["c"], code, "")
    monkeypatch.setattr(systemd, "check", lambda *_arguments: done)
    with pytest.raises(ComponentError, match=re.escape(reason)):
        config_check._run_checker(instance(check=["c"]), "x-1", str(tmp_path), "/etc")


def test_nothing_is_quoted_when_the_file_is_unknown() -> None:
    desired = instance(
        config=[MAIN, RULES], check=["c", "{etc}/main.yml", "{etc}/rules/own.yml"]
    )
    assert config_check.quoted_lines("line 1: no", desired) == []
    assert (
        config_check.quoted_lines("line 1: no", instance(config=[], check=["c"])) == []
    )


@pytest.mark.parametrize(
    ("output", "pattern", "only_warned"),
    [
        ("warn: a\n\nwarn: b", "^warn", True),
        ("warn: a\nerror", "^warn", False),
        ("", "^warn", False),
        ("x", "", False),
    ],
)
def test_a_failed_checker_only_warned_when_each_line_is_a_warning(
    output: str, pattern: str, only_warned: bool
) -> None:
    assert config_check.only_warned(output, pattern) is only_warned
