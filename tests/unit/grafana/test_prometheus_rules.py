# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts of a Prometheus rule file become rules of Grafana, and each alert has one engine."""

from __future__ import annotations

import copy
import math
import operator
import re

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    prometheus_rules,
    promql,
)

RuleError = prometheus_rules.RuleError
NAN, INF = math.nan, math.inf


def alert(name: str = "Down", expr: str = "up < 1", **more: object) -> dict:
    return {"alert": name, "expr": expr, **more}


def document(*rules: dict, **group: object) -> dict:
    return {"groups": [{"name": "one", "rules": list(rules), **group}]}


def groups(*rules: dict, **group: object) -> list:
    return prometheus_rules.rule_groups(
        document(*rules, **group), "alerts.yml", "infra"
    )


def rule(*rules: dict, **group: object) -> dict:
    return groups(*rules, **group)[0].body["rules"][0]


def titles(*rules: dict) -> list[str]:
    return [rule["title"] for rule in groups(*rules)[0].body["rules"]]


def nodes(expr: str) -> dict:
    return {node["refId"]: node for node in rule(alert(expr=expr))["data"]}


WHOLE = """
groups:
  - name: redis
    interval: 30s
    rules:
      - alert: RedisDown
        expr: |
          redis_up < 1
        for: 1m
        keep_firing_for: 5m
        labels: {severity: critical, service: redis}
        annotations:
          summary: "Redis {{ $labels.redis }} is down ({{ $value }})"
          __dashboardUid__: redis
          __panelId__: 4
          grafana_no_data: Alerting
"""


def test_alert_becomes_a_rule_with_query_reduction_and_threshold():
    [group] = prometheus_rules.rule_groups(
        yaml.safe_load(WHOLE), "alerts.yml:1", "infra", "prom"
    )
    assert (group.kind, group.identity, group.source, group.state) == (
        "rule_group",
        "infra/redis",
        "alerts.yml:1",
        "present",
    )
    [converted] = group.body.pop("rules")
    assert group.body == {"folderUid": "infra", "title": "redis", "interval": 30}
    assert converted == {
        "uid": prometheus_rules.uid("infra", "redis", "RedisDown"),
        "title": "RedisDown",
        "condition": "C",
        "data": [
            {
                "refId": "A",
                "datasourceUid": "prom",
                "queryType": "",
                "relativeTimeRange": {"from": 600, "to": 0},
                "model": {
                    "refId": "A",
                    "datasource": {"type": "prometheus", "uid": "prom"},
                    "expr": "redis_up",
                    "instant": True,
                    "range": False,
                    "editorMode": "code",
                },
            },
            {
                "refId": "B",
                "datasourceUid": "__expr__",
                "queryType": "",
                "relativeTimeRange": {"from": 0, "to": 0},
                "model": {
                    "refId": "B",
                    "datasource": {"type": "__expr__", "uid": "__expr__"},
                    "type": "reduce",
                    "expression": "A",
                    "reducer": "last",
                },
            },
            {
                "refId": "C",
                "datasourceUid": "__expr__",
                "queryType": "",
                "relativeTimeRange": {"from": 0, "to": 0},
                "model": {
                    "refId": "C",
                    "datasource": {"type": "__expr__", "uid": "__expr__"},
                    "type": "threshold",
                    "expression": "B",
                    "conditions": [{"evaluator": {"type": "lt", "params": [1]}}],
                },
            },
        ],
        "noDataState": "Alerting",
        "execErrState": "Error",
        "for": "1m",
        "keep_firing_for": "5m",
        "labels": {"severity": "critical", "service": "redis"},
        "annotations": {
            "summary": 'Redis {{ index $labels "redis" }} is down ({{ $values.B.Value }})',
            "__dashboardUid__": "redis",
            "__panelId__": "4",
        },
        "isPaused": False,
    }


