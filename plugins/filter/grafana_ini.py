# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write Grafana's configuration from data."""

from __future__ import annotations

DOCUMENTATION = r"""
name: grafana_ini
short_description: Write Grafana's configuration from data
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Turns sections of keys into the text of a C(grafana.ini) that Grafana reads back as the same values.
  - What Grafana replaces in a value, such as C($__file{/etc/grafana/key}) and C(${VARIABLE}), is left for it to
    replace.
options:
  _input:
    description:
      - Sections, each a mapping of keys to texts, numbers or truth values. V(DEFAULT) holds what belongs to no section.
      - A key whose value is null or empty is left out, since Grafana takes no notice of empty values in its file.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a configuration
  ansible.builtin.debug:
    msg: "{{ {'server': {'http_port': 3000}, 'users': {'allow_sign_up': false}} | hippius.monitoring.grafana_ini }}"
"""

RETURN = r"""
_value:
  description: The text of the file.
  type: str
"""

import re

from ansible.errors import AnsibleFilterError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*(?<! )\Z")


def grafana_ini(sections: object) -> str:
    """The text of a grafana.ini; raises AnsibleFilterError where Grafana would read something else."""
    if not isinstance(sections, dict):
        raise AnsibleFilterError(
            f"grafana.ini is made from a mapping of sections, not from {_kind(sections)}."
        )
    return "\n".join(
        text for name, keys in sections.items() for text in [_section(name, keys)] if text
    )


def _section(name: object, keys: object) -> str:
    where = f"Section {_named(name, 'a section')} of grafana.ini"
    if not isinstance(keys, dict):
        raise AnsibleFilterError(f"{where} is a mapping of keys, not {_kind(keys)}.")
    lines = [
        f"{_named(key, where)} = {_value(value, where, key)}"
        for key, value in keys.items()
        if _is_set(value)
    ]
    return "\n".join([f"[{name}]", *lines, ""]) if lines else ""


def _is_set(value: object) -> bool:
    return value is not None and value != ""


def _named(name: object, where: str) -> object:
    if not isinstance(name, str) or not NAME.match(name):
        raise AnsibleFilterError(
            f"{where}: {name!r} is not a name of letters, digits, '_', '.', '-' and spaces."
        )
    return name


def _value(value: object, where: str, key: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    # The value itself may be a secret, so it is not told.
    if not isinstance(value, str):
        raise AnsibleFilterError(
            f"{where}: {key} is a text, a number or a truth value, not {_kind(value)}."
        )
    if any(ord(character) < 32 and character != "\t" for character in value) or "\x7f" in value:
        raise AnsibleFilterError(f"{where}: {key} has a line break or another control character.")
    return _quoted(value)


def _quoted(text: str) -> str:
    """A text as Grafana's parser wants it: between backquotes all is literal, up to the last backquote of the line."""
    plain = not re.search(r"[#;`\"'\\]", text) and text == text.strip()
    return text if plain else f"`{text}`"


def _kind(value: object) -> str:
    return {"dict": "a mapping", "list": "a list", "str": "a text"}.get(
        type(value).__name__, type(value).__name__
    )


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict:
        """The filters of this file."""
        return {"grafana_ini": grafana_ini}
