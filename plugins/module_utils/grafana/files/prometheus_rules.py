# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert the alerts of a Prometheus rule file to rule groups of Grafana. Pure.

The label ``engine`` of an alert names its evaluator, ``grafana`` (default) or ``prometheus``;
neither of them receives the label.

Prometheus fires for each series that an expression returns, whatever its value. In Grafana, node A
queries the expression, B reduces it, and C decides:

- ``vector > number`` and ``vector < number``: A is the left side and C the threshold. A recovered
  series is still returned, with its value, and resolves at once. ``promql.py`` finds them.
- Everything else (``==``, ``and``, ``absent()`` ...): A is the whole expression, and C is 1 for
  each series that it returns. While others still fire, Grafana resolves a series that vanished
  after two evaluations; Prometheus does so after one. Rules of Loki are never split.

Either way B is Prometheus' ``$value``: the value of the left side, 0 and NaN included. No series
means no alert. Annotations that only Grafana uses are in the same file, and Prometheus does not
receive them: ``grafana_no_data`` and ``grafana_exec_error`` (states of the rule),
``__dashboardUid__`` and ``__panelId__`` (its panel).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model import DesiredObject
from ..schedules import milliseconds
from .documents import type_name
from .promql import is_logql, own_alerts, threshold
from .rule_templates import convert_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .documents import JsonObject, Steps
    from .promql import Threshold

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

_FILE_FIELDS = ("groups",)
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
# Types of datasources that answer such a query, and the query type that Grafana's own converter
# sends (pkg/services/ngalert/prom/query.go); without it Loki answers with a range.
LOKI = "loki"
QUERY_TYPES = {
    "prometheus": "",
    "grafana-amazonprometheus-datasource": "",
    "grafana-azureprometheus-datasource": "",
    LOKI: "instant",
}


class RuleError(Exception):
    """A rule file is invalid; ``steps`` are the keys and indexes that lead to the error.

    ``others`` are the further errors of the file.
    """

    def __init__(
        self, message: str, steps: Steps = (), others: Sequence[RuleError] = ()
    ) -> None:
        super().__init__(message)
        self.steps = steps
        self.others = tuple(others)


