# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Convert the alerts of a Prometheus rule file to rule groups of Grafana. Pure.

The label ``engine`` of an alert names its evaluator, ``grafana`` (default) or ``prometheus``;
neither of them receives the label.

Prometheus fires for each series that an expression returns, whatever its value. In Grafana, node A
queries the expression, B reduces it, and C decides:

- ``vector > number`` and ``vector < number``: A is the left side and C the threshold. A recovered
  series is still returned, with its value, and resolves at once.
- Everything else (``==``, ``and``, ``absent()`` ...): A is the whole expression, and C is 1 for
  each series that it returns. While others still fire, Grafana resolves a series that vanished
  after two evaluations; Prometheus does so after one.

Either way B is Prometheus' ``$value``: the value of the left side, 0 and NaN included. No series
means no alert. Annotations that only Grafana uses are in the same file, and Prometheus does not
receive them: ``grafana_no_data`` and ``grafana_exec_error`` (states of the rule),
``__dashboardUid__`` and ``__panelId__`` (its panel).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model import DesiredObject
from .documents import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .documents import JsonObject, Steps

GRAFANA, PROMETHEUS = "grafana", "prometheus"
ENGINES = (GRAFANA, PROMETHEUS)
NO_DATA, EXEC_ERROR = "grafana_no_data", "grafana_exec_error"
STATES = {
    NO_DATA: ("OK", "NoData", "Alerting", "KeepLast"),
    EXEC_ERROR: ("Error", "OK", "Alerting", "KeepLast"),
}
PANEL = ("__dashboardUid__", "__panelId__")
GRAFANA_ANNOTATIONS = (*STATES, *PANEL)
# The time range of the query; an instant query uses only its end.
LOOK_BACK_SECONDS = 600
EXPRESSION = "__expr__"

_GROUP_FIELDS = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_FIELDS = (
    "alert",
    "record",
    "expr",
    "for",
    "keep_firing_for",
    "labels",
    "annotations",
)
_SECONDS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(
    r"0|(?=\d)" + "".join(rf"(?:(\d+){unit})?" for unit in _SECONDS) + r"(?:(\d+)ms)?"
)
# Strings, comments and matchers come first, since operators and words may be inside them.
_TOKEN = re.compile(
    r"""(?P<skip>"(?:\\.|[^"\\])*"
                |'(?:\\.|[^'\\])*'
                |`[^`]*`
                |\#[^\n]*
                |\{(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^}"'])*\})
    |(?P<open>[(\[])
    |(?P<close>[)\]])
    |(?P<compare>[=!<>]=|[<>])
    |(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)""",
    re.VERBOSE,
)
_DEPTH_CHANGES = {"open": 1, "close": -1}
_SET_OPERATORS = ("and", "or", "unless")
# Grafana's names of the comparisons that its threshold has in all supported versions.
_THRESHOLDS = {">": "gt", "<": "lt"}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_ACTION = re.compile(r"\{\{(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^\"`])*?\}\}", re.DOTALL)
_LITERAL = re.compile(r"(\"(?:\\.|[^\"\\])*\"|`[^`]*`)")
_VALUE = re.compile(r"\$value\b|(?<![\w.$)])\.Value\b")
_MISSING_IN_GRAFANA = re.compile(
    r"\$externalLabels\b|\$externalURL\b|\.ExternalLabels\b|\.ExternalURL\b"
    r"|(?<![\w.$])(?:query|first|value|strvalue)\b"
)


class RuleError(Exception):
    """A rule file is invalid; ``steps`` are the keys and indexes that lead to the error."""

    def __init__(self, message: str, steps: Steps = ()) -> None:
        super().__init__(message)
        self.steps = steps


class Shares(NamedTuple):
    """The rule file of each engine, in the order of ENGINES."""

    grafana: JsonObject
    prometheus: JsonObject


class Threshold(NamedTuple):
    """A comparison of an expression with a number; ``comparison`` is gt or lt."""

    expression: str
    comparison: str
    limit: float


