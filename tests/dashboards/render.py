# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the description of a dashboard as Grafana's JSON. Pure, except for `path`.

The format is that of Grafana 11 (schema 39), which 12 and 13 read as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.dashboards.model import BAD, Board, Column, Panel, Query, Row, Variable

ROOT = Path(__file__).parents[2]
RUNBOOKS = "docs/runbooks"
SCHEMA = 39
COLUMNS = 24
# Numbers of rows, above those of panels.
FIRST_ROW = 1000
SOURCES = {
    "prometheus": {"type": "prometheus", "uid": "${datasource}"},
    "loki": {"type": "loki", "uid": "${loki}"},
    "grafana": {"type": "grafana", "uid": "-- Grafana --"},
}
RESTARTS = (
    "sum by (env, host, job)"
    " (changes(process_start_time_seconds{MATCHERS}[$__rate_interval])) > 0"
)
# Label of a series -> title of the link that a click on it offers, the dashboard's name, and its
# variable with the value.
LEADS = {
    "host": ("Host", "host", "host=${__field.labels.host}"),
    "exported_job": (
        "Log lines",
        "logs",
        "container=${__field.labels.exported_job}-.*",
    ),
}
# The same for the cells of a table.
CELL_LEADS = {
    "host": ("Host", "host", "host"),
    "exported_job": ("Log lines", "logs", "container"),
    "job": ("Targets", "prometheus", "job"),
}
STATES = {"0": ("DOWN", "red"), "1": ("UP", "green")}
Json = dict[str, Any]


def path(board: Board) -> Path:
    """Return the file of a dashboard."""
    return ROOT / "roles" / board.role / "files/dashboards" / f"{board.name}.json"


def text(board: Board) -> str:
    """Return the content of the file of a dashboard."""
    return json.dumps(dashboard(board), indent=2, ensure_ascii=False) + "\n"


def dashboard(board: Board) -> Json:
    """Return a dashboard in Grafana's format."""
    return {
        "uid": f"hippius-{board.name}",
        "title": board.title,
        "description": board.description,
        "tags": ["hippius", board.name],
        "schemaVersion": SCHEMA,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": links(board),
        "templating": {"list": [*sources(board), *map(variable, board.variables)]},
        "annotations": {"list": [annotation(board), ROLLOUTS]},
        "panels": placed(board),
    }