class _Errors:
    """The errors of a file, to be raised as one."""

    def __init__(self) -> None:
        self.errors: list[RuleError] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep the error of a block, and go on after it."""
        try:
            yield
        except RuleError as error:
            self.errors += [error, *error.others]

    def raise_all(self) -> None:
        """Raise the first error, with the others."""
        if self.errors:
            first, *others = self.errors
            raise RuleError(str(first), first.steps, others)


class Shares(NamedTuple):
    """The rule file of each engine, in the order of ENGINES."""

    grafana: JsonObject
    prometheus: JsonObject


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
    datasource_type: str
    no_data: str
    exec_error: str


def split(document: Any) -> Shares:
    """Split a rule file into the shares of the engines; each alert is in one of them.

    Recording rules are Prometheus' when labelled ``engine: prometheus``; Grafana rejects the rest.
    """
    shares = Shares({"groups": []}, {"groups": []})
    errors = _Errors()
    for group in _groups(document, errors):
        rules_by_engine: dict[str, list[JsonObject]] = {
            engine: [] for engine in ENGINES
        }
        for rule in _rules(group, errors):
            with errors.collect():
                engine = _engine(rule)
                rules_by_engine[engine].append(_rule_for(rule, engine))
        for share, rules in zip(shares, rules_by_engine.values()):
            if rules:
                share["groups"].append(
                    {**_without_engine(group.fields), "rules": rules}
                )
    errors.raise_all()
    return shares


def is_rule_file(content: JsonObject) -> bool:
    """Return whether a dict is a rule file, with the fields of other programs or without.

    Those of Grafana have a version and rules of another form.
    """
    if set(content) == set(_FILE_FIELDS):
        return True
    if "apiVersion" in content or not isinstance(content.get("groups"), list):
        return False
    groups = [group for group in content["groups"] if isinstance(group, dict)]
    rules = [rule for group in groups for rule in group.get("rules") or []]
    return any(isinstance(rule, dict) and "expr" in rule for rule in rules)


def group_names(document: Any) -> list[str]:
    """Return the names of the groups with rules that Grafana evaluates; errors are left out."""
    ignored = _Errors()
    groups = [rule.group.name for rule in _grafana_rules(document, ignored)]
    return list(dict.fromkeys(groups))


def rule_groups(
    document: Any,
    source: str,
    folder_uid: str,
    datasource_uid: str = "prometheus",
    interval: str = "1m",
    no_data: str = "OK",
    exec_error: str = "Error",
    datasource_type: str = "prometheus",
    group_titles: Mapping[str, str] | None = None,
) -> list[DesiredObject]:
    """Convert Grafana's share of a rule file to rule groups, in the order of the file.

    ``interval`` applies to groups that set none, ``no_data`` and ``exec_error`` are the states of
    rules without the annotation for them. ``group_titles`` has the titles of groups that differ
    from their names. Raises RuleError with all errors of the file.
    """
    _check_state(NO_DATA, no_data, ())
    _check_state(EXEC_ERROR, exec_error, ())
    if datasource_type not in QUERY_TYPES:
        raise RuleError(
            f"the datasource {datasource_uid} is of type {datasource_type}, which cannot answer"
            f" these rules; set datasource_uid to one of type {' or '.join(QUERY_TYPES)}."
        )
    defaults = _Defaults(
        folder_uid, datasource_uid, datasource_type, no_data, exec_error
    )
    errors = _Errors()
    rules = list(_grafana_rules(document, errors))
    titles = _titles(rules)
    rules_by_group: dict[str, list[_Rule]] = {}
    for rule in rules:
        rules_by_group.setdefault(rule.group.name, []).append(rule)
    converted = []
    for name, own in rules_by_group.items():
        title = (group_titles or {}).get(name, name)
        body: JsonObject = {"folderUid": folder_uid, "title": title}
        with errors.collect():
            body["interval"] = _group_seconds(own[0].group, interval)
        body["rules"] = [
            _convert_rule(rule, defaults, title, titles.get(rule.steps, ""), errors)
            for rule in own
        ]
        identity = f"{folder_uid}/{title}"
        converted.append(DesiredObject("rule_group", identity, body, source))
    errors.raise_all()
    return converted


def _grafana_rules(document: Any, errors: _Errors) -> Iterator[_Rule]:
    """Yield the rules that Grafana evaluates."""
    for group in _groups(document, errors):
        for rule in _rules(group, errors):
            with errors.collect():
                if _engine(rule) == GRAFANA:
                    yield rule


def _group_seconds(group: _Group, default: str) -> int:
    """Return the seconds between evaluations of a group that Grafana can evaluate."""
    if str(group.fields.get("limit") or 0) != "0":
        raise RuleError(
            "limit is set, and Grafana has no limit of alerts; remove it.",
            (*group.steps, "limit"),
        )
    steps = (*group.steps, "interval")
    interval = group.fields.get("interval")
    # Prometheus takes zero for none.
    seconds = _milliseconds(interval, steps) / 1000 or _milliseconds(default, ()) / 1000
    if seconds % 10:
        raise RuleError(
            f"interval is {interval!r}; write 10s or a multiple of 10s, as Grafana requires.",
            steps,
        )
    return int(seconds)


def _convert_rule(
    rule: _Rule, defaults: _Defaults, group_title: str, title: str, errors: _Errors
) -> JsonObject:
    fields, steps = rule.fields, rule.steps
    if not fields.get("alert"):
        with errors.collect():
            raise RuleError(
                f"{fields['record']} is a recording rule, which only Prometheus evaluates;"
                " label it engine: prometheus, and list its file in prometheus_rule_files.",
                steps,
            )
        return {}
    converted: JsonObject = {
        "uid": uid(defaults.folder_uid, group_title, title),
        "title": title,
        "condition": "C",
    }
    with errors.collect():
        expression, offset = _expression(rule), _offset_seconds(rule)
        converted["data"] = _nodes(expression, defaults, offset, (*steps, "expr"))
    annotations = {}
    with errors.collect():
        annotations = _strings(fields, "annotations", steps)
        converted["noDataState"] = _state(annotations, NO_DATA, defaults.no_data, steps)
    with errors.collect():
        converted["execErrState"] = _state(
            annotations, EXEC_ERROR, defaults.exec_error, steps
        )
    with errors.collect():
        converted["for"] = _duration(fields.get("for"), (*steps, "for"))
    labels = _without_engine_label(rule.labels())
    converted["labels"] = _convert_templates(labels, (*steps, "labels"), errors)
    converted["annotations"] = _convert_templates(
        annotations, (*steps, "annotations"), errors
    )
    converted["isPaused"] = False
    with errors.collect():
        kept = _duration(fields.get("keep_firing_for"), (*steps, "keep_firing_for"))
        if fields.get("keep_firing_for") is not None:
            converted["keep_firing_for"] = kept
    if len(set(PANEL) & set(annotations)) == 1:
        with errors.collect():
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


def _nodes(
    expression: str, defaults: _Defaults, offset: int, steps: Steps
) -> list[JsonObject]:
    """Return the nodes A, B and C of a rule; ``steps`` lead to its expression."""
    is_promql = defaults.datasource_type != LOKI
    if is_promql and is_logql(expression):
        raise RuleError(
            "the expression is a query of Loki; set datasource_uid of the content element to a"
            " datasource of type loki.",
            steps,
        )
    comparison = threshold(expression) if is_promql else None
    queried = comparison.expression if comparison else expression
    return [
        _query_node(queried, defaults, offset),
        _expression_node("B", {"type": "reduce", "expression": "A", "reducer": "last"}),
        _expression_node("C", _decision(comparison)),
    ]


def _query_node(expression: str, defaults: _Defaults, offset: int) -> JsonObject:
    datasource = {"type": defaults.datasource_type, "uid": defaults.datasource_uid}
    query_type = QUERY_TYPES[defaults.datasource_type]
    return {
        "refId": "A",
        "datasourceUid": defaults.datasource_uid,
        "queryType": query_type,
        "model": {
            "refId": "A",
            "datasource": datasource,
            "expr": expression,
            "instant": True,
            "range": False,
            "editorMode": "code",
            **({"queryType": query_type} if query_type else {}),
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


def _convert_templates(
    strings: dict[str, str], steps: Steps, errors: _Errors
) -> dict[str, str]:
    """Convert labels or annotations to Grafana's; those that set states are left out."""
    converted = {}
    for key, string in strings.items():
        if key not in STATES:
            with errors.collect():
                converted[key] = _convert_template(string, (*steps, key))
    return converted


