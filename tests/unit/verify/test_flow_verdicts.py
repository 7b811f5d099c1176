# SPDX-License-Identifier: GPL-3.0-or-later
"""A cut flow is red where it is cut, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    flow_plan,
    flow_verdicts,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.flow_plan import (
    RuleName,
    Selector,
    SeriesFacts,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.flow_verdicts import (
    Expected,
)
from tests.unit.verify.factories import HOST, answers, broken, report, site

METRIC, SPAN = f"metric/{HOST}/{HOST}", f"span/{HOST}/{HOST}"
DIRECT, LINE = f"direct/{HOST}/{HOST}", f"line/{HOST}/{HOST}"
FACTS = SeriesFacts(
    owners={"loki_": "loki", "tempo_": "tempo", "otelcol_": "otel-collector"},
    application_metrics=("http_",),
    allowed_empty={"loki_errors": "No errors.", "loki_odd*": "Odd."},
)


def target(job: str, address: str) -> str:
    return f"target/{HOST}/{job}/{address}"


COLLECTOR = target("otel-collector", "127.0.0.1:8889")


def test_a_healthy_environment_is_right_in_all_flows():
    where = site()
    assert broken(where, answers(where)) == {}


@pytest.mark.parametrize(
    ("missing", "states", "red", "unchecked"),
    [
        pytest.param(
            (METRIC, SPAN, "up/otel-collector"),
            {"otel_collector": "inactive"},
            [f"component/{HOST}/otel-collector"],
            [METRIC, SPAN, COLLECTOR],
            id="collector stopped",
        ),
        pytest.param(
            (LINE, "up/promtail"),
            {"promtail": "inactive"},
            [f"component/{HOST}/promtail"],
            [LINE, target("promtail", "127.0.0.1:9080")],
            id="Promtail stopped",
        ),
        pytest.param(
            (SPAN, DIRECT, "up/tempo", f"datasource/{HOST}/tempo"),
            {"tempo": "failed"},
            [f"component/{HOST}/tempo"],
            [
                SPAN,
                DIRECT,
                target("tempo", "127.0.0.1:3200"),
                f"datasource/{HOST}/tempo",
            ],
            id="Tempo stopped",
        ),
        pytest.param((SPAN, DIRECT), {}, [DIRECT], [SPAN], id="Tempo takes no spans"),
        pytest.param((SPAN,), {}, [SPAN], [], id="the collector sends no spans"),
        pytest.param((LINE,), {}, [LINE], [], id="Loki does not store lines"),
        pytest.param(
            ("gone/otel-collector", METRIC),
            {},
            [COLLECTOR],
            [METRIC],
            id="scrape job renamed",
        ),
        pytest.param(
            (f"datasource/{HOST}/loki",),
            {},
            [f"datasource/{HOST}/loki"],
            [],
            id="data source does not answer",
        ),
        pytest.param(
            (f"rules/grafana/{HOST}", f"datasource/{HOST}/prometheus"),
            {},
            [f"datasource/{HOST}/prometheus"],
            [f"rule/grafana/{HOST}/Rule"],
            id="rules without their data source",
        ),
        pytest.param(
            (f"rules/prometheus/{HOST}",),
            {},
            [f"rule/prometheus/{HOST}/Rule"],
            [],
            id="rule that cannot be evaluated",
        ),
    ],
)
def test_a_cut_is_red_at_its_place_alone(
    missing: tuple[str, ...],
    states: dict[str, str],
    red: list[str],
    unchecked: list[str],
):
    where = site()
    found = broken(where, answers(where, missing, **states))
    assert found[flow_verdicts.BROKEN] == red
    assert sorted(found.get(flow_verdicts.UNCHECKED, [])) == sorted(unchecked)


def test_a_cut_of_a_flow_that_is_not_shown_is_named_by_the_one_that_is():
    where = site()
    given = answers(where, (LINE,), promtail="inactive")
    checks = flow_verdicts.checks_of(where, given, FACTS, [HOST])
    [verdict] = flow_verdicts.settle(checks, {"logs"})
    assert verdict.state == flow_verdicts.BROKEN
    assert verdict.reason == f"promtail on {HOST}: promtail is inactive"


def test_a_host_that_does_not_answer_is_the_reason_of_all_its_checks():
    where = site()
    given = replace(answers(where), statuses={HOST: {"unreachable": True, "msg": "no"}})
    given = replace(given, sent={}, found={})
    found = broken(where, given)
    assert found[flow_verdicts.BROKEN] == [f"host/{HOST}"]


def test_an_incomplete_work_is_no_error_while_the_server_is_down():
    where = site()
    given = answers(where, (SPAN, DIRECT), tempo="inactive")
    reports = dict(given.statuses[HOST]["instances"])
    complaint = "its exporter otlp_grpc/tempo has sent nothing, and 3 wait"
    reports["otel-collector"] = report("otel-collector", diagnostics=[complaint])
    given = replace(given, statuses={HOST: {"instances": reports}})
    found = broken(where, given)
    assert f"work/{HOST}/otel-collector" in found[flow_verdicts.UNCHECKED]
    assert found[flow_verdicts.BROKEN] == [f"component/{HOST}/tempo"]


def test_a_rollout_is_judged_by_its_component_and_the_data_through_it():
    where = site()
    given = answers(where, (LINE,), grafana="inactive")
    checks = flow_verdicts.checks_of(where, given, FACTS, [HOST])
    own = flow_verdicts.of_component(checks, "promtail")
    broken_ids = [
        verdict.check.id
        for verdict in flow_verdicts.settle(own, flow_plan.FLOWS)
        if verdict.state == flow_verdicts.BROKEN
    ]
    assert broken_ids == [LINE]


def test_drift_is_an_error_of_a_program_that_runs():
    where = site()
    given = answers(where)
    reports = dict(given.statuses[HOST]["instances"])
    lines = ["/etc/loki/loki-config.yml was changed manually"]
    reports["loki"] = report("loki", diagnostics=lines, drift=lines)
    given = replace(given, statuses={HOST: {"instances": reports}})
    assert broken(where, given) == {flow_verdicts.BROKEN: [f"rollout/{HOST}/loki"]}


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (0.0, ""),
        (4.0, ""),
        (120.0, "at least 120 s ahead"),
        (-120.0, "at least 120 s behind"),
    ],
)
def test_a_clock_is_judged_by_the_least_difference(ahead: float, words: str):
    result = {
        "asked": 100.0,
        "started": 100.5 + ahead,
        "ended": 100.6 + ahead,
        "answered": 101.1,
    }
    assert words in flow_verdicts.clock_problem(result)
    assert bool(words) == bool(flow_verdicts.clock_problem(result))


def test_the_time_of_a_flow_between_two_clocks_is_that_of_the_controller():
    where = site()
    given = answers(where)
    checks = flow_verdicts.checks_of(where, given, FACTS, [HOST])
    [line] = [check for check in checks if check.id == LINE]
    assert line.seconds == 2.5


@pytest.mark.parametrize(
    ("variables", "state", "words"),
    [
        ({}, flow_verdicts.BROKEN, "does not have it after 45 s"),
        (
            {"promtail_relabel_configs": [{"action": "drop"}]},
            flow_verdicts.SKIPPED,
            "promtail_relabel_configs may have dropped it",
        ),
        (
            {"promtail_relabel_configs": [{"target_label": "team"}]},
            flow_verdicts.BROKEN,
            "does not have it",
        ),
    ],
)
def test_a_line_that_the_users_rules_may_drop_is_no_error(
    variables: dict[str, Any], state: str, words: str
):
    where = site(**variables)
    checks = flow_verdicts.checks_of(where, answers(where, (LINE,)), FACTS, [HOST])
    [verdict] = flow_verdicts.settle(checks, {"logs"})
    assert verdict.state == state
    assert words in verdict.reason


@pytest.mark.parametrize(
    "variables",
    [
        {"promtail_config_file": "own.yml"},
        {"promtail_loki_url": "https://logs.example/loki/api/v1/push"},
    ],
)
def test_a_line_that_goes_elsewhere_is_not_sent(variables: dict[str, Any]):
    where = site(**variables)
    found = broken(where, answers(where))
    assert found == {flow_verdicts.SKIPPED: [f"line/{HOST}"]}


@pytest.mark.parametrize(
    ("selector", "missing", "states", "state"),
    [
        ("loki_lines", (), {}, flow_verdicts.BROKEN),
        ("loki_errors", (), {}, None),
        ('loki_errors{a="b"}', (), {}, None),
        ("loki_odd_thing", (), {}, None),
        ("http_requests", (), {}, None),
        ("loki_lines", ("up/loki",), {}, flow_verdicts.UNCHECKED),
        ("loki_lines", (), {"loki": "inactive"}, flow_verdicts.UNCHECKED),
        ('up{job="loki"}', ("gone/loki",), {}, flow_verdicts.UNCHECKED),
        ('up{job="loky"}', (), {}, flow_verdicts.BROKEN),
        ('up{job=~"loki|tempo"}', ("gone/tempo",), {}, flow_verdicts.UNCHECKED),
        ('up{job!="loki"}', ("gone/tempo",), {}, flow_verdicts.BROKEN),
        ("tempo_spans", (), {"tempo": "inactive"}, flow_verdicts.UNCHECKED),
        ("redis_up", (), {}, flow_verdicts.BROKEN),
    ],
)
def test_a_selector_without_a_series_is_an_error_unless_something_explains_it(
    selector: str, missing: tuple[str, ...], states: dict[str, str], state: str | None
):
    where = site()
    selectors = [Selector("present", "rule A"), Selector(selector, "rule B")]
    given = answers(where, missing, **states)
    series = {"data": {"result": [{"metric": {"selector": "0"}}]}}
    answer = {
        "id": f"selectors/{HOST}/0",
        "status": 200,
        "at": 0,
        "values": series,
        "error": "",
    }
    result = given.found[HOST]
    given = replace(given, found={HOST: {"answers": [*result["answers"], answer]}})
    checks = flow_verdicts.checks_of(
        where, given, FACTS, [HOST], Expected({HOST: selectors})
    )
    verdicts = flow_verdicts.settle(checks, flow_plan.FLOWS)
    states_of = {
        verdict.check.id: verdict.state
        for verdict in verdicts
        if verdict.check.id.startswith("selector/")
    }
    expected = {f"selector/{HOST}/{selector}": state} if state else {}
    assert states_of == expected


def test_a_selector_of_a_component_that_is_nowhere_is_right():
    where = site("loki", "promtail")
    selectors = [Selector("loki_lines", "a"), Selector('up{job="loki"}', "b")]
    expected = Expected({HOST: selectors})
    assert broken(where, answers(where), facts=FACTS, expected=expected) == {}


def test_a_missing_uid_names_the_one_that_the_type_has():
    where = site()
    given = answers(where)
    for answer in given.found[HOST]["answers"]:
        if answer["id"].startswith("datasources/"):
            answer["values"] = [
                {"uid": "P1", "type": "prometheus"},
                *(
                    source
                    for source in answer["values"]
                    if source["uid"] != "prometheus"
                ),
            ]
        if answer["id"].endswith("/prometheus"):
            answer |= {"at": 0, "status": 404}
    checks = flow_verdicts.checks_of(where, given, FACTS, [HOST])
    [red] = [
        verdict
        for verdict in flow_verdicts.settle(checks, flow_plan.FLOWS)
        if verdict.state == flow_verdicts.BROKEN
    ]
    assert red.reason == (
        "no data source has the uid prometheus, which rules and panels use;"
        " that of its type has P1"
    )


STREAM = '{env=~".+", container_name="api"}'
STREAM_ID = f"stream/{HOST}/{STREAM}"


@pytest.mark.parametrize(
    ("at", "error", "missing", "states", "allowed", "state"),
    [
        pytest.param(1.0, "", (), {}, {}, None, id="a stream"),
        pytest.param(0, "", (), {}, {}, flow_verdicts.BROKEN, id="none"),
        pytest.param(0, "", (), {}, {STREAM: "Not here."}, None, id="with a reason"),
        pytest.param(
            0,
            "parse error",
            (),
            {},
            {STREAM: "Not here."},
            flow_verdicts.BROKEN,
            id="a wrong selector",
        ),
        pytest.param(
            0,
            "refused",
            (LINE,),
            {"loki": "inactive"},
            {},
            flow_verdicts.UNCHECKED,
            id="Loki stopped",
        ),
        pytest.param(
            0,
            "",
            (LINE,),
            {"promtail": "inactive"},
            {},
            flow_verdicts.UNCHECKED,
            id="Promtail stopped",
        ),
        pytest.param(
            0, "", (LINE,), {}, {}, flow_verdicts.UNCHECKED, id="lines do not arrive"
        ),
    ],
)
def test_a_selector_without_a_stream_is_an_error_unless_something_explains_it(
    at: float,
    error: str,
    missing: tuple[str, ...],
    states: dict[str, str],
    allowed: dict[str, str],
    state: str | None,
):
    where = site()
    given = answers(where, missing, **states)
    answer = {"id": STREAM_ID, "status": 200, "at": at, "values": None, "error": error}
    found = [*given.found[HOST]["answers"], answer]
    given = replace(given, found={HOST: {"answers": found}})
    expected = Expected(streams={HOST: [Selector(STREAM, "rule A")]})
    facts = replace(FACTS, allowed_empty=allowed)
    states_of = broken(where, given, facts=facts, expected=expected)
    found_state = [name for name, ids in states_of.items() if STREAM_ID in ids]
    assert found_state == ([state] if state else [])


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([], ""),
        ([("", "Rule")], ""),
        (
            [("", "Rule"), ("own", "Lost")],
            "1 of its rules is missing or paused: Lost",
        ),
        # One of two with the same name.
        (
            [("", "Rule"), ("", "Rule")],
            "1 of its rules is missing or paused: Rule",
        ),
        # In another group.
        (
            [("own", "Rule")],
            "1 of its rules is missing or paused: Rule",
        ),
        (
            [("own", f"R{number}") for number in range(7)],
            "7 of its rules are missing or paused: R0, R1, R2, R3, R4 and 2 more",
        ),
    ],
)
def test_a_rule_that_a_server_lacks_is_an_error(
    name: str, rules: list[tuple[str, str]], reason: str
):
    where = site()
    identity = flow_verdicts.rules_id(name, HOST)
    expected = Expected(rules={identity: [RuleName(*rule) for rule in rules]})
    checks = flow_verdicts.checks_of(where, answers(where), FACTS, [HOST], expected)
    verdicts = flow_verdicts.settle(checks, flow_plan.FLOWS)
    reasons = {
        verdict.check.id: verdict.reason
        for verdict in verdicts
        if verdict.state == flow_verdicts.BROKEN
    }
    assert reasons == ({identity: reason} if reason else {})


def test_a_paused_rule_is_missing():
    where = site()
    given = answers(where)
    identity = flow_verdicts.rules_id("grafana", HOST)
    answer = given.answer(HOST, identity)
    assert answer is not None
    [group] = answer["values"]["data"]["groups"]
    group["rules"][0]["isPaused"] = True
    expected = [RuleName("", "Rule")]
    assert "Rule" in flow_verdicts.missing_rules(expected, answer)


def test_rules_are_not_known_while_the_content_has_errors():
    where = site()
    identity = flow_verdicts.rules_id("grafana", HOST)
    expected = Expected(errors={identity: "its content cannot be read: a.yml:1"})
    assert broken(where, answers(where), expected=expected) == {
        flow_verdicts.BROKEN: [identity]
    }


@pytest.mark.parametrize(
    ("selector", "missing", "state"),
    [
        ("tempo_spans", (DIRECT, SPAN), flow_verdicts.UNCHECKED),
        ('calls{job="tempo"}', (DIRECT, SPAN), flow_verdicts.UNCHECKED),
        ("loki_lines", (LINE,), flow_verdicts.UNCHECKED),
        ("otelcol_spans", (SPAN,), flow_verdicts.UNCHECKED),
        ("loki_lines", (DIRECT, SPAN), flow_verdicts.BROKEN),
    ],
)
def test_a_counter_that_begins_with_the_first_data_waits_for_it(
    selector: str, missing: tuple[str, ...], state: str
):
    where = site()
    expected = Expected({HOST: [Selector(selector, "rule A")]})
    found = broken(where, answers(where, missing), facts=FACTS, expected=expected)
    assert f"selector/{HOST}/{selector}" in found[state]
