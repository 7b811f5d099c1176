# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read YAML as Grafana does, with the line of each value. PyYAML is on the controller only."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from ..module_utils.grafana.files.documents import (
    Document,
    Place,
    Unreadable,
    decoded,
    json_document,
)

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Scalars as Go's yaml.v3 takes them: yes, no, on and off are texts, 1e21 is a number, a date is a text."""

    yaml_implicit_resolvers: dict = {}  # noqa: RUF012 — PyYAML's own name and way


for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})$"), list(_first))


def _mapping(loader: Loader, node: yaml.MappingNode) -> Any:
    """Keys are texts, as in JSON."""
    result: dict = {}
    yield result
    loader.flatten_mapping(node)
    for key, value in node.value:
        result[key.value] = loader.construct_object(value)


def _float(loader: Loader, node: yaml.ScalarNode) -> Any:
    """A number; what is too large for one is a text."""
    number = loader.construct_yaml_float(node)
    return number if math.isfinite(number) else node.value


Loader.add_constructor(f"{_TAG}map", _mapping)
Loader.add_constructor(f"{_TAG}float", _float)


def document(name: str, data: bytes) -> Document:
    """The document in a file: JSON where its name says so, else YAML."""
    if name.endswith(".json"):
        return json_document(name, data)
    loader = None
    try:
        # Marks of the C parser know no name, and its problems are told with ours.
        loader = Loader(decoded(name, data))
        node = loader.get_single_node()
        if node is None:
            return Document(name, None)
        _refuse_odd_keys(name, node, set(), ())
        content = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise Unreadable(_told(name, error)) from error
    except (RecursionError, ValueError) as error:
        raise Unreadable(
            f"{name}: this is nested too deeply, or holds a number that is none: {error}."
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
    return Document(name, content, lambda steps: _locate(node, steps))


def _refuse_odd_keys(name: str, node: yaml.Node, seen: set, above: tuple) -> None:
    """What YAML allows and Grafana's files do not: keys that are no texts, keys twice, a value that holds itself."""
    if id(node) in above:
        raise Unreadable(f"{name}:{node.start_mark.line + 1}: this value holds itself.")
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    keys: set = set()
    for item in node.value:
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None and key.tag != _MERGE:
            where = f"{name}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable(f"{where}: a key must be a text.")
            if key.value in keys:
                raise Unreadable(f"{where}: the key {key.value} is here a second time.")
            keys.add(key.value)
        _refuse_odd_keys(name, value, seen, (*above, id(node)))


def _told(name: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"{name}:{mark.line + 1}" if mark else name
    problem = " ".join(
        str(part)
        for part in (getattr(error, "context", None), getattr(error, "problem", None))
        if part
    )
    return f"{where}: this is not YAML: {problem or str(error).splitlines()[0]}."


def _locate(node: yaml.Node, steps: tuple) -> Place:
    for step in steps:
        found = _child(node, step)
        if found is None:
            return Place(node.start_mark.line + 1)
        node = found
    return Place(
        node.start_mark.line + 1, node.value if isinstance(node, yaml.ScalarNode) else None
    )


def _child(node: yaml.Node, step: object) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        # A mapping's own keys stand after those that it merged.
        return next((value for key, value in reversed(node.value) if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None
