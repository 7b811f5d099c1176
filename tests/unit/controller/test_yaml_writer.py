# SPDX-License-Identifier: GPL-3.0-or-later
"""Strings in configuration stay strings in Go's YAML 1.1 and 1.2 parsers and in Python's."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.plugin_utils.yaml_writer import (
    to_yaml,
)

# Read as another type by gopkg.in/yaml.v3, go.yaml.in/yaml/v2 or PyYAML where they are plain:
# found by writing 160,000 random strings and reading them with all three.
TYPED = (
    "12e5 5e12 0o17 0O17 0x1f 0X1F 0b1 0B1 0777 08 06_9 1_0 8_0E7 1_e9 -_56 +_21 9e_+3 1. +.5 -_.5"
    " .inf -.INF .NaN ~ null Null true True yes on Off no y n Y N 2001-01-01 190:20:30 = <<"
)
PLAIN = (
    "3.7.8",
    "127.0.0.1:9090",
    "30s",
    "1h30m",
    "10MB",
    "a-b_c",
    "v1.2.3",
    "0.155.0-rc.1",
)


@pytest.mark.parametrize("string", TYPED.split())
def test_quotes_what_a_parser_would_take_for_another_type(string: str) -> None:
    assert to_yaml({"key": string}) == f"key: '{string}'\n"


@pytest.mark.parametrize("string", PLAIN)
def test_leaves_other_strings_plain(string: str) -> None:
    assert to_yaml({"key": string}) == f"key: {string}\n"


@pytest.mark.parametrize(
    "value", ["", " a", "a\nb\n", "\ta", "é", "a\u2028b", "#", "- a", "a: b"]
)
def test_reads_back_as_it_was(value: str) -> None:
    assert yaml.safe_load(to_yaml({"key": value})) == {"key": value}


def test_repeats_a_value_rather_than_refer_to_it() -> None:
    shared = {"a": [1]}
    assert to_yaml([shared, shared]) == "- a:\n  - 1\n- a:\n  - 1\n"
