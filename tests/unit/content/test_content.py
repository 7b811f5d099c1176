# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts and dashboards follow our rules, and query only metrics that exist."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    prometheus_rules,
)
from tests import content
from tests.content import ROOT
from tests.dashboards import render
from tests.dashboards.boards import BOARDS

ALERTS = [
    (role, rule) for role in content.alert_files() for rule in content.rules(role)
]
DASHBOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in content.dashboard_files()
}
PANELS = [
    (name, panel)
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
    if panel["type"] != "row"
]
QUERIES = list(content.queries())
RUNBOOKS = {path.stem: path.read_text(encoding="utf-8")
            for path in sorted(ROOT.glob("docs/runbooks/*.md"))}  # fmt: skip
# Panels that show no measurements.
WITHOUT_UNIT = ("logs", "alertlist")
VARIABLE_TYPES = ("datasource", "query", "custom", "textbox")
# Gauges with the suffix of a counter, and a counter whose value is an age.
GAUGES = (
    "otelcol_process_uptime_seconds_total",
    "promtail_file_bytes_total",
    "promtail_read_bytes_total",
    "promtail_files_active_total",
)
# Counters whose exporters give them names of gauges. Prometheus remarks on each query of their
# rate; renaming them would break the dashboards that others have for these exporters.
NAMED_AS_GAUGES = ("pg_stat_database_", "node_vmstat_")
SCRAPE_SECONDS = 15
# Counters that a real Grafana 12.4 creates with the first rule, message or query.
NOT_BEFORE_AN_EVENT = (
    "grafana_alerting_rule_evaluation_failures_total",
    "grafana_alerting_notifications_failed_total",
    "grafana_datasource_request_total",
)


@cache
def facts(role: str) -> dict:
    return yaml.safe_load(
        (ROOT / "roles" / role / "meta" / "component.yml").read_text(encoding="utf-8")
    )


@cache
def scrape_jobs() -> set[str]:
    """Return the scrape jobs of all roles, with the default names of instances."""
    names = set()
    for path in ROOT.glob("roles/*/meta/component.yml"):
        role = path.parts[-3]
        defaults = yaml.safe_load(
            (ROOT / "roles" / role / "defaults" / "main.yml").read_text(
                encoding="utf-8"
            )
        )
        instances = defaults.get(f"{role}_instances", [{"name": ""}])
        jobs = [job["name"] for job in facts(role).get("scrape_jobs", [])]
        names |= {
            job.replace("{{ instance.name }}", instance["name"])
            for job in jobs
            for instance in instances
        }
    return names


@cache
def known_metrics() -> set[str]:
    return set().union(
        *(content.known(path.stem) for path in content.METRICS.glob("*.txt"))
    )


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
        pytest.param(
            '{__name__="a b", x="}"}', ['{__name__="a b", x="}"}'], id="matchers alone"
        ),
        pytest.param(
            "sum by (le, host) (rate(a[5m])) > 1", ["a"], id="functions and labels"
        ),
        pytest.param("sum(a) by(b)", ["a"], id="labels after"),
        pytest.param(
            "a / on (x) group_left b unless c offset 10m", ["a", "b", "c"], id="words"
        ),
        pytest.param(
            "predict_linear(a[6h], 24 * 3600) < 1e9 # b",
            ["a"],
            id="numbers and comments",
        ),
        pytest.param(
            'rate(a{x=~"$y"}[$__rate_interval])', ['a{x=~"$y"}'], id="variables"
        ),
        pytest.param('label_replace(a, "b", "c", "d", "e")', ["a"], id="strings"),
    ],
)
def test_selectors_of_an_expression_are_listed(expression, selected):
    assert content.selectors(expression) == selected


@each(ALERTS)
def test_alert_names_the_fault_and_the_remedy(where, item):
    assert set(item) <= {"alert", "expr", "for", "labels", "annotations"}
    assert set(item["labels"]) - {"engine"} == {"severity", "service", "component"}
    assert item["labels"]["severity"] in ("critical", "high", "medium")
    assert item["labels"]["component"] in (facts(where)["component"], "application")
    summary, description = (
        item["annotations"]["summary"],
        item["annotations"]["description"],
    )
    assert "\n" not in summary + description
    assert len(summary) <= 160
    # The first command to run.
    assert re.search(r"`[^`]+`", description)
    assert re.match(r"[A-Z{]", summary) and description.endswith(".")