def _convert_template(string: str, steps: Steps) -> str:
    try:
        return convert_template(string)
    except ValueError as error:
        raise RuleError(f"{string!r} {error}.", steps) from error


def _titles(rules: list[_Rule]) -> dict[Steps, str]:
    """Return the unique title of each of Grafana's alerts, by its steps.

    Before Grafana 12, a title may exist only once in a folder. An alert whose name is there several
    times has its severity in its title, then the labels that differ, and as the last resort its
    number among those that are alike.
    """
    names = Counter(rule.fields.get("alert") for rule in rules)
    alike: dict[str, list[_Rule]] = {}
    for rule in rules:
        name = str(rule.fields.get("alert"))
        severity = rule.labels().get("severity", "")
        title = f"{name} ({severity})" if names[rule.fields.get("alert")] > 1 else name
        alike.setdefault(title, []).append(rule)
    titles: dict[Steps, str] = {}
    for title, own in alike.items():
        for rule in own:
            titles[rule.steps] = _distinct_title(rule, own, title)
    return _numbered(titles)


def _numbered(titles: dict[Steps, str]) -> dict[Steps, str]:
    """Number the titles that are there several times, from the second one on."""
    taken = set(titles.values())
    numbered: dict[Steps, str] = {}
    for steps, title in titles.items():
        unique, number = title, 1
        while unique in numbered.values() or (number > 1 and unique in taken):
            number += 1
            unique = f"{title} {number}"
        numbered[steps] = unique
    return numbered


def _distinct_title(rule: _Rule, alike: list[_Rule], title: str) -> str:
    """Return the title of an alert with the first label, or else all labels, that differ."""
    all_labels = [other.labels() for other in alike]
    keys = dict.fromkeys(key for labels in all_labels for key in labels)
    values = {key: [labels.get(key, "") for labels in all_labels] for key in keys}
    static = [key for key in keys if "{{" not in "".join(values[key])]
    differing = [key for key in static if len(set(values[key])) > 1]
    telling = [key for key in differing if len(set(values[key])) == len(alike)]
    if len(alike) == 1:
        return title
    labels = rule.labels()
    named = [key for key in telling[:1] or differing if labels.get(key)]
    own = [f"{key} {labels[key]}" for key in named]
    parts = list(filter(None, [labels.get("severity", ""), *own]))
    name = str(rule.fields.get("alert"))
    return f"{name} ({', '.join(parts)})" if parts else name


