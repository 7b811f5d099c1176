# SPDX-License-Identifier: GPL-3.0-or-later
"""One object of each kind, and changes of each of its fields."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    ABSENT,
    PRESENT,
    DesiredObject,
)

RULE = {
    "uid": "target-down",
    "title": "Target is down",
    "condition": "B",
    "for": "5m",
    "noDataState": "NoData",
    "execErrState": "Error",
    "labels": {"severity": "critical"},
    "annotations": {"summary": "{{ $labels.instance }} is down, {{ $values.A.Value }}"},
    "data": [
        {
            "refId": "A",
            "datasourceUid": "prometheus",
            "relativeTimeRange": {"from": 600, "to": 0},
            "model": {"refId": "A", "expr": "up", "instant": True},
        },
        {
            "refId": "B",
            "datasourceUid": "__expr__",
            "model": {
                "refId": "B",
                "type": "threshold",
                "expression": "A",
                "conditions": [{"evaluator": {"type": "lt", "params": [1]}}],
            },
        },
    ],
}
RULE_2 = {**RULE, "uid": "target-slow", "title": "Target is slow"}
PANEL = {
    "id": 1,
    "type": "timeseries",
    "title": "Rate",
    "targets": [{"refId": "A", "expr": "rate(x[$__rate_interval])"}],
}
BODIES: dict[str, dict[str, Any]] = {
    "folder": {"uid": "ops", "title": "Operations", "parentUid": ""},
    "datasource": {
        "uid": "prometheus",
        "name": "Prometheus",
        "type": "prometheus",
        "url": "http://127.0.0.1:9090",
        "jsonData": {"httpMethod": "POST", "httpHeaderName1": "X-Scope"},
        "secureJsonData": {"httpHeaderValue1": "first-secret"},
    },
    "library_panel": {"uid": "rate", "name": "Rate", "model": PANEL, "folderUid": ""},
    "dashboard": {
        "dashboard": {
            "uid": "app",
            "title": "Application",
            "panels": [PANEL],
            "schemaVersion": 39,
            "tags": ["app"],
        },
        "folderUid": "",
    },
    "template": {
        "name": "discord",
        "template": '{{ define "discord.title" }}{{ .Status }}{{ end }}',
    },
    "mute_timing": {
        "name": "weekend",
        "time_intervals": [
            {
                "weekdays": ["saturday", "sunday"],
                "months": ["may:august"],
                "location": "Europe/Berlin",
            }
        ],
    },
    "contact_point": {
        "name": "chat",
        "receivers": [
            {
                "uid": "chat-1",
                "type": "discord",
                "settings": {
                    "url": "https://discord.example/api/webhooks/1/first",
                    "title": "T",
                },
                "disableResolveMessage": False,
            }
        ],
    },
    "policy": {
        "receiver": "grafana-default-email",
        "group_by": ["grafana_folder", "alertname"],
        "routes": [
            {
                "receiver": "grafana-default-email",
                "object_matchers": [["severity", "=", "critical"]],
            }
        ],
    },
    "rule_group": {
        "folderUid": "ops",
        "title": "targets",
        "interval": 60,
        "rules": [RULE, RULE_2],
    },
}
IDENTITIES = {
    "folder": "ops",
    "datasource": "prometheus",
    "library_panel": "rate",
    "dashboard": "app",
    "template": "discord",
    "mute_timing": "weekend",
    "contact_point": "chat",
    "policy": "",
    "rule_group": "ops/targets",
}
# Kind -> (path in the body, another value); each must be noticed and written.
CHANGES: dict[str, list[tuple[tuple, Any]]] = {
    "folder": [(("title",), "Other")],
    "datasource": [
        (("name",), "Metrics"),
        (("type",), "loki"),
        (("access",), "direct"),
        (("url",), "http://127.0.0.1:9099"),
        (("user",), "reader"),
        (("database",), "orders"),
        (("basicAuth",), True),
        (("basicAuthUser",), "reader"),
        (("withCredentials",), True),
        (("isDefault",), True),
        (("jsonData", "httpMethod"), "GET"),
        (("jsonData", "timeInterval"), "15s"),
        (("secureJsonData", "httpHeaderValue1"), "second-secret"),
        (("secureJsonData", "basicAuthPassword"), "third-secret"),
        (("secureJsonData",), {}),
    ],
    "library_panel": [
        (("name",), "Ratio"),
        (("model", "title"), "Ratio"),
        (("model", "type"), "stat"),
        (("model", "description"), "Requests a second"),
        (("model", "targets"), []),
        (("model", "options"), {"legend": {"showLegend": False}}),
        (("model", "fieldConfig"), {"defaults": {"unit": "reqps"}}),
    ],
    "dashboard": [
        (("dashboard", "title"), "Other"),
        (("dashboard", "tags"), []),
        (("dashboard", "schemaVersion"), 40),
        (("dashboard", "panels", 0, "title"), "Ratio"),
        (("dashboard", "panels"), []),
        (("dashboard", "refresh"), "10s"),
        (("dashboard", "templating"), {"list": [{"name": "job", "type": "query"}]}),
        (("folderUid",), "place"),
    ],
    "template": [
        (("template",), '{{ define "discord.title" }}{{ .Receiver }}{{ end }}'),
        (("template",), "plain"),
    ],
    "mute_timing": [
        (("time_intervals", 0, "weekdays"), ["monday"]),
        (("time_intervals", 0, "months"), ["1:3"]),
        (("time_intervals", 0, "location"), "UTC"),
        (("time_intervals", 0, "years"), ["2030"]),
        (("time_intervals", 0, "days_of_month"), ["1:7", "-1"]),
        (
            ("time_intervals", 0, "times"),
            [{"start_time": "06:00", "end_time": "24:00"}],
        ),
        (
            ("time_intervals",),
            [{"weekdays": ["saturday", "sunday"]}, {"weekdays": ["monday"]}],
        ),
    ],
    "contact_point": [
        (
            ("receivers", 0, "settings", "url"),
            "https://discord.example/api/webhooks/1/second",
        ),
        (("receivers", 0, "settings", "title"), "{{ $x }}"),
        (("receivers", 0, "settings", "use_discord_username"), True),
        (("receivers", 0, "disableResolveMessage"), True),
        (("receivers", 0, "type"), "webhook"),
        (("receivers", 0, "uid"), "chat-other"),
    ],
    "policy": [
        (("group_by",), ["..."]),
        (("group_wait",), "45s"),
        (("group_interval",), "6m"),
        (("repeat_interval",), "1h"),
        (
            ("routes", 0, "object_matchers"),
            [["severity", "=~", "critical|high"], ["team", "!=", "x"]],
        ),
        (("routes", 0, "continue"), True),
        (("routes", 0, "group_by"), ["alertname"]),
        (("routes", 0, "repeat_interval"), "30m"),
        (("routes", 0, "routes"), [{"object_matchers": [["a", "=", "b"]]}]),
        (("routes", 0, "mute_time_intervals"), ["quiet"]),
        (("routes",), []),
    ],
    "rule_group": [
        (("interval",), 120),
        (("rules", 0, "title"), "Target is gone"),
        (("rules", 0, "condition"), "A"),
        (("rules", 0, "for"), "10m"),
        (("rules", 0, "keep_firing_for"), "2m"),
        (("rules", 0, "noDataState"), "OK"),
        (("rules", 0, "execErrState"), "KeepLast"),
        (("rules", 0, "labels"), {"severity": "high"}),
        (("rules", 0, "annotations"), {"summary": "$$ {{ $labels.job }}"}),
        (("rules", 0, "isPaused"), True),
        (("rules", 0, "notification_settings"), {"receiver": "grafana-default-email"}),
        (("rules", 0, "data", 0, "model", "expr"), "up == 0"),
        (("rules", 0, "data", 0, "relativeTimeRange", "from"), 900),
        (("rules", 0, "data", 0, "datasourceUid"), "other"),
        (("rules",), [RULE_2, RULE]),
        (("rules",), [RULE]),
    ],
}


def desired(
    kind: str,
    body: dict | None = None,
    state: str = PRESENT,
    source: str = "test.yml:1",
) -> DesiredObject:
    """Return a desired object of a kind; its identity follows from its body."""
    body = deepcopy(BODIES[kind] if body is None else body)
    identity = {
        "folder": lambda: body["uid"],
        "datasource": lambda: body["uid"],
        "library_panel": lambda: body["uid"],
        "dashboard": lambda: body["dashboard"]["uid"],
        "policy": lambda: "",
        "rule_group": lambda: f"{body['folderUid']}/{body['title']}",
    }.get(kind, lambda: body["name"])()
    return DesiredObject(kind, identity, body, source, state)


def absent(kind: str, identity: str | None = None) -> DesiredObject:
    """Return an object that must not exist."""
    return DesiredObject(
        kind,
        IDENTITIES[kind] if identity is None else identity,
        {},
        "test.yml:9",
        ABSENT,
    )


def changed(body: dict, where: tuple, value: Any) -> dict:
    """Return a copy of a body with another value at a path."""
    result: Any = deepcopy(body)
    inner = result
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    return result
