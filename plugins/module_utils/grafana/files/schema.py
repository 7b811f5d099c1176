# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the fields of documents by schemas, and collect diagnostics. Pure.

A schema is a dict of field name -> reader. A reader takes the Reader of the document, the steps
that lead to the value, and the value; it reports errors and returns the value to use.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .documents import DocumentError, type_name
from .interpolation import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .documents import Document, JsonObject, Steps

    FieldReader = Callable[["Reader", Steps, Any], Any]
    Schema = Mapping[str, FieldReader]

# The spellings that Go's strconv.ParseBool accepts.
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_DOLLAR = "define it, or write $$ for a literal dollar"


def _no_file(path: str) -> str:
    raise DocumentError(f"$__file{{{path}}} cannot be read here; write the value.")


@dataclass
class Diagnostics:
    """Errors and warnings, each with file and line; nothing is written when there are errors."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def error(self, location: str, message: str) -> None:
        """Add an error."""
        self.errors.append(f"{location}: {message}")

    def warn(self, location: str, message: str) -> None:
        """Add a warning, once."""
        warning = f"{location}: {message}"
        if warning not in self.warnings:
            self.warnings.append(warning)


@dataclass
class Reader:
    """Read the values of one document.

    ``read_file`` returns the content of a file that ``$__file{path}`` names.
    """

    document: Document
    diagnostics: Diagnostics
    environment: dict[str, str] = field(default_factory=dict)
    read_file: Callable[[str], str] = _no_file

    def at(self, *steps: str | int) -> str:
        """Return the file and line of a value."""
        return self.document.at(*steps)

    def error(self, steps: Steps, message: str) -> None:
        """Add an error about a value."""
        self.diagnostics.error(self.at(*steps), message)

    def warn(self, steps: Steps, message: str) -> None:
        """Add a warning about a value."""
        self.diagnostics.warn(self.at(*steps), message)

    def fields(self, steps: Steps, value: Any, schema: Schema, noun: str) -> JsonObject:
        """Read the fields of a dict by a schema; missing and null ones are left out."""
        if not isinstance(value, dict):
            self.error(steps, f"{noun} is a {type_name(value)}; write a dict.")
            return {}
        result = {}
        for key, raw in value.items():
            if key not in schema:
                self.error((*steps, key), unknown_field(noun, key, schema))
            elif raw is not None:
                result[key] = schema[key](self, (*steps, key), raw)
        return {key: parsed for key, parsed in result.items() if parsed is not None}

    def elements(self, steps: Steps, value: Any) -> list[tuple[Steps, Any]]:
        """Return the elements of a list, each with the steps that lead to it."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.error(steps, f"{label(steps)} is a {type_name(value)}; write a list.")
            return []
        return [((*steps, index), element) for index, element in enumerate(value)]

    def expand(self, steps: Steps, string: str) -> str:
        """Replace the variables of a string, unless Grafana would not replace them."""
        if not self.document.interpolated:
            return string
        try:
            expansion = expand(string, self.environment, self.read_file)
        except DocumentError as error:
            self.error(steps, str(error))
            return ""
        if expansion.missing:
            self._report_missing(steps, expansion.missing, expansion.value)
        return expansion.value

    def _report_missing(self, steps: Steps, variables: list[str], value: str) -> None:
        names = ", ".join(f"${name}" for name in variables)
        if value.strip():
            self.warn(steps, f"environment lacks {names}, which becomes empty; {_DOLLAR}.")
        else:
            self.error(steps, f"environment lacks {names}, so the value is empty; {_DOLLAR}.")


def label(steps: Steps) -> str:
    """Return a short name for a value: its key, or that of the list with its index."""
    name = ""
    for step in reversed(steps):
        if isinstance(step, str):
            return f"{step}{name}"
        name = f"[{step}]{name}"
    return "the file"


