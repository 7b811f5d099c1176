# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan and the verdicts for the example of three hosts, whose servers use TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader

from ansible_collections.hippius.monitoring.plugins.action import flow_check
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    flow_plan,
    flow_sources,
    flow_verdicts,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.flow_plan import (
    RuleName,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.inventory import (
    Inventory,
    all_components,
)
from tests.conftest import ROOT
from tests.unit.roles.rendering import HostVars, trust_as_template

EXAMPLE = ROOT / "examples/three-hosts/hosts.yml"
NAMES = ("app", "storage", "dashboards")
TOKENS = [f"{number:032x}" for number in range(1, 6)]
LOGIN = {
    "monitoring_basic_auth_username": "monitoring",
    "monitoring_basic_auth_password": "secret",
}
TLS = {
    "monitoring_tls_ca": "authority",
    "monitoring_tls_certificate": "certificate",
    "monitoring_tls_key": "key",
}


def example(**variables: Any) -> flow_plan.Site:
    """Return the example's site, with further variables of all hosts."""
    told = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["monitoring"]
    groups = {name: list(group["hosts"]) for name, group in told["children"].items()}
    common = trusted({**told["vars"], "monitoring_environment": "prod"})
    common |= {**TLS, "groups": groups, **variables}
    own = {
        name: {
            "monitoring_address": told["hosts"][name]["monitoring_address"],
            "group_names": [group for group, hosts in groups.items() if name in hosts],
            "inventory_hostname": name,
        }
        for name in NAMES
    }
    inventory = Inventory(DataLoader(), groups, HostVars(common, own))
    return flow_plan.Site(inventory, all_components())


def trusted(value: Any) -> Any:
    """Return the value with each string as a template of the inventory."""
    if isinstance(value, dict):
        return {key: trusted(element) for key, element in value.items()}
    if isinstance(value, list):
        return [trusted(element) for element in value]
    return trust_as_template(value) if isinstance(value, str) else value


def files_of(name: str) -> dict[str, str]:
    etc = f"/etc/{name}/tls"
    return {
        "ca_file": f"{etc}/ca.pem",
        "cert_file": f"{etc}/certificate.pem",
        "key_file": f"{etc}/key.pem",
    }


def runs(_host: str, _name: str) -> bool:
    return True


def test_each_host_sends_to_its_own_programs_and_names_the_server():
    site = example()
    marks = {
        mark["id"]: (mark["url"], mark["server"])
        for host in NAMES
        for mark in flow_plan.marks_of(site, host, flow_plan.FLOWS, TOKENS)
    }
    assert marks == {
        "metric/app": ("http://127.0.0.1:4318/v1/metrics", "storage"),
        "span/app": ("http://127.0.0.1:4318/v1/traces", "storage"),
        "line/app": ("/var/lib/docker/containers", "storage"),
        "direct/storage": ("https://10.0.0.2:4319", "storage"),
    }


@pytest.mark.parametrize("login", [{}, LOGIN], ids=["certificate", "password"])
def test_each_server_is_asked_on_its_own_host_with_its_own_certificate(
    login: dict[str, str],
):
    site = example(**login)
    marks = [
        {**mark, "at": 1.0, "error": ""}
        for host in NAMES
        for mark in flow_plan.marks_of(site, host, flow_plan.FLOWS, TOKENS)
    ]
    asked = {
        host: flow_plan.queries_of(site, host, flow_plan.FLOWS, marks, runs)
        for host in NAMES
    }
    assert asked["app"] == []
    addresses = {
        "prometheus": "https://10.0.0.2:9090/",
        "loki": "https://10.0.0.2:3100/",
        "tempo": "https://10.0.0.2:3200/",
        "grafana": "https://10.0.0.3:3000/",
    }
    for host, names in {
        "storage": {"prometheus", "loki", "tempo"},
        "dashboards": {"grafana"},
    }.items():
        assert {query["server"] for query in asked[host]} == names
        for query in asked[host]:
            name = query["server"]
            assert query["url"].startswith(addresses[name])
            assert query["tls"]["tls_config"] == files_of(name)
            # Loki and Tempo have no passwords, and that of Grafana is another one.
            has_login = bool(login) and name == "prometheus"
            assert ("basic_auth" in query["tls"]) == has_login
    streams = [flow_plan.Selector('{env=~".+"}', "panel")]
    [query] = flow_plan.stream_queries(site, "storage", streams, ())
    assert query["url"] == "https://10.0.0.2:3100/loki/api/v1/series"
    assert query["tls"]["tls_config"] == files_of("loki")


def unreachable(site: flow_plan.Site, down: str) -> flow_verdicts.Answers:
    """Return answers of which one host has given none."""
    reports = {
        host: {
            "instances": {
                name: {
                    "component": name,
                    "state": "active",
                    "ready": True,
                    "diagnostics": [],
                    "drift": [],
                }
                for name in site.names(host)
            }
        }
        for host in NAMES
    }
    gone = {"unreachable": True, "msg": "Connection refused"}
    return flow_verdicts.Answers({**reports, down: gone})


@pytest.mark.parametrize("down", NAMES)
def test_a_host_that_is_down_is_the_only_thing_that_is_broken(down: str):
    site = example()
    given = unreachable(site, down)
    facts = flow_sources.series_facts(site, "storage")
    checks = flow_verdicts.checks_of(site, given, facts, NAMES)
    verdicts = flow_verdicts.settle(checks, {"components"})
    assert [
        verdict.check.id
        for verdict in verdicts
        if verdict.state == flow_verdicts.BROKEN
    ] == [f"host/{down}"]


@pytest.mark.parametrize("step", ["send", "find", "remove"])
def test_a_host_that_is_down_is_not_contacted_again(
    monkeypatch: pytest.MonkeyPatch, step: str
):
    site = example()
    given = unreachable(site, "storage")
    contacted: list[str] = []
    plugin = flow_check.ActionModule.__new__(flow_check.ActionModule)
    monkeypatch.setattr(
        flow_check.ActionModule,
        "_execute_module",
        lambda self, **_arguments: contacted.append(self._host) or {"marks": []},
    )
    plugin._site, plugin._variables = site, {}
    monkeypatch.setattr(plugin, "_grafana_login", dict)
    line = {"kind": "line", "url": "/logs", "token": "1", "host": "app", "at": 1.0}
    line |= {"server": "storage", "error": ""}
    options = {
        "step": step,
        "component": "",
        "statuses": given.statuses,
        "sent": {host: {"marks": [line]} for host in NAMES},
        "content": {},
    }
    for host in NAMES:
        plugin._host = host
        plugin._run_step(options, frozenset(flow_plan.FLOWS) - {"selectors"})
    assert "storage" not in contacted
    assert contacted


def test_nobody_waits_for_what_is_on_a_host_that_is_down():
    site = example()
    given = unreachable(site, "app")
    [targets] = [
        query
        for query in flow_plan.queries_of(
            site, "storage", flow_plan.FLOWS, [], given.is_running
        )
        if query["id"] == "targets/storage"
    ]
    assert [text for text in targets["contains"] if '"host":"app"' in text] == []
    assert [text for text in targets["contains"] if '"host":"dashboards"' in text]


def test_prometheus_should_have_the_rules_of_components_and_users(tmp_path: Path):
    own = tmp_path / "own.yml"
    group = {"name": "own", "rules": [{"record": "a:b", "expr": "1"}]}
    own.write_text(yaml.safe_dump({"groups": [group]}))
    slos = {"groups": [{"name": "slo-api", "rules": [{"alert": "Burn", "expr": "1"}]}]}
    site = example(
        prometheus_rule_files=[str(own)],
        monitoring_heartbeat_url="https://hc.example/1",
    )
    rules = flow_sources.rules_of_prometheus(site, "storage", slos)
    expected = {
        RuleName("own", "a:b"),
        RuleName("slo-api", "Burn"),
        RuleName("heartbeat", "Watchdog"),
        RuleName("loki", "LokiDown"),
    }
    assert expected <= set(rules)
    # Grafana has the others.
    assert RuleName("loki", "LokiPanic") not in rules
    whole = example(prometheus_config_file=str(own))
    assert flow_sources.rules_of_prometheus(whole, "storage", slos) == []
