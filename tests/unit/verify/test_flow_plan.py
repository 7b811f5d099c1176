# SPDX-License-Identifier: GPL-3.0-or-later
"""The marks and queries that an inventory leads to."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import flow_plan
from ansible_collections.hippius.monitoring.plugins.plugin_utils.catalog import (
    CatalogError,
)
from tests.unit.verify.factories import HOST, site

TOKENS = [f"{number:032x}" for number in range(1, 6)]


@pytest.mark.parametrize(
    ("names", "notifications", "flows"),
    [
        ("", False, set(flow_plan.FLOWS) - {"notifications"}),
        (None, True, set(flow_plan.FLOWS)),
        ("logs", False, {"logs"}),
        ("logs, metrics", False, {"logs", "metrics"}),
        (["logs"], True, {"logs", "notifications"}),
        ("notifications", False, {"notifications"}),
    ],
)
def test_flows_are_chosen_by_name(names: Any, notifications: bool, flows: set[str]):
    assert flow_plan.parse_flows(names, notifications) == flows


def test_an_unknown_flow_is_refused_with_the_closest_one():
    with pytest.raises(
        CatalogError, match=r"'metrix' is no flow; did you mean metrics"
    ):
        flow_plan.parse_flows("logs,metrix", False)


@pytest.mark.parametrize(
    ("verify", "names", "notifications", "errors"),
    [
        pytest.param(None, None, None, [], id="not asked for"),
        pytest.param("false", "metrix", None, [], id="switched off"),
        pytest.param("true", "logs,metrics", "yes", [], id="asked for"),
        pytest.param(
            "ture",
            None,
            None,
            ["verify: 'ture' is no boolean; write true or false."],
            id="no boolean, which would verify nothing",
        ),
        pytest.param(
            True,
            None,
            "maybe",
            ["verify_notifications: 'maybe' is no boolean; write true or false."],
            id="another one that is none",
        ),
        pytest.param(
            True,
            "metrix",
            None,
            [
                (
                    "verify_only: 'metrix' is no flow; did you mean metrics? choose from:"
                    f" {', '.join(flow_plan.FLOWS)}."
                )
            ],
            id="unknown flow",
        ),
    ],
)
def test_a_wrong_request_is_refused_before_the_rollout(
    verify: object, names: object, notifications: object, errors: list[str]
) -> None:
    assert flow_plan.request_errors(verify, names, notifications) == errors


@pytest.mark.parametrize(
    ("flows", "without", "kinds"),
    [
        (flow_plan.FLOWS, (), ["metric", "span", "direct", "line"]),
        ({"logs"}, (), ["line"]),
        ({"traces"}, (), ["span", "direct"]),
        (flow_plan.FLOWS, ("tempo",), ["metric", "line"]),
        (flow_plan.FLOWS, ("loki",), ["metric", "span", "direct"]),
        (flow_plan.FLOWS, ("prometheus",), ["span", "direct", "line"]),
        (flow_plan.FLOWS, ("otel-collector", "promtail"), ["direct"]),
    ],
)
def test_a_host_sends_what_its_components_take(
    flows: Any, without: tuple[str, ...], kinds: list[str]
):
    marks = flow_plan.marks_of(site(*without), HOST, flows, TOKENS)
    assert [mark["kind"] for mark in marks] == kinds
    assert len({mark["token"] for mark in marks}) == len(marks)


def test_a_mark_is_looked_for_where_it_goes():
    where = site()
    marks = flow_plan.marks_of(where, HOST, flow_plan.FLOWS, TOKENS)
    queries = [
        flow_plan.mark_query(where, HOST, {**mark, "at": 1000.5, "error": ""})
        for mark in marks
    ]
    found = {query["id"]: (query["url"], query["form"]) for query in queries if query}
    number = int(TOKENS[0][:12], 16)
    assert found == {
        f"metric/{HOST}/{HOST}": (
            "http://127.0.0.1:9090/api/v1/query",
            {"query": f"monitoring_verify_marker == {number}"},
        ),
        f"span/{HOST}/{HOST}": (f"http://127.0.0.1:3200/api/traces/{TOKENS[1]}", {}),
        f"direct/{HOST}/{HOST}": (f"http://127.0.0.1:3200/api/traces/{TOKENS[2]}", {}),
        f"line/{HOST}/{HOST}": (
            "http://127.0.0.1:3100/loki/api/v1/query_range",
            {
                "query": f'{{container_name="monitoring-verify", host="{HOST}"}}'
                f' |= "{TOKENS[3]}"',
                "start": "400",
                "end": "1600",
            },
        ),
    }
    other = flow_plan.mark_query(where, "web2", {**marks[0], "at": 0, "error": ""})
    assert other is None


def test_nobody_waits_for_a_program_that_does_not_run():
    where = site()
    marks = [
        {**mark, "at": 1.0, "error": ""}
        for mark in flow_plan.marks_of(where, HOST, flow_plan.FLOWS, TOKENS)
    ]
    queries = flow_plan.queries_of(
        where, HOST, flow_plan.FLOWS, marks, lambda _host, name: name != "promtail"
    )
    by_id = {query["id"]: query for query in queries}
    assert by_id[f"line/{HOST}/{HOST}"]["seconds"] == 0
    assert by_id[f"metric/{HOST}/{HOST}"]["seconds"] > 0
    awaited = by_id[f"targets/{HOST}"]["contains"]
    assert any('"job":"loki"' in text for text in awaited)
    assert not any('"job":"promtail"' in text for text in awaited)


@pytest.mark.parametrize(
    ("component", "stopped", "kinds"),
    [
        ("otel-collector", (), ["metric", "span"]),
        ("promtail", (), ["line"]),
        ("loki", (), ["line"]),
        ("tempo", (), ["span", "direct"]),
        ("tempo", ("otel-collector",), ["direct"]),
        ("loki", ("promtail",), []),
        ("grafana", (), []),
    ],
)
def test_data_passes_the_component_that_was_rolled_out(
    component: str, stopped: tuple[str, ...], kinds: list[str]
):
    where = site()
    marks = flow_plan.marks_through(
        flow_plan.marks_of(where, HOST, flow_plan.FLOWS, TOKENS),
        component,
        lambda _host, name: name not in stopped,
    )
    assert [mark["kind"] for mark in marks] == kinds
    assert flow_plan.servers_of(where, marks) == ([HOST] if kinds else [])


def test_selectors_are_asked_once_and_without_variables():
    sources = [
        ("panel", 'rate(a{env=~"$env", b="c"}[5m]) / sum(d{env=~"$env"})'),
        ("rule", 'a{b="c"} > 1'),
    ]
    selectors = flow_plan.selectors_of(sources)
    assert selectors == [('a{b="c"}', "panel"), ("d", "panel")]
    [query] = flow_plan.selector_queries(site(), HOST, selectors, {"d"})
    assert query["contains"] == ['"selector":"0"']
    assert query["form"]["query"].count("label_replace") == 2


@pytest.mark.parametrize(
    ("variables", "name", "rules"),
    [
        ({}, "", ""),
        (
            {"otel_collector_probabilistic_sampling": {"sampling_percentage": 10}},
            "otel-collector",
            "otel_collector_probabilistic_sampling",
        ),
    ],
)
def test_rules_that_may_drop_a_span_are_named(
    variables: dict[str, Any], name: str, rules: str
):
    where = site(**variables)
    found = flow_plan.rules_that_drop(
        where, "otel-collector", HOST, flow_plan.SPAN_RULES
    )
    assert found == rules
