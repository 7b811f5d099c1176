# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisioning files become bodies of the HTTP API; errors in them have file and line."""

from __future__ import annotations

import json
import textwrap

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    provisioning_files,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.folders import (
    Folders,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.schema import (
    Diagnostics,
    Reader,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.normalize import (
    matchers,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.yaml_documents import (
    parse_document,
)


def read(
    text: str, name: str = "f.yml", org_id: int = 1, **environment: str
) -> tuple[list[DesiredObject], Diagnostics]:
    diagnostics = Diagnostics()
    provisioning = provisioning_files.Provisioning(Folders(diagnostics), org_id)
    document = parse_document(name, textwrap.dedent(text).encode())
    reader = Reader(document, diagnostics, environment)
    provisioning.declare_folders(reader)
    provisioning.read(reader)
    return provisioning.desired, diagnostics


def body(text: str, **environment: str) -> dict:
    """Return the body of the only object of a file that has neither errors nor warnings."""
    desired, diagnostics = read(
        "apiVersion: 1\n" + textwrap.dedent(text), **environment
    )
    assert (diagnostics.errors, diagnostics.warnings) == ([], [])
    (only,) = desired
    return only.body


def rule(text: str, **environment: str) -> dict:
    """Return the rule of a group, with ``text`` as further fields."""
    group = """
    groups:
      - name: g
        folder: F
        interval: 1m
        rules:
          - uid: r
            title: R
            condition: A
            data:
              - refId: A
                datasourceUid: prometheus
                relativeTimeRange: {from: 600, to: 0}
                model: {expr: up}
    """
    lines = textwrap.indent(textwrap.dedent(text), " " * 8)
    return body(textwrap.dedent(group) + lines, **environment)["rules"][0]


def test_datasource_has_grafanas_defaults() -> None:
    assert body("datasources: [{name: Prometheus, type: prometheus}]") == {
        "name": "Prometheus",
        "type": "prometheus",
        "uid": "PBFA97CFB590B2093",
        "access": "proxy",
        "url": "",
        "user": "",
        "database": "",
        "basicAuth": False,
        "basicAuthUser": "",
        "withCredentials": False,
        "isDefault": False,
        "jsonData": {},
        "secureJsonData": {},
    }


def test_derived_uid_equals_grafanas() -> None:
    assert provisioning_files.datasource_uid("Loki") == "P8E80F9AEF21F6940"


def test_datasource_keeps_each_field_of_the_file() -> None:
    converted = body(
        """
        datasources:
          - name: "7"
            uid: 007
            type: loki
            orgId: 1
            version: 3
            editable: yes
            basicAuth: "$AUTH"
            isDefault: true
            password: old
            basicAuthPassword: $$ecret
            jsonData:
              timeout: 60
              httpHeaderName1: X-$HEADER
              on: yes
              derivedFields: [{url: '$${__value.raw}'}]
            secureJsonData: {httpHeaderValue1: "${SECRET}", basicAuthPassword: new}
        """,
        AUTH="true",
        HEADER="Org",
        SECRET="pa$$w$ord",
    )
    assert converted["uid"] == "007"
    assert converted["basicAuth"] is True
    fields = {
        "timeout": 60,
        "httpHeaderName1": "X-Org",
        "on": "yes",
        "derivedFields": [{"url": "${__value.raw}"}],
    }
    assert converted["jsonData"] == fields
    secrets = {
        "password": "old",
        "basicAuthPassword": "new",
        "httpHeaderValue1": "pa$$w$ord",
    }
    assert converted["secureJsonData"] == secrets
    assert not {"version", "editable", "orgId", "password"} & set(converted)


def test_contact_point_gets_the_same_uids_in_each_run() -> None:
    text = """
    contactPoints:
      - name: " chat "
        receivers:
          - {type: discord, settings: {url: $URL, message: '{{ template "x" . }}'}}
          - {uid: own, type: email, settings: {addresses: a@b}, disableResolveMessage: true}
    """
    point = body(text, URL="http://h")
    assert point["name"] == "chat"
    first, second = point["receivers"]
    assert first["settings"] == {"url": "http://h", "message": '{{ template "x" . }}'}
    assert first["disableResolveMessage"] is False
    assert second == {
        "uid": "own",
        "type": "email",
        "settings": {"addresses": "a@b"},
        "disableResolveMessage": True,
    }
    assert first["uid"] == body(text, URL="http://other")["receivers"][0]["uid"]
    assert len(first["uid"]) <= 40


def test_policy_is_the_route_with_replaced_variables() -> None:
    converted = body(
        """
        policies:
          - orgId: 1
            receiver: $TEAM
            group_by: ['...']
            routes:
              - receiver: x
                object_matchers: [[severity, =~, 'a|b$$']]
                continue: true
                group_wait: 10s
        """,
        TEAM="ops",
    )
    route = {
        "receiver": "x",
        "object_matchers": [["severity", "=~", "a|b$"]],
        "continue": True,
        "group_wait": "10s",
    }
    assert converted == {"receiver": "ops", "group_by": ["..."], "routes": [route]}


def test_policy_with_matchers_in_all_spellings_is_accepted() -> None:
    routes = [
        {"receiver": "x", "matchers": [r'instance=~"10\.0\.0\.\d+:9100"']},
        {"receiver": "x", "matchers": ['{severity="critical", team=~"db|web"}', "a=b"]},
        {"receiver": "x", "match": {"a": ""}, "match_re": {"b": "[(]|c"}},
        {"receiver": "x", "object_matchers": [["a", "!~", "b|c$"]]},
    ]
    text = json.dumps({"apiVersion": 1, "policies": [{"routes": routes}]})
    desired, diagnostics = read(text.replace("c$", "c$$"))
    assert diagnostics.errors == []
    assert desired[0].body["routes"] == routes
    assert list(map(matchers, routes)) == [
        [["instance", "=~", r"10\.0\.0\.\d+:9100"]],
        [["a", "=", "b"], ["severity", "=", "critical"], ["team", "=~", "db|web"]],
        [["a", "=", ""], ["b", "=~", "[(]|c"]],
        [["a", "!~", "b|c$"]],
    ]


def test_templates_and_mute_timings_are_never_interpolated() -> None:
    text = '{{ define "x" }}{{ range $$i, $alert := .Alerts }}$HOME{{ end }}{{ end }}'
    assert body(f"templates: [{{name: x, template: '{text}'}}]") == {
        "name": "x",
        "template": text,
    }
    converted = body(
        """
        muteTimes:
          - name: $night
            time_intervals:
              - times: [{start_time: 06:00, end_time: 22:00}]
                weekdays: [monday:friday]
                days_of_month: [1:7, -1]
                years: [2026]
                location: Europe/Berlin
        """
    )
    assert converted == {
        "name": "$night",
        "time_intervals": [
            {
                "times": [{"start_time": "06:00", "end_time": "22:00"}],
                "weekdays": ["monday:friday"],
                "days_of_month": ["1:7", "-1"],
                "years": ["2026"],
                "location": "Europe/Berlin",
            }
        ],
    }


def test_rule_has_grafanas_defaults() -> None:
    query = {
        "refId": "A",
        "datasourceUid": "prometheus",
        "relativeTimeRange": {"from": 600, "to": 0},
    }
    assert rule("") == {
        "uid": "r",
        "title": "R",
        "condition": "A",
        "data": [{**query, "model": {"expr": "up"}}],
        "for": "0s",
        "annotations": {},
        "labels": {},
        "isPaused": False,
        "noDataState": "NoData",
        "execErrState": "Alerting",
    }


def test_scalars_of_a_rule_are_strings_as_they_are_written() -> None:
    converted = rule(
        """
        for: 0
        noDataState:
        labels: {version: 1.50, team: 007, code: 0777, size: 1e3, page: true}
        annotations: {empty: , tilde: ~, day: 2024-01-01, quoted: "null", hex: 0x1F}
        """
    )
    assert converted["labels"] == {
        "version": "1.50",
        "team": "007",
        "code": "0777",
        "size": "1e3",
        "page": "true",
    }
    assert converted["annotations"] == {
        "empty": "",
        "tilde": "",
        "day": "2024-01-01",
        "quoted": "null",
        "hex": "0x1F",
    }
    assert converted["noDataState"] == "NoData"


@pytest.mark.parametrize(
    ("template", "missing"),
    [
        ("{{ $labels.query }}{{/* query */}}{{ index $labels `query` }}", None),
        ("{{ if $values.A }}{{ humanize $value }}{{ end }}{{ externalURL }}", None),
        ("{{ .Labels.x | toUpper }} query {{ $labels[", None),
        ('{{ range query "up" }}{{ . | value }}{{ end }}', "query, value"),
        ("{{ x }}", None),
    ],
)
def test_queries_in_templates_cause_a_warning(
    template: str, missing: str | None
) -> None:
    data = [{"refId": "A", "datasourceUid": "p", "model": {}}]
    fields = {"uid": "r", "title": "R", "condition": "A", "data": data}
    group = {"name": "g", "folder": "F", "interval": "1m"}
    group["rules"] = [{**fields, "annotations": {"summary": template}}]
    _desired, diagnostics = read(json.dumps({"apiVersion": 1, "groups": [group]}))
    expected = (
        f"f.yml:1: summary uses {missing}, and queries in templates return nothing in Grafana;"
        " remove it."
    )
    assert diagnostics.errors == []
    assert diagnostics.warnings == ([expected] if missing else [])


def test_rule_group_has_the_uid_of_its_folder_and_an_interval_in_seconds() -> None:
    text = """
    groups:
      - name: g
        folder: Area/Sub\\/Folder
        interval: 1m30s
        rules: [{uid: r, title: R, condition: A, data: [{refId: A, datasourceUid: p, model: {}}]}]
    """
    desired, diagnostics = read("apiVersion: 1\n" + textwrap.dedent(text))
    assert diagnostics.errors == []
    assert desired[0].identity == f"{desired[0].body['folderUid']}/g"
    assert desired[0].body["folderUid"].startswith("sub-folder-")
    assert desired[0].body["interval"] == 90
    assert desired[0].source == "f.yml:4"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("for: 5m", {"for": "5m"}, id="for"),
        pytest.param(
            "keepFiringFor: 10m", {"keep_firing_for": "10m"}, id="keep firing for"
        ),
        pytest.param(
            "missing_series_evals_to_resolve: 3",
            {"missingSeriesEvalsToResolve": 3},
            id="missing series",
        ),
        pytest.param(
            "noDataState: OK\nexecErrState: KeepLast",
            {"noDataState": "OK", "execErrState": "KeepLast"},
            id="states",
        ),
        pytest.param("isPaused: $P", {"isPaused": True}, id="paused by a variable"),
        pytest.param(
            "dashboardUid: d\npanelId: 4",
            {"annotations": {"__dashboardUid__": "d", "__panelId__": "4"}},
            id="panel",
        ),
        pytest.param(
            "dasboardUid: d\npanelId: $N",
            {"annotations": {"__dashboardUid__": "d", "__panelId__": "7"}},
            id="Grafana's own misspelling",
        ),
        pytest.param(
            "annotations: {a: '$N {{ $values.A.Value }} $$', b: 5, c: }",
            {"annotations": {"a": "$N {{ $values.A.Value }} $$", "b": "5", "c": ""}},
            id="annotations stay",
        ),
        pytest.param(
            "labels: {a: '$N', b: '{{ $$labels.x }}', c: yes, d: 007}",
            {"labels": {"a": "7", "b": "{{ $labels.x }}", "c": "yes", "d": "007"}},
            id="labels are replaced",
        ),
        pytest.param(
            "notification_settings:"
            " {receiver: x, group_by: [alertname, grafana_folder], repeat_interval: 1h}",
            {
                "notification_settings": {
                    "receiver": "x",
                    "group_by": ["alertname", "grafana_folder"],
                    "repeat_interval": "1h",
                }
            },
            id="own receiver",
        ),
        pytest.param(
            "record: {metric: m, from: A, targetDatasourceUid: p}",
            {
                "record": {"metric": "m", "from": "A", "target_datasource_uid": "p"},
                "noDataState": "",
                "execErrState": "",
            },
            id="recording",
        ),
    ],
)
def test_field_of_a_rule_becomes(text: str, expected: dict) -> None:
    converted = rule(text, P="true", N="7")
    assert {key: converted[key] for key in expected} == expected


def test_model_of_a_query_is_never_interpolated() -> None:
    desired, diagnostics = read(
        """
        apiVersion: 1
        groups:
          - name: g
            folder: F
            interval: 1m
            rules:
              - uid: r
                title: R
                condition: A
                data:
                  - refId: A
                    datasourceUid: p
                    queryType: range
                    model: {expr: 'rate(x[$__rate_interval]) $$ ${Y}'}
        """
    )
    assert (diagnostics.errors, diagnostics.warnings) == ([], [])
    query = desired[0].body["rules"][0]["data"][0]
    assert query["model"] == {"expr": "rate(x[$__rate_interval]) $$ ${Y}"}
    assert (query["queryType"], query["relativeTimeRange"]) == (
        "range",
        {"from": 0, "to": 0},
    )


def test_object_of_a_delete_section_is_absent() -> None:
    desired, diagnostics = read(
        """
        apiVersion: 1
        deleteDatasources: [{name: Prometheus, orgId: 1}]
        deleteContactPoints: [{uid: c}]
        deleteTemplates: [{name: t}]
        deleteMuteTimes: [{name: m}]
        deleteRules: [{uid: r}]
        resetPolicies: [1]
        """
    )
    assert diagnostics.errors == []
    assert [
        (removed.kind, removed.identity, removed.body, removed.state)
        for removed in desired
    ] == [
        ("datasource", "PBFA97CFB590B2093", {"name": "Prometheus"}, "absent"),
        ("contact_point", "", {"uid": "c"}, "absent"),
        ("template", "t", {"name": "t"}, "absent"),
        ("mute_timing", "m", {"name": "m"}, "absent"),
        ("rule_group", "", {"uid": "r"}, "absent"),
        ("policy", "", {}, "absent"),
    ]


def test_file_may_have_several_kinds_and_be_json() -> None:
    templates = '"templates": [{"name": "t", "template": "x"}]'
    text = f'{{"apiVersion": 1, {templates},\n "muteTimes": [{{"name": "m"}}]}}'
    desired, diagnostics = read(text, "f.json")
    assert diagnostics.errors == []
    assert [(item.kind, item.source) for item in desired] == [
        ("template", "f.json:1"),
        ("mute_timing", "f.json:2"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[1]",
            "f.yml:1: the file is a list; write a dict such as apiVersion: 1 and datasources.",
        ),
        ("datasources: []", "f.yml:1: apiVersion is not 1; write apiVersion: 1."),
        (
            "apiVersion: 2\ndatasources: []",
            "f.yml:1: apiVersion is not 1; write apiVersion: 1.",
        ),
        (
            "apiVersion: 1\nsources: []",
            "f.yml:2: a provisioning file has no field sources; use one of datasources, ",
        ),
        (
            "apiVersion: 1\ndatasources: {}",
            "f.yml:2: datasources is a dict; write a list.",
        ),
        (
            "apiVersion: 1\ndatasources:\n- name: x\n  type: y\n  jsondata: {}",
            "f.yml:5: a datasource has no field jso",
        ),
        (
            "apiVersion: 1\ndatasources:\n- name: x",
            "f.yml:3: required fields are missing; set type.",
        ),
        (
            "apiVersion: 1\ndatasources:\n- {name: x, type: y,\n   orgId: 2}",
            "f.yml:4: orgId is 2, and the task manages organization 1;",
        ),
        (
            "apiVersion: 1\ndatasources:\n- {name: x, type: y,\n   isDefault: yes}",
            "f.yml:4: isDefault is 'yes'; write true or false.",
        ),
        (
            "apiVersion: 1\ncontactPoints:\n- {name: x}",
            "f.yml:3: contact point x has no receivers; add one.",
        ),
        (
            "apiVersion: 1\ncontactPoints:\n- {name: x, receivers: [{type: y}]}",
            "f.yml:3: required fields are missing; set settings.",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - reciever: y",
            "f.yml:5: a route has no field reciev",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - continue: yes",
            "f.yml:5: continue is 'yes'; write true or false.",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  group_wait: 1.5m",
            "f.yml:4: group_wait is '1.5m'; write a duration such as 30s or 1h30m.",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - repeat_interval: '0'",
            "f.yml:5: repeat_interval is '0', which Grafana refuses; write a longer one",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  group_wait: 0",
            "f.yml:4: group_wait is 0; write a duration such as 30s or 1h30m.",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: 007",
            "f.yml:3: receiver is a int; write a str.",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  group_by: [a, 7]",
            "f.yml:4: group_by[1] is a int; write a str.",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - matchers:\n    - a",
            "f.yml:6: 'a' is no matcher such as severity=critical; write label, operator ",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - matchers: [7]",
            "f.yml:5: matchers[0] is a int; write a str such as severity=critical.",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - matchers: [a=~(b]",
            "f.yml:5: '(b' is no regular expression of Go (a parenthesis is not closed)",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - match_re: {a: (?!b)c}",
            "f.yml:5: '(?!b)c' is no regular expression of Go ((?! is missing there)",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - match: {code: 007}",
            "f.yml:5: code has the int 7; write it in quotes, since Grafana takes strings",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - match: a=b",
            "f.yml:5: match is a str; write a dict such as severity: critical.",
        ),
        (
            "apiVersion: 1\npolicies:\n- routes:\n  - object_matchers: [[a, '==', b]]",
            "f.yml:4: object_matchers[0] is ['a', '==', 'b']; write a list of label, ",
        ),
        (
            "apiVersion: 1\npolicies:\n- receiver: x\n  group_by: alertname",
            "f.yml:4: group_by is a str; write a list.",
        ),
        (
            "apiVersion: 1\ngroups:\n- {name: g, folder: F, interval: 60, rules: [{}]}",
            "f.yml:3: interval is '60'; write a duration ",
        ),
        (
            "apiVersion: 1\ngroups:\n- {name: g, interval: 1m, rules: [{}]}",
            "f.yml:3: rule group g has no folder; set folder or folderUid.",
        ),
        (
            "apiVersion: 1\nmuteTimes:\n- name: x\n  time_intervals: [{time: 1}]",
            "f.yml:4: a time interval has no fiel",
        ),
        (
            (
                "apiVersion: 1\ncontactPoints:\n- name: x\n  receivers:\n"
                "  - type: y\n    settings: {url: $NONE}"
            ),
            (
                "f.yml:6: environment lacks $NONE, so the value is empty;"
                " define it, or write $$ for a literal dollar."
            ),
        ),
        (
            "apiVersion: 1\nproviders:\n- {name: x, type: git, options: {path: /x}}",
            "f.yml:3: the provider is not of type file or lacks options.path; set ty",
        ),
    ],
)
def test_error_has_its_line(text: str, message: str) -> None:
    _desired, diagnostics = read(text)
    assert any(error.startswith(message) for error in diagnostics.errors), (
        diagnostics.errors
    )


def test_template_variable_in_a_label_causes_a_warning() -> None:
    _desired, diagnostics = read(
        """
        apiVersion: 1
        groups:
          - {name: g, folder: F, interval: 1m, rules: [{uid: r, title: R, condition: A,
             labels: {team: '{{ $labels.team }}'},
             data: [{refId: A, datasourceUid: p, model: {}}]}]}
        """
    )
    assert diagnostics.errors == []
    assert diagnostics.warnings == [
        (
            "f.yml:5: environment lacks $labels, which becomes empty;"
            " define it, or write $$ for a literal dollar."
        )
    ]


def test_unsupported_section_causes_a_warning() -> None:
    _desired, diagnostics = read("apiVersion: 1\napps: []\nprune: true\n")
    assert [warning.split(":")[1] for warning in diagnostics.warnings] == ["2", "3"]


def test_organization_of_the_task_is_accepted() -> None:
    text = "apiVersion: 1\ntemplates:\n- {orgId: 2, name: t, template: x}\n"
    assert read(text, org_id=2)[0][0].body == {"name": "t", "template": "x"}
    assert read(text.replace("2", "$ORG"), org_id=2, ORG="2")[1].errors == []


@pytest.mark.parametrize("org_id", [-1, 0, 1])
@pytest.mark.parametrize(
    "section",
    [
        "templates: [{orgId: ID, name: t, template: x}]",
        "datasources: [{orgId: ID, name: P, type: x}]",
        "policies: [{orgId: ID, receiver: r}]",
        "deleteTemplates: [{orgId: ID, name: t}]",
        "resetPolicies: [ID]",
    ],
)
def test_organization_below_one_is_the_first(section: str, org_id: int) -> None:
    text = f"apiVersion: 1\n{section}\n".replace("ID", str(org_id))
    desired, diagnostics = read(text)
    assert (len(desired), diagnostics.errors) == (1, [])
    (error,) = read(text, org_id=2)[1].errors
    assert f"orgId is {org_id or 1}, and the task manages organization 2;" in error


def test_variable_may_be_true_or_false_as_in_grafana() -> None:
    settings = "{a: $YES, b: '$NO', c: $DIGITS, d: 'true', e: '$$YES', f: x$YES}"
    converted = body(
        f"datasources: [{{name: P, type: x, jsonData: {settings}}}]",
        YES="true",
        NO="false",
        DIGITS="0123",
    )
    assert converted["jsonData"] == {
        "a": True,
        "b": False,
        "c": "0123",
        "d": "true",
        "e": "$YES",
        "f": "xtrue",
    }


def test_template_of_a_rule_that_is_not_expanded_causes_a_warning() -> None:
    rule = {
        "uid": "a",
        "title": "A",
        "condition": "A",
        "data": [{"refId": "A", "datasourceUid": "p"}],
        "annotations": {
            "open": "{{ $labels.job",
            "if": "{{ if 1 }}",
            "fine": "{{ 1 }}",
        },
    }
    group = {"name": "g", "folder": "F", "interval": "1m", "rules": [rule]}
    _desired, diagnostics = read(json.dumps({"apiVersion": 1, "groups": [group]}))
    assert [warning.split(": ", 1)[1] for warning in diagnostics.warnings] == [
        "open has {{ without its }}, so Grafana sends it as it is; correct it.",
        "if has if without an end, so Grafana sends it as it is; correct it.",
    ]
