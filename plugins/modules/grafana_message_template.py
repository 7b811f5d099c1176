#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a message template of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_message_template
short_description: Create, change or delete a message template of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Creates, changes or deletes a group of message templates, which contact points use by the names
    that it defines.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
  - hippius.monitoring.grafana.provenance
options:
  name:
    description: Name of the group, without a slash, since it becomes a file's name.
    type: str
    required: true
  template:
    description:
      - Content in Go's template language. If it defines nothing, Grafana makes it the definition of
        O(name). Required when O(state=present).
      - Read it from a file, so that Ansible leaves its C({{ }}) alone.
    type: str
"""

EXAMPLES = r"""
- name: Define a readable title
  hippius.monitoring.grafana_message_template:
    password: "{{ grafana_admin_password }}"
    name: discord
    template: "{{ lookup('ansible.builtin.file', 'discord.tmpl') }}"
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: template, identity: discord, action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {template: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "name": {"type": "str", "required": True},
    "template": {"type": "str"},
}


def template(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the template."""
    return params["name"], {
        "name": params["name"],
        "template": params["template"] or "",
    }


def main() -> None:
    """Run the module."""
    run("template", OPTIONS, template, required_if=[("state", "present", ["template"])])


if __name__ == "__main__":
    main()
