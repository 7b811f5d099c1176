# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory in memory with every component, and answers of its hosts."""

from __future__ import annotations

from typing import Any

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    catalog,
    flow_plan,
    flow_verdicts,
)

ADDRESSES = {
    "prometheus": "127.0.0.1:9090",
    "alertmanager": "127.0.0.1:9093",
    "loki": "127.0.0.1:3100",
    "promtail": "127.0.0.1:9080",
    "grafana": "127.0.0.1:3000",
}
FACTS: dict[str, dict[str, Any]] = {
    name: {
        "listen_addresses": {"http": address},
        "scrape_jobs": [{"name": name, "address": "http"}],
    }
    for name, address in ADDRESSES.items()
} | {
    "otel-collector": {
        "listen_addresses": {
            "otlp_http": "127.0.0.1:4318",
            "prometheus": "127.0.0.1:8889",
        },
        "scrape_jobs": [{"name": "otel-collector", "address": "prometheus"}],
        "consumes": {"tempo": "otlp"},
    },
    "tempo": {
        "listen_addresses": {"http": "127.0.0.1:3200", "otlp": "127.0.0.1:4319"},
        "scrape_jobs": [{"name": "tempo", "address": "http"}],
    },
}
DEFAULTS = {
    "promtail_docker_root": "/var/lib/docker",
    "promtail_loki_url": "http://127.0.0.1:3100/loki/api/v1/push",
}
HOST = "web1"


class Inventory(catalog.Inventory):
    """An inventory without templates."""

    def __init__(self, groups: dict[str, list[str]], variables: dict[str, Any]) -> None:
        self.groups, self.variables = groups, variables

    def variable(self, host: str, name: str) -> Any:
        return {"monitoring_environment": "dev", **self.variables}.get(name)

    def role_variable(self, host: str, component: catalog.Component, name: str) -> Any:
        return {**DEFAULTS, **self.variables}.get(name)

    def render(
        self, host: str, component: Any, value: Any, instance: Any = None
    ) -> Any:
        return value


def site(*without: str, **variables: Any) -> flow_plan.Site:
    """Return a site with all components on one host, but some of them nowhere."""
    components = [
        catalog.parse_component(
            name.replace("-", "_"),
            {
                "release": name,
                "group": name,
                "component": name,
                **facts,
            },
        )
        for name, facts in FACTS.items()
    ]
    groups = {name: [HOST] for name in FACTS if name not in without}
    return flow_plan.Site(Inventory(groups, variables), components)


def report(component: str, state: str = "ready", **values: Any) -> dict[str, Any]:
    """Return a status of an instance."""
    is_active = state in ("ready", "not ready")
    return {
        "component": component,
        "state": "active" if is_active else state,
        "ready": state == "ready",
        "diagnostics": [] if state == "ready" else [f"{component} is {state}"],
        "drift": [],
        **values,
    }


def statuses(**states: str) -> dict[str, Any]:
    """Return the statuses of the host, all ready but those that are named."""
    states = {name.replace("_", "-"): state for name, state in states.items()}
    return {
        HOST: {
            "instances": {
                name: report(name, states.get(name, "ready")) for name in FACTS
            }
        }
    }


def answers(
    where: flow_plan.Site, missing: tuple[str, ...] = (), **states: str
) -> flow_verdicts.Answers:
    """Return the answers of a host that works, except for queries that begin with a name."""
    marks = [
        {key: value for key, value in mark.items() if key != "tls"}
        | {"at": 100.0, "error": ""}
        for mark in flow_plan.marks_of(
            where, HOST, flow_plan.FLOWS, [f"{n:032x}" for n in range(1, 5)]
        )
    ]
    sent = {
        HOST: {
            "marks": marks,
            "asked": 99.0,
            "started": 100.0,
            "ended": 100.1,
            "answered": 101.0,
        }
    }
    queries = flow_plan.queries_of(
        where, HOST, flow_plan.FLOWS, marks, lambda _host, _name: True
    )
    found = [answer_to(where, query, missing) for query in queries]
    return flow_verdicts.Answers(statuses(**states), sent, {HOST: {"answers": found}})


def answer_to(
    where: flow_plan.Site, query: dict[str, Any], missing: tuple[str, ...]
) -> dict[str, Any]:
    """Return the right answer to a query, or that of a server without what is asked for."""
    identity = query["id"]
    is_missing = identity.startswith(missing) if missing else False
    values: Any = None
    if identity.startswith("targets/"):
        values = {"data": {"activeTargets": targets(where, missing)}}
    elif identity.startswith("rules/"):
        health = "err" if is_missing else "ok"
        rule = {"name": "Rule", "health": health, "lastError": "bad", "query": "up"}
        values = {"data": {"groups": [{"name": "", "rules": [rule]}]}}
        is_missing = False
    elif identity.startswith("datasources/"):
        values = [{"uid": name, "type": name} for name in flow_plan.PROXIED]
    return {
        "id": identity,
        "status": 502 if is_missing else 200,
        "at": 0 if is_missing else 102.5,
        "values": values,
        "error": "refused" if is_missing else "",
    }


def targets(
    where: flow_plan.Site, missing: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return the targets of Prometheus, of which some are down."""
    return [
        {
            "labels": {"job": target.job, "instance": target.address},
            "health": "down" if f"up/{target.job}" in missing else "up",
            "lastError": "connection refused",
        }
        for target in where.targets(HOST)
        if f"gone/{target.job}" not in missing
    ]


def broken(
    where: flow_plan.Site, given: flow_verdicts.Answers, **options: Any
) -> dict[str, list[str]]:
    """Return the ids of the checks in each state but the right one."""
    facts = options.get("facts", flow_plan.SeriesFacts())
    expected = options.get("expected", flow_verdicts.Expected())
    flows = options.get("flows", flow_plan.FLOWS)
    checks = flow_verdicts.checks_of(where, given, facts, [HOST], expected)
    found: dict[str, list[str]] = {}
    for verdict in flow_verdicts.settle(checks, flows):
        if verdict.state != flow_verdicts.OK:
            found.setdefault(verdict.state, []).append(verdict.check.id)
    return found
