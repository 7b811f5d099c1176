# SPDX-License-Identifier: GPL-3.0-or-later
"""Normal forms of Grafana's objects, so that equal objects compare equal. Pure.

A comparison covers the fields that were asked for, and the fields of the tables here, each with
Grafana's default. All other fields that a server adds, now or in a later release, are ignored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import schedules
from .matchers import parse_matchers

if TYPE_CHECKING:
    from .model import Body

# Defaults of the fields of a datasource.
DATASOURCE = {
    "name": "",
    "type": "",
    "access": "proxy",
    "url": "",
    "user": "",
    "database": "",
    "basicAuth": False,
    "basicAuthUser": "",
    "withCredentials": False,
}
# Plugins that Grafana has renamed.
DATASOURCE_TYPES = {"postgres": "grafana-postgresql-datasource"}

# Defaults at the first level of a classic dashboard; others are compared if they were asked for.
DASHBOARD = {
    "annotations": {"list": []},
    "description": "",
    "editable": True,
    "fiscalYearStartMonth": 0,
    "graphTooltip": 0,
    "links": [],
    "liveNow": False,
    "panels": [],
    "refresh": "",
    "tags": [],
    "templating": {"list": []},
    "time": {"from": "now-6h", "to": "now"},
    "timepicker": {},
    "timezone": "",
    "title": "",
    "weekStart": "",
}
# Fields of the server that an exported file may contain.
DASHBOARD_OWN = ("id", "version", "uid", "iteration")

# Defaults of the fields of a rule.
ALERTING_ONLY = {
    "condition": "",
    "for": "0s",
    "noDataState": "NoData",
    "execErrState": "Alerting",
}
RULE = {
    "title": "",
    "isPaused": False,
    "labels": {},
    "annotations": {},
    "keep_firing_for": "0s",
    "data": [],
}
# Fields that Grafana empties in a recording rule.
NOT_RECORDED = (
    *ALERTING_ONLY,
    "keep_firing_for",
    "notification_settings",
    "missingSeriesEvalsToResolve",
)
# Each state's values; the first one is Grafana's default.
STATES = {
    "noDataState": ("NoData", "OK", "Alerting", "KeepLast"),
    "execErrState": ("Alerting", "Error", "OK", "KeepLast"),
}
RULE_OWN = (
    "id",
    "orgID",
    "updated",
    "provenance",
    "version",
    "guid",
    "folderUID",
    "ruleGroup",
    "metadata",
)
EXPRESSIONS = ("__expr__", "-100")
# The interval of each group is a multiple of so many seconds.
BASE_INTERVAL = 10
# Defaults that the server writes into each query model.
QUERY_DEFAULTS = {"intervalMs": 1000, "maxDataPoints": 43200}
OPERATORS = ("=", "!=", "=~", "!~")

ROOT_TIMES = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
TIMINGS = ("mute_time_intervals", "active_time_intervals")
# Templates that are part of Grafana: __subject, default.title, discord.default.message and so on.
BUILT_IN_TEMPLATE = re.compile(
    r"__\w+|(\w+\.)?default\.[\w.]+|alert_severity\w*|slack\.\w+.*"
)


# Grafana reads its Alertmanager configuration as YAML. With these it cannot load it any more, so
# that all contact points, policies and mute timings of the organization are lost; U+0085 becomes a
# space.
UNLOADABLE = re.compile("[\x7f-\x9f\ufffe\uffff]")
# The shortest time between refreshes, in milliseconds, unless Grafana's settings have another.
SHORTEST_REFRESH = 5000
# A refresh as Go's time.ParseDuration takes it, and one of Grafana's longer units.
_REFRESH = re.compile(r"\+?(?:(?:\d+\.?\d*|\.\d+)(?:[nuµμm]?s|m|h))+", re.ASCII)
_REFRESH_PART = re.compile(r"([\d.]+)(\D+)")
_REFRESH_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_LONG_REFRESH = re.compile(r"0*[1-9]\d*[dwMy]", re.ASCII)


def unloadable(tree: Any) -> str | None:
    """Return why Grafana could not load the configuration with this object, or None."""
    if isinstance(tree, dict):
        tree = [*tree, *tree.values()]
    if isinstance(tree, list):
        return next(filter(None, map(unloadable, tree)), None)
    match = UNLOADABLE.search(tree) if isinstance(tree, str) else None
    if not match:
        return None
    return (
        f"it has the control character {match[0]!r}, which Grafana changes, or with which it cannot"
        " load its configuration any more; remove the character"
    )


def same(left: Any, right: Any) -> bool:
    """Return whether two JSON values are equal; 1 is 1.0, but true is not 1.

    Numbers are compared as doubles, since Grafana's server keeps integers above 2^53 as such.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return False
        return all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(_as_double(left) == _as_double(right))


def _as_double(value: Any) -> Any:
    """Return a number as a double, and any other value, or one beyond doubles, as it is."""
    if not isinstance(value, int):
        return value
    try:
        return float(value)
    except OverflowError:
        return value


