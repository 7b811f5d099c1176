# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Report matchers of routes that Grafana cannot read, before anything is sent. Pure.

A file of policies has real types: 007 is a number there, which Grafana refuses as a label's value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..matchers import parse_matchers
from ..normalize import OPERATORS
from .documents import type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .schema import Node

# Parts of a regular expression in which a parenthesis has no meaning.
_LITERALS = re.compile(
    r"\\Q.*?(?:\\E|$)|\\(?![1-9]|k<).|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", re.DOTALL
)
# Python, Perl and Java have these, Go's regular expressions do not.
_MISSING_IN_GO = re.compile(
    r"\(\?(?:[=!>#|(]|<[=!])|[*+?]\+|\\(?:[1-7](?![0-7])|[89k])"
)
# A backslash before any other letter is an error there.
_ESCAPES = "pPdDwWsSbBAzafnrtvQCx"
# The heads of groups, which are no repetitions.
_HEAD = re.compile(r"\((?:\?(?:P?<\w+>|[a-zA-Z-]*[:)]))?")
_COUNTED = r"\{\d+(?:,\d*)?\}"
_REPETITION = rf"(?:[*+?]|{_COUNTED})"
_UNREPEATABLE = re.compile(
    rf"[(|]{_REPETITION}|{_REPETITION}(?:\?{_REPETITION}|[*+]|{_COUNTED})"
)
_COUNTS = re.compile(r"\{(\d+)(?:,(\d*))?\}", re.ASCII)
_MOST_REPETITIONS = 1000


def check_matchers(node: Node, key: str) -> None:
    """Report the entries of one of a route's fields with matchers that are not matchers."""
    if key in ("match", "match_re"):
        _check_dict(node, "=~" if key == "match_re" else "=")
        return
    check = _check_text if key == "matchers" else _check_list
    for element in node.elements():
        check(element)


def _check_dict(node: Node, operator: str) -> None:
    if node.value is not None and not isinstance(node.value, dict):
        node.type_error("dict such as severity: critical")
        return
    for label, value in node.items() if node.value else []:
        _check_strings(value, [label, operator, value.value])


def _check_text(node: Node) -> None:
    if not isinstance(node.value, str):
        node.type_error("str such as severity=critical")
        return
    try:
        matchers = parse_matchers(node.value)
    except ValueError as error:
        node.error(
            f"{error}; write label, operator ({', '.join(OPERATORS)}) and value."
        )
        return
    for matcher in matchers:
        _check_strings(node, matcher)


def _check_list(node: Node) -> None:
    value = node.value
    if not isinstance(value, list) or len(value) != 3 or value[1] not in OPERATORS:
        node.error(
            f"{node.label} is {value!r}; write a list of label, operator"
            f" ({', '.join(OPERATORS)}) and value."
        )
        return
    _check_strings(node, value)


def _check_strings(node: Node, matcher: Sequence[object]) -> None:
    label, operator, value = matcher
    for part in (label, value):
        if not isinstance(part, str):
            node.error(
                f"{node.label} has the {type_name(part)} {part!r}; write it in quotes,"
                " since Grafana takes strings only."
            )
            return
    if operator in ("=~", "!~"):
        problem = regular_expression_problem(str(value))
        if problem:
            node.error(
                f"{value!r} is no regular expression of Go ({problem}); correct it."
            )


def regular_expression_problem(pattern: str) -> str | None:
    """Return why Go's regular expressions do not have a pattern; None when nothing is known."""
    # As Alertmanager anchors it.
    anchored = f"^(?:{pattern})$"
    rest = _LITERALS.sub("x", anchored)
    for literal in _LITERALS.findall(anchored):
        letter = literal[1:2] if literal.startswith("\\") else ""
        if letter.isalpha() and letter not in _ESCAPES:
            return f"{literal} is missing there"
    missing = _MISSING_IN_GO.search(rest)
    if missing:
        return f"{missing[0]} is missing there"
    if "[" in rest:
        return "[ lacks its ]"
    if _UNREPEATABLE.search(_HEAD.sub(_bare_head, rest)):
        return "a repetition has nothing to repeat"
    for first, last in _COUNTS.findall(rest):
        if not int(first) <= int(last or first) <= _MOST_REPETITIONS:
            return f"it repeats {first} to {last or first} times"
    depth = 0
    for character in rest:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            break
    return "parentheses are unbalanced" if depth else None


def _bare_head(head: re.Match[str]) -> str:
    """Return a parenthesis for the head of a group, and a character for flags alone."""
    return "x" if head[0].endswith(")") else "("
