# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Alerts of a Prometheus rule file as rule groups of Grafana. Pure.

The label ``engine`` of an alert says who evaluates it, ``grafana`` (default) or ``prometheus``; neither gets to see it.

Prometheus fires for each series that an expression returns, whatever its value. In Grafana, A asks for the expression,
B reduces it, and C decides:

- ``vector > number`` and ``vector < number``: A is the left side and C the threshold. A series that is fine again is
  there, with its value, and resolves at once.
- everything else (``==``, ``and``, ``absent()`` ...): A is all of it, and C is 1 for each series that it returns. While
  others still fire, Grafana resolves a series that vanished after two evaluations; Prometheus does so after one.

Either way B has what Prometheus calls ``$value``: that of the left side, 0 and NaN included. No series is no alert.
Annotations that only Grafana needs stand in the same file, and Prometheus does not get them: ``grafana_no_data`` and
``grafana_exec_error`` (states of the rule), ``__dashboardUid__`` and ``__panelId__`` (its panel).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter

from ..model import DesiredObject

ENGINES = ("grafana", "prometheus")
NO_DATA, EXEC_ERROR = "grafana_no_data", "grafana_exec_error"
STATES = {
    NO_DATA: ("OK", "NoData", "Alerting", "KeepLast"),
    EXEC_ERROR: ("Error", "OK", "Alerting", "KeepLast"),
}
PANEL = ("__dashboardUid__", "__panelId__")
# What the query looks back on; an instant query needs its end only.
LOOK_BACK_SECONDS = 600
EXPRESSION = "__expr__"