@pytest.mark.parametrize(
    ("expr", "compared"),
    [
        pytest.param("up < 1", ("up", "lt", 1), id="below"),
        pytest.param(
            "a / b > 0.8", ("a / b", "gt", 0.8), id="above, arithmetic on the left"
        ),
        pytest.param("a>5", ("a", "gt", 5), id="without spaces"),
        pytest.param("a > -5", ("a", "gt", -5), id="a negative number"),
        pytest.param("a > 1e-9", ("a", "gt", 1e-9), id="an exponent"),
        pytest.param(
            "sum by (le, and) (rate(a[5m])) > 1",
            ("sum by (le, and) (rate(a[5m]))", "gt", 1),
            id="label and",
        ),
        pytest.param(
            'a{x="1 > 2", y!="or"} > 3',
            ('a{x="1 > 2", y!="or"}', "gt", 3),
            id="operators in label values",
        ),
        pytest.param(
            """a{x="}"} > 3""", ("""a{x="}"}""", "gt", 3), id="a brace in a label value"
        ),
        pytest.param(
            "(a and b > 1) > 2", ("(a and b > 1)", "gt", 2), id="and within parentheses"
        ),
        pytest.param(
            "a > 5 < 10",
            ("a > 5", "lt", 10),
            id="a chain: the last comparison is the root",
        ),
        pytest.param(
            "predict_linear(a[6h], 86400) < 0",
            ("predict_linear(a[6h], 86400)", "lt", 0),
            id="a function",
        ),
        pytest.param(
            "# why: b > 1\na\n  > 2",
            ("# why: b > 1\na", "gt", 2),
            id="a comment and lines",
        ),
        pytest.param(
            "a{x=~`(`} > 1", ("a{x=~`(`}", "gt", 1), id="a bracket in a raw string"
        ),
        pytest.param(r'a{x=~"\"(\\"} > 1', (r'a{x=~"\"(\\"}', "gt", 1), id="escapes"),
        pytest.param(
            "a # b > 1\r > 2", ("a # b > 1", "gt", 2), id="a CR ends a comment"
        ),
        pytest.param(
            "(x - x offset 1h @ 100) > 5",
            ("(x - x offset 1h @ 100)", "gt", 5),
            id="modifiers",
        ),
        pytest.param(
            "a offset -5m > 3", ("a offset -5m", "gt", 3), id="a modifier before it"
        ),
        pytest.param(
            "count(up == 0) / on(a) group_left(b) c > 0.5",
            ("count(up == 0) / on(a) group_left(b) c", "gt", 0.5),
            id="a comparison within parentheses",
        ),
        pytest.param(
            "a > bool 1 > 0", ("a > bool 1", "gt", 0), id="bool on the left side"
        ),
        pytest.param(
            "sum by (job) (rate(e{path=~`/v[0-9]{1}/.*`}[5m])) > 0.05"
            " and sum by (job) (rate(r{path=~`/v[0-9]{1}/.*`}[5m])) > 1",
            None,
            id="and after raw strings",
        ),
        pytest.param("a > 1 # it's", None, id="a quote in a comment at the end"),
        pytest.param(
            "# it's\na > 1", ("# it's\na", "gt", 1), id="a quote in a comment"
        ),
        pytest.param("a > 010", None, id="eight, with a leading zero"),
        pytest.param("a > 0x1F", None, id="a hexadecimal number"),
        pytest.param("a > 1_000", None, id="an underscore in a number"),
        pytest.param("a > Inf", None, id="infinity"),
        pytest.param("a > 1e400", None, id="a number out of range"),
        pytest.param("a > 1 > \xa0 2", None, id="an unknown character"),
        pytest.param("(a > 1", None, id="a bracket that is open"),
        pytest.param("a) > 1", None, id="a bracket too many"),
        pytest.param('a{x="b} > 1', None, id="a quote that is open"),
        pytest.param("> 1", None, id="nothing on the left"),
        pytest.param("and > 1", None, id="a metric called and"),
        pytest.param("a >/ 1", None, id="another operator"),
        pytest.param(
            'a{x=~"b|c"} # d | e\n > 1', ('a{x=~"b|c"} # d | e', "gt", 1), id="bars"
        ),
        pytest.param("a > b", None, id="a vector on the right"),
        pytest.param("a > bool 1", None, id="bool"),
        pytest.param("5 < a", None, id="the number on the left"),
        pytest.param("a == 0", None, id="equal"),
        pytest.param("a != 0", None, id="not equal"),
        pytest.param("a >= 1", None, id="at least"),
        pytest.param("a <= 1", None, id="at most"),
        pytest.param("a > 1 and b", None, id="and"),
        pytest.param("a or b > 1", None, id="or"),
        pytest.param("a unless b > 1", None, id="unless"),
        pytest.param("a AND b > 1", None, id="AND"),
        pytest.param("a > 1024 * 1024", None, id="a calculated number"),
        pytest.param("a > 5m", None, id="a duration as number"),
        pytest.param("absent(a > 1)", None, id="absent"),
        pytest.param("vector(1)", None, id="no comparison"),
    ],
)
def test_only_a_comparison_with_a_number_is_a_threshold(expr, compared):
    assert promql.threshold(expr) == compared
    built = nodes(expr)
    assert built["A"]["model"]["expr"] == (compared[0] if compared else expr)
    assert built["C"]["model"]["type"] == ("threshold" if compared else "math")