def unknown_field(noun: str, key: object, fields: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Return the message about a field that the schema lacks."""
    return f"{noun} has no field {key}; use one of {', '.join(fields)}."


def raw_string(reader: Reader, steps: Steps, value: Any) -> str:
    """Read a string as the file spells it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        reader.error(steps, f"{label(steps)} is a {type_name(value)}; write a str.")
        return ""
    scalar = reader.document.scalar(*steps)
    return json.dumps(value) if scalar is None else scalar


def string(reader: Reader, steps: Steps, value: Any) -> str:
    """Read a string and replace its variables."""
    return reader.expand(steps, raw_string(reader, steps, value))


def boolean(reader: Reader, steps: Steps, value: Any) -> bool | None:
    """Read a boolean, also from a string, since variables are strings."""
    spelling = string(reader, steps, value)
    if spelling in _TRUE + _FALSE:
        return spelling in _TRUE
    reader.error(steps, f"{label(steps)} is {spelling!r}; write true or false.")
    return None


def integer(reader: Reader, steps: Steps, value: Any) -> int | None:
    """Read an integer, also from a string; an empty string is None."""
    digits = string(reader, steps, value)
    try:
        return int(digits) if digits else None
    except ValueError:
        reader.error(steps, f"{label(steps)} is {digits!r}; write an int.")
        return None


def raw_value(_reader: Reader, _steps: Steps, value: Any) -> Any:
    """Return any value unchanged."""
    return value


def any_value(reader: Reader, steps: Steps, value: Any) -> Any:
    """Read any value and replace the variables of its strings."""
    if isinstance(value, str):
        return reader.expand(steps, value)
    if isinstance(value, dict):
        return {key: any_value(reader, (*steps, key), child) for key, child in value.items()}
    if isinstance(value, list):
        return [any_value(reader, (*steps, index), child) for index, child in enumerate(value)]
    return value


def any_dict(reader: Reader, steps: Steps, value: Any) -> JsonObject:
    """Read a dict and replace the variables of its strings."""
    return _read_values(reader, steps, value, any_value)


def raw_dict(reader: Reader, steps: Steps, value: Any) -> JsonObject:
    """Read a dict and leave its values unchanged."""
    return _read_values(reader, steps, value, raw_value)


def string_dict(reader: Reader, steps: Steps, value: Any) -> dict[str, str]:
    """Read a dict of strings and replace their variables; null is an empty string."""
    return _read_values(reader, steps, value, _string_or_empty)


def raw_string_dict(reader: Reader, steps: Steps, value: Any) -> dict[str, str]:
    """Read a dict of strings as the file spells them; null is an empty string."""
    return _read_values(reader, steps, value, _raw_string_or_empty)


def string_list(reader: Reader, steps: Steps, value: Any) -> list[str]:
    """Read a list of strings and replace their variables; empty ones are left out."""
    elements = reader.elements(steps, value)
    strings = [string(reader, element_steps, element) for element_steps, element in elements]
    return [element for element in strings if element]


def raw_string_list(reader: Reader, steps: Steps, value: Any) -> list[str]:
    """Read a list of strings as the file spells them."""
    elements = reader.elements(steps, value)
    return [raw_string(reader, element_steps, element) for element_steps, element in elements]


def list_of(schema: Schema, noun: str) -> Callable[[Reader, Steps, Any], list[JsonObject]]:
    """Return a reader for a list of dicts that follow a schema."""

    def read(reader: Reader, steps: Steps, value: Any) -> list[JsonObject]:
        elements = reader.elements(steps, value)
        return [
            reader.fields(element_steps, element, schema, noun)
            for element_steps, element in elements
        ]

    return read


def dict_of(schema: Schema, noun: str) -> Callable[[Reader, Steps, Any], JsonObject]:
    """Return a reader for a dict that follows a schema."""

    def read(reader: Reader, steps: Steps, value: Any) -> JsonObject:
        return reader.fields(steps, value, schema, noun)

    return read


def ignored(_reader: Reader, _steps: Steps, _value: Any) -> None:
    """Drop a field that matters only while Grafana itself reads files."""


def _string_or_empty(reader: Reader, steps: Steps, value: Any) -> str:
    return "" if value is None else string(reader, steps, value)


def _raw_string_or_empty(reader: Reader, steps: Steps, value: Any) -> str:
    return "" if value is None else raw_string(reader, steps, value)


def _read_values(reader: Reader, steps: Steps, value: Any, read: FieldReader) -> JsonObject:
    if isinstance(value, dict):
        return {key: read(reader, (*steps, key), child) for key, child in value.items()}
    reader.error(steps, f"{label(steps)} is a {type_name(value)}; write a dict.")
    return {}