def duration(value: Any) -> str:
    """Return a duration in seconds, the one spelling that is compared; other values as they are."""
    length = schedules.milliseconds(str(value or "0"))
    return str(value) if length is None else f"{length / 1000:.13g}s"


def with_defaults(
    body: Body, like: Body, defaults: Body, own: tuple[str, ...] = ()
) -> Body:
    """Return the fields of ``defaults`` and ``like``, except ``own``; a null counts as missing."""
    keys = [key for key in {**defaults, **like} if key not in own]
    return {
        key: defaults.get(key) if body.get(key) is None else body[key] for key in keys
    }


def datasource(body: Body, like: Body) -> Body:
    """Return a datasource as it is compared, with the keys of jsonData that ``like`` has."""
    result = with_defaults(body, {}, DATASOURCE)
    result["type"] = DATASOURCE_TYPES.get(result["type"], result["type"])
    json_data, asked = body.get("jsonData") or {}, like.get("jsonData") or {}
    result["jsonData"] = {
        key: json_data[key] for key in asked if json_data.get(key) is not None
    }
    # No update empties these two, since Grafana's store skips an empty string.
    for key in ("url", "basicAuthUser"):
        if not like.get(key):
            result[key] = ""
    # A default can be moved, never removed: another datasource takes it.
    result["isDefault"] = bool(body.get("isDefault") and like.get("isDefault"))
    return result


def dashboard(model: Body, like: Body) -> Body:
    """Return a dashboard's model as it is compared."""
    result = with_defaults(model, like, DASHBOARD, DASHBOARD_OWN)
    result["panels"] = [_panel(panel) for panel in result["panels"]]
    if _is_raised(like.get("refresh"), result["refresh"]):
        result["refresh"] = like["refresh"]
    # All versions except 13 store it without the spaces around it.
    result["title"] = str(result["title"]).strip()
    return result


def _is_raised(asked: Any, stored: Any) -> bool:
    """Return whether Grafana stores its shortest time in place of what was asked for."""
    if not isinstance(asked, str) or _is_refresh(asked):
        return False
    return schedules.milliseconds(str(stored)) == SHORTEST_REFRESH


def _is_refresh(text: str) -> bool:
    """Return whether Grafana keeps the refresh of a dashboard as it is written."""
    if text in ("", "auto") or _LONG_REFRESH.fullmatch(text):
        return True
    if not _REFRESH.fullmatch(text):
        return False
    parts = _REFRESH_PART.findall(text)
    length = sum(float(number) * _REFRESH_UNITS.get(unit, 0) for number, unit in parts)
    return length >= SHORTEST_REFRESH


