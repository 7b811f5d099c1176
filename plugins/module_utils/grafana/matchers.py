# SPDX-License-Identifier: GPL-3.0-or-later
"""Read matchers as Alertmanager does: by its classic grammar, else by its newer one. Pure.

Grafana 12 does the same, Grafana 11 has the classic grammar only.
"""

from __future__ import annotations

import json
import re

# Go's white space in regular expressions; Python's \s has more.
_CLASSIC = re.compile(
    r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*".replace(
        r"\s", r"[\t\n\f\r ]"
    ),
    re.DOTALL,
)
_TEXT = r"""("(?:\\.|[^"\\\n])*"|[^\s{}!=~,\\"'`]+)"""
_NEWER = re.compile(rf"\s*{_TEXT}\s*(=~|=|!=|!~)\s*{_TEXT}\s*(?:,\s*|\Z)")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"])|x([0-7][\da-fA-F])|u([\da-fA-F]{4})|U([\da-fA-F]{8})|.)"
)
_ESCAPES = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"'))


def parse_matchers(text: str) -> list[list[str]]:
    """Return the matchers of a text such as ``{severity="high", team=~"a|b"}``.

    Each one is a list of label, operator and value. Raises ValueError for any other text.
    """
    matchers = _classic(text)
    if matchers is None:
        matchers = _newer(text)
    if matchers is None:
        raise ValueError(f"{text!r} is no matcher such as severity=critical")
    return matchers


def as_text(matcher: list[str]) -> str:
    """Return a matcher as a text that is read as the same one."""
    label, operator, value = matcher
    if not re.fullmatch("[a-zA-Z_:][a-zA-Z0-9_:]*", label):
        # Only the newer grammar has other labels, in quotes of Go.
        label, value = (json.dumps(part, ensure_ascii=False) for part in (label, value))
        return f"{label}{operator}{value}"
    for character in ("\\", '"'):
        value = value.replace(character, f"\\{character}")
    return f'{label}{operator}"{value}"'


def _classic(text: str) -> list[list[str]] | None:
    text = text[1:] if text.startswith("{") else text
    text = text[:-1] if text.endswith("}") else text
    *items, last = _split(text)
    # Nothing may follow the last comma.
    items += filter(None, [last.strip()])
    matchers = [matcher for matcher in map(_classic_matcher, items) if matcher]
    return matchers if len(matchers) == len(items) else None


def _split(text: str) -> list[str]:
    """Split a text at the commas outside of quotes."""
    items = [""]
    quoted = escaped = False
    for character in text:
        if character == "," and not quoted:
            # Alertmanager keeps an escape across a comma.
            items.append("")
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        if not (character == "," and quoted):
            escaped = character == "\\" and not escaped
        items[-1] += character
    return items


def _classic_matcher(text: str) -> list[str] | None:
    match = _CLASSIC.fullmatch(text)
    if not match:
        return None
    label, operator, value = match.groups()
    quoted = value.startswith('"')
    value = value[1:] if quoted else value
    result = ""
    escaped = False
    for index, character in enumerate(value):
        is_last = index == len(value) - 1
        if escaped:
            # Any other backslash is one of the value, as regular expressions have them.
            kept = character if character in '"\\' else f"\\{character}"
            result += "\n" if character == "n" else kept
            escaped = False
        elif character == "\\" and not is_last:
            escaped = True
        elif character == '"':
            if not quoted or not is_last:
                return None
            quoted = False
        else:
            result += character
    return None if quoted else [label, operator, result]


def _newer(text: str) -> list[list[str]] | None:
    text = text.strip()
    if text.startswith("{"):
        if not text.endswith("}"):
            return None
        text = text[1:-1].strip()
    matchers = []
    position = 0
    while position < len(text):
        match = _NEWER.match(text, position)
        if not match:
            return None
        label, operator, value = match.groups()
        try:
            matchers.append([_unquoted(label), operator, _unquoted(value)])
        except ValueError:
            return None
        position = match.end()
    return matchers


def _unquoted(text: str) -> str:
    """Return a text of Go's source without its quotes; raise ValueError for a wrong escape."""
    return _ESCAPE.sub(_character, text[1:-1]) if text.startswith('"') else text


def _character(match: re.Match[str]) -> str:
    simple, *codes = match.groups()
    code = next(filter(None, codes), "")
    character = _ESCAPES[simple] if simple else chr(int(code, 16))
    # Half of a surrogate pair is no character.
    character.encode()
    return character
