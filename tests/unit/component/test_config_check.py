# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a configuration that a program's own checker refuses."""

from __future__ import annotations

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import config_check
from tests.unit.component.factories import instance

MAIN = {"path": "main.yml", "content": "a: 1\nb: 2\n"}
RULES = {"path": "rules/own.yml", "content": "groups:\n- x\n"}


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        pytest.param(
            "yaml: line 2: field b not found", ["main.yml, line 2: b: 2"], id="no file is named"
        ),
        pytest.param(
            "Checking /etc/daemon/main.yml\n  FAILED: /etc/daemon/rules/own.yml: yaml: line 1: no\n  line 2: nor that",
            ["rules/own.yml, line 1: groups:", "rules/own.yml, line 2: - x"],
            id="the file that was named last",
        ),
        pytest.param(
            "/etc/daemon/rules/own.yml:2:3: no",
            ["rules/own.yml, line 2: - x"],
            id="file and line as one",
        ),
        pytest.param("line 2: no\nline 2: no", ["main.yml, line 2: b: 2"], id="the same again"),
        pytest.param("line 7: no, /etc/daemon/main.yml:0", [], id="there is no such line"),
        pytest.param("/etc/daemon/secret.yml: line 1: no", [], id="a secret is not quoted"),
        pytest.param("unknown flag at deadline 2", [], id="no line"),
    ],
)
def test_the_lines_that_a_checker_names_are_quoted(told: str, lines: list) -> None:
    desired = instance(
        config=[MAIN, RULES],
        secrets={"secret.yml": "c: canary\n"},
        check=["c", "--file={etc}/main.yml"],
    )
    assert config_check.quoted(told, desired).splitlines()[1:] == lines


def test_nothing_is_quoted_where_it_is_not_known_of_which_file() -> None:
    desired = instance(config=[MAIN, RULES], check=["c", "{etc}/main.yml", "{etc}/rules/own.yml"])
    assert config_check.quoted("line 1: no", desired) == ""
    assert config_check.quoted("line 1: no", instance(config=[], check=["c"])) == ""


@pytest.mark.parametrize(
    ("told", "pattern", "outcome"),
    [
        ("warn: a\n\nwarn: b", "^warn", True),
        ("warn: a\nerror", "^warn", False),
        ("", "^warn", False),
        ("x", "", False),
    ],
)
def test_a_checker_that_failed_has_only_warned_where_each_line_is_a_warning(
    told: str, pattern: str, outcome: bool
) -> None:
    assert config_check.accepted(told, pattern) is outcome
