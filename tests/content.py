# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts and dashboards of the roles, and the metrics that they query.

    python3 -m tests.content http://172.30.0.5:9090

adds the metrics of a Prometheus to `tests/unit/content/metrics/<component>.txt`. Run it against a
host with every component, after traffic; delete a file first to remove obsolete metrics.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
METRICS = Path(__file__).parent / "unit" / "content" / "metrics"
# Job -> component. Metrics of applications come from the collector, and Tempo writes its own
# metrics without a job.
OWNERS = {
    "otel-collector": "application",
    "otel-collector-self": "otel-collector",
    "": "tempo",
    "node": "node-exporter",
}
# Metrics of every Go program, and Prometheus' own of each target. Those that are queried are kept.
COMMON = re.compile(
    r"(go|process|promhttp|net_conntrack|scrape)_"
    r"(?!resident_memory_bytes$|cpu_seconds_total$|start_time_seconds$|open_fds$|max_fds$"
    r"|duration_seconds$|samples_scraped$).*"
)
RUNBOOKS = "https://github.com/hippius/monitoring/blob/main/docs/runbooks"
# Metrics or selectors without a series in a healthy stack, and the reason.
NO_DESTINATION = "Metrics have no destination by default."
NO_FAILURES = "No request fails without a fault."
FAILED_REQUESTS = 'http_request_duration_seconds_count{job="otel-collector", '
NO_ERROR = "The first error creates the counter."
NO_OBJECTIVE = "No objective is declared by default."
NO_REPLICA = "The server has no replica."
NO_DISK = (
    "The host of the test bed is a container, whose only disks are mounts below /etc."
)
NO_TABLES = "The database that the exporter connects to has no tables of users."
DISKS = '{fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660", mountpoint!~"/etc/.+"}'
ALLOWED_EMPTY = {
    "otelcol_exporter_send_failed_spans": "The first permanent rejection creates the counter.",
    "otelcol_exporter_send_failed_metric_points": NO_DESTINATION,
    'otelcol_exporter_queue_size{data_type="metrics"}': NO_DESTINATION,
    FAILED_REQUESTS + 'status_code=~"5.."}': NO_FAILURES,
    FAILED_REQUESTS + 'status_code="429"}': NO_FAILURES,
    FAILED_REQUESTS + 'status_code=~"401|403"}': NO_FAILURES,
    'uploader_requests_total{success="false"}': NO_FAILURES,
    'substrate_requests_total{success="false"}': NO_FAILURES,
    'downloader_requests_total{success="false"}': NO_FAILURES,
    'hippius_queue_length{queue_name=~".*(dead|dlq).*"}': "No dead letters without a fault.",
    "otelcol_exporter_enqueue_failed_spans": NO_ERROR,
    "otelcol_exporter_enqueue_failed_metric_points": NO_ERROR,
    "loki_discarded_samples_total": NO_ERROR,
    'loki_request_duration_seconds_count{job="loki", status_code=~"5.."}': NO_FAILURES,
    "tempo_discarded_spans_total": NO_ERROR,
    "slo:objective:ratio": NO_OBJECTIVE,
    "slo:current_burn_rate:ratio": NO_OBJECTIVE,
    "slo:period_error_budget_remaining:ratio": NO_OBJECTIVE,
    "slo:sli_error:ratio_rate1h": NO_OBJECTIVE,
    "slo:sli_error:ratio_rate6h": NO_OBJECTIVE,
    "slo:sli_error:ratio_rate3d": NO_OBJECTIVE,
    "tempodb_blocklist_length": "The first block is written after minutes.",
    "tempodb_blocklist_poll_errors_total": NO_ERROR,
    'tempo_request_duration_seconds_count{status_code=~"5.."}': NO_FAILURES,
    'promtail_request_duration_seconds_count{status_code!~"2.."}': NO_FAILURES,
    'redis_errors_total{err="OOM"}': NO_ERROR,
    "redis_master_link_up": NO_REPLICA,
    "redis_master_last_io_seconds_ago": NO_REPLICA,
    "pg_replication_slot_slot_is_active": NO_REPLICA,
    'node_md_disks{state="failed"}': "The host has no RAID.",
    "node_filesystem_avail_bytes" + DISKS: NO_DISK,
    "node_filesystem_files_free" + DISKS: NO_DISK,
    "pg_stat_user_tables_n_dead_tup": NO_TABLES,
    "pg_stat_user_tables_n_live_tup": NO_TABLES,
}

_NOT_CODE = re.compile(r"#[^\n]*")
_STRING = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_TOKEN = re.compile(
    rf"(?P<number>\d[\w.]*)|(?P<range>\[[^\]]*\])|(?P<string>{_STRING})"
    rf"|(?P<name>[A-Za-z_:][\w:]*)?\s*(?P<matchers>\{{(?:{_STRING}|[^}}\"'])*\}})|(?P<word>[A-Za-z_:][\w:]*)\s*(?P<call>\()?"
)
_WITH_LABELS = ("by", "without", "on", "ignoring", "group_left", "group_right")
_WORDS = ("and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end")
# They may precede "by".
_AGGREGATIONS = (
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "group",
    "topk",
    "bottomk",
    "quantile",
    "stddev",
    "stdvar",
)


