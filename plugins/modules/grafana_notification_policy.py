#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replace or reset the notification policies of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_notification_policy
short_description: Replace or reset the notification policies of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Grafana has one tree of policies for an organization, and the module replaces it as a whole.
  - A tree with routes that was made manually is replaced only with O(adopt=true).
  - A tree is never sent with a contact point or a timing that does not exist. Some servers accept
    such a tree, and cannot load their configuration afterwards.
  - O(state=absent) resets the tree to Grafana's initial one.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
  - hippius.monitoring.grafana.provenance
options:
  policy:
    description:
      - Root route in the form of Grafana's API, with all other routes in C(routes). Required when
        O(state=present).
      - Matchers are read from C(object_matchers), C(matchers), C(match) and C(match_re).
    type: dict
"""

EXAMPLES = r"""
- name: Route alerts by their severity
  hippius.monitoring.grafana_notification_policy:
    password: "{{ grafana_admin_password }}"
    policy:
      receiver: discord
      group_by: [grafana_folder, alertname]
      routes:
        - receiver: discord-critical
          object_matchers: [[severity, "=", critical]]
          repeat_interval: 1h
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: policy, identity: "", action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {policy: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {"policy": {"type": "dict"}}


def policy(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the tree."""
    return "", params["policy"] or {}


def main() -> None:
    """Run the module."""
    run("policy", OPTIONS, policy, required_if=[("state", "present", ["policy"])])


if __name__ == "__main__":
    main()