def links(board: Board) -> list[Json]:
    """Return the menu of all dashboards, and the link to the runbook."""
    common = {"icon": "external link", "tooltip": ""}
    menu = {
        **common,
        "type": "dashboards",
        "title": "Hippius",
        "tags": ["hippius"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "url": "",
    }
    page = {
        **common,
        "type": "link",
        "title": "Runbook",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": True,
        "url": f"{RUNBOOKS}/{board.runbook}.md",
    }
    return [menu, page] if board.runbook else [menu]


def sources(board: Board) -> list[Json]:
    """Return the variables for the datasources that a dashboard queries."""
    kinds = {"prometheus": "datasource", "loki": "loki"}
    used = {query.source for panel in board.panels for query in panel.queries}
    return [
        {
            "name": name,
            "label": "Metrics" if kind == "prometheus" else "Logs",
            "type": "datasource",
            "query": kind,
            "current": {"text": kind.title(), "value": kind},
            "hide": 0,
            "includeAll": False,
            "multi": False,
            "options": [],
            "refresh": 1,
            "regex": "",
        }
        for kind, name in kinds.items()
        if kind in used or kind == "prometheus"
    ]


def variable(described: Variable) -> Json:
    """Return a variable in Grafana's format; it has several values unless it is a text box."""
    common: Json = {"name": described.name, "label": described.label, "hide": 0}
    if described.text:
        empty = {"text": "", "value": "", "selected": True}
        return {
            **common,
            "type": "textbox",
            "query": "",
            "current": empty,
            "options": [empty],
        }
    several = {
        "multi": True,
        "includeAll": True,
        # Loki refuses a query of which every matcher accepts an empty value.
        "allValue": ".+" if described.name == "env" else ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
    }
    if described.values:
        query = ", ".join(described.values)
        return {**common, "type": "custom", "query": query, **several}
    metric = described.metric
    if described.name != "env":
        matchers = 'env=~"$env"'
        metric = (
            metric.replace("}", f", {matchers}}}")
            if "{" in metric
            else f"{metric}{{{matchers}}}"
        )
    query = f"label_values({metric}, {described.of})"
    return {
        **common,
        "type": "query",
        "datasource": SOURCES["prometheus"],
        "query": {"query": query, "refId": described.name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "regex": "",
        **several,
    }


# The record that each run of site.yml leaves in Grafana.
ROLLOUTS: Json = {
    "name": "Rollouts",
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": False,
    "iconColor": "purple",
    "target": {"limit": 100, "matchAny": False, "tags": ["rollout"], "type": "tags"},
}


def annotation(board: Board) -> Json:
    """Return the annotation of starts of processes: rollouts, crashes and reboots."""
    hosts = any(known.name == "host" for known in board.variables)
    matchers = '{env=~"$env", host=~"$host"}' if hosts else '{env=~"$env"}'
    return {
        "name": "Starts",
        "datasource": SOURCES["prometheus"],
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": RESTARTS.replace("{MATCHERS}", matchers),
        "step": "60s",
        "titleFormat": "{{job}} started",
        "textFormat": "{{env}} {{host}}",
        "tagKeys": "",
        "useValueForTime": False,
    }


def placed(board: Board) -> list[Json]:
    """Return the rows and panels of a dashboard with their positions."""
    rendered: list[Json] = []
    line = 0
    for index, row in enumerate(board.rows):
        rendered.append(heading(row, FIRST_ROW + index, line))
        line += 1
        column = height = 0
        for panel in row.panels:
            if column + panel.width > COLUMNS:
                column, line, height = 0, line + height, 0
            position = {
                "x": column,
                "y": line,
                "w": panel.width,
                "h": panel.height,
            }
            rendered.append(render(panel, board, position))
            column += panel.width
            height = max(height, panel.height)
        line += height
    return rendered


def heading(row: Row, number: int, line: int) -> Json:
    """Return the heading of a row."""
    position = {"x": 0, "y": line, "w": COLUMNS, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "gridPos": position,
        "panels": [],
    }


def render(panel: Panel, board: Board, position: Json) -> Json:
    """Return a panel in Grafana's format."""
    rendered: Json = {
        "id": panel.number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": position,
    }
    queries = queries_of(panel)
    if queries:
        rendered["datasource"] = SOURCES[queries[0].source]
        rendered["targets"] = [
            target(query, chr(ord("A") + index), panel, board)
            for index, query in enumerate(queries)
        ]
        rendered["fieldConfig"] = {
            "defaults": defaults(panel, board),
            "overrides": overrides(panel),
        }
    rendered["options"] = OPTIONS[panel.kind](panel)
    if panel.bars:
        # A bar a second is a comb; these are as many as the wide panel can show.
        rendered["maxDataPoints"] = 120
    if panel.kind == "table":
        rendered["transformations"] = transformations(panel)
    return rendered


def queries_of(panel: Panel) -> tuple[Query, ...]:
    """Return the queries of a panel; a table has one for each column of values."""
    return panel.queries or tuple(Query(column.expr, "") for column in panel.columns)


def target(query: Query, ref: str, panel: Panel, board: Board) -> Json:
    """Return a query in Grafana's format."""
    common = {
        "refId": ref,
        "datasource": SOURCES[query.source],
        "expr": query.expr.replace("{@", "{" + board.matchers),
        "legendFormat": query.legend,
        "editorMode": "code",
    }
    if query.source == "loki":
        return {**common, "queryType": "range"}
    instant = panel.kind in ("stat", "table")
    common |= {"instant": instant, "range": not instant}
    if panel.kind == "table":
        common["format"] = "table"
    if query.exemplars:
        common["exemplar"] = True
    return common


def leads(panel: Panel, board: Board) -> list[Json]:
    """Return the links of values: those of the panel, and those of the labels in its legends."""
    found = list(panel.links)
    if not panel.queries or panel.queries[0].source != "prometheus":
        return [link(title, url) for title, url in found]
    for label, (title, name, value) in LEADS.items():
        named = all(f"{{{{{label}}}}}" in query.legend for query in panel.queries)
        if named and name != board.name:
            address = f"/d/hippius-{name}?var-env=${{__field.labels.env}}"
            found.append((title, f"{address}&var-{value}&${{__url_time_range}}"))
    return [link(title, url) for title, url in found]


def link(title: str, url: str) -> Json:
    """Return a link of values in Grafana's format."""
    return {"title": title, "url": url, "targetBlank": False}


def defaults(panel: Panel, board: Board) -> Json:
    """Return the settings of all series of a panel."""
    settings: Json = {
        "unit": panel.unit,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in panel.steps],
        },
    }
    if panel.kind == "timeseries":
        settings["min"] = panel.minimum
        settings["color"] = {"mode": "palette-classic"}
    optional = {
        "max": panel.maximum,
        "decimals": panel.decimals,
        "noValue": panel.no_value or None,
    }
    settings |= {key: value for key, value in optional.items() if value is not None}
    if panel.kind in ("stat", "table"):
        settings["color"] = {"mode": "thresholds"}
    if leads(panel, board):
        settings["links"] = leads(panel, board)
    if panel.up_or_down:
        settings["mappings"] = [up_or_down()]
    if panel.kind == "timeseries":
        settings["custom"] = drawing(panel)
    if panel.kind == "table":
        # Grafana's own 150 pixels would cut the last of ten columns off.
        settings["custom"] = {"minWidth": 80}
    if panel.kind == "state-timeline":
        settings["custom"] = {"fillOpacity": 80, "lineWidth": 0}
        settings["color"] = {"mode": "thresholds"}
    return settings


