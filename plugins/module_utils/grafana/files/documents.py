# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A file's content as plain values, with the line that each of them stands on. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
# Half of a character, perhaps with the other one.
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class Place(NamedTuple):
    """Where a value stands: its line (0: unknown), and a scalar as it is written (None: unknown)."""

    line: int
    text: str | None = None


class Unreadable(Exception):
    """A file is neither YAML nor JSON, or not text; the message begins with its name and line."""


def nowhere(_steps: tuple) -> Place:
    """The place of what was in no file."""
    return Place(0)


@dataclass(frozen=True)
class Document:
    """What a file holds. ``locate`` takes the keys and indexes that lead to a value."""

    name: str
    content: Any
    locate: Callable[[tuple], Place] = nowhere
    # Grafana replaces $VAR in provisioning files; in what was given as variables of Ansible, Jinja has done so.
    interpolated: bool = True

    def at(self, *steps: object) -> str:
        """File and line, for messages."""
        line = self.locate(steps).line
        return f"{self.name}:{line}" if line else self.name

    def text(self, *steps: object) -> str | None:
        """A scalar as it is written: 007 and not 7; None where that is not known."""
        return self.locate(steps).text


def decoded(name: str, data: bytes) -> str:
    """The text of a file."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"{name}:{line}: this is not UTF-8 text.") from error


def json_document(name: str, data: bytes) -> Document:
    """The document in a JSON file. Lines are looked for only when they are asked for: dashboards are large."""
    text = decoded(name, data)

    def refuse(constant: str) -> None:
        raise Unreadable(f"{name}:{_line(text, text.find(constant))}: {constant} is not JSON.")

    def number(written: str) -> float:
        found = float(written)
        if found in (float("inf"), float("-inf")):
            raise Unreadable(
                f"{name}:{_line(text, text.find(written))}: {written} is no number in JSON."
            )
        return found

    try:
        content = json.loads(text, parse_constant=refuse, parse_float=number)
    except json.JSONDecodeError as error:
        raise Unreadable(f"{name}:{error.lineno}: this is not JSON: {error.msg}.") from error
    except (RecursionError, ValueError) as error:
        raise Unreadable(
            f"{name}: this is nested too deeply, or holds a number that is too long."
        ) from error
    if _HALF.search(text):
        _refuse_halves(name, text, content)
    return Document(name, content, lambda steps: _locate(text, steps))


def _refuse_halves(name: str, text: str, content: Any) -> None:
    """Neither Grafana nor Ansible could tell of a text with half of a character in it."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        line = _line(text, text.lower().find(half))
        raise Unreadable(f"{name}:{line}: {half} is half of a character.") from error


def _locate(text: str, steps: tuple) -> Place:
    position = _skip(text, 0)
    for step in steps:
        found = _child(text, position, step)
        if found is None:
            break
        position = found
    else:
        end = _DECODER.raw_decode(text, position)[1]
        return Place(
            _line(text, position), None if text[position] in "{[" else text[position:end].strip('"')
        )
    return Place(_line(text, position))


def _child(text: str, position: int, step: object) -> int | None:
    """Where the value under a key or at an index begins; the last one of a key that stands there twice."""
    found, index, is_object = None, 0, text[position] == "{"
    if text[position] not in "{[":
        return None
    position = _skip(text, position + 1)
    while text[position] not in "}]":
        key: object = index
        if is_object:
            key, position = _DECODER.raw_decode(text, position)
            position = _skip(text, _skip(text, position) + 1)
        if key == step:
            found = position
        position = _skip(text, _DECODER.raw_decode(text, position)[1])
        position = _skip(text, position + 1) if text[position] == "," else position
        index += 1
    return found


def _skip(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, max(position, 0)) + 1
