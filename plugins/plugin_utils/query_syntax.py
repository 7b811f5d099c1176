# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find faults in the syntax of PromQL and LogQL that are beyond doubt. Pure.

This is no parser: a controller has none, and each version of a server has a grammar of its own.
Both languages, and MetricsQL, have the same strings, comments and brackets. A query that is refused
here is refused by every server; the servers judge the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..module_utils.grafana.files.documents import Document, Steps

# Types of data sources whose queries are in these languages.
TYPES = ("prometheus", "loki")
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_TOKEN = re.compile(
    r"""(?P<skip>\s+|(?P<comment>\#[^\r\n]*))
    |(?P<string>"(?:\\[^\n]|[^"\\\n])*"|'(?:\\[^\n]|[^'\\\n])*'|`[^`]*`)
    |(?P<quote>["'`])
    |(?P<open>[(\[{])
    |(?P<close>[)\]}])
    |(?P<operator>[-+*/%^=!<>~|,]+)
    |(?P<illegal>[&;])
    |(?P<other>[^&;\s\#"'`()\[\]{}\-+*/%^=!<>~|,]+)""",
    re.VERBOSE,
)
# Grafana replaces these in the queries of dashboards.
_VARIABLE = re.compile(r"\$\{[^}]*\}|\[\[\w+(?::\w+)?\]\]|\$\w+")
_RANGE = re.compile(r"\[\s*[0-9.]+(\s*)([A-Za-zµ]*)\s*[\]:]")
# Units of Prometheus, Loki and MetricsQL.
_UNIT = re.compile(r"ms|ns|us|µs|[smhdwyiM]|")


class Query(NamedTuple):
    """A query in a document, and the steps that lead to it."""

    steps: Steps
    text: str


def problem(query: str) -> str:
    """Return the fault of a query, or an empty string."""
    tokens = [
        (str(match.lastgroup), match[0])
        for match in _TOKEN.finditer(query)
        if match.lastgroup != "skip"
    ]
    for kind, text in tokens:
        if kind == "quote":
            return f"the string after {text} has no end"
        if kind == "illegal":
            return f"{text} is in no query"
    found = _bracket_problem(tokens) or _range_problem(query)
    if found or not tokens:
        return found
    kind, text = tokens[0]
    if kind == "operator" and text[0] not in "+-":
        return f"it begins with {text}"
    kind, text = tokens[-1]
    return f"it ends with {text}" if kind == "operator" else ""


def _bracket_problem(tokens: list[tuple[str, str]]) -> str:
    opened: list[str] = []
    for kind, text in tokens:
        if kind == "open":
            opened.append(text)
        elif kind == "close" and not opened:
            return f"{text} closes nothing"
        elif kind == "close":
            bracket = opened.pop()
            if _PAIRS[bracket] != text:
                return f"{bracket} is closed by {text}"
    return f"{opened[-1]} is not closed" if opened else ""


def _range_problem(query: str) -> str:
    tokens = _TOKEN.finditer(query)
    code = "".join(
        " " if match["string"] or match["comment"] else match[0] for match in tokens
    )
    for match in _RANGE.finditer(code):
        space, unit = match.groups()
        if (space and unit) or not _UNIT.fullmatch(unit):
            return f"{match[0]} is not a duration such as [5m]"
    return ""


def fault(query: str) -> str:
    """Return an error message about a query, or an empty string."""
    found = problem(query)
    return (
        f"the query {query.strip()!r} is wrong: {found}; correct it." if found else ""
    )


def rule_queries(content: Any) -> Iterator[Query]:
    """Yield the queries of a rule file of Prometheus or Loki."""
    for group, fields in _elements(content, "groups"):
        for rule, values in _elements(fields, "rules"):
            if isinstance(values.get("expr"), str):
                yield Query(("groups", group, "rules", rule, "expr"), values["expr"])


def provisioned_queries(content: Any, types: dict[str, str]) -> Iterator[Query]:
    """Yield the queries of Grafana's rules; ``types`` are those of datasources by uid."""
    for group, fields in _elements(content, "groups"):
        for rule, values in _elements(fields, "rules"):
            for node, query in _elements(values, "data"):
                steps = ("groups", group, "rules", rule, "data", node, "model")
                known = types.get(str(query.get("datasourceUid")), "")
                yield from _query(query.get("model"), steps, known)


def dashboard_queries(content: Any) -> Iterator[Query]:
    """Yield the queries of a dashboard's panels, with a word in place of each variable."""
    is_wrapped = isinstance(content, dict) and isinstance(
        content.get("dashboard"), dict
    )
    steps: Steps = ("dashboard",) if is_wrapped else ()
    model = content["dashboard"] if is_wrapped else content
    for query in _panel_queries(model, steps):
        yield query._replace(text=_VARIABLE.sub("_", query.text))


def _panel_queries(parent: Any, steps: Steps) -> Iterator[Query]:
    for key in ("rows", "panels"):
        for index, panel in _elements(parent, key):
            place = (*steps, key, index)
            for number, target in _elements(panel, "targets"):
                yield from _query(target, (*place, "targets", number), _type(panel))
            yield from _panel_queries(panel, place)


def _query(model: Any, steps: Steps, known: str) -> Iterator[Query]:
    text = model.get("expr") if isinstance(model, dict) else None
    if isinstance(text, str) and (_type(model) or known) in TYPES:
        yield Query((*steps, "expr"), text)


def _type(model: Any) -> str:
    datasource = model.get("datasource")
    return str(datasource.get("type") or "") if isinstance(datasource, dict) else ""


def _elements(parent: Any, key: str) -> Iterator[tuple[int, Any]]:
    """Yield the dicts of a list with their indexes."""
    values = parent.get(key) if isinstance(parent, dict) else None
    for index, value in enumerate(values if isinstance(values, list) else []):
        if isinstance(value, dict):
            yield index, value


def faults(document: Document, queries: Iterator[Query]) -> Iterator[tuple[str, str]]:
    """Yield file and line of each wrong query, and a message."""
    for query in queries:
        message = fault(query.text) if query.text.strip() else ""
        if message:
            yield document.at(*query.steps), message
