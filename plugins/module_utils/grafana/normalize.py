# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Grafana makes of what it is sent: pure tables and functions, so that equal things compare equal.

Only what was asked for is compared, and beside it the fields of the tables here, each with the value that Grafana
takes a missing one for. Whatever else a server adds, today or in its next release, is never looked at.
"""

from __future__ import annotations

import re
from typing import Any

UNITS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)

# What each field of a datasource is when it is not given.
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
# Names that Grafana has given other plugins.
DATASOURCE_TYPES = {"postgres": "grafana-postgresql-datasource"}

# Fields of a classic dashboard's first level; others are compared where they were asked for.
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
# Numbers and marks of the server's own that a file may hold since it was exported with them.
DASHBOARD_OWN = ("id", "version", "uid", "iteration")

# Fields of a rule.
ALERTING_ONLY = {"condition": "", "for": "0s", "noDataState": "NoData", "execErrState": "Alerting"}
RULE = {
    "title": "",
    "isPaused": False,
    "labels": {},
    "annotations": {},
    "keep_firing_for": "0s",
    "data": [],
}
# What Grafana empties in a recording rule.
NOT_RECORDED = (
    *ALERTING_ONLY,
    "keep_firing_for",
    "notification_settings",
    "missingSeriesEvalsToResolve",
)
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
# Seconds of which the interval of each group is a multiple.
BASE_INTERVAL = 10
# What the server writes into each query model that lacks them.
MODEL = {"intervalMs": 1000, "maxDataPoints": 43200}

ROOT_TIMES = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
OPERATORS = ("=~", "!~", "!=", "=")
INTERVAL_LISTS = ("days_of_month", "months", "weekdays", "years")


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; 1 is 1.0, but true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same(value, right[key]) for key, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def milliseconds(duration: Any) -> Any:
    """A duration such as 1h30m as a number; anything else as it is, for the server to judge."""
    if duration in (None, "", 0):
        return 0
    text = str(duration)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdwy])", text)
    if "".join(number + unit for number, unit in parts) != text:
        return text
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def duration(text: Any) -> Any:
    """A duration in the one spelling that is compared, in seconds."""
    number = milliseconds(text)
    return number if isinstance(number, str) else f"{number / 1000:.10g}s"


def with_defaults(body: dict, like: dict, defaults: dict, own: tuple = ()) -> dict:
    """The fields of the table and those that were asked for; a null is a missing field."""
    keys = [key for key in {**defaults, **like} if key not in own]
    return {key: defaults.get(key) if body.get(key) is None else body[key] for key in keys}


def datasource(body: dict, like: dict) -> dict:
    """A datasource as it is compared, without what is in its jsonData beyond the keys that were asked for."""
    result = with_defaults(body, {}, DATASOURCE)
    result["type"] = DATASOURCE_TYPES.get(result["type"], result["type"])
    held, asked = body.get("jsonData") or {}, like.get("jsonData") or {}
    result["jsonData"] = {key: held.get(key) for key in asked if held.get(key) is not None}
    # No update empties these two, since Grafana's store passes over an empty text.
    result.update({key: "" for key in ("url", "basicAuthUser") if not like.get(key)})
    # A default can be moved, never taken away: another datasource takes it.
    result["isDefault"] = bool(body.get("isDefault") and like.get("isDefault"))
    return result


def dashboard(model: dict, like: dict) -> dict:
    """A dashboard's model as it is compared."""
    result = with_defaults(model, like, DASHBOARD, DASHBOARD_OWN)
    result["panels"] = [_panel(panel) for panel in result["panels"]]
    # Stored without the spaces around it, but for 13.
    result["title"] = str(result["title"]).strip()
    return result


