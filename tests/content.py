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

from ansible_collections.hippius.monitoring.plugins.plugin_utils.series_selectors import (
    metric,
    selectors,
    without_variables,
)
from tests.dashboards.render import RUNBOOKS as RUNBOOKS

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
# Metrics or selectors without a series in a healthy stack, and the reason.
ALLOWED_EMPTY: dict[str, str] = {
    selector: reason
    for path in sorted(ROOT.glob("roles/*/meta/verify.yml"))
    for selector, reason in (
        yaml.safe_load(path.read_text(encoding="utf-8")).get("allowed_empty") or {}
    ).items()
}


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
    chosen = without_variables(selector)
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