class _Group(NamedTuple):
    steps: Steps
    fields: JsonObject

    @property
    def name(self) -> str:
        return str(self.fields["name"])


class _Rule(NamedTuple):
    steps: Steps
    fields: JsonObject
    group: _Group

    def labels(self) -> dict[str, str]:
        """Return the labels of the group and the rule; the rule's own take precedence."""
        group_labels = _strings(self.group.fields, "labels", self.group.steps)
        return {**group_labels, **_strings(self.fields, "labels", self.steps)}


class _Defaults(NamedTuple):
    """The folder and datasource of the rules, and their states unless annotations set them."""

    folder_uid: str
    datasource_uid: str
    no_data: str
    exec_error: str


def split(document: Any) -> Shares:
    """Split a rule file into the shares of the engines; each alert is in one of them.

    Recording rules are Prometheus' when labelled ``engine: prometheus``; Grafana rejects the rest.
    """
    shares = Shares({"groups": []}, {"groups": []})
    for group in _groups(document):
        rules_by_engine: dict[str, list[JsonObject]] = {
            engine: [] for engine in ENGINES
        }
        for rule in _rules(group):
            engine = _engine(rule)
            rules_by_engine[engine].append(_rule_for(rule, engine))
        for share, rules in zip(shares, rules_by_engine.values()):
            if rules:
                share["groups"].append(
                    {**_without_engine(group.fields), "rules": rules}
                )
    return shares


def rule_groups(
    document: Any,
    source: str,
    folder_uid: str,
    datasource_uid: str = "prometheus",
    interval: str = "1m",
    no_data: str = "OK",
    exec_error: str = "Error",
) -> list[DesiredObject]:
    """Convert Grafana's share of a rule file to rule groups, in the order of the file.

    ``interval`` applies to groups that set none, ``no_data`` and ``exec_error`` are the states of
    rules without the annotation for them. Raises RuleError.
    """
    _check_state(NO_DATA, no_data, ())
    _check_state(EXEC_ERROR, exec_error, ())
    defaults = _Defaults(folder_uid, datasource_uid, no_data, exec_error)
    titles = _titles(document)
    converted = []
    for group in _groups(document):
        rules = [
            _convert_rule(rule, defaults, titles.get(rule.steps, ""))
            for rule in _rules(group)
            if _engine(rule) == GRAFANA
        ]
        if rules:
            body = {
                "folderUid": folder_uid,
                "title": group.name,
                "interval": _group_seconds(group, interval),
                "rules": rules,
            }
            identity = f"{folder_uid}/{group.name}"
            converted.append(DesiredObject("rule_group", identity, body, source))
    return converted


def _group_seconds(group: _Group, default: str) -> int:
    """Return the seconds between evaluations of a group that Grafana can evaluate."""
    if group.fields.get("limit"):
        raise RuleError(
            "limit is set, and Grafana has no limit of alerts; remove it.",
            (*group.steps, "limit"),
        )
    steps = (*group.steps, "interval")
    interval = group.fields.get("interval", default)
    seconds = _milliseconds(interval, steps) / 1000
    if not seconds or seconds % 10:
        raise RuleError(
            f"interval is {interval!r}; write 10s or a multiple of 10s, as Grafana requires.",
            steps,
        )
    return int(seconds)


