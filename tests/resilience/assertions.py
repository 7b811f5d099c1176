# SPDX-License-Identifier: GPL-3.0-or-later
"""Assertions about the sample application's data in the servers, on one host and on several."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.testbed import app
from tests.testbed.app import flows

# All spans of a PutObject, in the libraries' names. asyncpg resets a used connection by SELECT.
PUT = "PUT /{bucket}/{key:path}"
PUT_OBJECT = Counter(
    (f"hippius-s3-{service}", library, name)
    for service, library, names in (
        (
            "api",
            "fastapi",
            (PUT, f"{PUT} http receive", f"{PUT} http send", f"{PUT} http send"),
        ),
        ("api", "redis", ("INCRBY", "SET", "LPUSH")),
        ("api", "asyncpg", ("INSERT", "SELECT")),
        ("uploader", "worker", ("uploader process",)),
        ("uploader", "redis", ("GET", "DEL", "LPUSH")),
        ("uploader", "asyncpg", ("INSERT", "SELECT", "UPDATE", "SELECT")),
        ("substrate", "worker", ("substrate process",)),
        ("substrate", "redis", ("SET",)),
        ("substrate", "asyncpg", ("UPDATE", "SELECT")),
    )
    for name in names
)


@dataclass(frozen=True)
class Servers:
    """Access to the servers, and the labels that they give to data."""

    fetch: flows.Fetch
    # Fetches the collector's current page about itself.
    page: Callable[[], str]
    env: str
    # The host of the collector and the exporters.
    host: str
    prometheus: str = flows.PROMETHEUS
    tempo: str = flows.TEMPO

    def series(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return Prometheus' answer to a query."""
        return flows.series(self.fetch, query, self.prometheus)

    def spans(self, trace_id: str) -> list[flows.Span]:
        """Return a trace's spans from Tempo."""
        return flows.spans(self.fetch, trace_id, self.tempo)

    def accepted(self) -> float:
        """Return the number of spans that the collector has received."""
        return sum(
            map(
                float,
                re.findall(
                    r"^otelcol_receiver_accepted_spans_total\S* (\S+)",
                    self.page(),
                    re.M,
                ),
            )
        )


def settles(
    measure: Callable[[], flows.Value], expected: flows.Value, seconds: float = 60
) -> None:
    """Measure until the value is as expected; fail after the time."""
    assert flows.settle(measure, lambda found: found == expected, seconds) == expected


def requests_are_counted_once(servers: Servers, requests: int) -> None:
    """Send some, and find each in Prometheus, through the collector."""
    api = app.instance("api")

    def counted() -> int:
        return flows.requests_counted(servers.fetch, api, servers.prometheus)

    expected = app.traffic(requests)["served"]
    assert flows.settle(counted, lambda found: found >= expected, 60) == expected
    labels = [
        labels
        for labels, _value in servers.series("http_request_duration_seconds_count")
    ]
    assert {
        (label["job"], label["env"], label["host"], label["exported_job"])
        for label in labels
    } == {("otel-collector", servers.env, servers.host, "hippius-s3-api")}


def redis_and_postgresql_are_measured(servers: Servers) -> None:
    """Find three Redis servers, each with its role, and PostgreSQL's returned rows."""
    ports = {"main": "6379", "accounts": "6380", "chain": "6381"}

    def of(query: str, *names: str) -> list[tuple[str | None, ...]]:
        return sorted(
            tuple(labels.get(name) for name in names)
            for labels, _value in servers.series(query)
        )

    clients = sorted(
        (f"redis-{name}", name, servers.env, servers.host) for name in ports
    )
    settles(
        lambda: of("redis_connected_clients > 0", "job", "redis", "env", "host"),
        clients,
    )
    settles(
        lambda: of("redis_instance_info", "redis", "tcp_port"), sorted(ports.items())
    )
    returned = [("postgres", "main", servers.env, servers.host)]
    query = 'pg_stat_database_tup_returned{datname="hippius"} > 0'
    settles(lambda: of(query, "job", "postgres", "env", "host"), returned)


def a_put_object_has_all_its_spans(servers: Servers) -> float:
    """Send one and find all its spans in Tempo, in one tree, with the environment.

    The result is the number of spans that the collector received meanwhile.
    """
    before = servers.accepted()
    [trace_id] = app.traffic(1)["trace_ids"]

    def kinds() -> Counter:
        return Counter(
            (span.service, span.scope, span.name) for span in servers.spans(trace_id)
        )

    settles(kinds, PUT_OBJECT)
    found = servers.spans(trace_id)
    assert {span.env for span in found} == {servers.env}
    assert [span.name for span in found if not span.parent] == [PUT]
    assert {span.parent for span in found if span.parent} <= {span.id for span in found}
    return servers.accepted() - before


