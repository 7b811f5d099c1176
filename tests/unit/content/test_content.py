# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts and dashboards keep the rules that make them useful, and ask for what is there."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from itertools import combinations

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    prometheus_rules,
)
from tests import content
from tests.content import ROOT

ALERTS = [(role, rule) for role in content.alert_files() for rule in content.rules(role)]
DASHBOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in content.dashboard_files()
}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]
QUERIES = list(content.queries())
RUNBOOK = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
# Panels that show what is no measurement.
WITHOUT_UNIT = ("logs", "alertlist")
SCRAPE_SECONDS = 15


@cache
def facts(role: str) -> dict:
    return yaml.safe_load(
        (ROOT / "roles" / role / "meta" / "component.yml").read_text(encoding="utf-8")
    )


@cache
def scrape_jobs() -> set[str]:
    """The jobs of all roles; those of instances with the names of the defaults."""
    found = set()
    for path in ROOT.glob("roles/*/meta/component.yml"):
        role = path.parts[-3]
        defaults = yaml.safe_load(
            (ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8")
        )
        instances = defaults.get(f"{role}_instances", [{"name": ""}])
        jobs = [job["name"] for job in facts(role).get("scrape_jobs", [])]
        found |= {
            job.replace("{{ instance.name }}", instance["name"])
            for job in jobs
            for instance in instances
        }
    return found


@cache
def known_metrics() -> set[str]:
    return set().union(*(content.known(path.stem) for path in content.METRICS.glob("*.txt")))


def each(values: list) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("where", "item"), values, ids=[label(where, item) for where, item in values]
    )


def label(where: str, item: dict) -> str:
    return item.get("alert") or f"{where}-{item['title']}"


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        pytest.param("up", ["up"], id="a name"),
        pytest.param('up{job="a"} == 0', ['up{job="a"}'], id="matchers"),
        pytest.param('{__name__="a b", x="}"}', ['{__name__="a b", x="}"}'], id="matchers alone"),
        pytest.param("sum by (le, host) (rate(a[5m])) > 1", ["a"], id="functions and labels"),
        pytest.param("sum(a) by(b)", ["a"], id="labels after"),
        pytest.param("a / on (x) group_left b unless c offset 10m", ["a", "b", "c"], id="words"),
        pytest.param(
            "predict_linear(a[6h], 24 * 3600) < 1e9 # b", ["a"], id="numbers and comments"
        ),
        pytest.param('rate(a{x=~"$y"}[$__rate_interval])', ['a{x=~"$y"}'], id="variables"),
        pytest.param('label_replace(a, "b", "c", "d", "e")', ["a"], id="texts"),
    ],
)
def test_selectors_of_an_expression_are_found(expression, selected):
    assert content.selectors(expression) == selected


@each(ALERTS)
def test_alert_says_what_is_wrong_and_what_to_do(where, item):
    assert set(item) <= {"alert", "expr", "for", "labels", "annotations"}
    assert set(item["labels"]) - {"engine"} == {"severity", "service", "component"}
    assert item["labels"]["severity"] in ("critical", "high", "medium")
    assert item["labels"]["component"] in (facts(where)["component"], "application")
    summary, description = item["annotations"]["summary"], item["annotations"]["description"]
    assert "\n" not in summary + description
    assert len(summary) <= 160
    # The first command to run.
    assert re.search(r"`[^`]+`", description)
    assert re.match(r"[A-Z{]", summary) and description.endswith(".")


@each(ALERTS)
def test_alert_waits_for_two_scrapes_or_tells_what_has_happened(where, item):
    happened = "increase(" in item["expr"]
    seconds = {"m": 60, "s": 1}[item.get("for", "0s")[-1]] * int(item.get("for", "0s")[:-1])
    assert seconds >= 2 * SCRAPE_SECONDS or happened


@each(ALERTS)
def test_alert_points_to_a_panel_that_is_there(where, item):
    uid, panel = (item["annotations"].get(key) for key in prometheus_rules.PANEL)
    there = {
        (board["uid"], str(panel["id"]))
        for board in DASHBOARDS.values()
        for panel in board["panels"]
    }
    assert (uid, panel) == (None, None) or (uid, panel) in there


def test_alerts_are_over_all_severities_and_each_has_its_name():
    assert {rule["labels"]["severity"] for _role, rule in ALERTS} == {"critical", "high", "medium"}
    assert [
        name
        for name, times in Counter(rule["alert"] for _role, rule in ALERTS).items()
        if times > 1
    ] == []


def test_each_alert_has_a_section_of_the_runbook_and_each_section_an_alert():
    assert sorted(re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)) == sorted(
        rule["alert"] for _role, rule in ALERTS
    )


