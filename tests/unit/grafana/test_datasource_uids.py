# SPDX-License-Identifier: GPL-3.0-or-later
"""Content that was made with another Grafana finds its datasources without being edited."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.content import (
    Content,
    ContentLoader,
    Source,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.datasource_uids import (
    replaced_uids,
)
from tests.unit.grafana.conftest import Apply, connect, writes

# Grafana derives it from the name Prometheus.
DERIVED = "PBFA97CFB590B2093"
PROMETHEUS = DesiredObject(
    "datasource", "prometheus", {"name": "Prometheus", "uid": "prometheus"}, "p:1"
)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            lambda uid: {"rules": [{"data": [{"datasourceUid": uid}]}]}, id="query"
        ),
        pytest.param(
            lambda uid: {"rules": [{"record": {"target_datasource_uid": uid}}]},
            id="recording rule",
        ),
        pytest.param(
            lambda uid: {"dashboard": {"panels": [{"datasource": {"uid": uid}}]}},
            id="panel",
        ),
        pytest.param(
            lambda uid: {"dashboard": {"panels": [{"datasource": uid}]}},
            id="panel of an old dashboard",
        ),
        pytest.param(
            lambda uid: {
                "dashboard": {
                    "templating": {
                        "list": [
                            {"type": "datasource", "current": {"value": uid}},
                            {"type": "query", "datasource": {"uid": uid}},
                            {"type": "custom", "current": {"value": DERIVED}},
                        ]
                    }
                }
            },
            id="variable",
        ),
        pytest.param(
            lambda uid: {"jsonData": {"tracesToMetrics": {"datasourceUid": uid}}},
            id="link",
        ),
        pytest.param(
            lambda uid: {
                "jsonData": {"alertmanagerUid": uid, "other": DERIVED},
                "title": DERIVED,
            },
            id="alertmanager",
        ),
    ],
)
def test_uid_is_replaced_everywhere(body: Any) -> None:
    item = DesiredObject("any", "x", body(DERIVED), "f:1")
    assert replaced_uids([PROMETHEUS, item], {})[1].body == body("prometheus")
    assert replaced_uids([item], {DERIVED: "mine"})[0].body == body("mine")
    assert replaced_uids([item], {"other": "mine"})[0].body == body(DERIVED)


@pytest.mark.parametrize("panels", [5, [5], {"datasource": 5}, None], ids=str)
def test_odd_values_stay(panels: Any) -> None:
    body = {"dashboard": {"panels": panels, "templating": {"list": panels}}}
    item = DesiredObject("dashboard", "x", body, "f:1")
    assert replaced_uids([item], {DERIVED: "mine"})[0].body == body


# As a project keeps it for its Grafana in a container, which takes it without a word: datasources
# mostly without uids, rules by the uid that Grafana derives, links and panels by another name.
DATASOURCES = """
apiVersion: 1
datasources:
  - {name: Prometheus, type: prometheus, access: proxy, url: "http://prom:9090",
     isDefault: true, editable: true}
"""
LOGS = """
apiVersion: 1
datasources:
  - {name: Loki, type: loki, access: proxy, url: "http://loki:3100", isDefault: false,
     editable: true, jsonData: {maxLines: 500}}
"""
TRACES = """
apiVersion: 1
datasources:
  - name: Tempo
    uid: tempo
    type: tempo
    access: proxy
    url: http://tempo:3200
    jsonData:
      tracesToLogs: {datasourceUid: loki, tags: [job]}
      tracesToMetrics: {datasourceUid: prometheus}
      serviceMap: {datasourceUid: prometheus}
      lokiSearch: {datasourceUid: loki}
      nodeGraph: {enabled: true}
"""
PROVIDER = """
apiVersion: 1
providers:
  - {name: own, type: file, disableDeletion: false, updateIntervalSeconds: 10,
     allowUiUpdates: true, options: {path: /var/lib/grafana/dashboards}}
"""
ALERTS = f"""
apiVersion: 1
groups:
  - orgId: 1
    name: queues
    folder: Storage Alerts
    interval: 1m
    rules:
      - uid: queue-long
        title: Queue is long
        condition: C
        data:
          - refId: A
            relativeTimeRange: {{from: 300, to: 0}}
            datasourceUid: {DERIVED}
            model: {{expr: 'max(queue_length{{queue=~".*_upload"}})', refId: A}}
          - refId: B
            relativeTimeRange: {{from: 300, to: 0}}
            datasourceUid: __expr__
            model: {{type: reduce, expression: A, reducer: last, refId: B}}
          - refId: C
            datasourceUid: __expr__
            model:
              type: threshold
              expression: B
              conditions: [{{evaluator: {{params: [100], type: gt}}, type: query}}]
              refId: C
        noDataState: OK
        execErrState: Error
        for: 5m
        annotations:
          summary: 'Queue has {{{{ if $values.B }}}}{{{{ $values.B.Value }}}}{{{{ end }}}}'
        labels: {{severity: critical}}
"""
POINTS = """
apiVersion: 1
contactPoints:
  - orgId: 1
    name: discord-alerts
    receivers:
      - uid: discord-hook
        type: discord
        settings:
          url: ${DISCORD_WEBHOOK_URL}
          message: '{{ template "chat.message" . }}'
