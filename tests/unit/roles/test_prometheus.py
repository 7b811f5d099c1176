# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the rule files of the Prometheus role."""

from __future__ import annotations

from typing import Any

from tests.unit.roles.rendering import rollout

GROUPS = {"all": ["here"], "prometheus": ["here"]}


def rules(*groups: str, **variables: Any) -> dict[str, Any]:
    """Return the content or source of each file below rules/, by path."""
    groups = {**GROUPS, **{group: ["here"] for group in groups}}
    config = rollout("prometheus", groups=groups, **variables)["config"]
    files = {item["path"]: item.get("content") or item["source"] for item in config}
    return {
        path: content for path, content in files.items() if path.startswith("rules/")
    }


def test_prometheus_evaluates_alerts_about_components_in_the_inventory_that_grafana_cannot() -> (
    None
):
    assert list(rules()) == []
    files_of_components = rules("loki", "grafana", "redis_exporter")
    assert list(files_of_components) == ["rules/grafana.yml", "rules/loki.yml"]
    [group] = files_of_components["rules/loki.yml"]["groups"]
    assert [rule["alert"] for rule in group["rules"]] == ["LokiDown"]
    assert group["rules"][0]["labels"] == {
        "severity": "critical",
        "service": "logs",
        "component": "loki",
    }


def test_templates_of_alerts_are_left_to_prometheus() -> None:
    [group] = rules("loki")["rules/loki.yml"]["groups"]
    summary = "Loki on {{ $labels.host }} does not answer at {{ $labels.instance }}"
    assert group["rules"][0]["annotations"]["summary"] == summary


def test_own_rule_files_are_copied_unchanged() -> None:
    files = ["/srv/rules/loki.yml", "slo.rules.yaml"]
    files_of_components = rules("loki", prometheus_rule_files=files)
    assert files_of_components.pop("rules/loki.yml")["groups"]
    assert files_of_components == {
        "rules/own-loki.yml": files[0],
        "rules/own-slo.rules.yml": files[1],
    }


def test_an_own_configuration_has_only_the_own_rules() -> None:
    own = {
        "prometheus_config_file": "/srv/prometheus.yml",
        "prometheus_rule_files": ["/srv/a.yml"],
    }
    assert rules("loki", **own) == {"rules/own-a.yml": "/srv/a.yml"}


def test_objectives_become_a_rule_file() -> None:
    objective = {
        "name": "api",
        "service": "s3",
        "objective": 99.9,
        "good": "sum by (env) (rate(good_total[$window]))",
        "total": "sum by (env) (rate(all_total[$window]))",
    }
    [group] = rules(prometheus_slos=[objective])["rules/slo.yml"]["groups"]
    summaries = [rule["annotations"]["summary"] for rule in group["rules"][-1:]]
    assert "{{ $labels.env }}" in summaries[0]


HEARTBEAT = {"monitoring_heartbeat_url": "https://hc.example/ping/canary"}


def test_an_alert_fires_all_the_time_where_somebody_outside_waits_for_it() -> None:
    assert list(rules("alertmanager")) == []
    assert list(rules(**HEARTBEAT)) == []
    assert list(rules("alertmanager", **HEARTBEAT, prometheus_config_file="/x")) == []
    found = rules("alertmanager", **HEARTBEAT)
    [rule] = found["rules/heartbeat.yml"]["groups"][0]["rules"]
    assert (rule["alert"], rule["expr"]) == ("Watchdog", "vector(1)")
    assert "canary" not in str(found)


def test_alerts_lead_to_their_runbooks_on_the_users_server() -> None:
    objective = {
        "name": "api",
        "service": "s3",
        "objective": 99.9,
        "good": "sum(rate(good_total[$window]))",
        "total": "sum(rate(all_total[$window]))",
    }
    for base, start in (
        (None, ""),
        ("https://git.example/m/", "https://git.example/m/"),
    ):
        given = {"monitoring_documentation_url": base} if base else {}
        found = rules("loki", prometheus_slos=[objective], **given)
        urls = [
            files["groups"][0]["rules"][-1]["annotations"]["runbook_url"]
            for files in found.values()
        ]
        pages = ["docs/runbooks/loki.md#lokidown", "docs/slo.md#errorbudgetburn"]
        assert urls == [start + page for page in pages]