def test_each_alert_has_one_engine_and_grafana_takes_its_own():
    taken, left = [], []
    for role, path in content.alert_files().items():
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        _grafana, prometheus = prometheus_rules.split(document)
        left += [rule["alert"] for group in prometheus["groups"] for rule in group["rules"]]
        groups = prometheus_rules.rule_groups(document, str(path), role)
        taken += [rule for group in groups for rule in group.body["rules"]]
    assert sorted([rule["title"] for rule in taken] + left) == sorted(
        rule["alert"] for _role, rule in ALERTS
    )
    assert len({rule["uid"] for rule in taken}) == len(taken)
    assert {rule["noDataState"] for rule in taken} == {"OK"}
    # Whoever asks a Prometheus that is away gets an error.
    assert [rule["title"] for rule in taken if rule["execErrState"] == "Alerting"] == [
        "PrometheusDown"
    ]


def test_a_target_that_the_general_alert_leaves_out_has_one_of_its_own():
    [general] = [rule["expr"] for _role, rule in ALERTS if rule["alert"] == "TargetDown"]
    left_out = set(re.search(r'job!~"([^"]+)"', general)[1].split("|"))
    others = " ".join(rule["expr"] for _role, rule in ALERTS)
    assert set(re.findall(r'up\{job="([^"]+)"\}', others)) == left_out
    # What Grafana cannot tell: that it is away itself, or one of its datasources. Prometheus cannot tell it of itself.
    told = {rule["alert"] for _role, rule in ALERTS if rule["labels"].get("engine") == "prometheus"}
    assert told == {"GrafanaDown", "LokiDown", "TempoDown"}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_what_is_asked_for_is_there(query):
    for selector in content.selectors(query.expression):
        if query.datasource == "prometheus":
            assert content.metric(selector) in known_metrics() | set(content.ALLOWED_EMPTY), (
                selector
            )
        jobs = re.findall(r'\bjob(?:=|!~|=~)"([^"]+)"', selector)
        assert {job for jobs in jobs for job in jobs.split("|")} <= scrape_jobs(), selector


def test_what_may_be_empty_is_asked_for():
    asked = {name for query in QUERIES for selector in content.selectors(query.expression)
             for name in (selector, content.metric(selector))}  # fmt: skip
    assert set(content.ALLOWED_EMPTY) <= asked


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_is_one_that_is_provisioned(name):
    dashboard = DASHBOARDS[name]
    assert dashboard["uid"] == f"hippius-{name}"
    assert {"id", "version", "iteration", "__inputs", "__requires"} & set(dashboard) == set()
    assert (dashboard["schemaVersion"], dashboard["editable"], dashboard["timezone"]) == (
        39,
        False,
        "",
    )
    assert (
        dashboard["title"]
        and dashboard["description"]
        and "hippius" in dashboard["tags"]
        and dashboard["links"]
    )
    [path] = [path for path in content.dashboard_files() if path.stem == name]
    assert (
        path.read_text(encoding="utf-8")
        == json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
    )


def test_dashboards_have_titles_of_their_own():
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_is_chosen_from_by_environment(name):
    variables = DASHBOARDS[name]["templating"]["list"]
    assert variables[0]["name"] == "env" and len(variables) > 1
    for variable in variables:
        assert (variable["type"], variable["refresh"], variable["includeAll"], variable["multi"]) == (
            "query", 2, True, True,
        )  # fmt: skip
        assert variable["label"]
    later = [variable["query"]["query"] for variable in variables[1:]]
    assert [query for query in later if 'env=~"$env"' not in query] == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_ids_and_places_of_their_own(name):
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


@each(PANELS)
def test_panel_says_what_it_shows_and_in_which_unit(where, item):
    assert item["title"] and item["description"].endswith(".")
    assert item["type"] in WITHOUT_UNIT or item["fieldConfig"]["defaults"]["unit"]


@each([(name, panel) for name, panel in PANELS if panel["type"] != "alertlist"])
def test_panel_asks_a_datasource_by_uid_for_the_chosen_environment(where, item):
    refs = [target["refId"] for target in item["targets"]]
    assert refs and len(set(refs)) == len(refs)
    for target in item["targets"]:
        assert target["datasource"] == item["datasource"]
        assert target["datasource"] in (
            {"type": kind, "uid": kind} for kind in ("prometheus", "loki", "tempo")
        )
        assert 'env=~"$env"' in target["expr"]
        # Of what is scraped every 15 seconds, a fixed range is too short when far away and too long when near.
        assert set(re.findall(r"\[([^\]]+)\]", target["expr"])) <= {"$__rate_interval"}
        for variable in re.findall(r"(=~|=|!=|!~)\"(\$\w+)", target["expr"]):
            assert variable[0] == "=~", "variables may have several values"
        assert item["type"] == "logs" or target["legendFormat"]
    counters = re.findall(r"(\w+_total)\b", " ".join(target["expr"] for target in item["targets"]))
    for counter in counters:
        assert re.search(
            rf"(rate|increase)\({counter}", " ".join(target["expr"] for target in item["targets"])
        )