# A model of how both engines evaluate the samples of one vector, after their sources and
# documentation. It supports only "a <operator> <number>", whose left side is the vector.
OPERATORS = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def queried(expr: str, vector: dict) -> dict:
    """Return the result of Prometheus: comparisons filter and keep the value of the left side."""
    match = re.fullmatch(r"a(?: (\S+) (\S+))?", expr)
    if not match[1]:
        return vector
    return {
        series: value
        for series, value in vector.items()
        if OPERATORS[match[1]](value, float(match[2]))
    }


def grafana_fires(converted: dict, vector: dict) -> dict:
    """Return the series that fire in Grafana, each with its $values.B.Value."""
    query, reduction, decision = (node["model"] for node in converted["data"])
    assert (reduction["expression"], converted["condition"], decision["refId"]) == (
        "A",
        "C",
        "C",
    )
    reduced = queried(query["expr"], vector)
    if decision["type"] == "math":
        assert decision["expression"] == "is_nan($B) < 2"
        return {
            series: value
            for series, value in reduced.items()
            if int(math.isnan(value)) < 2
        }
    assert decision["expression"] == "B"
    [condition] = decision["conditions"]
    compare = {"gt": operator.gt, "lt": operator.lt}[condition["evaluator"]["type"]]
    return {
        series: value
        for series, value in reduced.items()
        if compare(value, condition["evaluator"]["params"][0])
    }


@pytest.mark.parametrize(
    "expr",
    [
        "a",
        *(
            f"a {symbol} {number}"
            for symbol in OPERATORS
            for number in ("0", "1", "-2.5")
        ),
    ],
)
@pytest.mark.parametrize(
    "vector",
    [
        pytest.param({}, id="no series"),
        pytest.param({"x": 0.0}, id="zero"),
        pytest.param({"x": 1.0, "y": 2.0, "z": -2.5}, id="several"),
        pytest.param({"x": NAN, "y": INF, "z": -INF}, id="not finite"),
    ],
)
def test_grafana_fires_for_the_same_series_as_prometheus_with_the_same_value(
    expr, vector
):
    fires = grafana_fires(rule(alert(expr=expr)), vector)
    assert {series: repr(value) for series, value in fires.items()} == {
        series: repr(value) for series, value in queried(expr, vector).items()
    }


