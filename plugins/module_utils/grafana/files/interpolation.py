# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace variables in provisioning files as Grafana does when it reads them from disk. Pure.

Grafana splits a string at ``$$``, replaces ``${NAME}``, ``$__env{NAME}`` and ``$__file{path}`` in
each part, passes the result to Go's os.Expand, and joins the parts by ``$``
(pkg/services/provisioning/values, pkg/setting/expanders in its source). One difference is
intended: Grafana expands the values of ``${NAME}`` and ``$__file{path}`` once more, which damages
every password with a dollar in it; here values stay unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# In this order: Grafana's own forms; then Go's: a name in braces, an open brace, one of the
# shell's special characters, a word. "$" before anything else stays.
_VARIABLE = re.compile(
    r"\$(?:__(env|file)\{([^}]+)\}|\{([^}]*)\}|(\{)|([*#$@!?0-9-])|([A-Za-z0-9_]+))"
)
# The reference to an input of a dashboard, whose name may have any characters.
_INPUT = re.compile(r"\$\{(.+?)\}")


@dataclass
class Expansion:
    """A string after the replacement, and its undefined variables, which became empty."""

    value: str
    missing: list[str] = field(default_factory=list)


def expand(
    string: str, environment: Mapping[str, str], read_file: Callable[[str], str]
) -> Expansion:
    """Replace variables by ``environment``, and files by what ``read_file`` returns for a path."""
    if "$" not in string:
        return Expansion(string)
    missing: list[str] = []

    def variable(name: str) -> str:
        if name not in environment:
            missing.append(name)
        return environment.get(name, "")

    def replacement(match: re.Match[str]) -> str:
        form, name, braced, open_brace, special, word = match.groups()
        if form == "file":
            return read_file(name).strip()
        # Go drops "${}" and an open "${".
        if open_brace or braced == "":
            return ""
        return variable(name or braced or special or word)

    parts = [_VARIABLE.sub(replacement, part) for part in string.split("$$")]
    return Expansion("$".join(parts), list(dict.fromkeys(missing)))


def replace_inputs(value: Any, inputs: Mapping[str, str]) -> Any:
    """Replace each ``${NAME}`` of a dashboard that ``inputs`` defines; variables stay."""
    if not inputs:
        return value
    if isinstance(value, dict):
        return {key: replace_inputs(child, inputs) for key, child in value.items()}
    if isinstance(value, list):
        return [replace_inputs(child, inputs) for child in value]
    if isinstance(value, str) and "${" in value:
        return _INPUT.sub(lambda match: inputs.get(match[1], match[0]), value)
    return value
