# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the fields of documents by tables, and collect what is wrong with them. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .documents import Document, Unreadable
from .interpolation import expand

# What Go's strconv.ParseBool takes.
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def _no_file(path: str) -> str:
    raise Unreadable(f"{path} cannot be read from here")


@dataclass
class Findings:
    """All that is wrong or doubtful, each with file and line; nothing is written where there are errors."""

    errors: list = field(default_factory=list)
    warnings: list = field(default_factory=list)

    def error(self, where: str, problem: str) -> None:
        """Note what must be mended."""
        self.errors.append(f"{where}: {problem}")

    def warn(self, where: str, problem: str) -> None:
        """Note what is probably not meant."""
        if f"{where}: {problem}" not in self.warnings:
            self.warnings.append(f"{where}: {problem}")


@dataclass
class Reader:
    """Reads one document's values; ``read_file`` gives the text of a file that ``$__file{path}`` names."""

    document: Document
    findings: Findings
    environment: dict = field(default_factory=dict)
    read_file: Callable[[str], str] = _no_file

    def at(self, *steps: object) -> str:
        """File and line of a value."""
        return self.document.at(*steps)

    def error(self, steps: tuple, problem: str) -> None:
        """Note what must be mended at a place."""
        self.findings.error(self.at(*steps), problem)

    def record(self, steps: tuple, value: object, table: dict, what: str) -> dict:
        """The fields of a mapping, each read as the table says; what is absent or null is left out."""
        if not isinstance(value, dict):
            self.error(steps, f"{what} must be a mapping.")
            return {}
        result = {}
        for key, item in value.items():
            if key not in table:
                self.error(
                    (*steps, key), f"{what} has no field {key}; there are {', '.join(table)}."
                )
            elif item is not None:
                result[key] = table[key](self, (*steps, key), item)
        return {key: item for key, item in result.items() if item is not None}

    def items(self, steps: tuple, value: object) -> list:
        """The items of a list, each with the steps that lead to it."""
        if value is None:
            return []
        if not isinstance(value, list):
            self.error(steps, "this must be a list.")
            return []
        return [((*steps, index), item) for index, item in enumerate(value)]

    def expanded(self, steps: tuple, text: str) -> str:
        """A text with its variables replaced, where Grafana would replace them."""
        if not self.document.interpolated:
            return text
        try:
            result = expand(text, self.environment, self.read_file)
        except Unreadable as error:
            self.error(steps, str(error))
            return ""
        if result.missing:
            names = ", ".join(f"${name}" for name in result.missing)
            if result.text.strip():
                self.findings.warn(
                    self.at(*steps),
                    f"environment lacks {names}, which becomes nothing; $$ stands for a dollar.",
                )
            else:
                self.error(
                    steps,
                    f"environment lacks {names}, so nothing is left here; $$ stands for a dollar.",
                )
        return result.text


def raw_text(reader: Reader, steps: tuple, value: Any) -> str:
    """A text as it is written."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)):
        reader.error(steps, "this must be a text.")
        return ""
    written = reader.document.text(*steps)
    return json.dumps(value) if written is None else written


def text(reader: Reader, steps: tuple, value: Any) -> str:
    """A text with its variables replaced."""
    return reader.expanded(steps, raw_text(reader, steps, value))


def boolean(reader: Reader, steps: tuple, value: Any) -> bool | None:
    """True or false, also as a text, as a variable gives it."""
    written = text(reader, steps, value)
    if written in _TRUE + _FALSE:
        return written in _TRUE
    reader.error(steps, f"{written!r} is neither true nor false.")
    return None


def integer(reader: Reader, steps: tuple, value: Any) -> int | None:
    """A whole number, also as a text; an empty text is none."""
    written = text(reader, steps, value)
    try:
        return int(written) if written else None
    except ValueError:
        reader.error(steps, f"{written!r} is no whole number.")
        return None


def raw_tree(_reader: Reader, _steps: tuple, value: Any) -> Any:
    """Anything, as it is written."""
    return value


def tree(reader: Reader, steps: tuple, value: Any) -> Any:
    """Anything, with the variables in its texts replaced."""
    if isinstance(value, str):
        return reader.expanded(steps, value)
    if isinstance(value, dict):
        return {key: tree(reader, (*steps, key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [tree(reader, (*steps, index), item) for index, item in enumerate(value)]
    return value


def mapping(reader: Reader, steps: tuple, value: Any) -> dict:
    """A mapping with the variables in its texts replaced."""
    return _mapping(reader, steps, value, tree)


def raw_mapping(reader: Reader, steps: tuple, value: Any) -> dict:
    """A mapping as it is written."""
    return _mapping(reader, steps, value, raw_tree)


def texts(reader: Reader, steps: tuple, value: Any) -> dict:
    """A mapping of texts, with their variables replaced."""
    return _mapping(reader, steps, value, _text_or_empty)


def raw_texts(reader: Reader, steps: tuple, value: Any) -> dict:
    """A mapping of texts as they are written."""
    return _mapping(reader, steps, value, _raw_text_or_empty)


def text_list(reader: Reader, steps: tuple, value: Any) -> list:
    """A list of texts, with their variables replaced; empty ones are left out."""
    return [
        item
        for item in (text(reader, where, item) for where, item in reader.items(steps, value))
        if item
    ]


def raw_text_list(reader: Reader, steps: tuple, value: Any) -> list:
    """A list of texts as they are written."""
    return [raw_text(reader, where, item) for where, item in reader.items(steps, value)]


def records(table: dict, what: str) -> Callable:
    """A list of mappings whose fields a table describes."""

    def read(reader: Reader, steps: tuple, value: Any) -> list:
        return [
            reader.record(where, item, table, what) for where, item in reader.items(steps, value)
        ]

    return read


def record(table: dict, what: str) -> Callable:
    """A mapping whose fields a table describes."""

    def read(reader: Reader, steps: tuple, value: Any) -> dict:
        return reader.record(steps, value, table, what)

    return read


def ignored(_reader: Reader, _steps: tuple, _value: Any) -> None:
    """What has no meaning outside Grafana's own reading of files."""


def _text_or_empty(reader: Reader, steps: tuple, value: Any) -> str:
    return "" if value is None else text(reader, steps, value)


def _raw_text_or_empty(reader: Reader, steps: tuple, value: Any) -> str:
    return "" if value is None else raw_text(reader, steps, value)


def _mapping(reader: Reader, steps: tuple, value: Any, read: Callable) -> dict:
    if isinstance(value, dict):
        return {key: read(reader, (*steps, key), item) for key, item in value.items()}
    reader.error(steps, "this must be a mapping.")
    return {}
