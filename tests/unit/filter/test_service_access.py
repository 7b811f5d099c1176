# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret environment and further groups of a service."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.hippius.monitoring.plugins.filter.environment_file import (
    environment_file,
)
from ansible_collections.hippius.monitoring.plugins.filter.service_access import (
    service_access,
)

SERVICE = {"ExecReload": None}


@pytest.mark.parametrize(
    ("environment", "groups", "added"),
    [
        pytest.param(None, None, {}, id="nothing"),
        pytest.param({}, [], {}, id="nothing in a dict and a list"),
        pytest.param(
            {"A": "b"}, [], {"EnvironmentFile": "{etc}/environment"}, id="a variable"
        ),
        pytest.param({}, "adm", {"SupplementaryGroups": ["adm"]}, id="a group"),
        pytest.param(
            {}, ["a", "b"], {"SupplementaryGroups": ["a", "b"]}, id="two groups"
        ),
    ],
)
def test_a_service_has_only_what_is_set(
    environment: Any, groups: Any, added: dict[str, Any]
) -> None:
    assert service_access(SERVICE, environment, groups) == {**SERVICE, **added}
    assert SERVICE == {"ExecReload": None}


@pytest.mark.parametrize(
    ("value", "line"),
    [
        pytest.param("one two", 'A="one two"', id="a space"),
        pytest.param('p$`"\\', 'A="p\\$\\`\\"\\\\"', id="special characters"),
        pytest.param("a'b#;%n", 'A="a\'b#;%n"', id="characters of other formats"),
        pytest.param("1\n2", 'A="1\n2"', id="two lines"),
        pytest.param(True, 'A="true"', id="a bool"),
        pytest.param(0, 'A="0"', id="a number"),
        pytest.param("", 'A=""', id="an empty string"),
    ],
)
def test_a_value_is_quoted_for_systemd(value: Any, line: str) -> None:
    assert environment_file({"A": value}) == {"environment": line + "\n"}


def test_no_variable_needs_no_file() -> None:
    assert environment_file({}) == {}


@pytest.mark.parametrize(
    "variables", [{"A-B": "x"}, {"": "x"}, {"A=B": "x"}, {"A": None}]
)
def test_a_variable_that_no_program_can_read_is_refused(
    variables: dict[str, Any],
) -> None:
    with pytest.raises(AnsibleFilterError, match="environment variable"):
        environment_file(variables)
