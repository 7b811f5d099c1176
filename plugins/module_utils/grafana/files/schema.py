# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the fields of documents by schemas, and collect diagnostics. Pure.

A schema is a dict of field name -> reader. A reader takes the node of the value, reports its
errors, and returns the value to use.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .documents import DocumentError, type_name
from .interpolation import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .documents import Document, JsonObject, Steps

    FieldReader = Callable[["Node"], Any]
    Schema = Mapping[str, FieldReader]

# The spellings that Go's strconv.ParseBool accepts.
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
BOOLEANS: dict[str, Any] = {"true": True, "false": False}
_DOLLAR = "define it, or write $$ for a literal dollar"


def _no_file(path: str) -> str:
    raise DocumentError(f"$__file{{{path}}} cannot be read here; write the value.")


@dataclass
class Diagnostics:
    """Errors and warnings, each with file and line; nothing is written when there are errors."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, location: str, message: str) -> None:
        """Add an error, once."""
        error = f"{location}: {message}"
        if error not in self.errors:
            self.errors.append(error)

    def warn(self, location: str, message: str) -> None:
        """Add a warning, once."""
        warning = f"{location}: {message}"
        if warning not in self.warnings:
            self.warnings.append(warning)


@dataclass
class Reader:
    """A document with everything that its values refer to.

    ``read_file`` returns the content of a file that ``$__file{path}`` names.
    """

    document: Document
    diagnostics: Diagnostics
    environment: dict[str, str] = field(default_factory=dict)
    read_file: Callable[[str], str] = _no_file

    def root(self) -> Node:
        """Return the node of the whole content."""
        return Node(self, (), self.document.content)


class Place(str):
    """The file and line of an object, which finds the lines of the object's parts."""

    __slots__ = ("node",)
    node: Node

    def part(self, *steps: str | int) -> str:
        """Return the file and line of a part."""
        return self.node.child(*steps).at


class Node(NamedTuple):
    """A value of a document, and the steps that lead to it."""

    reader: Reader
    steps: Steps
    value: Any

    @property
    def at(self) -> str:
        """The file and line of the value, for messages."""
        return self.reader.document.at(*self.steps)

    @property
    def place(self) -> Place:
        """The same as ``at``, for objects with parts."""
        place = Place(self.at)
        place.node = self
        return place

    @property
    def label(self) -> str:
        """The key of the value, or that of its list with an index."""
        indexes = ""
        for step in reversed(self.steps):
            if isinstance(step, str):
                return f"{step}{indexes}"
            indexes = f"[{step}]{indexes}"
        return "the file"

    def error(self, message: str) -> None:
        """Add an error about the value."""
        self.reader.diagnostics.error(self.at, message)

    def warn(self, message: str) -> None:
        """Add a warning about the value."""
        self.reader.diagnostics.warn(self.at, message)

    def type_error(self, expected: str, noun: str | None = None) -> None:
        """Add an error about the type of the value."""
        self.error(
            f"{noun or self.label} is a {type_name(self.value)}; write a {expected}."
        )

    def child(self, *steps: str | int, value: Any = None) -> Node:
        """Return the node of a value below this one."""
        return Node(self.reader, (*self.steps, *steps), value)

    def get(self, key: str) -> Node:
        """Return the node of a key; its value is None when this is no dict or lacks the key."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return self.child(key, value=value)

    def items(self) -> list[tuple[str, Node]]:
        """Return the keys and nodes of a dict."""
        return [
            (key, self.child(key, value=value)) for key, value in self.value.items()
        ]

    def elements(self) -> list[Node]:
        """Return the nodes of a list."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            self.type_error("list")
            return []
        return [
            self.child(index, value=value) for index, value in enumerate(self.value)
        ]

    def fields(self, schema: Schema, noun: str) -> JsonObject:
        """Read the fields of a dict by a schema; missing and null ones are left out."""
        if not isinstance(self.value, dict):
            self.type_error("dict", noun)
            return {}
        fields = {}
        for key, child in self.items():
            if key not in schema:
                child.error(unknown_field(noun, key, schema))
            elif child.value is not None:
                fields[key] = schema[key](child)
        return {key: value for key, value in fields.items() if value is not None}

    def expand(self, content: str) -> str:
        """Replace the variables of a string, unless Grafana would not replace them."""
        reader = self.reader
        if not reader.document.interpolated:
            return content
        try:
            expansion = expand(content, reader.environment, reader.read_file)
        except DocumentError as error:
            self.error(str(error))
            return ""
        names = ", ".join(f"${name}" for name in expansion.missing)
        if names and expansion.value.strip():
            self.warn(f"environment lacks {names}, which becomes empty; {_DOLLAR}.")
        elif names:
            self.error(f"environment lacks {names}, so the value is empty; {_DOLLAR}.")
        return expansion.value