@pytest.mark.parametrize(
    ("template", "converted"),
    [
        pytest.param("{{ $value }}", "{{ $values.B.Value }}", id="value"),
        pytest.param("{{$value}}", "{{$values.B.Value}}", id="without spaces"),
        pytest.param("{{- $value -}}", "{{- $values.B.Value -}}", id="trimmed"),
        pytest.param(
            "{{ $value | humanizePercentage }} of {{ $labels.host }}",
            '{{ $values.B.Value | humanizePercentage }} of {{ index $labels "host" }}',
            id="a function and a label",
        ),
        pytest.param(
            '{{ printf "%.1f" $value }}',
            '{{ printf "%.1f" $values.B.Value }}',
            id="printf",
        ),
        pytest.param("{{ .Value }}", "{{ .Values.B.Value }}", id="as a field"),
        pytest.param(
            "{{ if gt $value 1.0 }}a{{ end }}",
            "{{ if gt $values.B.Value 1.0 }}a{{ end }}",
            id="a condition",
        ),
        pytest.param(
            '{{ "$value }}" }} {{ `$value` }}',
            '{{ "$value }}" }} {{ `$value` }}',
            id="in quotes: a string",
        ),
        pytest.param(
            "$value costs $5, $$", "$value costs $5, $$", id="outside: a string"
        ),
        pytest.param(
            "{{ $values.X.Value }}", "{{ $values.X.Value }}", id="another name"
        ),
        pytest.param("{{ $.Value }}", "{{ $.Values.B.Value }}", id="of the root"),
        pytest.param(
            "{{ range $labels }}{{ .Value }}{{ $.Value }}{{ end }}{{ .Value }}",
            "{{ range $labels }}{{ .Value }}{{ $.Values.B.Value }}{{ end }}{{ .Values.B.Value }}",
            id="another dot",
        ),
        pytest.param(
            "{{ if $value }}{{ $value := 3 }}{{ $value }}{{ else }}"
            "{{ $value }}{{ end }}{{ $value }}",
            "{{ if $values.B.Value }}{{ $value := 3 }}{{ $value }}{{ else }}"
            "{{ $values.B.Value }}{{ end }}{{ $values.B.Value }}",
            id="shadowed in a scope",
        ),
        pytest.param(
            "{{ range $i, $value := $labels }}{{ $value }}{{ end }}",
            "{{ range $i, $value := $labels }}{{ $value }}{{ end }}",
            id="shadowed by range",
        ),
        pytest.param(
            "{{ if true }}{{ $value = 3.0 }}{{ end }}{{ $value }}",
            "{{ $value := $values.B.Value }}"
            "{{ if true }}{{ $value = 3.0 }}{{ end }}{{ $value }}",
            id="assigned",
        ),
        pytest.param(
            "{{ $values := 1 }}{{ $value }}",
            "{{ $values := 1 }}{{ $.Values.B.Value }}",
            id="beside a name of Grafana",
        ),
        pytest.param(
            "{{/* query $value */}}{{- /* first */ -}}",
            "{{/* query $value */}}{{- /* first */ -}}",
            id="in a comment",
        ),
        pytest.param(
            "{{ $labels.cluster | toUpper }}",
            '{{ index $labels "cluster" | toUpper }}',
            id="a label in a pipeline",
        ),
        pytest.param(
            '{{ if eq $labels.cluster "" }}none{{ else }}some{{ end }}',
            '{{ if eq (index $labels "cluster") "" }}none{{ else }}some{{ end }}',
            id="a label as argument",
        ),
        pytest.param(
            "{{ .Labels.a }}{{ $.Labels.b }}{{ ($labels).c }}",
            '{{ index .Labels "a" }}{{ index $.Labels "b" }}{{ index ($labels) "c" }}',
            id="a label of the data",
        ),
        pytest.param(
            "{{ with $labels }}{{ .a }}{{ end }}{{ with .Labels.b }}{{ . }}{{ end }}",
            '{{ with $labels }}{{ index . "a" }}{{ end }}'
            '{{ with index .Labels "b" }}{{ . }}{{ end }}',
            id="labels as dot",
        ),
        pytest.param(
            "{{ $l := $labels }}{{ $l.a }}{{ $d := . }}{{ $d.Labels.b }}{{ $d.Value }}",
            '{{ $l := $labels }}{{ index $l "a" }}{{ $d := . }}'
            '{{ index $d.Labels "b" }}{{ $d.Values.B.Value }}',
            id="labels and data by another name",
        ),
        pytest.param(
            '{{ define "x" }}{{ .a }}{{ end }}{{ template "x" $labels }}',
            '{{ define "x" }}{{ index . "a" }}{{ end }}{{ template "x" $labels }}',
            id="labels in a template of its own",
        ),
        pytest.param(
            "{{ $labels.value }}",
            '{{ index $labels "value" }}',
            id="a label called value",
        ),
        pytest.param(
            '{{ "a"\n| title }} \u2028 😀 }} {',
            '{{ "a"\n| title }} \u2028 😀 }} {',
            id="odd characters",
        ),
    ],
)
def test_value_in_a_template_gets_grafanas_name(template, converted):
    grafana_rule = rule(
        alert(labels={"service": template}, annotations={"summary": template})
    )
    assert grafana_rule["labels"]["service"] == converted
    assert grafana_rule["annotations"]["summary"] == converted


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {},
            {"for": "0s", "noDataState": "OK", "execErrState": "Error"},
            id="defaults",
        ),
        pytest.param({"for": "1h30m"}, {"for": "1h30m"}, id="for"),
        pytest.param({"for": 0}, {"for": "0s"}, id="for nothing"),
        pytest.param(
            {"keep_firing_for": "2d"}, {"keep_firing_for": "2d"}, id="keep_firing_for"
        ),
        pytest.param(
            {
                "annotations": {
                    "grafana_no_data": "KeepLast",
                    "grafana_exec_error": "Alerting",
                    "summary": "s",
                }
            },
            {
                "noDataState": "KeepLast",
                "execErrState": "Alerting",
                "annotations": {"summary": "s"},
            },
            id="states",
        ),
        pytest.param(
            {"labels": {"tier": 1, "share": 0.5}},
            {"labels": {"tier": "1", "share": "0.5"}},
            id="numbers",
        ),
        pytest.param(
            {"labels": None, "annotations": None},
            {"labels": {}, "annotations": {}},
            id="nothing in them",
        ),
    ],
)
def test_field_of_an_alert_is_converted(fields, expected):
    converted = rule(alert(**fields))
    assert {key: converted[key] for key in expected} == expected
    assert ("keep_firing_for" in converted) == ("keep_firing_for" in fields)


