#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a contact point of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_contact_point
short_description: Create, change or delete a contact point of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Creates, changes or deletes a contact point with exactly the given integrations.
  - Secrets are compared with Grafana's by an export that shows them to administrators. If the user
    may not read them, a rotated one goes unnoticed, and the module warns.
  - An integration that moves to another contact point has a temporary copy there until nothing
    refers to the old contact point.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
  - hippius.monitoring.grafana.provenance
options:
  name:
    description: Name of the contact point, to which routes and rules refer.
    type: str
    required: true
  receivers:
    description: Integrations of the contact point. Required when O(state=present).
    type: list
    elements: dict
    suboptions:
      uid:
        description: Identifier of the integration, at most 40 characters.
        type: str
        required: true
      type:
        description: Type of the integration, such as V(discord) or V(webhook).
        type: str
        required: true
      settings:
        description: Settings with Grafana's keys.
        type: dict
        default: {}
      secure_settings:
        description: Secret settings, such as the C(url) of a Discord webhook. Merged into
          O(receivers[].settings).
        type: dict
        default: {}
      disable_resolve_message:
        description: Whether no message is sent when an alert is resolved.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: Send alerts to Discord
  hippius.monitoring.grafana_contact_point:
    password: "{{ grafana_admin_password }}"
    name: discord
    receivers:
      - uid: discord-alerts
        type: discord
        settings:
          title: '{% raw %}{{ template "discord.title" . }}{% endraw %}'
        secure_settings:
          url: "{{ discord_webhook }}"
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: contact_point, identity: discord, action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {contact_point: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

RECEIVER = {
    "uid": {"type": "str", "required": True},
    "type": {"type": "str", "required": True},
    "settings": {"type": "dict", "default": {}},
    "secure_settings": {"type": "dict", "default": {}, "no_log": True},
    "disable_resolve_message": {"type": "bool", "default": False},
}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "receivers": {"type": "list", "elements": "dict", "options": RECEIVER},
}


def contact_point(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the contact point."""
    receivers = [
        {
            "uid": receiver["uid"],
            "type": receiver["type"],
            "settings": {**receiver["settings"], **receiver["secure_settings"]},
            "disableResolveMessage": receiver["disable_resolve_message"],
        }
        for receiver in params["receivers"] or []
    ]
    return params["name"], {"name": params["name"], "receivers": receivers}


def main() -> None:
    """Run the module."""
    run(
        "contact_point",
        OPTIONS,
        contact_point,
        required_if=[("state", "present", ["receivers"])],
    )


if __name__ == "__main__":
    main()
