# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana's provisioning files become what its HTTP API takes, and what is wrong in them is told with its line."""

from __future__ import annotations

import textwrap

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.folders import (
    Folders,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.provisioning_files import (
    Provisioning,
    datasource_uid,
    seconds,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files.schema import (
    Findings,
    Reader,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import DesiredObject
from ansible_collections.hippius.monitoring.plugins.plugin_utils.yaml_documents import document


def read(
    text: str, name: str = "f.yml", org_id: int = 1, **environment: str
) -> tuple[list[DesiredObject], Findings]:
    findings = Findings()
    provisioning = Provisioning(Folders(findings), org_id)
    found = document(name, textwrap.dedent(text).encode())
    reader = Reader(found, findings, environment)
    provisioning.declare_folders(reader)
    provisioning.read(reader)
    return provisioning.desired, findings


def body(text: str, **environment: str) -> dict:
    """The body of the one object that a file wants; there must be nothing to complain of."""
    desired, findings = read("apiVersion: 1\n" + textwrap.dedent(text), **environment)
    assert (findings.errors, findings.warnings) == ([], [])
    (item,) = desired
    return item.body


def rule(text: str, **environment: str) -> dict:
    """The rule of a group of one, with some fields beside those that each rule has."""
    group = """
    groups:
      - name: g
        folder: F
        interval: 1m
        rules:
          - uid: r
            title: R
            condition: A
            data: [{refId: A, datasourceUid: prometheus, relativeTimeRange: {from: 600, to: 0}, model: {expr: up}}]
    """
    lines = textwrap.indent(textwrap.dedent(text), " " * 8)
    return body(textwrap.dedent(group) + lines, **environment)["rules"][0]


def test_datasource_has_what_grafana_fills_in() -> None:
    assert body("datasources: [{name: Prometheus, type: prometheus}]") == {
        "name": "Prometheus", "type": "prometheus", "uid": "PBFA97CFB590B2093", "access": "proxy", "url": "",
        "user": "", "database": "", "basicAuth": False, "basicAuthUser": "", "withCredentials": False,
        "isDefault": False, "jsonData": {}, "secureJsonData": {},
    }  # fmt: skip


def test_derived_uid_is_the_one_that_grafana_derives() -> None:
    assert datasource_uid("Loki") == "P8E80F9AEF21F6940"


def test_datasource_of_a_file_is_taken_field_by_field() -> None:
    made = body(
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
            jsonData: {timeout: 60, httpHeaderName1: X-$HEADER, on: yes, derivedFields: [{url: '$${__value.raw}'}]}
            secureJsonData: {httpHeaderValue1: "${SECRET}", basicAuthPassword: new}
        """,
        AUTH="true", HEADER="Org", SECRET="pa$$w$ord",
    )  # fmt: skip
    assert made["uid"] == "007"
    assert made["basicAuth"] is True
    fields = {
        "timeout": 60,
        "httpHeaderName1": "X-Org",
        "on": "yes",
        "derivedFields": [{"url": "${__value.raw}"}],
    }
    assert made["jsonData"] == fields
    secrets = {"password": "old", "basicAuthPassword": "new", "httpHeaderValue1": "pa$$w$ord"}
    assert made["secureJsonData"] == secrets
    assert not {"version", "editable", "orgId", "password"} & set(made)


def test_contact_point_gets_uids_that_stay() -> None:
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


def test_policy_is_the_route_with_its_variables_replaced() -> None:
    made = body(
        """
        policies:
          - orgId: 1
            receiver: $TEAM
            group_by: ['...']
            routes: [{receiver: x, object_matchers: [[severity, =~, 'a|b$$']], continue: true, group_wait: 10s}]
        """,
        TEAM="ops",
    )
    route = {
        "receiver": "x",
        "object_matchers": [["severity", "=~", "a|b$"]],
        "continue": True,
        "group_wait": "10s",
    }
    assert made == {"receiver": "ops", "group_by": ["..."], "routes": [route]}


def test_templates_and_mute_timings_are_never_interpolated() -> None:
    text = '{{ define "x" }}{{ range $$i, $alert := .Alerts }}$HOME{{ end }}{{ end }}'
    assert body(f"templates: [{{name: x, template: '{text}'}}]") == {"name": "x", "template": text}
    made = body(
        """
        muteTimes:
          - name: $night
            time_intervals:
              - times: [{start_time: 22:00, end_time: 06:00}]
                weekdays: [monday:friday]
                days_of_month: [1:7, -1]
                years: [2026]
                location: Europe/Berlin
        """
    )
    assert made == {
        "name": "$night",
        "time_intervals": [
            {"times": [{"start_time": "22:00", "end_time": "06:00"}], "weekdays": ["monday:friday"],
             "days_of_month": ["1:7", "-1"], "years": ["2026"], "location": "Europe/Berlin"}
        ],
    }  # fmt: skip


def test_rule_has_what_grafana_fills_in() -> None:
    query = {
        "refId": "A",
        "datasourceUid": "prometheus",
        "relativeTimeRange": {"from": 600, "to": 0},
    }
    assert rule("") == {
        "uid": "r", "title": "R", "condition": "A", "data": [{**query, "model": {"expr": "up"}}], "for": "0s",
        "annotations": {}, "labels": {}, "isPaused": False, "noDataState": "NoData", "execErrState": "Alerting",
    }  # fmt: skip


def test_rule_group_has_its_folders_uid_and_seconds() -> None:
    text = """
    groups:
      - name: g
        folder: Area/Sub\\/Folder
        interval: 1m30s
        rules: [{uid: r, title: R, condition: A, data: [{refId: A, datasourceUid: p, model: {}}]}]
    """
    desired, findings = read("apiVersion: 1\n" + textwrap.dedent(text))
    assert findings.errors == []
    assert desired[0].identity == f"{desired[0].body['folderUid']}/g"
    assert desired[0].body["folderUid"].startswith("sub-folder-")
    assert desired[0].body["interval"] == 90
    assert desired[0].source == "f.yml:4"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("for: 5m", {"for": "5m"}, id="for"),
        pytest.param("keepFiringFor: 10m", {"keep_firing_for": "10m"}, id="keep firing for"),
        pytest.param("missing_series_evals_to_resolve: 3", {"missingSeriesEvalsToResolve": 3}, id="missing series"),
        pytest.param("noDataState: OK\nexecErrState: KeepLast", {"noDataState": "OK", "execErrState": "KeepLast"},
                     id="states"),
        pytest.param("isPaused: $P", {"isPaused": True}, id="paused by a variable"),
        pytest.param("dashboardUid: d\npanelId: 4", {"annotations": {"__dashboardUid__": "d", "__panelId__": "4"}},
                     id="panel"),
        pytest.param("dasboardUid: d\npanelId: $N", {"annotations": {"__dashboardUid__": "d", "__panelId__": "7"}},
                     id="Grafana's own misspelling"),
        pytest.param("annotations: {a: '$N {{ $values.A.Value }} $$', b: 5, c: }",
                     {"annotations": {"a": "$N {{ $values.A.Value }} $$", "b": "5", "c": ""}}, id="annotations stay"),
        pytest.param("labels: {a: '$N', b: '{{ $$labels.x }}', c: yes, d: 007}",
                     {"labels": {"a": "7", "b": "{{ $labels.x }}", "c": "yes", "d": "007"}}, id="labels are replaced"),
        pytest.param("notification_settings: {receiver: x, group_by: [alertname, grafana_folder], repeat_interval: 1h}",
                     {"notification_settings": {"receiver": "x", "group_by": ["alertname", "grafana_folder"],
                                                "repeat_interval": "1h"}}, id="own receiver"),
        pytest.param("record: {metric: m, from: A, targetDatasourceUid: p}",
                     {"record": {"metric": "m", "from": "A", "target_datasource_uid": "p"}, "noDataState": "",
                      "execErrState": ""}, id="recording"),
    ],
)  # fmt: skip
def test_field_of_a_rule_becomes(text: str, expected: dict) -> None:
    found = rule(text, P="true", N="7")
    assert {key: found[key] for key in expected} == expected


def test_model_of_a_query_is_never_interpolated() -> None:
    desired, findings = read(
        """
        apiVersion: 1
        groups:
          - {name: g, folder: F, interval: 1m, rules: [{uid: r, title: R, condition: A, data: [{refId: A,
            datasourceUid: p, queryType: range, model: {expr: 'rate(x[$__rate_interval]) $$ ${Y}'}}]}]}
        """
    )
    assert (findings.errors, findings.warnings) == ([], [])
    query = desired[0].body["rules"][0]["data"][0]
    assert query["model"] == {"expr": "rate(x[$__rate_interval]) $$ ${Y}"}
    assert (query["queryType"], query["relativeTimeRange"]) == ("range", {"from": 0, "to": 0})


def test_what_is_to_go_is_absent() -> None:
    desired, findings = read(
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
    assert findings.errors == []
    assert [(item.kind, item.identity, item.body, item.state) for item in desired] == [
        ("datasource", "PBFA97CFB590B2093", {"name": "Prometheus"}, "absent"),
        ("contact_point", "", {"uid": "c"}, "absent"),
        ("template", "t", {"name": "t"}, "absent"),
        ("mute_timing", "m", {"name": "m"}, "absent"),
        ("rule_group", "", {"uid": "r"}, "absent"),
        ("policy", "", {}, "absent"),
    ]


def test_one_file_may_hold_several_kinds_and_be_json() -> None:
    text = '{"apiVersion": 1, "templates": [{"name": "t", "template": "x"}],\n "muteTimes": [{"name": "m"}]}'
    desired, findings = read(text, "f.json")
    assert findings.errors == []
    assert [(item.kind, item.source) for item in desired] == [
        ("template", "f.json:1"),
        ("mute_timing", "f.json:2"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "f.yml:1: this must be a mapping, such as apiVersion: 1 and datasources."),
        ("datasources: []", "f.yml:1: apiVersion must be 1."),
        ("apiVersion: 2\ndatasources: []", "f.yml:1: apiVersion must be 1."),
        ("apiVersion: 1\nsources: []", "f.yml:2: there is no sources in provisioning files; there are datasources, "),
        ("apiVersion: 1\ndatasources: {}", "f.yml:2: this must be a list."),
        ("apiVersion: 1\ndatasources:\n- name: x\n  type: y\n  jsondata: {}", "f.yml:5: a datasource has no field jso"),
        ("apiVersion: 1\ndatasources:\n- name: x", "f.yml:3: type must be given."),
        ("apiVersion: 1\ndatasources:\n- {name: x, type: y,\n   orgId: 2}", "f.yml:4: this belongs to organization 2,"),
        ("apiVersion: 1\ndatasources:\n- {name: x, type: y,\n   isDefault: yes}", "f.yml:4: 'yes' is neither true nor"),
        ("apiVersion: 1\ncontactPoints:\n- {name: x}", "f.yml:3: contact point x has no receivers."),
        ("apiVersion: 1\ncontactPoints:\n- {name: x, receivers: [{type: y}]}", "f.yml:3: settings must be given."),
        ("apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - reciever: y", "f.yml:5: a route has no field reciev"),
        ("apiVersion: 1\npolicies:\n- receiver: x\n  routes:\n  - continue: yes", "f.yml:5: 'yes' is neither true nor"),
        ("apiVersion: 1\npolicies:\n- receiver: x\n  group_wait: 1.5m", "f.yml:4: '1.5m' is no duration such as "),
        ("apiVersion: 1\npolicies:\n- receiver: x\n  group_by: alertname", "f.yml:4: this must be a list."),
        ("apiVersion: 1\ngroups:\n- {name: g, folder: F, interval: 60, rules: [{}]}", "f.yml:3: '60' is no duration "),
        ("apiVersion: 1\ngroups:\n- {name: g, interval: 1m, rules: [{}]}", "f.yml:3: rule group g has no folder."),
        ("apiVersion: 1\nmuteTimes:\n- name: x\n  time_intervals: [{time: 1}]", "f.yml:4: a time interval has no fiel"),
        ("apiVersion: 1\ncontactPoints:\n- name: x\n  receivers:\n  - type: y\n    settings: {url: $NONE}",
         "f.yml:6: environment lacks $NONE, so nothing is left here; $$ stands for a dollar."),
        ("apiVersion: 1\nproviders:\n- {name: x, type: git, options: {path: /x}}", "f.yml:3: a provider must be of ty"),
    ],
)  # fmt: skip
def test_problem_is_told_with_its_line(text: str, problem: str) -> None:
    _wanted, findings = read(text)
    assert [found for found in findings.errors if found.startswith(problem)], findings.errors


def test_template_variable_in_a_label_is_warned_of() -> None:
    _wanted, findings = read(
        """
        apiVersion: 1
        groups:
          - {name: g, folder: F, interval: 1m, rules: [{uid: r, title: R, condition: A,
             labels: {team: '{{ $labels.team }}'}, data: [{refId: A, datasourceUid: p, model: {}}]}]}
        """
    )
    assert findings.errors == []
    assert findings.warnings == [
        "f.yml:5: environment lacks $labels, which becomes nothing; $$ stands for a dollar."
    ]


def test_what_is_not_handled_is_warned_of() -> None:
    _wanted, findings = read("apiVersion: 1\napps: []\nprune: true\n")
    assert [warning.split(":")[1] for warning in findings.warnings] == ["2", "3"]


def test_organization_is_the_tasks() -> None:
    text = "apiVersion: 1\ntemplates:\n- {orgId: 2, name: t, template: x}\n"
    assert read(text, org_id=2)[0][0].body == {"name": "t", "template": "x"}
    assert read(text.replace("2", "$ORG"), org_id=2, ORG="2")[1].errors == []


@pytest.mark.parametrize(
    ("duration", "expected"),
    [("0", 0), ("10s", 10), ("1m", 60), ("1h30m", 5400), ("1d", 86400), ("1w2d", 777600), ("500ms", 0.5),
     ("1.5h", None), ("m", None), ("", None), ("5", None), ("1m1h", None)],
)  # fmt: skip
def test_duration_in_seconds(duration: str, expected: float | None) -> None:
    assert seconds(duration) == expected
