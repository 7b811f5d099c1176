# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsed files with the line of each value. Pure."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Union

    JsonObject = dict[str, Any]
    # The keys of dicts and indexes of lists that lead to a value.
    Steps = tuple[Union[str, int], ...]

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
# An escaped surrogate, paired or not.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Location(NamedTuple):
    """Line of a value (0: unknown), and a scalar as the file spells it (None: unknown)."""

    line: int
    scalar: str | None = None


class DocumentError(Exception):
    """A file is not UTF-8, or neither YAML nor JSON; the message begins with its name and line."""


def unknown_location(_steps: Steps) -> Location:
    """Return the location of values that come from no file."""
    return Location(0)


@dataclass(frozen=True)
class Document:
    """The parsed content of a file; ``locate`` takes the steps that lead to a value."""

    name: str
    content: Any
    locate: Callable[[Steps], Location] = unknown_location
    # Grafana replaces $VAR in provisioning files; Jinja did so in variables of Ansible.
    interpolated: bool = True
    # The content with scalars as the file spells them, for programs that read them as strings.
    as_written: Callable[[], Any] | None = None
    # Errors that leave the rest readable, and warnings; each begins with the name and line.
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def at(self, *steps: str | int) -> str:
        """Return the file and line of a value, for messages."""
        line = self.locate(steps).line
        return f"{self.name}:{line}" if line else self.name

    def scalar(self, *steps: str | int) -> str | None:
        """Return a scalar as the file spells it, 007 rather than 7; None when unknown."""
        return self.locate(steps).scalar


def type_name(value: object) -> str:
    """Return the type of a parsed value as Ansible names it."""
    for kind in (bool, int, float, str, list, dict):
        if isinstance(value, kind):
            return kind.__name__
    return "null"


def decode_utf8(name: str, data: bytes) -> str:
    """Decode the content of a file, without a byte order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(
            f"{name}:{line}: the file is not UTF-8; save it as UTF-8."
        ) from error


def parse_json(name: str, data: bytes) -> Document:
    """Parse a JSON file.

    Lines are computed only on request, since dashboards are large.
    """
    encoded = decode_utf8(name, data)

    def at(fragment: str) -> str:
        return f"{name}:{_line(encoded, encoded.find(fragment))}"

    def reject_constant(constant: str) -> NoReturn:
        raise DocumentError(
            f"{at(constant)}: {constant} is not a JSON value; write a number or null."
        )

    def parse_float(literal: str) -> float:
        number = float(literal)
        if math.isinf(number):
            raise DocumentError(
                f"{at(literal)}: {literal} is out of range for JSON; write a smaller number."
            )
        return number

    try:
        content = json.loads(
            encoded, parse_constant=reject_constant, parse_float=parse_float
        )
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"{name}:{error.lineno}: invalid JSON ({error.msg}); correct the syntax."
        ) from error
    except (RecursionError, ValueError) as error:
        raise DocumentError(
            f"{name}: the file is nested too deeply or has a number with too many digits;"
            " simplify it."
        ) from error
    if _SURROGATE.search(encoded):
        _reject_lone_surrogates(name, encoded, content)
    return Document(name, content, lambda steps: _locate(encoded, steps))


def _reject_lone_surrogates(name: str, encoded: str, content: Any) -> None:
    """Raise DocumentError for half a character, which neither Grafana nor Ansible can output."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        surrogate = f"\\u{ord(error.object[error.start]):04x}"
        line = _line(encoded, encoded.lower().find(surrogate))
        raise DocumentError(
            f"{name}:{line}: {surrogate} is half of a character; write both halves."
        ) from error


def _locate(encoded: str, steps: Steps) -> Location:
    """Return the location of a value, or of the innermost value on the way to a missing one."""
    position = _skip_space(encoded, 0)
    for step in steps:
        child = _child(encoded, position, step)
        if child is None:
            return Location(_line(encoded, position))
        position = child
    line = _line(encoded, position)
    if encoded[position] in "{[":
        return Location(line)
    end = _DECODER.raw_decode(encoded, position)[1]
    return Location(line, encoded[position:end].strip('"'))


def _child(encoded: str, position: int, step: str | int) -> int | None:
    """Return the offset of the value at a key or index; the last one of a repeated key."""
    if encoded[position] not in "{[":
        return None
    is_object = encoded[position] == "{"
    child = None
    index = 0
    position = _skip_space(encoded, position + 1)
    while encoded[position] not in "}]":
        key: str | int = index
        if is_object:
            key, end = _DECODER.raw_decode(encoded, position)
            colon = _skip_space(encoded, end)
            position = _skip_space(encoded, colon + 1)
        if key == step:
            child = position
        end = _DECODER.raw_decode(encoded, position)[1]
        position = _skip_space(encoded, end)
        if encoded[position] == ",":
            position = _skip_space(encoded, position + 1)
        index += 1
    return child


def _skip_space(encoded: str, position: int) -> int:
    match = _SPACE.match(encoded, position)
    return match.end() if match else position


def _line(encoded: str, position: int) -> int:
    return encoded.count("\n", 0, max(position, 0)) + 1
