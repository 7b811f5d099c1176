# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The marks to send and the queries to ask of an environment, by its inventory. Pure."""

from __future__ import annotations

import difflib
import fnmatch
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ansible.module_utils.parsing.convert_bool import boolean

from . import catalog, series_selectors
from .catalog import CatalogError, Component, Inventory

# What --extra-vars verify_only may name, and what it means.
FLOWS = {
    "clocks": "the clocks of the hosts agree",
    "components": "the programs run, as they were rolled out",
    "targets": "Prometheus reaches what it scrapes",
    "metrics": "a metric reaches Prometheus through the collector",
    "traces": "a span reaches Tempo",
    "logs": "a line reaches Loki",
    "datasources": "Grafana reaches its data sources",
    "rules": "rules are loaded and evaluated",
    "selectors": "rules and panels select series that exist",
    "notifications": "messages reach their receivers",
}
# They send messages to people, so they are for those who ask for them.
ON_REQUEST = frozenset({"notifications"})
SENDERS_OF_MESSAGES = ("grafana", "alertmanager")
SIMILARITY = 0.6
# Selectors in one query, whose answer would otherwise take seconds.
SELECTORS_IN_QUERY = 40
# Seconds that data may take. A scrape takes up to 15 s, and Promtail as long to find a container.
PATIENCE = {"metric": 60, "span": 30, "direct": 30, "line": 45, "state": 30}
TOKEN_PATH = "/opt/monitoring/grafana-content.token"
CONTAINER = "monitoring-verify"
METRIC = "monitoring_verify_marker"
SERVICE = "monitoring-verify"
# The component that takes a mark.
SENDERS = {
    "metric": "otel-collector",
    "span": "otel-collector",
    "direct": "tempo",
    "line": "promtail",
}
# The marks that pass a component; each is sent only by a program that runs.
MARKS_THROUGH = {
    "otel-collector": ("metric", "span"),
    "promtail": ("line",),
    "tempo": ("span", "direct"),
    "loki": ("line",),
    "prometheus": ("metric",),
}
# Components without a listener that the catalog names as consumed.
SENDS_TO = {"promtail": ("loki",)}
LOGS = "promtail_docker_root"
# Variables whose rules may drop a marked line or span.
LINE_RULES = ("promtail_relabel_configs", "promtail_pipeline_stages")
SPAN_RULES = (
    "otel_collector_filter_rules",
    "otel_collector_tail_sampling",
    "otel_collector_probabilistic_sampling",
)
# How a data source is asked through Grafana's proxy.
PROXIED = {
    "prometheus": "api/v1/query?query=1",
    "loki": "loki/api/v1/labels",
    "tempo": "api/echo",
    "alertmanager": "api/v2/status",
}
TARGET_KEYS = ["data", "activeTargets", "labels", "job", "instance", "host"]
TARGET_KEYS += ["health", "lastError"]
RULE_KEYS = ["data", "groups", "name", "rules", "health", "lastError", "type", "query"]
RULE_KEYS += ["isPaused"]
SERIES_KEYS = ["data", "result", "metric", "selector"]
# Streams are too many to keep; that there is one is enough.
STREAM_KEYS = ["data"]
A_STREAM = '"data":[{'


def parse_flows(names: Any, with_notifications: bool) -> frozenset[str]:
    """Return the flows that names select, all but those on request without any.

    Raise CatalogError for an unknown one.
    """
    listed = names.split(",") if isinstance(names, str) else list(names or ())
    chosen = [str(name).strip() for name in listed if str(name).strip()]
    for name in chosen:
        if name not in FLOWS:
            closest = difflib.get_close_matches(name, FLOWS, 1, SIMILARITY)
            remedy = f"did you mean {closest[0]}? " if closest else ""
            raise CatalogError(
                f"verify_only: {name!r} is no flow; {remedy}choose from: {', '.join(FLOWS)}."
            )
    flows = frozenset(chosen) or frozenset(FLOWS) - ON_REQUEST
    return flows | ON_REQUEST if with_notifications else flows


