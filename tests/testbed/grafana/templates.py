# SPDX-License-Identifier: GPL-3.0-or-later
"""Notification templates: Grafana's normalization, and enough of Go's syntax to find errors."""

from __future__ import annotations

import re

ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`')
WORD = re.compile(r"(?<![.$\w])[A-Za-z_]\w*")
OPENING = ("define", "block", "if", "range", "with")
KEYWORDS = (
    *OPENING,
    "end",
    "else",
    "template",
    "break",
    "continue",
    "true",
    "false",
    "nil",
)
FUNCTION_NAMES = """
and or not len index slice print printf println html js urlquery call eq ne lt le gt ge
toUpper toLower title join match safeHtml safeUrl reReplaceAll stringSlice trimSpace tz date
since humanizeDuration toJson list append dict coll data tmpl tojson urlUnescape
"""
FUNCTIONS = frozenset(FUNCTION_NAMES.split())


def normal(name: str, template: str) -> str:
    """Return a template as stored: trimmed, and wrapped in a definition if it has none.

    Raises ValueError with the error.
    """
    template = template.strip()
    if not template:
        raise ValueError("template must have content")
    if not re.search(r"\{\{\s*define", template):
        lines = "\n".join(f"  {line}" for line in template.split("\n"))
        template = f'{{{{ define "{name}" }}}}\n{lines}\n{{{{ end }}}}'
    check(template)
    return template


def check(template: str) -> None:
    """Raise ValueError for an unclosed action, a block without end, or an unknown function."""
    depth, position = 0, 0
    template = re.sub(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", template, flags=re.DOTALL)
    while (start := template.find("{{", position)) >= 0:
        match = ACTION.match(template, start)
        if match is None:
            raise ValueError("invalid template: template: :1: unclosed action")
        position = match.end()
        depth += action(match.group(2))
        if depth < 0:
            raise ValueError("invalid template: template: :1: unexpected {{end}}")
    if depth:
        raise ValueError("invalid template: template: :1: unexpected EOF")


def action(content: str) -> int:
    """Check the content of braces; return the change of the depth of blocks."""
    words = WORD.findall(STRING.sub('""', content))
    for word in words:
        if word not in KEYWORDS and word not in FUNCTIONS:
            raise ValueError(
                f'invalid template: template: :1: function "{word}" not defined'
            )
    if not content.strip():
        raise ValueError("invalid template: template: :1: missing value for command")
    if not words:
        return 0
    if words[0] in OPENING and content.strip().startswith(words[0]):
        return 1
    return -1 if words[0] == "end" else 0