def metrics_of_spans_lead_to_the_trace(servers: Servers) -> None:
    """Find a PutObject among the metrics that Tempo makes, and its trace by the exemplar."""
    # Tempo omits leading zeros of an id in exemplars. One trace of sixteen has some; so has this
    # one.
    trace_id = f"{uuid.uuid4().int >> 4:032x}"
    sent = app.traffic(1, {"traceparent": f"00-{trace_id}-{os.urandom(8).hex()}-01"})
    assert sent["trace_ids"] == [trace_id]
    put = f'span_name="{PUT}", service="hippius-s3-api", env="{servers.env}"'
    assert flows.settle(
        lambda: servers.series(f"traces_spanmetrics_calls_total{{{put}}} > 0"), len, 30
    )

    def exemplars() -> set[str]:
        query, ago = f"traces_spanmetrics_latency_bucket{{{put}}}", time.time() - 600
        address = f"{servers.prometheus}/api/v1/query_exemplars"
        found = flows.ask(
            servers.fetch, address, query=query, start=ago, end=ago + 1200
        )
        told = {
            exemplar["labels"]["traceID"]
            for series in found
            for exemplar in series["exemplars"]
        }
        return {told_id for told_id in told if int(told_id, 16) == int(trace_id, 16)}

    [told_id] = flows.settle(exemplars, len, 30)
    # Grafana sends the id of the exemplar to Tempo unchanged.
    found = flows.settle(lambda: servers.spans(told_id), len, 30)
    assert PUT in {span.name for span in found}


def links_between_signals_lead_to_data(
    ask: flows.Fetch, grafana: str, env: str
) -> None:
    """Follow each link of Grafana's data sources, as its pages fill and send them."""
    proxy = f"{grafana}/api/datasources/proxy/uid"
    settings = {
        uid: json.loads(ask(f"{grafana}/api/datasources/uid/{uid}"))["jsonData"]
        for uid in ("prometheus", "loki", "tempo")
    }
    [trace_id] = app.traffic(1)["trace_ids"]
    spans = flows.settle(
        lambda: flows.spans(ask, trace_id, f"{proxy}/tempo"),
        lambda found: any(span.name == PUT for span in found),
        30,
    )
    [root] = [span for span in spans if span.name == PUT]
    # From a trace to its lines, and from each of them back to the trace.
    to_logs = settings["tempo"]["tracesToLogsV2"]
    query = to_logs["query"].replace("${__trace.traceId}", trace_id)
    lines = flows.settle(
        lambda: list(flows.entries(ask, query, f"{proxy}/{to_logs['datasourceUid']}")),
        len,
        30,
    )
    assert {labels["env"] for labels, _at, _line in lines} == {env}
    [to_trace] = settings["loki"]["derivedFields"]
    assert (to_trace["url"], to_trace["datasourceUid"]) == ("${__value.raw}", "tempo")
    for _labels, _at, line in lines:
        assert re.search(to_trace["matcherRegex"], line)[1] == trace_id
    # From a span to the metrics of its operation, in its environment.
    to_metrics = settings["tempo"]["tracesToMetrics"]
    values = {"service.name": root.service, "name": root.name, "env": root.env}
    tags = ", ".join(
        f'{tag["value"]}="{values[tag["key"]]}"' for tag in to_metrics["tags"]
    )
    server = f"{proxy}/{to_metrics['datasourceUid']}"
    for link in to_metrics["queries"]:
        filled = link["query"].replace("$__tags", tags)
        assert f'env="{env}"' in filled
        # A rate needs two scrapes.
        assert flows.settle(
            lambda filled=filled: flows.series(ask, filled, server), len, 60
        ), link["name"]
    # The graph of services, and exemplars, whose label leads to the trace.
    graph = f"{proxy}/{settings['tempo']['serviceMap']['datasourceUid']}"
    edges = "traces_service_graph_request_total"
    assert flows.settle(lambda: flows.series(ask, edges, graph), len, 60)
    names = {
        name["name"]: name["datasourceUid"]
        for name in settings["prometheus"]["exemplarTraceIdDestinations"]
    }
    ago = time.time() - 3600
    exemplars = flows.ask(
        ask,
        f"{proxy}/prometheus/api/v1/query_exemplars",
        query=f'traces_spanmetrics_latency_bucket{{env="{env}"}}',
        start=ago,
        end=ago + 7200,
    )
    told = [one["labels"] for series in exemplars for one in series["exemplars"]]
    leading = {
        label: uid for one in told for label, uid in names.items() if label in one
    }
    assert told
    assert set(leading.values()) == {"tempo"}