def request_errors(verify: Any, names: Any, notifications: Any) -> list[str]:
    """Return what is wrong with the request to verify a rollout, before it begins."""
    wishes = {"verify": verify, "verify_notifications": notifications}
    errors = []
    for name, value in wishes.items():
        try:
            wishes[name] = value is not None and boolean(value)
        except TypeError:
            errors.append(f"{name}: {value!r} is no boolean; write true or false.")
    if not errors and wishes["verify"]:
        try:
            parse_flows(names, wishes["verify_notifications"])
        except CatalogError as error:
            errors.append(str(error))
    return errors


class Target(NamedTuple):
    """A scrape target that a Prometheus should have; ``host`` and ``component`` are its own."""

    prometheus: str
    job: str
    address: str
    host: str
    component: str

    @property
    def id(self) -> str:
        """The id of its check."""
        return f"target/{self.prometheus}/{self.job}/{self.address}"


class RuleName(NamedTuple):
    """The group and the name of a rule."""

    group: str
    rule: str


class Selector(NamedTuple):
    """A selector of rules and panels, without variables, and one place that has it."""

    text: str
    source: str


@dataclass(frozen=True)
class SeriesFacts:
    """Facts of all components about their series; see ``meta/verify.yml`` of a role.

    ``owners`` has the component by the beginning of a metric's name.
    """

    owners: Mapping[str, str] = field(default_factory=dict)
    application_metrics: tuple[str, ...] = ()
    allowed_empty: Mapping[str, str] = field(default_factory=dict)


class Site:
    """An inventory with the components of all roles, as plans and verdicts query it."""

    def __init__(self, inventory: Inventory, components: Iterable[Component]) -> None:
        self.inventory = inventory
        self.components = {component.name: component for component in components}

    def hosts(self, name: str) -> list[str]:
        """Return the hosts of a component."""
        return self.inventory.hosts(self.components[name])

    def all_hosts(self) -> list[str]:
        """Return the hosts with any component."""
        return self.inventory.all_hosts(self.components.values())

    def names(self, host: str) -> list[str]:
        """Return the components of a host."""
        return catalog.component_names(self.components.values(), self.inventory, host)

    def server(self, name: str, client_host: str) -> str:
        """Return the host of the server that a client uses, empty without any."""
        component = self.components[name]
        return catalog.server_host(component, self.inventory, client_host)

    def variable(self, name: str, host: str, variable: str) -> Any:
        """Return a variable of a component's role on a host."""
        return self.inventory.role_variable(host, self.components[name], variable)

    def endpoint(
        self, name: str, listener: str, host: str
    ) -> tuple[str, dict[str, Any]]:
        """Return URL and client settings of a component for its own host."""
        component = self.components[name]
        etc = f"/etc/{name}"
        url = catalog.url_of(component, listener, self.inventory, host)
        client = catalog.client_config_of(
            component, listener, self.inventory, host, etc
        )
        return url, dict(client)

    def targets(self, prometheus: str) -> list[Target]:
        """Return what a Prometheus should scrape of the components."""
        return [
            Target(prometheus, job["job_name"], address, config["labels"]["host"], name)
            for name, component in self.components.items()
            for job in catalog.scrape_jobs([component], self.inventory, prometheus)
            for config in job["static_configs"]
            for address in config["targets"]
        ]

    def own_file(self, name: str, host: str) -> bool:
        """Return whether a component has a configuration file of the user's own."""
        variable = f"{self.components[name].role}_config_file"
        return bool(self.variable(name, host, variable))


