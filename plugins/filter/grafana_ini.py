# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write Grafana's configuration from data."""

from __future__ import annotations

DOCUMENTATION = r"""
name: grafana_ini
short_description: Write Grafana's configuration from data
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Converts sections of keys to the content of a C(grafana.ini) that Grafana reads back as the
    same values.
  - Expressions that Grafana replaces in a value, such as C($__file{/etc/grafana/key}) and
    C(${VARIABLE}), stay unchanged.
options:
  _input:
    description:
      - Sections by name, each a dict of keys to strings, numbers or booleans. V(DEFAULT) has the
        keys outside all sections.
      - Keys whose value is null or empty are left out, since Grafana ignores empty values in its
        file.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a configuration
  ansible.builtin.debug:
    msg: "{{ sections | hippius.monitoring.grafana_ini }}"
  vars:
    sections:
      server:
        http_port: 3000
      users:
        allow_sign_up: false
"""

RETURN = r"""
_value:
  description: Content of the file.
  type: str
"""

import re
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*(?<! )\Z")
# A string with one of these has another meaning unless it is quoted.
_SPECIAL = re.compile(r"[#;`\"'\\]")
# Ansible's names of types; the rest keep Python's.
_KINDS = ((bool, "bool"), (str, "str"), (dict, "dict"), (list, "list"))


def grafana_ini(sections: Any) -> str:
    """Return the content of a grafana.ini.

    Raises AnsibleFilterError for values that Grafana would not read back unchanged.
    """
    if not isinstance(sections, dict):
        raise AnsibleFilterError(
            f"grafana.ini: the input is a {_type_name(sections)}; write a dict of sections."
        )
    contents = [_section(name, keys) for name, keys in sections.items()]
    return "\n".join(content for content in contents if content)


def _section(name: Any, keys: Any) -> str:
    _check_name(name, "grafana.ini")
    location = f"grafana.ini, section {name}"
    if not isinstance(keys, dict):
        raise AnsibleFilterError(
            f"{location}: the section is a {_type_name(keys)}; write a dict of keys."
        )
    lines = []
    for key, value in keys.items():
        if value is not None and value != "":
            _check_name(key, location)
            lines.append(f"{key} = {_encode(value, f'{location}: {key}')}")
    return "\n".join([f"[{name}]", *lines, ""]) if lines else ""


def _check_name(name: Any, location: str) -> None:
    if not isinstance(name, str) or not NAME.match(name):
        raise AnsibleFilterError(
            f"{location}: {name!r} is not a name; use letters, digits, '_', '.', '-' and spaces."
        )


def _encode(value: Any, location: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    # The value may be a secret, so the messages do not quote it.
    if not isinstance(value, str):
        raise AnsibleFilterError(
            f"{location} is a {_type_name(value)}; write a str, int, float or bool."
        )
    if any(_is_control(character) for character in value):
        raise AnsibleFilterError(
            f"{location} has a line break or another control character; remove it."
        )
    return _quote(value)


def _is_control(character: str) -> bool:
    return (ord(character) < 32 and character != "\t") or character == "\x7f"


def _quote(string: str) -> str:
    """Quote a string when Grafana's parser requires it.

    Everything between backquotes is literal, up to the last backquote of the line.
    """
    if _SPECIAL.search(string) or string != string.strip():
        return f"`{string}`"
    return string


def _type_name(value: Any) -> str:
    names = [name for kind, name in _KINDS if isinstance(value, kind)]
    return names[0] if names else type(value).__name__


class FilterModule:
    """The filters of this file, under the class name that Ansible requires."""

    def filters(self) -> dict[str, Callable[[Any], str]]:
        """Return the filters by name."""
        return {"grafana_ini": grafana_ini}