@each(ALERTS)
def test_alert_waits_for_two_scrapes_or_reports_an_event(where, item):
    is_event = re.search(r"\b(increase|changes|delta)\(", item["expr"])
    # A start is an event too: the time since then is short.
    is_start = re.search(r"uptime|boot_time", item["expr"])
    seconds = {"h": 3600, "m": 60, "s": 1}[item.get("for", "0s")[-1]] * int(
        item.get("for", "0s")[:-1]
    )
    assert seconds >= 2 * SCRAPE_SECONDS or is_event or is_start


@each(ALERTS)
def test_alert_links_to_an_existing_panel(where, item):
    uid, panel = (item["annotations"].get(key) for key in prometheus_rules.PANEL)
    existing = {
        (board["uid"], str(panel["id"]))
        for board in DASHBOARDS.values()
        for panel in board["panels"]
    }
    assert (uid, panel) in existing


def test_alerts_use_all_severities_and_unique_names():
    assert {rule["labels"]["severity"] for _role, rule in ALERTS} == {
        "critical",
        "high",
        "medium",
    }
    assert [
        name
        for name, times in Counter(rule["alert"] for _role, rule in ALERTS).items()
        if times > 1
    ] == []


def test_runbooks_have_one_section_for_each_alert_of_their_component():
    sections = {
        (page, alert)
        for page, text in RUNBOOKS.items()
        for alert in re.findall(r"^## (\w+)$", text, re.MULTILINE)
    }
    alerts = {(rule["labels"]["component"], rule["alert"]) for _role, rule in ALERTS}
    assert sections == alerts
    overview = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(runbooks/([\w-]+)\.md\)", overview)) == set(RUNBOOKS)


@each(ALERTS)
def test_alert_links_to_its_section_of_the_runbook(where, item):
    page, anchor = item["labels"]["component"], item["alert"].lower()
    url = f"{content.RUNBOOKS}/{page}.md#{anchor}"
    assert item["annotations"]["runbook_url"] == url


def test_each_alert_has_one_engine_and_grafanas_share_converts():
    converted, remaining = [], []
    for role, path in content.alert_files().items():
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        _grafana, prometheus = prometheus_rules.split(document)
        remaining += [
            rule["alert"] for group in prometheus["groups"] for rule in group["rules"]
        ]
        groups = prometheus_rules.rule_groups(document, str(path), role)
        converted += [rule for group in groups for rule in group.body["rules"]]
    assert sorted([rule["title"] for rule in converted] + remaining) == sorted(
        rule["alert"] for _role, rule in ALERTS
    )
    assert len({rule["uid"] for rule in converted}) == len(converted)
    assert {rule["noDataState"] for rule in converted} == {"OK"}
    # A query to a Prometheus that is down is an error.
    assert [
        rule["title"] for rule in converted if rule["execErrState"] == "Alerting"
    ] == ["PrometheusDown"]


def test_target_outside_the_general_alert_has_its_own_alert():
    [general] = [
        rule["expr"] for _role, rule in ALERTS if rule["alert"] == "TargetDown"
    ]
    excluded = set(re.search(r'job!~"([^"]+)"', general)[1].split("|"))
    expressions = " ".join(rule["expr"] for _role, rule in ALERTS)
    assert set(re.findall(r'up\{job="([^"]+)"\}', expressions)) == excluded
    # Grafana cannot report its own failure or that of a datasource; Prometheus not its own.
    by_prometheus = {
        rule["alert"]
        for _role, rule in ALERTS
        if rule["labels"].get("engine") == "prometheus"
    }
    assert by_prometheus == {
        "GrafanaDown",
        "GrafanaEvaluationBehind",
        "GrafanaNotSending",
        "GrafanaRequestsFailing",
        "GrafanaRulesFailing",
        "LokiDown",
        "TempoDown",
    }


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_queried_metrics_and_jobs_exist(query):
    for selector in content.selectors(query.expression):
        if query.datasource == "prometheus":
            allowed = set(map(content.metric, content.ALLOWED_EMPTY))
            known = known_metrics() | allowed | set(NOT_BEFORE_AN_EVENT)
            assert content.metric(selector) in known, selector
        jobs = re.findall(r'\bjob(?:=|!~|=~)"([^"$]+)"', selector)
        assert {job for jobs in jobs for job in jobs.split("|")} <= scrape_jobs(), (
            selector
        )


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_rate_is_of_what_prometheus_takes_for_a_counter(query):
    """Otherwise Grafana marks the panel: the metric might not be a counter."""
    if query.datasource == "prometheus":
        counters = re.findall(r"\b(?:rate|increase|irate)\((\w+)", query.expression)
        remarked = [
            name
            for name in counters
            if not name.endswith(("_total", "_count", "_sum", "_bucket"))
        ]
        assert [name for name in remarked if not name.startswith(NAMED_AS_GAUGES)] == []


