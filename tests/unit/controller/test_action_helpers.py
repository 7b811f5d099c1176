# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers of several action plugins."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.plugin_utils import action_helpers


class MarkedString(str):
    """A string whose str() keeps its class, as Ansible's unsafe strings do."""

    def __str__(self) -> str:
        return self


class OwnDict(dict):
    """A dict of another class, as Ansible has them."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(MarkedString("a"), "a", id="a string"),
        pytest.param(OwnDict({MarkedString("a"): (1, 2.5)}), {"a": [1, 2.5]}, id="containers"),
        pytest.param([True, None], [True, None], id="scalars"),
    ],
)
def test_a_value_becomes_plain(value: Any, expected: Any) -> None:
    plain = action_helpers.plain(value)
    assert plain == expected
    assert json.loads(json.dumps(plain)) == expected
    assert yaml.safe_load(yaml.safe_dump(plain)) == expected


def test_a_string_loses_its_own_class() -> None:
    assert type(action_helpers.plain(MarkedString("a"))) is str


def test_another_object_becomes_its_string() -> None:
    assert action_helpers.plain(1 + 2j) == "(1+2j)"


def test_the_lock_owner_names_the_process() -> None:
    assert action_helpers.lock_owner().endswith(f", process {os.getpid()}")
