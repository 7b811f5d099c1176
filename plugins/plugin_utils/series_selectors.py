# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The series that PromQL and LogQL expressions select. Pure.

This is no parser: it finds metric names and matchers among the words of an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOT_CODE = re.compile(r"#[^\n]*")
_STRING = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`"
_TOKEN = re.compile(
    rf"(?P<number>\d[\w.]*)|(?P<range>\[[^\]]*\])|(?P<string>{_STRING})"
    rf"|(?P<name>[A-Za-z_:][\w:]*)?\s*(?P<matchers>\{{(?:{_STRING}|[^}}\"'`])*\}})"
    r"|(?P<word>[A-Za-z_:][\w:]*)\s*(?P<call>\()?"
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
_MATCHER = re.compile(
    rf"(?P<label>\w+)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>{_STRING})"
)
_VARIABLE = re.compile(r"\$\{|\$\w|\[\[")
_OF_VARIABLE = re.compile(r'\b\w+=~"\$\w+"(, ?)?')


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


def without_variables(selector: str) -> str:
    """Return a selector without its matchers of dashboard variables."""
    chosen = _OF_VARIABLE.sub("", selector)
    return re.sub(r",\s*\}", "}", chosen).replace("{}", "")


def of_streams(expression: str) -> list[str]:
    """Return the stream selectors of a LogQL expression, with any value for each variable."""
    return [
        _MATCHER.sub(_any_value, selector)
        for selector in selectors(expression)
        if selector.startswith("{")
    ]


def _any_value(matcher: re.Match[str]) -> str:
    if not _VARIABLE.search(matcher["value"]):
        return matcher[0]
    value = ".+" if matcher["operator"] in ("=", "=~") else ".*"
    return f'{matcher["label"]}=~"{value}"'


def selected_values(
    selector: str, label: str, values: Iterable[str]
) -> set[str] | None:
    """Return those of some values that a selector's matchers of a label accept.

    None if the selector does not name the label, or only excludes values.
    """
    matchers = [
        match for match in _MATCHER.finditer(selector) if match["label"] == label
    ]
    if not any(match["operator"] in ("=", "=~") for match in matchers):
        return None
    return {value for value in values if all(_accepts(m, value) for m in matchers)}


def required_value(selector: str, label: str) -> str | None:
    """Return the value that a selector requires of a label, None without an equality."""
    for match in _MATCHER.finditer(selector):
        if match["label"] == label and match["operator"] == "=":
            return match["value"][1:-1]
    return None


def _accepts(matcher: re.Match[str], value: str) -> bool:
    wanted = matcher["value"][1:-1]
    operator = matcher["operator"]
    if operator in ("=", "!="):
        return (value == wanted) == (operator == "=")
    try:
        is_match = re.fullmatch(wanted, value) is not None
    except re.error:
        return False
    return is_match == (operator == "=~")


def presence(selectors_of_series: list[str]) -> str:
    """Return one query that yields a series for each selector with data.

    The label ``selector`` of a series is the index in the list.
    """
    counts = [
        f'label_replace(count({selector}), "selector", "{index}", "", "")'
        for index, selector in enumerate(selectors_of_series)
    ]
    return " or ".join(counts)