def up_or_down() -> Json:
    """Return the mapping of 0 and 1 to words."""
    options = {
        value: {"text": word, "color": color, "index": int(value)}
        for value, (word, color) in STATES.items()
    }
    return {"type": "value", "options": options}


def drawing(panel: Panel) -> Json:
    """Return how lines are drawn. Areas of several series would hide each other."""
    settings: Json = {
        "drawStyle": "bars" if panel.bars else "line",
        "fillOpacity": 60 if panel.bars or panel.stacked else 0,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "thresholdsStyle": {"mode": "dashed" if panel.lines else "off"},
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
    }
    if panel.soft_maximum is not None:
        settings["axisSoftMax"] = panel.soft_maximum
    return settings


def overrides(panel: Panel) -> list[Json]:
    """Return the colors by the ends of names, and the settings of a table's columns."""
    if panel.kind == "table":
        labels = [label_column(*label) for label in panel.labels]
        return labels + [value_column(column) for column in panel.columns]
    return [
        {
            "matcher": {"id": "byRegexp", "options": f"/{pattern}$/"},
            "properties": [
                {"id": "color", "value": {"mode": "fixed", "fixedColor": color}}
            ],
        }
        for pattern, color in panel.colors
    ]


def label_column(label: str, title: str) -> Json:
    """Return the settings of a column of labels, whose cells lead to what they name."""
    # Names that are cut off are of no use, also on a phone.
    least = 70 if label == "env" else 110
    properties: list[Json] = [{"id": "custom.minWidth", "value": least}]
    if label in CELL_LEADS:
        words, board, variable = CELL_LEADS[label]
        address = f"/d/hippius-{board}?var-env=${{__data.fields.Env}}"
        url = f"{address}&var-{variable}=${{__value.text}}&${{__url_time_range}}"
        properties.append({"id": "links", "value": [link(words, url)]})
    return {"matcher": {"id": "byName", "options": title}, "properties": properties}


