# SPDX-License-Identifier: GPL-3.0-or-later
"""The threshold of any expression is the root of what a parser of PromQL reads."""

from __future__ import annotations

from typing import Any

import promql_parser
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.promql import (
    own_alerts,
    threshold,
)

pieces = st.sampled_from
SPACE = pieces(["", " ", "\n", "\t", " # c > 3\n", " # it's\r"])
NUMBER = pieces(
    ["1", "0", "0.8", "1e-9", ".5", "010", "-2", "+3", "0x1f", "Inf", "NaN", "5.", "5m"]
)
TEXT = st.lists(
    pieces(["a", ">", "<", "1", " and ", "{", "}", "[", ")", "#", "or", "."]),
    max_size=4,
).map("".join)
ESCAPED = st.builds(
    lambda text, quote: f"{quote}{text}{quote}",
    TEXT,
    pieces(['"', "'", "`"]),
) | pieces([r'"\""', r"'\''", r'"\\"', '"`"', "'`'", '`"`'])
MATCHERS = st.lists(
    st.builds("{}{}{}".format, pieces(["x", "le"]), pieces(["=", "!="]), ESCAPED),
    max_size=2,
).map(", ".join)
SELECTOR = st.builds(
    lambda name, matchers: f"{name}{{{matchers}}}", pieces(["up", "a", "b:c"]), MATCHERS
)
BINARY = pieces(
    ["+", "*", "/", "^", "and", "or", "unless", ">", "<", ">=", "==", "> bool", "AND"]
)


def combined(inner: Any) -> Any:
    """Return expressions around others."""
    return st.one_of(
        st.builds("({}{}{})".format, SPACE, inner, SPACE),
        st.builds("sum by (le, and) ({})".format, inner),
        st.builds("rate({}[5m] offset 1h)".format, SELECTOR),
        st.builds("-{}".format, inner),
        st.builds("{}{}{} {}".format, inner, SPACE, BINARY, inner),
    )


EXPRESSION = st.builds(
    "{}{}{}{}{}".format,
    st.recursive(SELECTOR, combined, max_leaves=4),
    SPACE,
    pieces([">", "<", ">", "<", "==", ">="]),
    SPACE,
    st.builds("{}{}".format, NUMBER, pieces(["", "", " ", " and up", "\n# end"])),
)


def read(expression: str) -> Any:
    try:
        return promql_parser.parse(expression)
    except ValueError:
        return None


@settings(max_examples=300)
@given(expression=EXPRESSION)
def test_threshold_is_the_root_of_the_expression(expression: str) -> None:
    found = threshold(expression)
    root = read(expression)
    assume(found is not None and root is not None)
    assert found is not None
    assert str(root.op) == {"gt": ">", "lt": "<"}[found.comparison]
    assert root.modifier is None
    assert str(root.lhs) == str(read(found.expression))
    assert str(root.rhs) == str(read(repr(found.limit)))


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ('count({job="x", "ALERTS"})', "ALERTS"),
        ('{__name__=~"ALERTS|up"}', "ALERTS"),
        ('{__name__=~"up|ALERTS_FOR_STATE.*"}', "ALERTS_FOR_STATE"),
        ("ALERTS != 1", "ALERTS"),
        ('{__name__=~"MY_ALERTS"}', None),
        ('up{ALERTS="x"}', None),
        ('up{ALERTS!~"x", a="ALERTS"} # ALERTS', None),
        ('label_replace(up, "a", "ALERTS", "b", "c")', None),
    ],
)
def test_alerts_of_prometheus_are_found_in_each_spelling(
    expression: str, name: str | None
) -> None:
    assert own_alerts(expression) == name