def without_marks(tree: Any) -> Any:
    """Return a JSON value without byte order marks, which Grafana 13 removes from dashboards."""
    if isinstance(tree, dict):
        return {key: without_marks(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [without_marks(value) for value in tree]
    return tree.replace("\ufeff", "") if isinstance(tree, str) else tree


def _panel(panel: Any) -> Any:
    """Return a panel; of a library panel only its identification."""
    if not isinstance(panel, dict):
        return panel
    result = dict(panel)
    library_panel = panel.get("libraryPanel")
    if isinstance(library_panel, dict):
        result["libraryPanel"] = {
            key: library_panel.get(key) for key in ("uid", "name")
        }
    if isinstance(panel.get("panels"), list):
        result["panels"] = [_panel(child) for child in panel["panels"]]
    return result


def rule(body: Body, like: Body) -> Body:
    """Return an alert or recording rule as it is compared."""
    own: tuple[str, ...] = RULE_OWN
    if body.get("record"):
        body = {key: value for key, value in body.items() if key not in NOT_RECORDED}
        own = RULE_OWN + NOT_RECORDED
    result = with_defaults(body, like, {**RULE, **ALERTING_ONLY}, own)
    for key in ("for", "keep_firing_for"):
        if key in result:
            result[key] = duration(result[key])
    for key in ("noDataState", "execErrState"):
        # The newer API spells it Ok.
        result[key] = "OK" if str(result.get(key)).upper() == "OK" else result.get(key)
    notification = body.get("notification_settings") or {}
    result["notification_settings"] = {
        key: duration(value) if key in ROOT_TIMES else value
        for key, value in notification.items()
        if value
    }
    evaluations = body.get("missingSeriesEvalsToResolve")
    result["missingSeriesEvalsToResolve"] = (
        None if evaluations in (0, -1) else evaluations
    )
    result["record"] = body.get("record") or None
    result["data"] = [query(entry) for entry in result["data"]]
    return result


def query(entry: Body) -> Body:
    """Return one query or expression of a rule as it is compared."""
    model = _with_float_precision(dict(entry.get("model") or {}))
    # Newer servers overwrite it with that of the query.
    model.pop("refId", None)
    for key, default in QUERY_DEFAULTS.items():
        value = model.get(key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or value in (0, default):
            model.pop(key, None)
    query_type = model.get("queryType")
    if not isinstance(query_type, str):
        query_type = entry.get("queryType") or ""
    uid = entry.get("datasourceUid", "")
    result = {
        "refId": entry.get("refId", ""),
        "queryType": query_type,
        "datasourceUid": uid,
        "model": model,
    }
    if uid in EXPRESSIONS:
        result["datasourceUid"] = EXPRESSIONS[0]
    else:
        span = entry.get("relativeTimeRange") or {}
        result["relativeTimeRange"] = {
            key: span.get(key) or 0 for key in ("from", "to")
        }
    return result


def _with_float_precision(tree: Any) -> Any:
    """Return a JSON value with numbers as exact as Grafana keeps them in a query's model."""
    if isinstance(tree, dict):
        return {key: _with_float_precision(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_with_float_precision(value) for value in tree]
    return (
        float(tree) if isinstance(tree, int) and 2**53 < abs(tree) < 2**1000 else tree
    )


def matchers(body: Body) -> list[list[str]]:
    """Return all matchers of a route, in any of the four spellings, sorted.

    Grafana takes one quote off either end of a value in ``object_matchers``. Raises ValueError for
    anything else.
    """
    result = [_matcher(entry) for entry in body.get("object_matchers") or []]
    for entry in result:
        entry[2] = re.sub(r'^"|"\Z', "", entry[2])
    for entry in body.get("matchers") or []:
        is_text = isinstance(entry, str)
        result += parse_matchers(entry) if is_text else [_matcher(entry)]
    for key, operator in (("match", "="), ("match_re", "=~")):
        labels = body.get(key) or {}
        if not isinstance(labels, dict):
            raise ValueError(f"{key} is {labels!r}; write a dict")
        result += [[label, operator, str(value)] for label, value in labels.items()]
    return sorted(result)


def _matcher(entry: Any) -> list[str]:
    if not isinstance(entry, list) or len(entry) != 3 or entry[1] not in OPERATORS:
        raise ValueError(f"{entry!r} is no matcher such as [severity, =, critical]")
    return [str(part) for part in entry]


def route(body: Body, root: bool = True) -> Body:
    """Return a route and all below it as they are compared."""
    defaults = ROOT_TIMES if root else {}
    # A nested route without a duration has that of its parent, which may differ from zero.
    times = {key: body.get(key) or defaults.get(key) for key in ROOT_TIMES}
    result: Body = {
        key: duration(value) if value else None for key, value in times.items()
    }
    for key in ("group_by", *TIMINGS):
        result[key] = sorted(body.get(key) or [])
    result["receiver"] = body.get("receiver") or ""
    result["continue"] = bool(body.get("continue"))
    result["matchers"] = matchers(body)
    result["routes"] = [route(child, root=False) for child in body.get("routes") or []]
    return result


def mute_timing(body: Body) -> Body:
    """Return a mute timing as it is compared."""
    intervals = body.get("time_intervals") or []
    return {"time_intervals": [schedules.time_interval(entry) for entry in intervals]}


def template(name: str, content: str) -> str:
    """Return a message template as the server stores it: trimmed, wrapped if it defines nothing."""
    content = content.strip()
    if re.search(r"\{\{\s*define", content):
        return content
    lines = "\n".join(f"  {line}" for line in content.split("\n"))
    return f'{{{{ define "{name}" }}}}\n{lines}\n{{{{ end }}}}'


def defining(content: str) -> str:
    """Return a template with its first definition spelled so that every server recognizes it.

    Outside of definitions nothing is printed.
    """
    if re.search(r"\{\{\s*define", content):
        return content
    return re.sub(r"\{\{-\s*define", "{{ define", content, count=1)


def defined(body: Body) -> list[str]:
    """Return the names that a message template defines."""
    return _names_after("define|block", body.get("template", ""))


def _names_after(words: str, content: str) -> list[str]:
    """Return the names after one of these words in a template's actions, not in its comments."""
    content = re.sub(r"\{\{(?:-\s)?\s*/\*.*?\*/", "", content, flags=re.DOTALL)
    pattern = rf'\{{\{{-?\s*(?:{words})\s*(?:"([^"\n]*)"|`([^`]*)`)'
    return [quoted or raw for quoted, raw in re.findall(pattern, content)]


def templates_used(tree: Any) -> list[str]:
    """Return the names of the templates that the strings of a JSON value call."""
    if isinstance(tree, str):
        return list(dict.fromkeys(_names_after("template", tree)))
    children: list[Any] = []
    if isinstance(tree, dict):
        children = list(tree.values())
    elif isinstance(tree, list):
        children = tree
    names = [name for child in children for name in templates_used(child)]
    return list(dict.fromkeys(names))


def settings(body: Any) -> Any:
    """Return settings of an integration; Grafana returns some numbers as strings, or vice versa."""
    if isinstance(body, dict):
        return {
            key: settings(value)
            for key, value in body.items()
            if value not in (None, "", {}, [])
        }
    if isinstance(body, list):
        return [settings(value) for value in body]
    if isinstance(body, bool):
        return "true" if body else "false"
    if isinstance(body, (int, float)):
        number = _as_double(body)
        return str(int(number)) if number == int(number) else repr(number)
    return body
