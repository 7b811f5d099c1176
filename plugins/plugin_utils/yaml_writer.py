# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write YAML that Go's programs and Python read alike."""

from __future__ import annotations

import re
from typing import Any

import yaml

# YAML ends a line at these, so that they would not survive in a block scalar.
_LINE_ENDS = frozenset("\r\x85\u2028\u2029")


class _GoNumber:
    """The strings that Go's parsers read as a number once underscores are left out.

    yaml.v3 takes what strconv.ParseInt accepts with base 0, and floats without a dot.
    """

    _pattern = re.compile(
        r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+"
        r"|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)\Z"
    )

    def match(self, string: str) -> bool:
        """Return whether a plain scalar of this string would be a number."""
        return bool(self._pattern.match(string.replace("_", "")))


class Dumper(yaml.SafeDumper):
    """Quote each string that Go's YAML or Python's would read as another type."""

    yaml_implicit_resolvers = {  # noqa: RUF012 — PyYAML's own name and way
        first_character: list(resolvers)
        for first_character, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Repeat a value that occurs twice rather than write an alias."""
        return True


for _first_character in "-+.0123456789_":
    _resolvers = Dumper.yaml_implicit_resolvers.setdefault(_first_character, [])
    _resolvers.append(("tag:yaml.org,2002:float", _GoNumber()))
# YAML 1.1, which yaml.v2 reads, has these as booleans; Python's resolver lacks them.
for _letter in "yYnN":
    _resolvers = Dumper.yaml_implicit_resolvers.setdefault(_letter, [])
    _resolvers.append(("tag:yaml.org,2002:bool", re.compile(r"[yYnN]\Z")))


def _represent_string(dumper: Dumper, string: str) -> yaml.Node:
    """Represent lines as a block; quote and escape other line ends."""
    style = None
    if _LINE_ENDS & set(string):
        style = '"'
    elif "\n" in string:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", string, style=style)


Dumper.add_representer(str, _represent_string)


def to_yaml(value: Any, width: int = 160, explicit_start: bool = False) -> str:
    """Return a value as YAML, keys in their order; lines fold after ``width`` characters."""
    return yaml.dump(
        value,
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=width,
        explicit_start=explicit_start,
        indent=2,
    )