class Query(NamedTuple):
    """An expression of an alert or a panel, and its location."""

    where: str
    datasource: str
    expression: str


def alert_files() -> dict[str, Path]:
    """Return the path of each role's alerts, by role."""
    return {
        path.parts[-3]: path for path in sorted(ROOT.glob("roles/*/files/alerts.yml"))
    }


def dashboard_files() -> list[Path]:
    """Return the dashboards of all roles."""
    return sorted(ROOT.glob("roles/*/files/dashboards/*.json"))


def rules(role: str) -> list[dict]:
    """Return the alert rules of a role."""
    document = yaml.safe_load(alert_files()[role].read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def queries() -> Iterator[Query]:
    """Yield every query of alerts, panels and dashboard variables."""
    for role in alert_files():
        for rule in rules(role):
            yield Query(rule["alert"], "prometheus", rule["expr"])
    for path in dashboard_files():
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield Query(
                    f"{path.stem}, {panel['title']}",
                    target["datasource"]["type"],
                    target["expr"],
                )
        for annotation in dashboard["annotations"]["list"]:
            if "expr" not in annotation:
                # Those of Grafana's own annotations select tags.
                continue
            yield Query(
                f"{path.stem}, {annotation['name']}", "prometheus", annotation["expr"]
            )
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                query = variable["query"]["query"]
                [metric_of] = re.findall(r"label_values\((.+), \w+\)", query)
                where = f"{path.stem}, ${variable['name']}"
                yield Query(where, "prometheus", metric_of)


def selectors(expression: str) -> list[str]:
    """Return the series selectors of a PromQL or LogQL expression.

    A selector is a metric name, with its matchers if there are any.
    """
    code, position = _NOT_CODE.sub("", expression), 0
    selected: list[str] = []
    while match := _TOKEN.search(code, position):
        position = match.end()
        word = match["word"]
        if match["matchers"]:
            selected.append((match["name"] or "") + match["matchers"])
        elif word in _WITH_LABELS:
            # A list of labels follows.
            position = code.index(")", position) if match["call"] else position
        elif (
            word and not match["call"] and word.lower() not in (*_WORDS, *_AGGREGATIONS)
        ):
            selected.append(word)
    return selected


def metric(selector: str) -> str:
    """Return the metric name of a selector."""
    return selector.partition("{")[0]


def chosen(expression: str) -> str:
    """Return a query for all values of the dashboards' variables, of the last minutes."""
    for variable, value in (
        ("$__rate_interval", "1m"),
        ("$__range", "1h"),
        ("$__auto", "1m"),
        ("$env", ".+"),
    ):
        expression = expression.replace(variable, value)
    return re.sub(r"\$\w+", ".*", expression)


def may_be_empty(selector: str) -> bool:
    """Return whether a selector may be without a series in a healthy stack.

    The matchers of dashboard variables do not count.
    """
    # Not every inventory has Grafana, and that of the test bed is a fake.
    chosen = re.sub(r'\b\w+=~"\$\w+"(, )?', "", selector)
    chosen = re.sub(r", \}", "}", chosen).replace("{}", "")
    is_grafana = re.search(r'^grafana_|job="grafana"', chosen)
    return bool(
        is_grafana or chosen in ALLOWED_EMPTY or metric(chosen) in ALLOWED_EMPTY
    )


def expected() -> dict[str, str]:
    """Return the location of each Prometheus selector, except those that may be empty.

    Dashboard variables are replaced by a pattern for any value.
    """
    return {
        re.sub(r"\$\w+", ".*", selector): query.where
        for query in queries()
        if query.datasource == "prometheus"
        for selector in selectors(query.expression)
        if not may_be_empty(selector)
    }


def presence(selectors_of_series: list[str]) -> str:
    """Return one query that yields a series for each selector with data.

    The label `selector` of a series is the index in the list.
    """
    counts = [
        f'label_replace(count({selector}), "selector", "{index}", "", "")'
        for index, selector in enumerate(selectors_of_series)
    ]
    return " or ".join(counts)


def known(component: str) -> set[str]:
    """Return the metrics that a component exposes."""
    return set((METRICS / f"{component}.txt").read_text(encoding="utf-8").split())


def add_metrics(prometheus: str) -> None:
    """Add the metrics of a Prometheus to the lists."""
    for job in ["", *_values(prometheus, "job", '{__name__!=""}')]:
        component = OWNERS.get(
            job, re.sub(r"^(redis|postgres)(-.*)?$", r"\1-exporter", job)
        )
        matcher = f'{{job="{job}",__name__=~"[^:]+",__name__!~"ALERTS.*"}}'
        names = set(_values(prometheus, "__name__", matcher))
        path = METRICS / f"{component}.txt"
        names |= known(component) if path.exists() else set()
        kept = [name for name in sorted(names) if not COMMON.fullmatch(name)]
        path.write_text("".join(f"{name}\n" for name in kept), encoding="utf-8")


def _values(prometheus: str, label: str, matcher: str) -> list[str]:
    query = urllib.parse.urlencode({"match[]": matcher})
    with urllib.request.urlopen(
        f"{prometheus}/api/v1/label/{label}/values?{query}", timeout=30
    ) as answer:
        return json.load(answer)["data"]


if __name__ == "__main__":
    add_metrics(sys.argv[1])