def unknown_field(noun: str, key: object, fields: Iterable[str]) -> str:
    """Return the message about a field that the schema lacks."""
    return f"{noun} has no field {key}; use one of {', '.join(fields)}."


def raw_string(node: Node) -> str:
    """Read a string as the file spells it."""
    if isinstance(node.value, str):
        return node.value
    if isinstance(node.value, (dict, list)):
        node.type_error("str")
        return ""
    scalar = node.reader.document.scalar(*node.steps)
    return json.dumps(node.value) if scalar is None else scalar


def string(node: Node) -> str:
    """Read a string and replace its variables."""
    return node.expand(raw_string(node))


def boolean(node: Node) -> bool | None:
    """Read a boolean, also from a string, since variables are strings."""
    spelling = string(node)
    if spelling in _TRUE + _FALSE:
        return spelling in _TRUE
    node.error(f"{node.label} is {spelling!r}; write true or false.")
    return None


def integer(node: Node) -> int | None:
    """Read an integer, also from a string; an empty string is None."""
    digits = string(node)
    try:
        return int(digits) if digits else None
    except ValueError:
        node.error(f"{node.label} is {digits!r}; write an int.")
        return None


def raw_value(node: Node) -> Any:
    """Return any value unchanged."""
    return node.value


def any_value(node: Node) -> Any:
    """Read any value and replace the variables of its strings.

    As in Grafana, a variable may be true or false. Numbers stay strings, which Grafana's receivers
    and plugins take, since a password may consist of digits.
    """
    if isinstance(node.value, str):
        value = node.expand(node.value)
        is_variable = value != node.value and "$$" not in node.value
        return BOOLEANS.get(value, value) if is_variable else value
    if isinstance(node.value, dict):
        return {key: any_value(child) for key, child in node.items()}
    if isinstance(node.value, list):
        return [any_value(element) for element in node.elements()]
    return node.value


def any_dict(node: Node) -> JsonObject:
    """Read a dict and replace the variables of its strings."""
    return _read_values(node, any_value)


def raw_dict(node: Node) -> JsonObject:
    """Read a dict and leave its values unchanged."""
    return _read_values(node, raw_value)


def string_dict(node: Node) -> dict[str, str]:
    """Read a dict of strings and replace their variables; null is an empty string."""
    return _read_values(node, _string_or_empty)


def raw_string_dict(node: Node) -> dict[str, str]:
    """Read a dict of strings as the file spells them; null is an empty string."""
    return _read_values(node, _raw_string_or_empty)


def string_list(node: Node) -> list[str]:
    """Read a list of strings and replace their variables; empty ones are left out."""
    strings = [string(element) for element in node.elements()]
    return [element for element in strings if element]


def raw_string_list(node: Node) -> list[str]:
    """Read a list of strings as the file spells them."""
    return [raw_string(element) for element in node.elements()]


def list_of(schema: Schema, noun: str) -> Callable[[Node], list[JsonObject]]:
    """Return a reader for a list of dicts that follow a schema."""

    def read(node: Node) -> list[JsonObject]:
        return [element.fields(schema, noun) for element in node.elements()]

    return read


def dict_of(schema: Schema, noun: str) -> Callable[[Node], JsonObject]:
    """Return a reader for a dict that follows a schema."""

    def read(node: Node) -> JsonObject:
        return node.fields(schema, noun)

    return read


def ignored(_node: Node) -> None:
    """Drop a field that matters only while Grafana itself reads files."""


def _string_or_empty(node: Node) -> str:
    return "" if node.value is None else string(node)


def _raw_string_or_empty(node: Node) -> str:
    return "" if node.value is None else raw_string(node)


def _read_values(node: Node, read: FieldReader) -> JsonObject:
    if isinstance(node.value, dict):
        return {key: read(child) for key, child in node.items()}
    node.type_error("dict")
    return {}