def test_states_of_alerts_without_annotations_are_parameters():
    [group] = prometheus_rules.rule_groups(
        document(alert()), "x", "f", no_data="NoData", exec_error="KeepLast"
    )
    [converted] = group.body["rules"]
    assert converted["noDataState"] == "NoData"
    assert converted["execErrState"] == "KeepLast"
    with pytest.raises(RuleError, match="grafana_no_data is 'Ok'"):
        prometheus_rules.rule_groups(document(alert()), "x", "f", no_data="Ok")


def test_alert_inherits_the_labels_of_its_group_and_overrides_them():
    labels = rule(alert(labels={"team": "b"}), labels={"team": "a", "tier": "1"})[
        "labels"
    ]
    assert labels == {"team": "b", "tier": "1"}


def test_offset_moves_the_time_range():
    assert rule(alert(), query_offset="1m")["data"][0]["relativeTimeRange"] == {
        "from": 660,
        "to": 60,
    }


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [("10s", 10), ("1m30s", 90), ("1h", 3600), (None, 60), ("0s", 60), (0, 60)],
)
def test_interval_is_in_seconds(interval, seconds):
    [group] = groups(alert(), **({"interval": interval} if interval else {}))
    assert group.body["interval"] == seconds


def test_groups_and_rules_keep_their_order_and_empty_groups_are_dropped():
    content = {
        "groups": [
            {"name": "z", "rules": [alert("B"), alert("A")]},
            {"name": "empty"},
            {"name": "theirs", "rules": [alert("P", labels={"engine": "prometheus"})]},
            {"name": "a", "rules": [alert("C")]},
        ]
    }
    converted = prometheus_rules.rule_groups(content, "x", "f")
    assert [
        (group.body["title"], [rule["title"] for rule in group.body["rules"]])
        for group in converted
    ] == [
        ("z", ["B", "A"]),
        ("a", ["C"]),
    ]
    assert prometheus_rules.rule_groups({}, "x", "f") == []
    assert prometheus_rules.rule_groups({"groups": None}, "x", "f") == []


def test_alerts_with_the_same_name_get_their_severity_as_title():
    two = [alert(labels={"severity": severity}) for severity in ("high", "critical")]
    [group] = groups(*two, alert("Other"))
    assert [rule["title"] for rule in group.body["rules"]] == [
        "Down (high)",
        "Down (critical)",
        "Other",
    ]
    assert len({rule["uid"] for rule in group.body["rules"]}) == 3
    assert titles(*two[:1] * 3) == ["Down (high)", "Down (high) 2", "Down (high) 3"]


def burn(long: str, **labels: str) -> dict:
    return alert("Burn", labels={"long": long, **labels})


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(
            [burn("1h", severity="page"), burn("6h", severity="page")],
            ["Burn (page, long 1h)", "Burn (page, long 6h)"],
            id="the first label that tells them apart",
        ),
        pytest.param(
            [burn("1h"), burn("6h"), burn("1h", short="5m")],
            ["Burn (long 1h)", "Burn (long 6h)", "Burn (long 1h, short 5m)"],
            id="no single label does",
        ),
        pytest.param(
            [alert("A"), alert("A"), alert("A 2")],
            ["A", "A 3", "A 2"],
            id="no label does, and a number is another's name",
        ),
        pytest.param(
            [alert("A", labels={"x": "{{ $value }}"}), alert("A", labels={"y": "1"})],
            ["A", "A (y 1)"],
            id="templates do not",
        ),
        pytest.param(
            [alert("A", record=None), alert("A", record="")],
            ["A", "A 2"],
            id="a record without a name is none",
        ),
        pytest.param(
            [alert("A", labels={"severity": "x"}), alert("A")],
            ["A (x)", "A ()"],
            id="only one has a severity",
        ),
    ],
)
def test_alerts_with_one_name_and_severity_have_distinct_titles(rules, expected):
    found = titles(*rules)
    assert found[: len(expected)] == expected
    assert len(set(found)) == len(rules)
    uids = [rule["uid"] for rule in groups(*rules)[0].body["rules"]]
    assert len(set(uids)) == len(rules)


