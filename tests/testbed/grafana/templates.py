# SPDX-License-Identifier: GPL-3.0-or-later
"""Notification templates: what Grafana makes of their text, and as much of Go's syntax as tells a broken one."""

from __future__ import annotations

import re

ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`')
WORD = re.compile(r"(?<![.$\w])[A-Za-z_]\w*")
OPENING = ("define", "block", "if", "range", "with")
KEYWORDS = (*OPENING, "end", "else", "template", "break", "continue", "true", "false", "nil")
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """
    and or not len index slice print printf println html js urlquery call eq ne lt le gt ge toUpper toLower
    title join match safeHtml safeUrl reReplaceAll stringSlice trimSpace tz date since humanizeDuration toJson
    list append dict coll data tmpl tojson urlUnescape
""",
    )
)


def normal(name: str, text: str) -> str:
    """A text as it is stored: trimmed, and wrapped in a definition if it has none. ValueError says what is wrong."""
    text = text.strip()
    if not text:
        raise ValueError("template must have content")
    if not re.search(r"\{\{\s*define", text):
        lines = "\n".join(f"  {line}" for line in text.split("\n"))
        text = f'{{{{ define "{name}" }}}}\n{lines}\n{{{{ end }}}}'
    check(text)
    return text


def check(text: str) -> None:
    """Raise ValueError if an action is not closed, a block has no end, or a function is unknown."""
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
    """Check what stands in braces; how much deeper it leads."""
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