def test_metric_that_may_be_empty_is_queried():
    queried = {
        name
        for query in QUERIES
        for selector in content.selectors(query.expression)
        for name in (selector, content.metric(selector))
    }
    assert set(content.ALLOWED_EMPTY) <= queried


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_dashboard_file_is_generated(board):
    """`python3 -m tests.dashboards` writes the files."""
    assert render.path(board).read_text(encoding="utf-8") == render.text(board)


def test_every_dashboard_file_has_a_description():
    assert content.dashboard_files() == sorted(map(render.path, BOARDS))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_has_a_stable_address_and_leads_to_the_others(name):
    dashboard = DASHBOARDS[name]
    assert dashboard["uid"] == f"hippius-{name}"
    assert {"id", "version", "iteration", "__inputs", "__requires"} & set(
        dashboard
    ) == set()
    assert dashboard["schemaVersion"] == 39
    assert dashboard["editable"] is False
    assert dashboard["timezone"] == ""
    assert dashboard["title"] and dashboard["description"].endswith(".")
    assert "hippius" in dashboard["tags"]
    menu, runbook = dashboard["links"]
    assert menu["tags"] == ["hippius"] and menu["includeVars"]
    page = runbook["url"].removeprefix(f"{content.RUNBOOKS}/").removesuffix(".md")
    assert page in RUNBOOKS
    # Panels that the links of values lead to exist.
    linked = re.findall(r"/d/(hippius-\w+)", json.dumps(dashboard))
    assert set(linked) <= {board["uid"] for board in DASHBOARDS.values()}