def _convert_rule(rule: _Rule, defaults: _Defaults, title: str) -> JsonObject:
    fields, steps = rule.fields, rule.steps
    if "alert" not in fields:
        raise RuleError(
            f"{fields['record']} is a recording rule, which only Prometheus evaluates;"
            " label it engine: prometheus, and list its file in prometheus_rule_files.",
            steps,
        )
    annotations = _strings(fields, "annotations", steps)
    expression = _expression(rule)
    offset = _offset_seconds(rule.group)
    converted = {
        "uid": uid(defaults.folder_uid, rule.group.name, title),
        "title": title,
        "condition": "C",
        "data": _nodes(expression, defaults.datasource_uid, offset),
        "noDataState": _state(annotations, NO_DATA, defaults.no_data, steps),
        "execErrState": _state(annotations, EXEC_ERROR, defaults.exec_error, steps),
        "for": _duration(fields.get("for", 0), (*steps, "for")),
        "labels": _convert_templates(
            _without_engine_label(rule.labels()), (*steps, "labels")
        ),
        "annotations": _convert_templates(annotations, (*steps, "annotations")),
        "isPaused": False,
    }
    if "keep_firing_for" in fields:
        converted["keep_firing_for"] = _duration(
            fields["keep_firing_for"], (*steps, "keep_firing_for")
        )
    if len(set(PANEL) & set(annotations)) == 1:
        raise RuleError(
            f"{title} has only one of {' and '.join(PANEL)}; set both or neither.",
            steps,
        )
    return converted


def uid(folder_uid: str, group: str, title: str) -> str:
    """Return the uid of a rule, at most 40 characters, derived from its folder, group and title."""
    key = "\0".join((folder_uid, group, title))
    digest = hashlib.sha256(key.encode("utf-8")).hexdigest()[:12]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", title)
    readable = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:27].strip("-")
    return f"{readable}-{digest}".lstrip("-")


def _nodes(expression: str, datasource_uid: str, offset: int) -> list[JsonObject]:
    """Return the nodes A, B and C of a rule."""
    comparison = threshold(expression)
    queried = comparison.expression if comparison else expression
    return [
        _query_node(queried, datasource_uid, offset),
        _expression_node("B", {"type": "reduce", "expression": "A", "reducer": "last"}),
        _expression_node("C", _decision(comparison)),
    ]


def _query_node(expression: str, datasource_uid: str, offset: int) -> JsonObject:
    return {
        "refId": "A",
        "datasourceUid": datasource_uid,
        "queryType": "",
        "model": {
            "refId": "A",
            "datasource": {"type": "prometheus", "uid": datasource_uid},
            "expr": expression,
            "instant": True,
            "range": False,
            "editorMode": "code",
        },
        "relativeTimeRange": {"from": LOOK_BACK_SECONDS + offset, "to": offset},
    }


def _decision(comparison: Threshold | None) -> JsonObject:
    if comparison is None:
        # is_nan() returns 0 or 1 for any value, so that this is true for each series.
        return {"type": "math", "expression": "is_nan($B) < 2"}
    evaluator = {"type": comparison.comparison, "params": [comparison.limit]}
    return {
        "type": "threshold",
        "expression": "B",
        "conditions": [{"evaluator": evaluator}],
    }


def _expression_node(ref_id: str, settings: JsonObject) -> JsonObject:
    return {
        "refId": ref_id,
        "datasourceUid": EXPRESSION,
        "queryType": "",
        "model": {
            "refId": ref_id,
            "datasource": {"type": EXPRESSION, "uid": EXPRESSION},
            **settings,
        },
        # An expression has no time range.
        "relativeTimeRange": {"from": 0, "to": 0},
    }


def threshold(expression: str) -> Threshold | None:
    """Return an expression as a comparison of its left side with a number; None otherwise.

    Grafana 11 has no threshold for >=, <=, == and !=, and its math expressions fire for NaN, which
    Prometheus drops.
    """
    operator = _last_comparison(expression)
    if operator is None or operator.group() not in _THRESHOLDS:
        return None
    limit = expression[operator.end() :].strip()
    if not _NUMBER.fullmatch(limit):
        return None
    left_side = expression[: operator.start()].strip()
    return Threshold(left_side, _THRESHOLDS[operator.group()], _number(limit))