def marks_of(
    site: Site, host: str, flows: Collection[str], tokens: Iterable[str]
) -> list[dict[str, Any]]:
    """Return the marks that a host sends; each takes a token of 32 hexadecimal digits."""
    names = site.names(host)
    unused = iter(tokens)
    marks = []
    if "otel-collector" in names:
        url, client = site.endpoint("otel-collector", "otlp_http", host)
        paths = {"metrics": ("metric", "metrics"), "traces": ("span", "traces")}
        for flow, (kind, path) in paths.items():
            server = "prometheus" if kind == "metric" else "tempo"
            if flow in flows and site.hosts(server):
                token = next(unused)
                if kind == "metric":
                    token = str(int(token[:12], 16))
                mark = _mark(kind, host, f"{url}/v1/{path}", client, token)
                marks.append({**mark, "server": site.server(server, host)})
    if "tempo" in names and "traces" in flows:
        url, client = site.endpoint("tempo", "otlp", host)
        mark = _mark("direct", host, url, client, next(unused))
        mark["server"] = host
        environment = site.inventory.variable(host, catalog.ENVIRONMENT)
        marks.append({**mark, "environment": str(environment or "")})
    if "promtail" in names and "logs" in flows and not skipped_line(site, host):
        mark = _mark("line", host, log_directory(site, host), {}, next(unused))
        marks.append({**mark, "server": site.server("loki", host)})
    return marks


def _mark(
    kind: str, host: str, url: str, client: dict[str, Any], token: str
) -> dict[str, Any]:
    return {
        "id": f"{kind}/{host}",
        "kind": kind,
        "host": host,
        "url": url,
        "tls": client,
        "token": token,
    }


def marks_through(
    marks: Iterable[dict[str, Any]],
    component: str,
    runs: Callable[[str, str], bool],
) -> list[dict[str, Any]]:
    """Return the marks that pass a component, of those whose first program runs."""
    return [
        mark
        for mark in marks
        if mark["kind"] in MARKS_THROUGH.get(component, ())
        and runs(mark["host"], SENDERS[mark["kind"]])
    ]