def value_column(column: Column) -> Json:
    """Return the settings of a column of values; colors need steps."""
    steps = [{"color": color, "value": value} for color, value in column.steps]
    cell = "color-background" if column.up_or_down else "color-text"
    settings: Json = {
        "unit": column.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom.cellOptions": {"type": cell, "mode": "basic"},
    }
    if column.decimals is not None:
        settings["decimals"] = column.decimals
    if column.up_or_down:
        settings["mappings"] = [up_or_down()]
        settings["custom.align"] = "center"
    return {
        "matcher": {"id": "byName", "options": column.title},
        "properties": [{"id": key, "value": value} for key, value in settings.items()],
    }


def lines(panel: Panel) -> Json:
    """Return the options of lines over time: a legend with values, the worst first."""
    worst = "min" if is_bad_when_low(panel) else "max"
    return {
        "legend": {
            # Sums of the last bar say nothing, and there are few names.
            "displayMode": "list" if panel.bars else "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": [] if panel.bars else ["lastNotNull", worst],
            "sortBy": worst.title(),
            "sortDesc": worst == "max",
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def is_bad_when_low(panel: Panel) -> bool:
    """Return whether the lowest values of a panel are those to look at."""
    return panel.steps[0][0] == BAD


def values(panel: Panel) -> Json:
    """Return the options of single values. A state is told by its color, so the name suffices."""
    return {
        "colorMode": "background" if panel.up_or_down else "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "name" if panel.up_or_down else "auto",
        # Otherwise each tile has another size of text.
        "text": {"valueSize": 13} if panel.up_or_down else {},
        "wideLayout": True,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }


def timeline(panel: Panel) -> Json:
    """Return the options of states over time, twelve to a page."""
    return {
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "perPage": 12,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }


def log_lines(panel: Panel) -> Json:
    """Return the options of log lines. Wrapped lines can be read on phones."""
    return {
        "dedupStrategy": "none",
        "enableLogDetails": True,
        "prettifyLogMessage": False,
        "showCommonLabels": False,
        "showLabels": False,
        "showTime": True,
        "sortOrder": "Descending",
        "wrapLogMessage": True,
    }


def alert_list(panel: Panel) -> Json:
    """Return the options of the list of alerts: the newest first, without their labels."""
    return {
        "alertName": "",
        "alertInstanceLabelFilter": '{env=~"${env:regex}"}',
        "dashboardAlerts": False,
        "groupBy": [],
        "groupMode": "default",
        "maxItems": 20,
        "sortOrder": 5,
        "viewMode": "list",
        "showInstances": False,
        "stateFilter": {
            "error": True,
            "firing": True,
            "noData": False,
            "normal": False,
            "pending": True,
            "recovering": True,
        },
    }


def cells(panel: Panel) -> Json:
    """Return the options of a table."""
    order = {
        "displayName": panel.sorted_by or panel.labels[0][1],
        "desc": bool(panel.sorted_by),
    }
    footer = {"show": False, "reducer": [], "countRows": False}
    return {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": footer,
        "sortBy": [order],
    }


def transformations(panel: Panel) -> list[Json]:
    """Return the steps from several queries to one table with chosen columns."""
    titles = dict(panel.labels)
    for index, column in enumerate(panel.columns):
        titles[f"Value #{chr(ord('A') + index)}"] = column.title
    names = list(titles)
    return [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": titles,
            },
        },
    ]


OPTIONS = {
    "timeseries": lines,
    "stat": values,
    "state-timeline": timeline,
    "logs": log_lines,
    "alertlist": alert_list,
    "table": cells,
}