def _groups(document: Any, errors: _Errors) -> list[_Group]:
    """Return the groups of a rule file that are valid."""
    groups: dict[str, _Group] = {}
    has_groups = isinstance(document, dict) and "groups" in document
    for key in document if has_groups else ():
        with errors.collect():
            _check_fields({key: None}, _FILE_FIELDS, (key,), "a rule file")
    with errors.collect():
        for index, fields in enumerate(_group_list(document)):
            with errors.collect():
                group = _group(("groups", index), fields)
                if group.name in groups:
                    raise RuleError(
                        f"group {group.name} is defined twice; rename one of them.",
                        group.steps,
                    )
                groups[group.name] = group
    return list(groups.values())


def _group(steps: Steps, fields: Any) -> _Group:
    _check_fields(fields, _GROUP_FIELDS, steps, "a group")
    if not _is_name(fields.get("name")):
        raise RuleError("the group has no name; set name.", steps)
    return _Group(steps, fields)


def _is_name(value: Any) -> bool:
    """Return whether a value is a name; YAML of other readers has numbers."""
    return isinstance(value, (str, int, float)) and value != ""


def _group_list(document: Any) -> list[Any]:
    groups = None
    if isinstance(document, dict) and ("groups" in document or not document):
        groups = document.get("groups") or []
    if not isinstance(groups, list):
        raise RuleError(
            "this is not a Prometheus rule file; write a dict with only the list groups."
        )
    return groups


def _rules(group: _Group, errors: _Errors) -> list[_Rule]:
    """Return the rules of a group that are valid."""
    rules: list[_Rule] = []
    rule_list = group.fields.get("rules") or []
    if not isinstance(rule_list, list):
        with errors.collect():
            raise RuleError(
                f"rules of group {group.name} is a {type_name(rule_list)}; write a list.",
                group.steps,
            )
        return rules
    for index, fields in enumerate(rule_list):
        with errors.collect():
            rules.append(_rule((*group.steps, "rules", index), fields, group))
    return rules


def _rule(steps: Steps, fields: Any, group: _Group) -> _Rule:
    _check_fields(fields, _RULE_FIELDS, steps, "a rule")
    # Prometheus takes an empty name for none.
    names = [fields.get(key) for key in ("alert", "record")]
    names = [name for name in names if name not in (None, "")]
    if len(names) != 1 or not _is_name(names[0]):
        raise RuleError(
            "the rule lacks a name or has two; set either alert or record.", steps
        )
    return _Rule(steps, fields, group)


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
    """Return labels or annotations, whose values are scalars; null is an empty string."""
    values = {} if fields.get(key) is None else fields[key]
    if not isinstance(values, dict):
        raise RuleError(f"{key} is a {type_name(values)}; write a dict.", (*steps, key))
    for name, value in values.items():
        if isinstance(value, (dict, list)):
            raise RuleError(f"{name} is {value!r}; write a str.", (*steps, key, name))
    return {str(name): _spelling(value) for name, value in values.items()}


def _spelling(value: Any) -> str:
    """Return a scalar as text; those of files are text already, as they were written."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _expression(rule: _Rule) -> str:
    value = rule.fields.get("expr")
    name, steps = rule.fields["alert"], (*rule.steps, "expr")
    if isinstance(value, (dict, list)):
        raise RuleError(f"expr is {value!r}; write a str.", steps)
    expression = _spelling(value).strip()
    if not expression:
        raise RuleError(f"{name} has no expr; set expr.", rule.steps)
    series = own_alerts(expression)
    if series:
        raise RuleError(
            f"{name} selects {series}, where Prometheus has only the alerts that it evaluates"
            " itself; label the alert engine: prometheus.",
            steps,
        )
    return expression


def _state(annotations: dict[str, str], key: str, default: str, steps: Steps) -> str:
    state = annotations.get(key, default)
    _check_state(key, state, (*steps, "annotations", key))
    return state


def _check_state(key: str, state: str, steps: Steps) -> None:
    states = STATES[key]
    if state not in states:
        raise RuleError(f"{key} is {state!r}; use one of {', '.join(states)}.", steps)


def _offset_seconds(rule: _Rule) -> int:
    group = rule.group
    offset = group.fields.get("query_offset")
    return _milliseconds(offset, (*group.steps, "query_offset")) // 1000


def _duration(value: Any, steps: Steps) -> str:
    """Return a duration in the notation of Prometheus and Grafana."""
    return str(value) if _milliseconds(value, steps) else "0s"


def _milliseconds(value: Any, steps: Steps) -> int:
    """Return the length of a duration; it is zero where none is set."""
    length = milliseconds(_spelling(value)) if value is not None else 0
    if length is None:
        raise RuleError(
            f"{value!r} is not a duration; write one such as 5m or 1h30m.",
            steps,
        )
    return length