def test_same_name_in_both_engines_is_no_conflict():
    assert rule(alert(), alert(labels={"engine": "prometheus"}))["title"] == "Down"


def test_uid_is_valid_and_derived_from_folder_group_and_title():
    keys = [
        (f, g, t)
        for f in ("f", "f2")
        for g in ("g", "g2")
        for t in ("Down", "x" * 300, "Größe 😀", "日本", "a/b")
    ]
    uids = [prometheus_rules.uid(*key) for key in keys]
    assert [uid for uid in uids if not re.fullmatch(r"[A-Za-z0-9_-]{12,40}", uid)] == []
    assert len(set(uids)) == len(keys)
    # It must never change: with another uid, Grafana starts a new rule without history.
    assert (
        prometheus_rules.uid("infra", "redis", "RedisDown") == "redis-down-e15a99ac47f9"
    )


@pytest.mark.parametrize(
    ("content", "message", "steps"),
    [
        pytest.param([], "not a Prometheus rule file", (), id="a list"),
        pytest.param(
            {"rules": []}, "not a Prometheus rule file", (), id="another file"
        ),
        pytest.param(
            {"groups": [7]},
            "a group is 7; write a dict",
            ("groups", 0),
            id="a group that is none",
        ),
        pytest.param(
            {"groups": [{"rules": []}]},
            "the group has no name; set name",
            ("groups", 0),
            id="a group without a name",
        ),
        pytest.param(
            {"groups": [{"name": "a"}] * 2},
            "group a is defined twice; rename one of them",
            ("groups", 1),
            id="a group twice",
        ),
        pytest.param(
            document(alert(), intervall="1m"),
            "a group has no field intervall; use one of name",
            ("groups", 0),
            id="group key",
        ),
        pytest.param(
            document(alert(fro="1m")),
            "a rule has no field fro; use one of alert",
            ("groups", 0, "rules", 0),
            id="a rule's key",
        ),
        pytest.param(
            document({"expr": "a"}),
            "either alert or record",
            ("groups", 0, "rules", 0),
            id="no name",
        ),
        pytest.param(
            document(alert(expr=" ")),
            "Down has no expr; set expr",
            ("groups", 0, "rules", 0),
            id="no expression",
        ),
        pytest.param(
            document({"record": "a:b", "expr": "a"}),
            "a:b is a recording rule, which only Prometheus evaluates",
            ("groups", 0, "rules", 0),
            id="a recording rule",
        ),
        pytest.param(
            document(alert(labels={"engine": "loki"})),
            "the label engine is 'loki'; write grafana or prometheus",
            ("groups", 0, "rules", 0, "labels"),
            id="an engine",
        ),
        pytest.param(
            document(alert(annotations={"grafana_exec_error": "Ok"})),
            "grafana_exec_error is 'Ok'; use one of Error",
            ("groups", 0, "rules", 0, "annotations", "grafana_exec_error"),
            id="a state",
        ),
        pytest.param(
            document(alert(annotations={"__panelId__": 3})),
            "only one of __dashboardUid__ and __panelId__; set both or neither",
            ("groups", 0, "rules", 0),
            id="half a panel",
        ),
        pytest.param(
            document(alert(annotations={"summary": ["x"]})),
            r"summary is \['x'\]; write a str",
            ("groups", 0, "rules", 0, "annotations", "summary"),
            id="an annotation",
        ),
        pytest.param(
            document(alert(annotations={"summary": "{{ $externalLabels.env }}"})),
            "uses [$]externalLabels, which Grafana's templates lack",
            ("groups", 0, "rules", 0, "annotations", "summary"),
            id="external labels",
        ),
        pytest.param(
            document(
                alert(annotations={"summary": '{{ range query "up" }}{{ . }}{{ end }}'})
            ),
            "uses query, which Grafana's templates lack",
            ("groups", 0, "rules", 0, "annotations", "summary"),
            id="a query in a template",
        ),
        pytest.param(
            document(alert(**{"for": "5 min"})),
            "is not a duration; write one such as 5m",
            ("groups", 0, "rules", 0, "for"),
            id="for",
        ),
        pytest.param(
            document(alert(**{"for": ""})),
            "is not a duration; write one such as 5m",
            ("groups", 0, "rules", 0, "for"),
            id="no for",
        ),
        pytest.param(
            document(alert(), interval="15s"),
            "interval is '15s'; write 10s or a multiple",
            ("groups", 0, "interval"),
            id="15s",
        ),
        pytest.param(
            document(alert(), interval="500ms"),
            "write 10s or a multiple",
            ("groups", 0, "interval"),
            id="half a second",
        ),
        pytest.param(
            document(alert(expr='ALERTS{alertstate="firing"} > 0')),
            "Down selects ALERTS, where Prometheus has only the alerts that it evaluates",
            ("groups", 0, "rules", 0, "expr"),
            id="alerts of Prometheus",
        ),
        pytest.param(
            document(alert(expr='count({__name__="ALERTS_FOR_STATE"}) > 0')),
            "Down selects ALERTS_FOR_STATE",
            ("groups", 0, "rules", 0, "expr"),
            id="alerts of Prometheus by label",
        ),
        pytest.param(
            document(alert(expr={"up": 1})),
            "expr is {'up': 1}; write a str.",
            ("groups", 0, "rules", 0, "expr"),
            id="a dict as expression",
        ),
        pytest.param(
            document(alert(labels=[])),
            "labels is a list; write a dict.",
            ("groups", 0, "rules", 0, "labels"),
            id="an empty list of labels",
        ),
        pytest.param(
            document(alert(expr='sum(rate({a="b"} |= `x` [5m])) > 10')),
            "the expression is a query of Loki; set datasource_uid of the content",
            ("groups", 0, "rules", 0, "expr"),
            id="a query of Loki",
        ),
        pytest.param(
            document(alert(annotations={"a": '{{ graphLink "up" }}'})),
            "uses graphLink, which takes JSON in place of an expression in Grafana",
            ("groups", 0, "rules", 0, "annotations", "a"),
            id="a link",
        ),
        pytest.param(
            document(alert(annotations={"a": "{{ externalURL }}"})),
            "uses externalURL, which Grafana's templates lack",
            ("groups", 0, "rules", 0, "annotations", "a"),
            id="the address of Prometheus",
        ),
        pytest.param(
            document(alert(annotations={"a": "{{ $labels = . }}"})),
            "assigns to [$]labels, which cannot be followed",
            ("groups", 0, "rules", 0, "annotations", "a"),
            id="other labels",
        ),
        pytest.param(
            document(alert(annotations={"a": "{{ $labels[0] }}"})),
            r"cannot be read from '\[0\] }}' on",
            ("groups", 0, "rules", 0, "annotations", "a"),
            id="no template",
        ),
        # Prometheus refuses the whole file.
        pytest.param(
            document(alert(annotations={"a": "{{ $labels.job"})),
            "has {{ without its }}; correct it",
            ("groups", 0, "rules", 0, "annotations", "a"),
            id="an action that is not closed",
        ),
        pytest.param(
            document(alert(labels={"a": '{{ "a"\n| title }} \u2028 😀 {{'})),
            "has {{ without its }}; correct it",
            ("groups", 0, "rules", 0, "labels", "a"),
            id="an action that is not closed at the end",
        ),
        pytest.param(
            document(alert(annotations={"a": "{{ if $value }}x"})),
            "has if without an end; correct it",
            ("groups", 0, "rules", 0, "annotations", "a"),
            id="a condition without an end",
        ),
        pytest.param(
            document(alert(), limit=3),
            "limit is set, and Grafana has no limit of alerts; remove it",
            ("groups", 0, "limit"),
            id="a limit",
        ),
    ],
)
def test_invalid_rule_file_is_rejected_with_the_steps_of_the_error(
    content, message, steps
):
    with pytest.raises(RuleError, match=message) as error:
        prometheus_rules.rule_groups(content, "alerts.yml", "infra")
    assert error.value.steps == steps


