# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries that no server accepts are found on the controller, and no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hippius.monitoring.plugins.plugin_utils import query_syntax
from ansible_collections.hippius.monitoring.plugins.plugin_utils.content import (
    ContentLoader,
    Source,
)
from tests.conftest import ROOT


def own_queries() -> Iterator[str]:
    """Yield the queries of the components' alerts and dashboards."""
    for path in sorted(ROOT.glob("roles/*/files/alerts.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        yield from (query.text for query in query_syntax.rule_queries(content))
    for path in sorted(ROOT.glob("roles/*/files/dashboards/*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        yield from (query.text for query in query_syntax.dashboard_queries(content))


OWN = sorted(set(own_queries()))


def is_promql(query: str) -> bool:
    try:
        return bool(promql_parser.parse(query))
    except ValueError:
        return False


PROMQL = [query for query in OWN if is_promql(query)]


def test_own_queries_have_no_fault() -> None:
    assert len(OWN) > 400
    assert len(PROMQL) > 250
    assert [query for query in OWN if query_syntax.problem(query)] == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("rate(http_requests_total[5m] >", "( is not closed"),
        ("rate(x[5m)", "[ is closed by )"),
        ("sum(up))", ") closes nothing"),
        ('up{job="x}', 'the string after " has no end'),
        ("{app=`x} |= 1", "the string after ` has no end"),
        ("up >", "it ends with >"),
        ("up / ", "it ends with /"),
        ("> 5", "it begins with >"),
        ("up && on", "& is in no query"),
        ("up;", "; is in no query"),
        ("rate(x[5 min])", "[5 min] is not a duration such as [5m]"),
        ("rate(x[5min])", "[5min] is not a duration such as [5m]"),
        ("rate(x[5minutes:1m])", "[5minutes: is not a duration such as [5m]"),
        # What servers accept.
        ("-up > 5 # it's (", ""),
        ("rate(x[1h30m] offset -5m)", ""),
        ("rate(x[300])", ""),
        ("rate(x[1.5h])", ""),
        ("max_over_time(x[1h:])", ""),
        ("max_over_time(x[5i:1i])", ""),
        ('{a=~"[5 min]|(", b!=\'"\'} > 5', ""),
        ('{app="x"} | json | line_format "{{.a}} & (" | b > 5ms', ""),
        ("{app=`a\nb`} |~ `\\[5 min`", ""),
        ("", ""),
    ],
)
def test_finds_what_is_wrong(query: str, found: str) -> None:
    assert query_syntax.problem(query) == found


@settings(max_examples=400)
@given(data=st.data())
def test_refuses_only_what_a_parser_refuses(data: Any) -> None:
    query = data.draw(st.sampled_from(PROMQL))
    at = data.draw(st.integers(0, len(query)))
    length = data.draw(st.integers(0, 2))
    more = data.draw(st.text("()[]{}\"'`#&;>+,5m \n", max_size=2))
    changed = query[:at] + more + query[at + length :]
    if query_syntax.problem(changed):
        assert not is_promql(changed)


RULES = """groups:
  - name: mine
    rules:
      - alert: High
        expr: rate(x[5m] > 1
      - alert: Low
        for: 5 minutes
        expr: |
          sum(up))
"""
PROVISIONED = """apiVersion: 1
datasources: [{name: P, uid: other, type: prometheus, url: "http://p"}]
groups:
  - name: theirs
    folder: Mine
    interval: 1m
    rules:
      - uid: one
        title: One
        condition: A
        for: 0s
        data:
          - refId: A
            datasourceUid: other
            relativeTimeRange: {from: 60, to: 0}
            model: {refId: A, expr: "up{"}
"""
BOARD = {
    "uid": "board",
    "title": "Board",
    "panels": [
        {
            "type": "row",
            "panels": [
                {
                    "datasource": {"type": "loki", "uid": "loki"},
                    "targets": [
                        {"refId": "A", "expr": '{app="$app} |= "x"'},
                        {"refId": "B", "expr": "rate({app=~`$app`}[$__auto])"},
                    ],
                },
                # Not a language that is known here.
                {
                    "datasource": {"type": "cloudwatch", "uid": "c"},
                    "targets": [{"refId": "A", "expr": "a ("}],
                },
            ],
        }
    ],
}


@pytest.mark.parametrize("strict", [False, True])
def test_each_wrong_query_of_a_directory_is_told_once_with_its_line(
    strict: bool,
) -> None:
    files = {
        "rules.yml": RULES.encode(),
        "grafana.yml": PROVISIONED.encode(),
        "board.json": json.dumps(BOARD, indent=1).encode(),
    }
    loader = ContentLoader(strict=strict)
    loader.load([Source("dir", files, folder=("Mine",))])
    found = loader.diagnostics
    told = [line for line in found.errors if "query" in line]
    boards = [line for line in found.warnings if "query" in line]
    of_board = (told if strict else boards).pop()
    assert of_board.startswith("dir/board.json:16: the query")
    assert "the string after" in of_board
    assert boards == []
    assert told == [
        "dir/rules.yml:5: the query 'rate(x[5m] > 1' is wrong: ( is not closed; correct it.",
        "dir/rules.yml:8: the query 'sum(up))' is wrong: ) closes nothing; correct it.",
        "dir/grafana.yml:16: the query 'up{' is wrong: { is not closed; correct it.",
    ]
    (duration,) = [line for line in found.errors if "5 minutes" in line]
    assert duration.startswith("dir/rules.yml:7: ")