"""
ROUTES = """
apiVersion: 1
policies:
  - orgId: 1
    receiver: discord-alerts
    group_by: [alertname, severity]
    group_wait: 30s
    routes:
      - {receiver: discord-alerts, matchers: ['severity =~ "critical|high"'],
         group_wait: 10s, continue: false}
      - {receiver: discord-alerts, matchers: ['severity = "medium"']}
"""
TEMPLATES = """
apiVersion: 1
templates:
  - name: chat.message
    template: |
      {{ range .Alerts -}}
      Alert: {{ .Labels.alertname }}
      {{ end -}}
"""
BOARD = {
    "title": "System load",
    "uid": "system-load",
    "annotations": {
        "list": [{"datasource": {"type": "grafana", "uid": "-- Grafana --"}}]
    },
    "panels": [
        {"id": 1, "datasource": {"type": "prometheus", "uid": "prometheus"}},
        {"id": 2, "targets": [{"datasource": {"uid": "grafana"}, "refId": "A"}]},
    ],
}
DIRECTORY = {
    "datasources/prometheus.yml": DATASOURCES,
    "datasources/loki.yml": LOGS,
    "datasources/tempo.yml": TRACES,
    "dashboards/dashboards.yml": PROVIDER,
    "alerting/alert-rules.yml": ALERTS,
    "alerting/contact-points.yml": POINTS,
    "alerting/notification-policies.yml": ROUTES,
    "alerting/discord-template.yml": TEMPLATES,
}
# The documented way to use the role's datasources, whose uids are known, in place of these.
OWN_DATASOURCES = {
    "datasources": [
        {"name": "Prometheus", "uid": "prometheus", "type": "prometheus"},
        {"name": "Loki", "uid": "loki", "type": "loki"},
        {"name": "Tempo", "uid": "tempo", "type": "tempo"},
    ]
}


def load(
    paths: list[str], objects: dict[str, Any] | None = None, **options: Any
) -> Content:
    """Load files of the directory, with the dashboards at the path that the provider names."""
    tree = {path: DIRECTORY[path].encode() for path in paths}
    loader = ContentLoader(
        environment={"DISCORD_WEBHOOK_URL": "https://discord.invalid/hook"},
        list_directory={"boards": {"load.json": json.dumps(BOARD).encode()}}.get,
        **options,
    )
    sources = [Source("p", tree, paths={"/var/lib/grafana/dashboards": "boards"})]
    if objects:
        sources.append(Source(objects=objects))
    content = loader.load(sources)
    assert loader.diagnostics.errors == []
    return content


def removed(desired: list[DesiredObject]) -> list[DesiredObject]:
    return [
        DesiredObject(item.kind, item.identity, {}, "f", "absent") for item in desired
    ]


def test_directory_of_a_container_goes_through_unchanged(
    grafana: Any, apply: Apply
) -> None:
    desired, required = load(list(DIRECTORY))
    try:
        made = apply(*desired, required=tuple(required), adopt=True)
        places = [warning.split(": ")[0] for warning in made.warnings]
        assert places == [*["p/datasources/tempo.yml:4"] * 4, "boards/load.json:1"]
        assert "neither desired nor on the server" in made.warnings[0]
        again = apply(*desired, required=tuple(required))
        assert not again.changed and not writes(grafana)
        rules = connect(grafana).get("/api/v1/provisioning/alert-rules")
        assert rules[0]["data"][0]["datasourceUid"] == DERIVED
    finally:
        apply(*removed(desired), adopt=True)


def test_strict_run_is_refused_before_a_write(grafana: Any, apply: Apply) -> None:
    desired, required = load(list(DIRECTORY), strict=True)
    with pytest.raises(GrafanaError, match="Nothing was changed") as refused:
        apply(*desired, required=tuple(required), adopt=True)
    assert "tempo.yml:4: datasource Tempo, tracesToLogs.datasourceUid" in str(
        refused.value
    )
    assert not writes(grafana)


@pytest.mark.parametrize(
    ("objects", "uids"),
    [
        (OWN_DATASOURCES, {}),
        (None, {"prometheus": DERIVED, "loki": "P8E80F9AEF21F6940"}),
    ],
    ids=["datasources with uids", "datasource_uids"],
)
def test_documented_way_needs_no_edited_rule(
    objects: dict[str, Any] | None, uids: dict[str, str]
) -> None:
    paths = [
        path for path in DIRECTORY if not (objects and path.startswith("datasources"))
    ]
    desired, required = load(paths, objects, datasource_uids=uids, strict=True)
    assert required == []
    (group,) = [item.body for item in desired if item.kind == "rule_group"]
    known = {item.identity for item in desired if item.kind == "datasource"}
    assert group["rules"][0]["data"][0]["datasourceUid"] in known


@pytest.mark.parametrize("name", ["plain", 'a "quoted" \\ name', "ü\n", "\ud83d"])
def test_only_objects_with_a_replaced_uid_are_copied(name: str) -> None:
    """A walk through each large dashboard would take longer than all other steps."""
    bodies = [
        {"dashboard": {"panels": [{"datasource": {"uid": uid}}]}, "folderUid": ""}
        for uid in (name, "other")
    ]
    items = [DesiredObject("dashboard", "d", body, "f") for body in bodies]
    replaced, kept = replaced_uids(items, {name: "new"})
    assert replaced.body["dashboard"]["panels"][0]["datasource"]["uid"] == "new"
    assert kept.body is bodies[1]
    assert bodies[0]["dashboard"]["panels"][0]["datasource"]["uid"] == name
