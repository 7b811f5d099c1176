# SPDX-License-Identifier: GPL-3.0-or-later
"""Split a PromQL expression at its threshold, where that is beyond doubt. Pure.

This is no parser. An expression ends with its threshold if it ends with ``> number`` or
``< number`` outside of brackets, quotes and comments, and has no set operator outside of brackets:
all other operators bind more tightly, and comparisons group from the left (Prometheus'
generated_parser.y). So only brackets, quotes and comments matter, and each character has to belong
to a token that is known. Anything else, and a number in an unusual form, leaves the expression
whole, which is always right.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

# The forms of Prometheus' lexer (promql/parser/lex.go); a backslash always takes one character.
_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r\n]+|\#[^\r\n]*)
    |(?P<quoted>"(?:\\[^\n]|[^"\\\n])*"|'(?:\\[^\n]|[^'\\\n])*'|`[^`]*`)
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<compare>[=!]=|[<>]=|[=!]~|</|>/|[=<>])
    |(?P<word>[A-Za-z0-9_:.]+)
    |(?P<operator>[-+*/%^,@])""",
    re.VERBOSE,
)
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_SET_OPERATORS = ("and", "or", "unless")
# Grafana's names of the comparisons that its threshold has in all supported versions.
_THRESHOLDS = {">": "gt", "<": "lt"}
# Prometheus takes 010 for eight, so that a leading zero is in doubt.
_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
)
_SPACE = " \t\r\n"
_QUOTED = r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)"""
# The series in which Prometheus keeps the alerts that it evaluates itself.
_ALERTS = re.compile(
    rf"""(?:__name__\s*=\s*|\{{(?:(?:[^{{}}"'`]|{_QUOTED})*,)?\s*)"""
    r"""["'`](ALERTS(?:_FOR_STATE)?)["'`]"""
    r"""|__name__\s*=~\s*["'`](?:[^"'`]*\W)?(ALERTS(?:_FOR_STATE)?)(?![\w:])"""
    rf"|\#[^\n]*|{_QUOTED}|(?<![\w:])(ALERTS(?:_FOR_STATE)?)(?![\w:])"
    # A label may have the same name.
    r"""(?!\s*(?:[=!]~|!?=\s*["'`]))"""
)
# LogQL has pipelines, PromQL has no such character outside of quotes.
_PIPELINE = re.compile(rf"\#[^\n]*|{_QUOTED}|(\|)")


class Threshold(NamedTuple):
    """A comparison of an expression with a number; ``comparison`` is gt or lt."""

    expression: str
    comparison: str
    limit: float


def threshold(expression: str) -> Threshold | None:
    """Return an expression as a comparison of its left side with a number; None otherwise.

    Grafana 11 has no threshold for >=, <=, == and !=, and its math expressions fire for NaN, which
    Prometheus drops.
    """
    operator = _last_comparison(expression)
    if operator is None or operator.group() not in _THRESHOLDS:
        return None
    limit = expression[operator.end() :].strip(_SPACE)
    left_side = expression[: operator.start()].strip(_SPACE)
    if not left_side or not _NUMBER.fullmatch(limit):
        return None
    number = float(limit)
    if not math.isfinite(number):
        return None
    number = int(number) if number.is_integer() else number
    return Threshold(left_side, _THRESHOLDS[operator.group()], number)


def _last_comparison(expression: str) -> re.Match[str] | None:
    """Return the last comparison outside of brackets; None in doubt or beside a set operator."""
    closing: list[str] = []
    comparison = None
    position = 0
    while position < len(expression):
        token = _TOKEN.match(expression, position)
        if not token:
            return None
        position = token.end()
        text = token.group()
        if token.lastgroup == "open":
            closing.append(_PAIRS[text])
        elif token.lastgroup == "close" and (not closing or closing.pop() != text):
            return None
        elif closing:
            continue
        elif token.lastgroup == "compare":
            comparison = token
        elif text.lower() in _SET_OPERATORS:
            return None
    return None if closing else comparison


def is_logql(expression: str) -> bool:
    """Return whether an expression is certainly one of Loki."""
    return any(match[1] for match in _PIPELINE.finditer(expression))


def own_alerts(expression: str) -> str | None:
    """Return the name of Prometheus' series of its own alerts, if the expression selects it."""
    names = [name for groups in _ALERTS.findall(expression) for name in groups if name]
    return next(iter(names), None)