def _last_comparison(expression: str) -> re.Match[str] | None:
    """Return the last comparison outside parentheses; None beside a set operator."""
    depth = 0
    comparison = None
    for token in _TOKEN.finditer(expression):
        kind = token.lastgroup or ""
        depth += _DEPTH_CHANGES.get(kind, 0)
        if depth != 0:
            continue
        if kind == "word" and token.group().lower() in _SET_OPERATORS:
            return None
        if kind == "compare":
            comparison = token
    return comparison


def _number(literal: str) -> float:
    number = float(literal)
    return int(number) if number.is_integer() else number


def _convert_templates(strings: dict[str, str], steps: Steps) -> dict[str, str]:
    """Convert labels or annotations to Grafana's; those that set states are left out."""
    return {
        key: _convert_template(string, (*steps, key))
        for key, string in strings.items()
        if key not in STATES
    }


def _convert_template(string: str, steps: Steps) -> str:
    """Rename Prometheus' ``$value`` in the actions of a template; the rest stays unchanged."""

    def convert_action(match: re.Match[str]) -> str:
        # Every second part is a string literal, which stays.
        parts = _LITERAL.split(match[0])
        parts[::2] = [convert_code(code) for code in parts[::2]]
        return "".join(parts)

    def convert_code(code: str) -> str:
        missing = _MISSING_IN_GRAFANA.search(code)
        if missing:
            raise RuleError(
                f"{string!r} uses {missing[0]}, which Grafana's templates lack; remove it.",
                steps,
            )
        return _VALUE.sub(_grafana_value, code)

    return _ACTION.sub(convert_action, string)


def _grafana_value(match: re.Match[str]) -> str:
    return "$values.B.Value" if match[0].startswith("$") else ".Values.B.Value"


def _titles(document: Any) -> dict[Steps, str]:
    """Return the unique title of each of Grafana's alerts, by its steps.

    Before Grafana 12, a title may exist only once in a folder.
    """
    alerts = list(_grafana_alerts(document))
    counts = Counter(rule.fields["alert"] for rule in alerts)
    titles = {}
    for rule in alerts:
        name = rule.fields["alert"]
        severity = rule.labels().get("severity", "")
        titles[rule.steps] = f"{name} ({severity})" if counts[name] > 1 else name
    title_counts = Counter(titles.values())
    for steps, title in titles.items():
        if title_counts[title] > 1:
            raise RuleError(
                f"{title} is the title of {title_counts[title]} alerts;"
                " change the name or severity of an alert.",
                steps,
            )
    return titles


def _grafana_alerts(document: Any) -> Iterator[_Rule]:
    for group in _groups(document):
        for rule in _rules(group):
            if "alert" in rule.fields and _engine(rule) == GRAFANA:
                yield rule


def _groups(document: Any) -> list[_Group]:
    """Return the groups of a rule file."""
    groups: list[_Group] = []
    for index, fields in enumerate(_group_list(document)):
        steps = ("groups", index)
        _check_fields(fields, _GROUP_FIELDS, steps, "a group")
        name = fields.get("name")
        if not isinstance(name, str) or not name:
            raise RuleError("the group has no name; set name.", steps)
        if name in [group.name for group in groups]:
            raise RuleError(
                f"group {name} is defined twice; rename one of them.", steps
            )
        groups.append(_Group(steps, fields))
    return groups


def _group_list(document: Any) -> list[Any]:
    is_rule_file = isinstance(document, dict) and not set(document) - {"groups"}
    groups = (document.get("groups") or []) if is_rule_file else None
    if not isinstance(groups, list):
        raise RuleError(
            "this is not a Prometheus rule file; write a dict with only the list groups."
        )
    return groups


def _rules(group: _Group) -> list[_Rule]:
    """Return the rules of a group."""
    rule_list = group.fields.get("rules") or []
    if not isinstance(rule_list, list):
        raise RuleError(
            f"rules of group {group.name} is a {type_name(rule_list)}; write a list.",
            group.steps,
        )
    rules = []
    for index, fields in enumerate(rule_list):
        steps = (*group.steps, "rules", index)
        _check_fields(fields, _RULE_FIELDS, steps, "a rule")
        names = [fields[key] for key in ("alert", "record") if key in fields]
        if len(names) != 1 or not isinstance(names[0], str) or not names[0]:
            raise RuleError(
                "the rule lacks a name or has two; set either alert or record.", steps
            )
        rules.append(_Rule(steps, fields, group))
    return rules