MIXED = {
    "groups": [
        {
            "name": "one",
            "interval": "30s",
            "rules": [
                alert("A"),
                alert(
                    "B",
                    labels={"engine": "prometheus", "severity": "high"},
                    annotations={"grafana_no_data": "OK"},
                ),
                alert(
                    "C",
                    labels={"engine": "grafana"},
                    annotations={"grafana_no_data": "OK"},
                ),
                {"record": "r", "expr": "a", "labels": {"engine": "prometheus"}},
            ],
        },
        {
            "name": "two",
            "labels": {"engine": "prometheus", "team": "x"},
            "limit": 5,
            "rules": [alert("D")],
        },
    ]
}


def names(share: dict) -> list[str]:
    return [
        rule.get("alert", rule.get("record"))
        for group in share["groups"]
        for rule in group["rules"]
    ]


def test_each_rule_is_in_one_share():
    before = copy.deepcopy(MIXED)
    grafana, prometheus = prometheus_rules.split(MIXED)
    assert (names(grafana), names(prometheus)) == (["A", "C"], ["B", "r", "D"])
    assert sorted(names(grafana) + names(prometheus)) == sorted(names(MIXED))
    assert "engine" not in str(grafana) + str(prometheus)
    assert before == MIXED


def test_share_of_prometheus_has_only_fields_that_it_understands():
    _grafana, prometheus = prometheus_rules.split(MIXED)
    assert prometheus == {
        "groups": [
            {
                "name": "one",
                "interval": "30s",
                "rules": [
                    alert("B", labels={"severity": "high"}, annotations={}),
                    {"record": "r", "expr": "a", "labels": {}},
                ],
            },
            {"name": "two", "labels": {"team": "x"}, "limit": 5, "rules": [alert("D")]},
        ]
    }


