# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus gets its share of the components' alerts, and the user's own rule files."""

from __future__ import annotations

from typing import Any

from tests.unit.roles.rendering import rollout

GROUPS = {"all": ["here"], "prometheus": ["here"]}


def rules(*groups: str, **variables: Any) -> dict:
    """Path -> content or source of the files below rules/."""
    groups = {**GROUPS, **{group: ["here"] for group in groups}}
    config = rollout("prometheus", groups=groups, **variables)["config"]
    files = {item["path"]: item.get("content") or item["source"] for item in config}
    return {path: content for path, content in files.items() if path.startswith("rules/")}


def test_alerts_that_grafana_cannot_tell_are_those_of_components_in_the_inventory() -> None:
    assert list(rules()) == []
    found = rules("loki", "grafana", "redis_exporter")
    assert list(found) == ["rules/grafana.yml", "rules/loki.yml"]
    [group] = found["rules/loki.yml"]["groups"]
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


def test_own_rule_files_are_rolled_out_as_they_are() -> None:
    files = ["/srv/rules/loki.yml", "slo.rules.yaml"]
    found = rules("loki", prometheus_rule_files=files)
    assert found.pop("rules/loki.yml")["groups"]
    assert found == {"rules/own-loki.yml": files[0], "rules/own-slo.rules.yml": files[1]}


def test_who_brings_a_configuration_brings_its_rules() -> None:
    own = {"prometheus_config_file": "/srv/prometheus.yml", "prometheus_rule_files": ["/srv/a.yml"]}
    assert rules("loki", **own) == {"rules/own-a.yml": "/srv/a.yml"}
