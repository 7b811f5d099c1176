# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Parse YAML as Grafana does, with the line of each value; only the controller has PyYAML."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, ClassVar

import yaml

from ..module_utils.grafana.files.documents import (
    Document,
    DocumentError,
    Location,
    decode_utf8,
    parse_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..module_utils.grafana.files.documents import Steps

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_SafeLoader):
    """Load scalars as Go's yaml.v3 does.

    yes, no, on, off and dates are strings, and 1e21 is a number.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


for _kind, _pattern, _first_characters in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (
        "int",
        r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)",
        "-+0123456789",
    ),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
):
    Loader.add_implicit_resolver(
        _TAG + _kind, re.compile(rf"(?:{_pattern})$"), list(_first_characters)
    )


def _construct_dict(loader: Loader, node: yaml.MappingNode) -> Iterator[dict[str, Any]]:
    """Construct a dict whose keys are strings, as in JSON."""
    content: dict[str, Any] = {}
    yield content
    loader.flatten_mapping(node)
    for key, value in node.value:
        content[key.value] = loader.construct_object(value)


def _construct_float(loader: Loader, node: yaml.ScalarNode) -> float | str:
    """Construct a float; a literal that is out of range is a string."""
    number: float = loader.construct_yaml_float(node)
    return number if math.isfinite(number) else str(node.value)


Loader.add_constructor(f"{_TAG}map", _construct_dict)
Loader.add_constructor(f"{_TAG}float", _construct_float)


def parse_document(name: str, data: bytes) -> Document:
    """Parse a file, as JSON when its name ends in .json, otherwise as YAML."""
    if name.endswith(".json"):
        return parse_json(name, data)
    loader = None
    check = _NodeCheck(name)
    try:
        # The marks of the C parser have no file name, so that the messages add it.
        loader = Loader(decode_utf8(name, data))
        root, warnings = _first_node(name, loader)
        if root is None:
            return Document(name, None, warnings=warnings)
        check.visit(root, ())
        content = loader.construct_document(root)
    except yaml.YAMLError as error:
        raise DocumentError(_message(name, error)) from error
    except (RecursionError, ValueError) as error:
        raise DocumentError(
            f"{name}: the file is nested too deeply or has an invalid number ({error});"
            " correct the value."
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
    return Document(
        name,
        content,
        lambda steps: _locate(root, steps),
        as_written=lambda: _as_written(root),
        errors=tuple(check.errors),
        warnings=warnings,
    )


def _first_node(name: str, loader: Any) -> tuple[yaml.Node | None, tuple[str, ...]]:
    """Return the root of the first document of a file, and a warning about further ones."""
    nodes = []
    while loader.check_node():
        nodes.append(loader.get_node())
    lost = [node for node in nodes[1:] if node.tag != f"{_TAG}null"]
    if not lost:
        return next(iter(nodes), None), ()
    warning = (
        f"{_at(name, lost[0])}: only the first document of a file is read, as Prometheus and"
        " Grafana do; move this one to a file of its own."
    )
    return nodes[0], (warning,)


def _as_written(node: yaml.Node) -> Any:
    """Return the content of a node with scalars as they are written, 1.50 rather than 1.5."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _as_written(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_as_written(child) for child in node.value]
    return None if node.tag == f"{_TAG}null" else node.value


class _NodeCheck:
    """The check for YAML that Grafana's files cannot have.

    These are keys that are not strings, repeated keys, and values that contain themselves. The
    last ones raise DocumentError, since the values cannot be read.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors: list[str] = []
        self.checked: set[int] = set()

    def visit(self, node: yaml.Node, ancestors: tuple[int, ...]) -> None:
        """Check a node and those below it."""
        if id(node) in ancestors:
            raise DocumentError(
                f"{_at(self.name, node)}: the value contains itself; remove the alias within it."
            )
        if id(node) in self.checked or isinstance(node, yaml.ScalarNode):
            return
        self.checked.add(id(node))
        keys: set[str] = set()
        for child in node.value:
            value = child
            if isinstance(node, yaml.MappingNode):
                key, value = child
                self._check_key(key, keys)
            self.visit(value, (*ancestors, id(node)))

    def _check_key(self, key: yaml.Node, keys: set[str]) -> None:
        if key.tag == _MERGE:
            return
        at = _at(self.name, key)
        if not isinstance(key, yaml.ScalarNode):
            raise DocumentError(f"{at}: a key is not a scalar; write a str.")
        if key.value in keys:
            self.errors.append(
                f"{at}: the key {key.value} is repeated; remove one of them."
            )
        keys.add(key.value)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _at(name: str, node: yaml.Node) -> str:
    return f"{name}:{_line(node)}"


def _message(name: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    at = f"{name}:{mark.line + 1}" if mark else name
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    details = " ".join(str(part) for part in parts if part)
    details = details or str(error).splitlines()[0]
    return f"{at}: invalid YAML ({details}); correct the syntax."


def _locate(root: yaml.Node, steps: Steps) -> Location:
    """Return the location of a value, or of the innermost value on the way to a missing one."""
    node = root
    for step in steps:
        child = _child(node, step)
        if child is None:
            return Location(_line(node))
        node = child
    scalar = node.value if isinstance(node, yaml.ScalarNode) else None
    return Location(_line(node), scalar)


def _child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        # The keys of the dict itself follow those that it merged.
        return next(
            (value for key, value in reversed(node.value) if key.value == step), None
        )
    if not isinstance(node, yaml.SequenceNode) or not isinstance(step, int):
        return None
    return next(iter(node.value[step : step + 1]), None)