_GROUP_KEYS = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_KEYS = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
_SECONDS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(
    r"0|(?=\d)" + "".join(rf"(?:(\d+){unit})?" for unit in _SECONDS) + r"(?:(\d+)ms)?"
)
# Whatever may hold what only looks like an operator or a word comes first.
_TOKEN = re.compile(
    r"""(?P<skip>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\#[^\n]*|\{(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^}"'])*\})
    |(?P<open>[(\[])|(?P<close>[)\]])|(?P<compare>[=!<>]=|[<>])|(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_ACTION = re.compile(r"\{\{(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^\"`])*?\}\}", re.DOTALL)
_LITERAL = re.compile(r"(\"(?:\\.|[^\"\\])*\"|`[^`]*`)")
_VALUE = re.compile(r"\$value\b|(?<![\w.$)])\.Value\b")
_ABSENT_IN_GRAFANA = re.compile(
    r"\$externalLabels\b|\$externalURL\b|\.ExternalLabels\b|\.ExternalURL\b|(?<![\w.$])(?:query|first|value|strvalue)\b"
)


class RuleError(Exception):
    """A rule file says what cannot be; ``steps`` are the keys and indexes that lead to the place."""

    def __init__(self, message: str, steps: tuple = ()) -> None:
        super().__init__(message)
        self.steps = steps


def split(document: dict) -> tuple:
    """The rule file for Grafana and the one for Prometheus; together they have each alert once.

    Rules that record are Prometheus' where they say so (``engine: prometheus``); Grafana needs them where it is.
    """
    halves = tuple({"groups": []} for _engine in ENGINES)
    for group_steps, group in _groups(document):
        chosen: tuple = ([], [])
        for steps, rule in _rules(group, group_steps):
            engine = _engine(rule, group, steps)
            chosen[ENGINES.index(engine)].append(_without_engine(rule, engine))
        for half, rules in zip(halves, chosen):
            if rules:
                half["groups"].append({**_without_engine(group, ""), "rules": rules})
    return halves


def rule_groups(
    document: dict, source: str, folder_uid: str, datasource_uid: str = "prometheus", interval: str = "1m",
    no_data: str = "OK", exec_error: str = "Error",
) -> list:  # fmt: skip
    """Grafana's share of a rule file as wanted rule groups, in the file's order.

    ``interval`` is that of groups without one of their own, ``no_data`` and ``exec_error`` are the states of rules
    without an annotation of that purpose. Raises RuleError.
    """
    _require_states(no_data, exec_error)
    titles = _titles(document)
    found = []
    for group_steps, group in _groups(document):
        rules = [
            _rule(
                rule,
                group,
                steps,
                (folder_uid, datasource_uid, no_data, exec_error),
                titles.get(steps, ""),
            )
            for steps, rule in _rules(group, group_steps)
            if _engine(rule, group, steps) == "grafana"
        ]
        if rules:
            if group.get("limit"):
                raise RuleError(
                    "limit: Grafana has no limit of alerts in a group.", (*group_steps, "limit")
                )
            seconds = _interval(group.get("interval", interval), group_steps)
            body = {
                "folderUid": folder_uid,
                "title": group["name"],
                "interval": seconds,
                "rules": rules,
            }
            found.append(DesiredObject("rule_group", f"{folder_uid}/{group['name']}", body, source))
    return found


def _rule(rule: dict, group: dict, steps: tuple, defaults: tuple, title: str) -> dict:
    folder_uid, datasource_uid, no_data, exec_error = defaults
    if "alert" not in rule:
        raise RuleError(
            f"{rule['record']} is a recording rule, which only Prometheus evaluates: give it the label "
            "engine: prometheus, and its file to prometheus_rule_files.",
            steps,
        )
    annotations = _texts(rule, "annotations", steps)
    converted = {
        "uid": uid(folder_uid, group["name"], title),
        "title": title,
        "condition": "C",
        "data": _data(_expression(rule, steps), datasource_uid, _offset(group, steps)),
        "noDataState": _state(annotations, NO_DATA, no_data, steps),
        "execErrState": _state(annotations, EXEC_ERROR, exec_error, steps),
        "for": _duration(rule.get("for", 0), (*steps, "for")),
        "labels": _translated(_labels(rule, group, steps), (*steps, "labels")),
        "annotations": _translated(annotations, (*steps, "annotations")),
        "isPaused": False,
    }
    if "keep_firing_for" in rule:
        converted["keep_firing_for"] = _duration(
            rule["keep_firing_for"], (*steps, "keep_firing_for")
        )
    if len(set(PANEL) & set(annotations)) == 1:
        raise RuleError(f"{title}: {' and '.join(PANEL)} go together.", steps)
    return converted


def uid(folder_uid: str, group: str, title: str) -> str:
    """The uid of a rule, at most 40 characters: it follows from where the rule stands and what it is called."""
    digest = hashlib.sha256("\0".join((folder_uid, group, title)).encode("utf-8")).hexdigest()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", title)
    readable = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:27].strip("-")
    return f"{readable}-{digest[:12]}".lstrip("-")


def _data(expression: str, datasource_uid: str, offset: int) -> list:
    """The nodes A, B and C."""
    compared = threshold(expression)
    query = {
        "refId": "A",
        "datasource": {"type": "prometheus", "uid": datasource_uid},
        "expr": compared[0] if compared else expression,
        "instant": True,
        "range": False,
        "editorMode": "code",
    }
    if compared:
        conditions = [{"evaluator": {"type": compared[1], "params": [compared[2]]}}]
        decision = {"type": "threshold", "expression": "B", "conditions": conditions}
    else:
        # is_nan() gives 0 or 1 whatever the value, so that this holds for each series.
        decision = {"type": "math", "expression": "is_nan($B) < 2"}
    asked = {"refId": "A", "datasourceUid": datasource_uid, "queryType": "", "model": query}
    asked["relativeTimeRange"] = {"from": LOOK_BACK_SECONDS + offset, "to": offset}
    return [
        asked,
        _node("B", {"type": "reduce", "expression": "A", "reducer": "last"}),
        _node("C", decision),
    ]


def _node(ref: str, model: dict) -> dict:
    model = {"refId": ref, "datasource": {"type": EXPRESSION, "uid": EXPRESSION}, **model}
    # An expression looks back on nothing.
    return {
        "refId": ref, "datasourceUid": EXPRESSION, "queryType": "", "model": model,
        "relativeTimeRange": {"from": 0, "to": 0},
    }  # fmt: skip


def threshold(expression: str) -> tuple | None:
    """``(left side, "gt" or "lt", number)`` of an expression that is such a comparison; else None.

    Grafana 11 has no threshold for >=, <=, == and !=, and its mathematics fire for NaN, which Prometheus drops.
    """
    depth, last = 0, None
    for token in _TOKEN.finditer(expression):
        depth += {"open": 1, "close": -1}.get(token.lastgroup, 0)
        if (
            depth == 0
            and token.lastgroup == "word"
            and token.group().lower() in ("and", "or", "unless")
        ):
            return None
        if depth == 0 and token.lastgroup == "compare":
            last = token
    if last is None or last.group() not in (">", "<"):
        return None
    number = expression[last.end() :].strip()
    if not _NUMBER.fullmatch(number):
        return None
    value = float(number)
    return (
        expression[: last.start()].strip(),
        {">": "gt", "<": "lt"}[last.group()],
        int(value) if value.is_integer() else value,
    )


def _translated(texts: dict, steps: tuple) -> dict:
    """Labels or annotations as Grafana takes them."""
    return {key: _template(text, (*steps, key)) for key, text in texts.items() if key not in STATES}


def _template(text: str, steps: tuple) -> str:
    """A text with Prometheus' ``$value`` as Grafana names it; what is no template stays as it is."""

    def action(match: re.Match) -> str:
        return "".join(
            part if index % 2 else renamed(part)
            for index, part in enumerate(_LITERAL.split(match.group()))
        )

    def renamed(code: str) -> str:
        unknown = _ABSENT_IN_GRAFANA.search(code)
        if unknown:
            raise RuleError(f"{text!r}: Grafana's templates have no {unknown.group()}.", steps)
        return _VALUE.sub(
            lambda match: "$values.B.Value" if match.group()[0] == "$" else ".Values.B.Value", code
        )

    return _ACTION.sub(action, text)


def _titles(document: dict) -> dict:
    """Steps -> title of each alert of Grafana's, one of its own: before Grafana 12 a folder has each title once."""
    alerts = [
        (steps, rule["alert"], _labels(rule, group, steps).get("severity", ""))
        for group_steps, group in _groups(document)
        for steps, rule in _rules(group, group_steps)
        if "alert" in rule and _engine(rule, group, steps) == "grafana"
    ]
    names = Counter(name for _steps, name, _severity in alerts)
    titles = {
        steps: f"{name} ({severity})" if names[name] > 1 else name
        for steps, name, severity in alerts
    }
    times = Counter(titles.values())
    for steps, title in titles.items():
        if times[title] > 1:
            raise RuleError(
                f"{title} is there {times[title]} times; let the names or severities of alerts differ.",
                steps,
            )
    return titles


def _groups(document: dict) -> list:
    """``(steps, group)`` of each group."""
    if (
        not isinstance(document, dict)
        or set(document) - {"groups"}
        or not isinstance(document.get("groups") or [], list)
    ):
        raise RuleError(
            "This is no Prometheus rule file: it should be a mapping with the list groups and nothing else."
        )
    found = []
    for index, group in enumerate(document.get("groups") or []):
        steps = ("groups", index)
        _require_keys(group, _GROUP_KEYS, steps, "a group")
        if not isinstance(group.get("name"), str) or not group["name"]:
            raise RuleError("A group has no name.", steps)
        if group["name"] in [other["name"] for _steps, other in found]:
            raise RuleError(f"Group {group['name']} is there twice.", steps)
        found.append((steps, group))
    return found


def _rules(group: dict, group_steps: tuple) -> list:
    """``(steps, rule)`` of each rule of a group."""
    rules = group.get("rules") or []
    if not isinstance(rules, list):
        raise RuleError(f"The rules of group {group['name']} are not a list.", group_steps)
    found = []
    for index, rule in enumerate(rules):
        steps = (*group_steps, "rules", index)
        _require_keys(rule, _RULE_KEYS, steps, "a rule")
        names = [rule[key] for key in ("alert", "record") if key in rule]
        if len(names) != 1 or not isinstance(names[0], str) or not names[0]:
            raise RuleError("A rule has to have either alert or record, with a name.", steps)
        found.append((steps, rule))
    return found


def _require_keys(mapping: object, known: tuple, steps: tuple, what: str) -> None:
    if not isinstance(mapping, dict):
        raise RuleError(f"{mapping!r} should be {what}, which is a mapping.", steps)
    unknown = sorted(str(key) for key in mapping if key not in known)
    if unknown:
        raise RuleError(
            f"{', '.join(unknown)}: unknown in {what}; known are {', '.join(known)}.", steps
        )


def _engine(rule: dict, group: dict, steps: tuple) -> str:
    """Who evaluates a rule."""
    merged = {**_texts(group, "labels", steps[:2]), **_texts(rule, "labels", steps)}
    engine = merged.get("engine", ENGINES[0])
    if engine not in ENGINES:
        raise RuleError(
            f"The label engine is {engine!r}; it may be {' or '.join(ENGINES)}.", (*steps, "labels")
        )
    return engine


def _without_engine(mapping: dict, engine: str) -> dict:
    """A rule or a group without the label; for Prometheus without Grafana's annotations too."""
    rest = dict(mapping)
    if "labels" in rest:
        rest["labels"] = {
            key: value for key, value in (rest["labels"] or {}).items() if key != "engine"
        }
    if engine == "prometheus" and "annotations" in rest:
        ours = (*STATES, *PANEL)
        rest["annotations"] = {
            key: value for key, value in (rest["annotations"] or {}).items() if key not in ours
        }
    return rest


def _labels(rule: dict, group: dict, steps: tuple) -> dict:
    """The labels that a rule adds; its own win over those of its group."""
    merged = {**_texts(group, "labels", steps[:2]), **_texts(rule, "labels", steps)}
    return {key: value for key, value in merged.items() if key != "engine"}


def _texts(mapping: dict, key: str, steps: tuple) -> dict:
    """Labels or annotations, whose values are texts, or numbers that count as such."""
    found = mapping.get(key) or {}
    if not isinstance(found, dict):
        raise RuleError(f"{key} should be a mapping.", (*steps, key))
    for name, value in found.items():
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise RuleError(f"{name} should be a text, not {value!r}.", (*steps, key, name))
    return {str(name): str(value) for name, value in found.items()}


def _expression(rule: dict, steps: tuple) -> str:
    expression = str(rule.get("expr", "")).strip()
    if not expression:
        raise RuleError(f"{rule['alert']} has no expr.", steps)
    return expression


def _state(annotations: dict, key: str, default: str, steps: tuple) -> str:
    state = annotations.get(key, default)
    if state not in STATES[key]:
        raise RuleError(
            f"{key} is {state!r}; it may be {', '.join(STATES[key])}.", (*steps, "annotations", key)
        )
    return state


def _require_states(no_data: str, exec_error: str) -> None:
    for key, state in ((NO_DATA, no_data), (EXEC_ERROR, exec_error)):
        _state({}, key, state, ())


def _interval(value: object, steps: tuple) -> int:
    """Seconds between evaluations, which Grafana wants as a multiple of ten."""
    seconds = _milliseconds(value, (*steps, "interval")) / 1000
    if not seconds or seconds % 10:
        raise RuleError(
            f"interval is {value}; Grafana evaluates every 10s or a multiple of it.",
            (*steps, "interval"),
        )
    return int(seconds)


def _offset(group: dict, steps: tuple) -> int:
    return _milliseconds(group.get("query_offset", 0), (*steps[:2], "query_offset")) // 1000


def _duration(value: object, steps: tuple) -> str:
    """A duration as Prometheus and Grafana write it."""
    _milliseconds(value, steps)
    return "0s" if str(value) == "0" else str(value)


def _milliseconds(value: object, steps: tuple) -> int:
    match = _DURATION.fullmatch(str(value))
    if not match or isinstance(value, bool):
        raise RuleError(f"{value!r} is not a duration, such as 5m or 1h30m.", steps)
    *counts, milliseconds = [int(count or 0) for count in match.groups()]
    return 1000 * sum(count * unit for count, unit in zip(counts, _SECONDS.values())) + milliseconds
