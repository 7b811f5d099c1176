# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replace variables in provisioning files as Grafana does when it reads them from disk. Pure.

Grafana splits a text at ``$$``, replaces ``${NAME}``, ``$__env{NAME}`` and ``$__file{path}`` in each part, lets Go's
os.Expand have the rest, and joins the parts by ``$`` (pkg/services/provisioning/values, pkg/setting/expanders in its
source). One difference is meant: Grafana expands what ``${NAME}`` and ``$__file{path}`` gave once more, which damages
every password with a dollar in it; here values stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

# In this order: Grafana's own forms; then Go's: a braced name, an open brace, one of the shell's special characters,
# a word. "$" before anything else stays.
_VARIABLE = re.compile(
    r"\$(?:__(env|file)\{([^}]+)\}|\{([^}]*)\}|(\{)|([*#$@!?0-9-])|([A-Za-z0-9_]+))"
)
# What an input of a dashboard looks like where it is used.
_INPUT = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")


@dataclass
class Expansion:
    """A text after the replacement, and the variables that had no value, which Grafana replaces by nothing."""

    text: str
    missing: list = field(default_factory=list)
    # Whether there was a variable or an escaped dollar at all.
    touched: bool = False


def expand(text: str, environment: dict, read: Callable[[str], str]) -> Expansion:
    """Replace variables by ``environment`` and files by what ``read`` gives for their paths."""
    if "$" not in text:
        return Expansion(text)
    missing: list = []

    def value(name: str) -> str:
        if name not in environment:
            missing.append(name)
        return environment.get(name, "")

    def one(match: re.Match) -> str:
        form, name, braced, unclosed, special, word = match.groups()
        if form == "file":
            return read(name).strip()
        # "${}" and an open "${" are eaten.
        return "" if unclosed or braced == "" else value(name or braced or special or word)

    result = "$".join(_VARIABLE.sub(one, part) for part in text.split("$$"))
    return Expansion(result, list(dict.fromkeys(missing)), result != text)


def with_inputs(tree: object, inputs: dict) -> object:
    """A dashboard with ``${NAME}`` replaced wherever ``inputs`` has the name; all else stays, variables included."""
    if isinstance(tree, dict):
        return {key: with_inputs(value, inputs) for key, value in tree.items()}
    if isinstance(tree, list):
        return [with_inputs(value, inputs) for value in tree]
    if isinstance(tree, str) and "${" in tree:
        return _INPUT.sub(lambda match: inputs.get(match.group(1), match.group()), tree)
    return tree
