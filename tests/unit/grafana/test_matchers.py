# SPDX-License-Identifier: GPL-3.0-or-later
"""Matchers are read as Alertmanager reads them; the expectations are its own parsers' answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.matchers import (
    as_text,
    parse_matchers,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("severity=critical", [["severity", "=", "critical"]], id="bare"),
        pytest.param('a = "b c"', [["a", "=", "b c"]], id="spaces"),
        pytest.param('a=~"x|y=z"', [["a", "=~", "x|y=z"]], id="operator in a value"),
        pytest.param("a!~.*", [["a", "!~", ".*"]], id="not matching"),
        pytest.param('a=""', [["a", "=", ""]], id="empty value in quotes"),
        pytest.param("a!=", [["a", "!=", ""]], id="empty value"),
        pytest.param(
            r'instance=~"10\.0\.0\.\d+:9100"',
            [["instance", "=~", r"10\.0\.0\.\d+:9100"]],
            id="backslashes of a regular expression",
        ),
        pytest.param(r"a=~\w+\.b", [["a", "=~", r"\w+\.b"]], id="bare backslashes"),
        pytest.param(
            r'a="\\d \"q\" \n"', [["a", "=", '\\d "q" \n']], id="escapes of three"
        ),
        pytest.param("a=b\\", [["a", "=", "b\\"]], id="a backslash at the end"),
        pytest.param("a=x y", [["a", "=", "x y"]], id="a space in a bare value"),
        pytest.param("a=b=c", [["a", "=", "b=c"]], id="equal sign in a bare value"),
        pytest.param("a=it's", [["a", "=", "it's"]], id="single quote"),
        pytest.param('a="b\nc"', [["a", "=", "b\nc"]], id="line feed in quotes"),
        pytest.param(
            '{severity="critical", team=~"db|web"}',
            [["severity", "=", "critical"], ["team", "=~", "db|web"]],
            id="braces",
        ),
        pytest.param(
            "a=b,c!=d", [["a", "=", "b"], ["c", "!=", "d"]], id="several without braces"
        ),
        pytest.param('a="b,c"', [["a", "=", "b,c"]], id="a comma in quotes"),
        pytest.param('a="{b}"', [["a", "=", "{b}"]], id="braces in quotes"),
        pytest.param("a=~b{2}", [["a", "=~", "b{2"]], id="a bare brace at the end"),
        pytest.param("a=~b{2}c", [["a", "=~", "b{2}c"]], id="a bare brace inside"),
        pytest.param(" { a = b , } ", [["a", "=", "b"]], id="spaces around braces"),
        pytest.param("{a=b,}", [["a", "=", "b"]], id="a comma before the brace"),
        pytest.param("{a=b", [["a", "=", "b"]], id="only one brace"),
        pytest.param("{}", [], id="no matcher in braces"),
        pytest.param("", [], id="no matcher"),
        pytest.param("größe=ö", [["größe", "=", "ö"]], id="a label of UTF-8"),
        pytest.param(
            '"label with space"!="say \\"hi\\""',
            [["label with space", "!=", 'say "hi"']],
            id="a label in quotes",
        ),
        pytest.param('{"a.b"="\\u00fc\\t"}', [["a.b", "=", "ü\t"]], id="escapes of Go"),
        pytest.param(r'{"a.b"="\d"}', None, id="a wrong escape of Go"),
        pytest.param(r'{"a.b"="\ud800"}', None, id="half a character"),
        pytest.param("severity", None, id="no operator"),
        pytest.param("a==b", [["a", "=", "=b"]], id="two equal signs"),
        pytest.param("=b", None, id="no label"),
        pytest.param("1a=b", [["1a", "=", "b"]], id="a label that begins with a digit"),
        pytest.param("a.b=c", [["a.b", "=", "c"]], id="a label with a dot"),
        pytest.param('a="b', None, id="a quote at the beginning only"),
        pytest.param('a=b"', None, id="a quote at the end only"),
        pytest.param('a="b"c"', None, id="a quote inside"),
        pytest.param("a=b,,c=d", None, id="nothing between commas"),
        pytest.param("a=b c=d", [["a", "=", "b c=d"]], id="no comma"),
        pytest.param("{{a=b}}", None, id="two braces"),
    ],
)
def test_text_is_read_as_alertmanager_reads_it(text: str, found: list | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match="is no matcher such as"):
            parse_matchers(text)
    else:
        assert parse_matchers(text) == found


@given(
    label=st.from_regex(r"[a-z_:][a-z0-9_:]*", fullmatch=True)
    | st.text(st.characters(categories=("L", "N", "Zs", "Po")), min_size=1),
    operator=st.sampled_from(["=", "!=", "=~", "!~"]),
    value=st.text(
        st.characters(exclude_categories=("Cs", "Cc"), include_characters='"\\n, {}')
    ),
)
def test_matcher_as_text_is_read_as_the_same_one(
    label: str, operator: str, value: str
) -> None:
    matcher = [label, operator, value]
    assert parse_matchers(as_text(matcher)) == [matcher]
