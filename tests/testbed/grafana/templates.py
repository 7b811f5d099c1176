# SPDX-License-Identifier: GPL-3.0-or-later
"""Notification templates: Grafana's normalization, and enough of Go's syntax to find errors."""

from __future__ import annotations

import re

ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`')
WORD = re.compile(r"(?<![.$\w])[A-Za-z_]\w*")
OPENING = ("define", "block", "if", "range", "with")
KEYWORDS = (*OPENING, "end", "else", "template", "break", "continue", "true", "false", "nil")
FUNCTIONS = frozenset(
    """
    and or not len index slice print printf println html js urlquery call eq ne lt le gt ge
    toUpper toLower title join match safeHtml safeUrl reReplaceAll stringSlice trimSpace tz date
    since humanizeDuration toJson list append dict coll data tmpl tojson urlUnescape
    """.split()
)


def normal(name: str, text: str) -> str:
    """Return a template as stored: trimmed, and wrapped in a definition if it has none.

    Raises ValueError with the error.
    """
    text = text.strip()
    if not text:
        raise ValueError("template must have content")
    if not re.search(r"\{\{\s*define", text):
        lines = "\n".join(f"  {line}" for line in text.split("\n"))
        text = f'{{{{ define "{name}" }}}}\n{lines}\n{{{{ end }}}}'
    check(text)
    return text


def check(text: str) -> None:
    """Raise ValueError for an unclosed action, a block without end, or an unknown function."""
    depth, rest = 0, 0
    text = re.sub(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", text, flags=re.DOTALL)
    while (start := text.find("{{", rest)) >= 0:
        found = ACTION.match(text, start)
        if found is None:
            raise ValueError("invalid template: template: :1: unclosed action")
        rest = found.end()
        depth += action(found.group(2))
        if depth < 0:
            raise ValueError("invalid template: template: :1: unexpected {{end}}")
    if depth:
        raise ValueError("invalid template: template: :1: unexpected EOF")


def action(text: str) -> int:
    """Check the content of braces; return the change of the depth of blocks."""
    words = WORD.findall(STRING.sub('""', text))
    for word in words:
        if word not in KEYWORDS and word not in FUNCTIONS:
            raise ValueError(f'invalid template: template: :1: function "{word}" not defined')
    if not text.strip():
        raise ValueError("invalid template: template: :1: missing value for command")
    if not words:
        return 0
    return (
        1
        if words[0] in OPENING and text.strip().startswith(words[0])
        else -1
        if words[0] == "end"
        else 0
    )