def test_dashboard_titles_are_unique():
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(
        DASHBOARDS
    )


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_has_variables_for_datasources_and_that_depend_on_the_environment(
    name,
):
    variables = DASHBOARDS[name]["templating"]["list"]
    assert all(variable["label"] for variable in variables)
    kinds = [variable["type"] for variable in variables]
    assert kinds[0] == "datasource" and set(kinds) <= set(VARIABLE_TYPES)
    queried = [variable for variable in variables if variable["type"] == "query"]
    assert queried[0]["name"] == "env"
    # Loki refuses a query of which every matcher accepts an empty value.
    assert queried[0]["allValue"] == ".+"
    for variable in queried:
        settings = [variable[key] for key in ("refresh", "includeAll", "multi")]
        assert settings == [2, True, True]
    dependent = [variable["query"]["query"] for variable in queried[1:]]
    assert [query for query in dependent if 'env=~"$env"' not in query] == []
    used = json.dumps([DASHBOARDS[name]["panels"], queried])
    unused = [
        variable["name"]
        for variable in variables
        if not re.search(rf"\$\{{?{variable['name']}\b", used)
    ]
    assert unused == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_marks_starts_of_processes(name):
    starts, rollouts = DASHBOARDS[name]["annotations"]["list"]
    assert rollouts["name"] == "Rollouts"
    assert 'env=~"$env"' in starts["expr"] and starts["enable"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_unique_ids_and_do_not_overlap(name):
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = Counter(
        (column, line)
        for panel in panels
        for column in range(
            panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"]
        )
        for line in range(
            panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"]
        )
    )
    assert [cell for cell, times in cells.items() if times > 1] == []
    assert max(column for column, _line in cells) < 24


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_headings_and_the_first_one_tells_how_it_is_now(name):
    panels = DASHBOARDS[name]["panels"]
    assert panels[0]["type"] == "row"
    assert panels[1]["type"] == "stat" or name == "logs"
    titles = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert len(set(titles)) == len(titles)


@each(PANELS)
def test_panel_has_a_description_and_a_unit(where, item):
    assert item["title"] and item["description"].endswith(".")
    assert item["type"] in WITHOUT_UNIT or item["fieldConfig"]["defaults"]["unit"]


@each([(name, panel) for name, panel in PANELS if panel["type"] != "alertlist"])
def test_panel_queries_a_datasource_variable_for_the_selected_environment(where, item):
    refs = [target["refId"] for target in item["targets"]]
    assert refs and len(set(refs)) == len(refs)
    for target in item["targets"]:
        assert target["datasource"] == item["datasource"]
        assert target["datasource"] in (
            {"type": "prometheus", "uid": "${datasource}"},
            {"type": "loki", "uid": "${loki}"},
        )
        selected = content.selectors(target["expr"])
        assert selected and 'env=~"$env"' in target["expr"]
        joined = re.sub(r"\bnode_filesystem_\w+(?!\{|\w)", "", target["expr"])
        without = [
            selector
            for selector in content.selectors(joined)
            if 'env=~"$env"' not in selector
            and item["datasource"]["type"] == "prometheus"
        ]
        assert without == []
        # A fixed range is too short in a long time range and too long in a short one, except for
        # events and forecasts, whose alerts have the same range.
        ranges = set(re.findall(r"\[([^\]]+)\]", target["expr"]))
        is_event = re.search(
            r"\b(increase|delta|changes|predict_linear)\(", target["expr"]
        )
        variable_ranges = {"$__rate_interval", "$__range", "$__auto"}
        assert ranges <= variable_ranges or is_event
        for variable in re.findall(r"(=~|=|!=|!~)\"(\$\w+)", target["expr"]):
            assert variable[0] == "=~", "variables may have several values"
        # Series of two environments never have one name.
        if item["type"] not in ("logs", "table"):
            assert target["legendFormat"].startswith("{{env}}")
        groupings = re.findall(r"\bby \(([^)]*)\)", target["expr"])
        assert [labels for labels in groupings if "env" not in labels.split(", ")] == []
    expressions = " ".join(target["expr"] for target in item["targets"])
    # Two gauges of Promtail have the suffix of a counter.
    for counter in re.findall(r"\b(?!promtail_file)(\w+_total)\b", expressions):
        pattern = rf"((rate|increase)\(|count by \([^)]*\) \(){counter}"
        assert re.search(pattern, expressions) or counter in GAUGES


@each([(name, panel) for name, panel in PANELS if panel["type"] == "timeseries"])
def test_lines_over_time_can_be_read(where, item):
    settings = item["fieldConfig"]["defaults"]
    drawn = settings["custom"]
    # With zeros only, Grafana's axis would end at 100 or, for shares, at 10000 %.
    assert drawn.get("axisSoftMax") or settings.get("max")
    # Areas of many series hide each other.
    assert drawn["fillOpacity"] == 0 or drawn["stacking"]["mode"] == "normal"
    assert item["options"]["tooltip"] == {"mode": "multi", "sort": "desc"}
    legend = item["options"]["legend"]
    if drawn["drawStyle"] == "bars":
        # One bar a second is a comb.
        assert item["maxDataPoints"] <= 200
    else:
        assert legend["displayMode"] == "table" and "lastNotNull" in legend["calcs"]
        # The worst come first: of free space, those with the least.
        is_low = settings["thresholds"]["steps"][0]["color"] == "red" or any(
            "bottomk(" in target["expr"] for target in item["targets"]
        )
        order = ("Min", False) if is_low else ("Max", True)
        assert (legend["sortBy"], legend["sortDesc"]) == order
        assert order[0].lower() in legend["calcs"]
        # A lower panel cuts the third line of its legend off.
        assert item["gridPos"]["h"] >= 9
    steps = settings["thresholds"]["steps"]
    # A full line could be one of the series.
    assert drawn["thresholdsStyle"]["mode"] in ("off", "dashed")
    if drawn["thresholdsStyle"]["mode"] == "dashed":
        # A line takes the color of what lies above it.
        assert "transparent" in (steps[0]["color"], steps[-1]["color"])


@each([(name, panel) for name, panel in PANELS if panel["type"] == "timeseries"])
def test_color_by_name_is_that_of_the_last_word(where, item):
    """The names of hosts come first, and one may be called mon-1 or web-404."""
    for override in item["fieldConfig"]["overrides"]:
        assert override["matcher"]["id"] == "byRegexp"
        pattern = override["matcher"]["options"]
        assert pattern.startswith("/ ") and pattern.endswith("$/")
        assert not re.search(pattern.strip("/"), "prod mon-1 p95-failed web-404 x")


@pytest.mark.parametrize(
    ("name", "color"),
    [
        ("prod mon-1 204", "green"),
        ("prod web-404 200", "green"),
        ("prod mon-1 404", "orange"),
        ("prod mon-1 503", "red"),
        ("prod web-404 -1", "red"),
        ("prod mon-1 302", "blue"),
    ],
)
def test_batches_have_the_color_of_their_status(name, color):
    [batches] = [
        panel
        for where, panel in PANELS
        if (where, panel["title"]) == ("promtail", "Batches")
    ]
    colors = [
        override["properties"][0]["value"]["fixedColor"]
        for override in batches["fieldConfig"]["overrides"]
        if re.search(override["matcher"]["options"].strip("/"), name)
    ]
    assert colors == [color]


@each([(name, panel) for name, panel in PANELS if panel["type"] == "table"])
def test_table_names_the_environment_and_shows_what_its_columns_say(where, item):
    _merge, kept, order = item["transformations"]
    names = kept["options"]["include"]["names"]
    titles = [order["options"]["renameByName"][name] for name in names]
    assert titles[0] == "Env" and len(set(titles)) == len(titles)
    values = [f"Value #{target['refId']}" for target in item["targets"]]
    # Otherwise columns have 150 pixels at least, and the last ones are cut off.
    assert item["fieldConfig"]["defaults"]["custom"]["minWidth"] * len(titles) < 1200
    # With one query, Grafana would call the column "Value".
    assert len(values) > 1 and names[-len(values) :] == values
    assert {target["format"] for target in item["targets"]} == {"table"}
    labels = names[: -len(values)]
    columns = [
        override["matcher"]["options"] for override in item["fieldConfig"]["overrides"]
    ]
    assert columns == titles
    # The rows of different labels would not be merged.
    for target in item["targets"]:
        outermost = re.search(r"\bby \(([^)]*)\)", target["expr"])
        assert set(outermost[1].split(", ")) - {"le"} == set(labels)


@each([(name, panel) for name, panel in PANELS if panel["type"] == "timeseries"])
def test_values_of_a_host_or_a_service_lead_to_it(where, item):
    legends = [target["legendFormat"] for target in item["targets"]]
    titles = [
        link["title"] for link in item["fieldConfig"]["defaults"].get("links", [])
    ]
    named = all("{{host}}" in legend for legend in legends)
    if item["datasource"]["type"] == "prometheus":
        assert ("Host" in titles) == (named and where != "host")
        named = all("{{exported_job}}" in legend for legend in legends)
        assert ("Log lines" in titles) == named


@each([(name, panel) for name, panel in PANELS if panel["type"] == "stat"])
def test_single_value_has_colors_by_meaning(where, item):
    settings = item["fieldConfig"]["defaults"]
    colors = [step["color"] for step in settings["thresholds"]["steps"]]
    assert settings["color"] == {"mode": "thresholds"}
    # Values of many hosts would be too small to read: they are in tables. Tiles of a state are
    # colors with a name.
    if not settings.get("mappings"):
        assert [target["legendFormat"] for target in item["targets"]] == ["{{env}}"]
    # Grafana's own steps would make every value from 80 on red.
    assert settings["thresholds"]["steps"][0]["value"] is None
    assert set(colors) <= {"text", "green", "orange", "red"}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_alerts_link_to_the_panels_that_name_them(board):
    named = {
        alert: (f"hippius-{board.name}", str(panel.number))
        for panel in board.panels
        for alert in panel.alerts
    }
    linked = {
        rule["alert"]: tuple(rule["annotations"][key] for key in prometheus_rules.PANEL)
        for _role, rule in ALERTS
    }
    uid = f"hippius-{board.name}"
    assert named == {name: link for name, link in linked.items() if link[0] == uid}
    # Only lines over time show the state of an alert.
    assert {panel.kind for panel in board.panels if panel.alerts} <= {"timeseries"}
