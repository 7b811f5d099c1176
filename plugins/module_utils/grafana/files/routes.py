# SPDX-License-Identifier: GPL-3.0-or-later
"""Report matchers of routes that Grafana cannot read, before anything is sent. Pure.

A file of policies has real types: 007 is a number there, which Grafana refuses as a label's value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..matchers import parse_matchers
from ..normalize import OPERATORS
from . import go_regex
from .documents import type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .schema import Node


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
        # As Alertmanager anchors it.
        problem = go_regex.problem(f"^(?:{value})$")
        if problem:
            node.error(
                f"{value!r} is no regular expression of Go ({problem}); correct it."
            )