def _check_fields(
    value: Any, known_fields: tuple[str, ...], steps: Steps, noun: str
) -> None:
    if not isinstance(value, dict):
        raise RuleError(f"{noun} is {value!r}; write a dict.", steps)
    unknown = sorted(str(key) for key in value if key not in known_fields)
    if unknown:
        raise RuleError(
            f"{noun} has no field {', '.join(unknown)}; use one of {', '.join(known_fields)}.",
            steps,
        )


def _engine(rule: _Rule) -> str:
    """Return the engine that evaluates a rule."""
    engine = rule.labels().get("engine", GRAFANA)
    if engine not in ENGINES:
        raise RuleError(
            f"the label engine is {engine!r}; write {' or '.join(ENGINES)}.",
            (*rule.steps, "labels"),
        )
    return engine


def _rule_for(rule: _Rule, engine: str) -> JsonObject:
    """Return the fields of a rule that its engine understands."""
    fields = _without_engine(rule.fields)
    if engine == PROMETHEUS and "annotations" in fields:
        annotations = fields["annotations"] or {}
        fields["annotations"] = {
            key: value
            for key, value in annotations.items()
            if key not in GRAFANA_ANNOTATIONS
        }
    return fields


def _without_engine(fields: JsonObject) -> JsonObject:
    """Return a copy of a rule or group without the label engine."""
    fields = dict(fields)
    if "labels" in fields:
        fields["labels"] = _without_engine_label(fields["labels"] or {})
    return fields


def _without_engine_label(labels: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in labels.items() if key != "engine"}


def _strings(fields: JsonObject, key: str, steps: Steps) -> dict[str, str]:
    """Return labels or annotations, whose values are strings or numbers."""
    values = fields.get(key) or {}
    if not isinstance(values, dict):
        raise RuleError(f"{key} is a {type_name(values)}; write a dict.", (*steps, key))
    for name, value in values.items():
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise RuleError(f"{name} is {value!r}; write a str.", (*steps, key, name))
    return {str(name): str(value) for name, value in values.items()}


def _expression(rule: _Rule) -> str:
    expression = str(rule.fields.get("expr", "")).strip()
    if not expression:
        raise RuleError(f"{rule.fields['alert']} has no expr; set expr.", rule.steps)
    return expression


def _state(annotations: dict[str, str], key: str, default: str, steps: Steps) -> str:
    state = annotations.get(key, default)
    _check_state(key, state, (*steps, "annotations", key))
    return state


def _check_state(key: str, state: str, steps: Steps) -> None:
    states = STATES[key]
    if state not in states:
        raise RuleError(f"{key} is {state!r}; use one of {', '.join(states)}.", steps)


def _offset_seconds(group: _Group) -> int:
    offset = group.fields.get("query_offset", 0)
    return _milliseconds(offset, (*group.steps, "query_offset")) // 1000


def _duration(value: Any, steps: Steps) -> str:
    """Return a duration in the notation of Prometheus and Grafana."""
    _milliseconds(value, steps)
    return "0s" if str(value) == "0" else str(value)


def _milliseconds(value: Any, steps: Steps) -> int:
    match = _DURATION.fullmatch(str(value))
    if not match or isinstance(value, bool):
        raise RuleError(
            f"{value!r} is not a duration; write one such as 5m or 1h30m.",
            steps,
        )
    *counts, milliseconds = [int(count or 0) for count in match.groups()]
    seconds = sum(count * unit for count, unit in zip(counts, _SECONDS.values()))
    return 1000 * seconds + milliseconds