def without_marks(tree: Any) -> Any:
    """A JSON value whose texts hold no byte order mark, which Grafana takes out of dashboards since 13."""
    if isinstance(tree, dict):
        return {key: without_marks(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [without_marks(value) for value in tree]
    return tree.replace("\ufeff", "") if isinstance(tree, str) else tree


def _panel(panel: Any) -> Any:
    """A panel; of one that comes from the library only what says which."""
    if not isinstance(panel, dict):
        return panel
    panel = dict(panel)
    if isinstance(panel.get("libraryPanel"), dict):
        panel["libraryPanel"] = {key: panel["libraryPanel"].get(key) for key in ("uid", "name")}
    if isinstance(panel.get("panels"), list):
        panel["panels"] = [_panel(inner) for inner in panel["panels"]]
    return panel


def rule(body: dict, like: dict) -> dict:
    """An alert or recording rule as it is compared."""
    defaults, own = {**RULE, **ALERTING_ONLY}, RULE_OWN
    if body.get("record"):
        body, own = (
            {key: value for key, value in body.items() if key not in NOT_RECORDED},
            RULE_OWN + NOT_RECORDED,
        )
    result = with_defaults(body, like, defaults, own)
    for key in ("for", "keep_firing_for"):
        if key in result:
            result[key] = duration(result[key])
    for key in ("noDataState", "execErrState"):
        # The newer API spells it Ok.
        result[key] = "OK" if str(result.get(key)).upper() == "OK" else result.get(key)
    settings = body.get("notification_settings") or {}
    result["notification_settings"] = {
        key: duration(value) if key in ROOT_TIMES else value
        for key, value in settings.items()
        if value
    }
    evaluations = body.get("missingSeriesEvalsToResolve")
    result["missingSeriesEvalsToResolve"] = None if evaluations in (0, -1) else evaluations
    result["record"] = body.get("record") or None
    result["data"] = [query(entry) for entry in result["data"]]
    return result


def query(entry: dict) -> dict:
    """One query or expression of a rule as it is compared."""
    model = _floats(dict(entry.get("model") or {}))
    for key, value in MODEL.items():
        given = model.get(key)
        if isinstance(given, bool) or not isinstance(given, (int, float)) or given in (0, value):
            model.pop(key, None)
    uid = entry.get("datasourceUid", "")
    kind = (
        model["queryType"]
        if isinstance(model.get("queryType"), str)
        else entry.get("queryType") or ""
    )
    result = {
        "refId": entry.get("refId", ""),
        "queryType": kind,
        "datasourceUid": uid,
        "model": model,
    }
    if uid in EXPRESSIONS:
        result["datasourceUid"] = EXPRESSIONS[0]
    else:
        span = entry.get("relativeTimeRange") or {}
        result["relativeTimeRange"] = {key: span.get(key) or 0 for key in ("from", "to")}
    return result


def _floats(tree: Any) -> Any:
    """A JSON value whose numbers are as exact as Grafana keeps those of a query's model."""
    if isinstance(tree, dict):
        return {key: _floats(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_floats(value) for value in tree]
    return float(tree) if isinstance(tree, int) and 2**53 < abs(tree) < 2**1000 else tree


def matcher(text: str) -> list:
    """``severity=~"high|critical"`` as [label, operator, value]."""
    found = re.fullmatch(
        r'\s*("(?:\\.|[^"\\])*"|[^=!~\s]+)\s*(=~|!~|!=|=)\s*(.*?)\s*', text, re.DOTALL
    )
    if not found:
        raise ValueError(f"{text!r} is no matcher such as severity=critical")
    return [_unquoted(found.group(1)), found.group(2), _unquoted(found.group(3))]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(
            r"\\(.)", lambda found: {"n": "\n"}.get(found.group(1), found.group(1)), text[1:-1]
        )
    return text


def matchers(route: dict) -> list:
    """All matchers of a route, whichever of the four spellings they have."""
    result = [list(entry) for entry in route.get("object_matchers") or []]
    given = route.get("matchers") or []
    result += [matcher(entry) if isinstance(entry, str) else list(entry) for entry in given]
    result += [[label, "=", value] for label, value in (route.get("match") or {}).items()]
    result += [[label, "=~", value] for label, value in (route.get("match_re") or {}).items()]
    return sorted([str(part) for part in entry] for entry in result)


def without_quotes(value: str) -> str:
    """The value of a matcher as the server keeps it: less one quote at its beginning and one at its end."""
    value = value[1:] if value.startswith('"') else value
    return value[:-1] if value.endswith('"') else value


def route(body: dict, root: bool = True) -> dict:
    """A route and all below it as they are compared."""
    times = ROOT_TIMES if root else {}
    result = {key: duration(body.get(key) or times.get(key)) for key in ROOT_TIMES}
    result.update({key: sorted(body.get(key) or []) for key in ("group_by", *TIMINGS)})
    result["receiver"] = body.get("receiver") or ""
    result["continue"] = bool(body.get("continue"))
    result["matchers"] = matchers(body)
    result["routes"] = [route(inner, root=False) for inner in body.get("routes") or []]
    return result


TIMINGS = ("mute_time_intervals", "active_time_intervals")
# Templates that are part of Grafana: __subject, default.title, discord.default.message and so on.
BUILT_IN_TEMPLATE = re.compile(r"__\w+|(\w+\.)?default\.[\w.]+|alert_severity\w*|slack\.\w+.*")


def mute_timing(body: dict) -> dict:
    """A mute timing as it is compared."""
    return {
        "time_intervals": [_interval(interval) for interval in body.get("time_intervals") or []]
    }


def _interval(interval: dict) -> dict:
    result = {
        key: [_range(key, entry) for entry in interval.get(key) or []] for key in INTERVAL_LISTS
    }
    times = interval.get("times") or []
    result["times"] = [
        {key: str(span.get(key, "")) for key in ("start_time", "end_time")} for span in times
    ]
    result["location"] = interval.get("location") or ""
    return result


def _range(key: str, entry: Any) -> str:
    ends = [end.strip().lower() for end in str(entry).split(":")]
    if key == "months":
        ends = [str(MONTHS.index(end) + 1) if end in MONTHS else end for end in ends]
    return ends[0] if len(set(ends)) == 1 else ":".join(ends)


def template(name: str, text: str) -> str:
    """A message template's text as the server stores it: trimmed, and wrapped where it defines nothing."""
    text = text.strip()
    if re.search(r"\{\{\s*define", text):
        return text
    lines = "\n".join(f"  {line}" for line in text.split("\n"))
    return f'{{{{ define "{name}" }}}}\n{lines}\n{{{{ end }}}}'


def defining(text: str) -> str:
    """A text whose first definition is spelled so that each server sees it; outside of them nothing is printed."""
    return (
        text
        if re.search(r"\{\{\s*define", text)
        else re.sub(r"\{\{-\s*define", "{{ define", text, count=1)
    )


def defined(body: dict) -> list:
    """The names that a message template defines."""
    return _named("define|block", body.get("template", ""))


def _named(words: str, text: str) -> list:
    """The names that stand after one of these words in a template's actions, and not in its comments."""
    text = re.sub(r"\{\{(?:-\s)?\s*/\*.*?\*/", "", text, flags=re.DOTALL)
    found = re.findall(rf'\{{\{{-?\s*(?:{words})\s*(?:"([^"\n]*)"|`([^`]*)`)', text)
    return [quoted or raw for quoted, raw in found]


def templates_used(tree: Any) -> list:
    """The names of templates that the texts of a JSON value call for."""
    if isinstance(tree, (dict, list)):
        inner = tree.values() if isinstance(tree, dict) else tree
        return list(dict.fromkeys(name for value in inner for name in templates_used(value)))
    if not isinstance(tree, str):
        return []
    return list(dict.fromkeys(_named("template", tree)))


def settings(body: Any) -> Any:
    """Settings of a contact point's integration; Grafana returns some numbers as texts, and the reverse."""
    if isinstance(body, dict):
        return {
            key: settings(value) for key, value in body.items() if value not in (None, "", {}, [])
        }
    if isinstance(body, list):
        return [settings(value) for value in body]
    if isinstance(body, bool):
        return "true" if body else "false"
    if isinstance(body, (int, float)):
        return str(int(body)) if body == int(body) else repr(body)
    return body