def test_split_file_converts_to_the_same_rule_groups():
    grafana, _prometheus = prometheus_rules.split(MIXED)
    from_share = prometheus_rules.rule_groups(grafana, "x", "f")
    from_whole = prometheus_rules.rule_groups(MIXED, "x", "f")
    assert from_share == from_whole


def test_all_errors_of_a_file_are_raised_at_once():
    content = {
        "groups": [
            {"rules": []},
            {"name": "a", "interval": "15s", "rules": [alert(annotations={"x": []})]},
            {
                "name": "b",
                "rules": [
                    {"record": "a:b", "expr": "up"},
                    alert("B", annotations={"a": "{{ $externalLabels.dc }}"}),
                    alert("C", "", **{"for": "5 m", "keep_firing_for": "x"}),
                    alert("D", labels={"engine": "x"}),
                ],
            },
        ]
    }
    with pytest.raises(RuleError) as error:
        prometheus_rules.rule_groups(content, "x", "f")
    first = error.value
    assert [(one.steps, str(one).split(";")[0]) for one in (first, *first.others)] == [
        (("groups", 0), "the group has no name"),
        (("groups", 2, "rules", 3, "labels"), "the label engine is 'x'"),
        (("groups", 1, "interval"), "interval is '15s'"),
        (("groups", 1, "rules", 0, "annotations", "x"), "x is []"),
        (
            ("groups", 2, "rules", 0),
            "a:b is a recording rule, which only Prometheus evaluates",
        ),
        (
            ("groups", 2, "rules", 1, "annotations", "a"),
            "'{{ $externalLabels.dc }}' uses $externalLabels, which Grafana's templates lack",
        ),
        (("groups", 2, "rules", 2), "C has no expr"),
        (("groups", 2, "rules", 2, "for"), "'5 m' is not a duration"),
        (
            ("groups", 2, "rules", 2, "keep_firing_for"),
            "'x' is not a duration",
        ),
    ]


def test_rule_for_loki_is_an_instant_query_that_is_never_split():
    expression = 'sum(rate({env="prod"} |= "error" [5m])) > 10'
    [group] = prometheus_rules.rule_groups(
        document(alert(expr=expression)), "x", "f", "logs", datasource_type="loki"
    )
    query, _reduction, decision = group.body["rules"][0]["data"]
    assert (query["queryType"], query["datasourceUid"]) == ("instant", "logs")
    assert query["model"] == {
        "refId": "A",
        "datasource": {"type": "loki", "uid": "logs"},
        "expr": expression,
        "queryType": "instant",
        "instant": True,
        "range": False,
        "editorMode": "code",
    }
    assert decision["model"]["expression"] == "is_nan($B) < 2"
    with pytest.raises(RuleError, match="x is of type tempo, which cannot answer"):
        prometheus_rules.rule_groups(
            document(alert()), "x", "f", "x", datasource_type="tempo"
        )