def servers_of(site: Site, marks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the hosts on which marks should be found."""
    servers: list[str] = []
    for mark in marks:
        is_metric = mark["kind"] == "metric"
        servers += site.hosts("prometheus") if is_metric else [mark["server"]]
    return list(dict.fromkeys(servers))


def log_directory(site: Site, host: str) -> str:
    """Return the directory in which Docker keeps the containers' logs."""
    return f"{site.variable('promtail', host, LOGS)}/containers"


def skipped_line(site: Site, host: str) -> str:
    """Return why a marked line cannot reach Loki, an empty string if it should."""
    if not site.hosts("loki"):
        return "no host of the inventory has Loki"
    loki = catalog.url_of(site.components["loki"], "http", site.inventory, host)
    if not str(site.variable("promtail", host, "promtail_loki_url")).startswith(loki):
        return "promtail_loki_url leads to a Loki that the inventory does not have"
    if site.own_file("promtail", host):
        return "promtail_config_file decides what is read"
    return ""


def rules_that_drop(site: Site, name: str, host: str, variables: Iterable[str]) -> str:
    """Return the variable whose rules may drop a mark, an empty string without any."""
    for variable in variables:
        value = site.variable(name, host, variable)
        if value and (name != "promtail" or re.search("drop|keep|match", str(value))):
            return variable
    return ""


def queries_of(
    site: Site,
    host: str,
    flows: Collection[str],
    marks: Iterable[Mapping[str, Any]],
    is_running: Callable[[str, str], bool],
) -> list[dict[str, Any]]:
    """Return the queries to the servers on a host.

    ``marks`` were sent by any host, and ``is_running`` tells of a host and a component whether
    waiting for it makes sense.
    """
    names = site.names(host)
    queries = []
    for mark in marks:
        query = mark_query(site, host, mark)
        if query and not mark["error"]:
            if not is_running(mark["host"], SENDERS[mark["kind"]]):
                query["seconds"] = 0
            queries.append(query)
    if "prometheus" in names and {"targets", "selectors", "metrics"} & set(flows):
        query = _query(
            site,
            "prometheus",
            host,
            f"targets/{host}",
            "/api/v1/targets?state=active",
        )
        reachable = [
            _target_that_is_up(target)
            for target in (
                [] if site.own_file("prometheus", host) else site.targets(host)
            )
            if is_running(target.host, target.component)
        ]
        lacks = ['"health":"unknown"']
        query |= {"contains": reachable, "lacks": lacks, "keep": TARGET_KEYS}
        queries.append(query)
    if "prometheus" in names and {"rules", "selectors"} & set(flows):
        queries.append(
            _query(
                site, "prometheus", host, f"rules/prometheus/{host}", "/api/v1/rules"
            )
            | {"lacks": ['"health":"unknown"'], "keep": RULE_KEYS}
        )
    if "grafana" in names:
        queries += _grafana_queries(site, host, flows)
    return queries


def _target_that_is_up(target: Target) -> str:
    """Return the beginning of a target in Prometheus' answer, with the keys that are kept."""
    labels = {"host": target.host, "instance": target.address, "job": target.job}
    shown = json.dumps(labels, sort_keys=True, separators=(",", ":"))
    return f'"health":"up","labels":{shown}'


def mark_query(site: Site, host: str, mark: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the query that finds a mark on a host, None if it goes elsewhere."""
    kind, sender, token = mark["kind"], mark["host"], str(mark["token"])
    if kind == "metric":
        # Each Prometheus scrapes each collector.
        name, path = "prometheus", "/api/v1/query"
        form = {"query": f"{METRIC} == {token}"}
        contains = [f'"{token}"']
    elif kind == "line":
        name, path = "loki", "/loki/api/v1/query_range"
        labels = f'container_name="{CONTAINER}", host="{sender}"'
        form = {"query": f'{{{labels}}} |= "{token}"'}
        # A clock that is fast writes lines of the future.
        moment = int(mark["at"])
        form |= {"start": str(moment - 600), "end": str(moment + 600)}
        contains = [token]
    else:
        name, path, form = "tempo", f"/api/traces/{token}", {}
        contains = [SERVICE]
    is_here = host in site.hosts(name) and (
        kind == "metric" or site.server(name, sender) == host
    )
    if not is_here:
        return None
    query = _query(site, name, host, f"{kind}/{sender}/{host}", path)
    return query | {"form": form, "contains": contains, "seconds": PATIENCE[kind]}


def _query(
    site: Site, name: str, host: str, identity: str, path: str
) -> dict[str, Any]:
    url, client = site.endpoint(name, "http", host)
    return {
        "id": identity,
        "server": name,
        "url": url + path,
        "tls": client,
        "form": {},
        "contains": [],
        "lacks": [],
        "keep": [],
        "is_grafana": False,
        "seconds": PATIENCE["state"],
    }


def _grafana_queries(
    site: Site, host: str, flows: Collection[str]
) -> list[dict[str, Any]]:
    queries = []
    if {"datasources", "rules"} & set(flows):
        keep = ["uid", "type", "name"]
        listed = _grafana_query(site, host, f"datasources/{host}", "/api/datasources")
        queries.append(listed | {"keep": keep})
        for name in expected_datasources(site):
            path = f"/api/datasources/proxy/uid/{name}/{PROXIED[name]}"
            proxied = _grafana_query(site, host, f"datasource/{host}/{name}", path)
            queries.append(proxied | {"seconds": 10})
    if "rules" in flows:
        path = "/api/prometheus/grafana/api/v1/rules"
        rules = _grafana_query(site, host, f"rules/grafana/{host}", path)
        queries.append(rules | {"lacks": ['"health":"unknown"'], "keep": RULE_KEYS})
    return queries


def _grafana_query(site: Site, host: str, identity: str, path: str) -> dict[str, Any]:
    query = _query(site, "grafana", host, identity, path)
    # Its pages have logins of their own; that of its metrics is another one.
    client = {key: value for key, value in query["tls"].items() if key != "basic_auth"}
    return query | {"tls": client, "is_grafana": True}


def receivers_of(site: Site, host: str, flows: Collection[str]) -> list[dict[str, Any]]:
    """Return the servers on a host to whose receivers messages are sent."""
    if "notifications" not in flows:
        return []
    servers = []
    for name in SENDERS_OF_MESSAGES:
        if host in site.hosts(name):
            query = _query(site, name, host, "", "")
            if name == "grafana":
                query = _grafana_query(site, host, "", "")
            servers.append(
                {
                    "server": name,
                    "url": query["url"],
                    "tls": query["tls"],
                    "environment": str(
                        site.inventory.variable(host, catalog.ENVIRONMENT)
                    ),
                }
            )
    return servers


def expected_datasources(site: Site) -> list[str]:
    """Return the uids of the data sources that rules and panels of the components use."""
    return [name for name in PROXIED if site.hosts(name)]


def selectors_of(sources: Iterable[tuple[str, str]]) -> list[Selector]:
    """Return the selectors of expressions with their places, each once, without variables."""
    found: dict[str, str] = {}
    for source, expression in sources:
        for selector in series_selectors.selectors(expression):
            text = series_selectors.without_variables(selector)
            if text:
                found.setdefault(text, source)
    return [Selector(text, source) for text, source in found.items()]


def streams_of(sources: Iterable[tuple[str, str]]) -> list[Selector]:
    """Return the stream selectors of LogQL expressions with their places, each once."""
    found: dict[str, str] = {}
    for source, expression in sources:
        for text in series_selectors.of_streams(expression):
            found.setdefault(text, source)
    return [Selector(text, source) for text, source in found.items()]


def stream_queries(
    site: Site, host: str, streams: Iterable[Selector], optional: Collection[str]
) -> list[dict[str, Any]]:
    """Return the queries that tell which selectors have a stream in the Loki of a host.

    They are repeated until there is one, except those that are optional.
    """
    return [
        _query(site, "loki", host, stream_id(host, text), "/loki/api/v1/series")
        | {
            "form": {"match[]": text},
            "contains": [A_STREAM],
            "keep": STREAM_KEYS,
            "seconds": 0 if text in optional else PATIENCE["state"],
        }
        for text, _source in streams
    ]


def stream_id(host: str, text: str) -> str:
    """Return the id of the check that a selector has a stream in the Loki of a host."""
    return f"stream/{host}/{text}"


def selector_queries(
    site: Site, host: str, selectors: list[Selector], optional: Collection[str]
) -> list[dict[str, Any]]:
    """Return the queries that tell which selectors have a series.

    They are repeated until all have one, except those that are optional.
    """
    queries = []
    for start in range(0, len(selectors), SELECTORS_IN_QUERY):
        part = selectors[start : start + SELECTORS_IN_QUERY]
        query = _query(
            site, "prometheus", host, f"selectors/{host}/{start}", "/api/v1/query"
        )
        required = [
            f'"selector":"{index}"'
            for index, selector in enumerate(part)
            if selector.text not in optional
        ]
        texts = [selector.text for selector in part]
        form = {"query": series_selectors.presence(texts)}
        queries.append(
            query | {"form": form, "contains": required, "keep": SERIES_KEYS}
        )
    return queries


def allowed_reason(selector: str, facts: SeriesFacts) -> str:
    """Return why a selector may be without a series, an empty string if it may not."""
    metric = series_selectors.metric(selector)
    for name in (selector, metric):
        if name in facts.allowed_empty:
            return facts.allowed_empty[name]
    for pattern, reason in facts.allowed_empty.items():
        if any(fnmatch.fnmatchcase(name, pattern) for name in (selector, metric)):
            return reason
    if metric.startswith(facts.application_metrics):
        return "Applications bring it, and none has sent it yet."
    return ""
