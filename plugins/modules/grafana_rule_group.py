#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replace or delete a group of alert rules of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_rule_group
short_description: Replace or delete a group of alert rules of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Replaces a group by the given rules, in their order, in one transaction of Grafana.
  - An unchanged group is not written, and unchanged rules of a changed group keep the state of
    their alerts.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
  - hippius.monitoring.grafana.provenance
options:
  folder_uid:
    description: uid of the folder of the group.
    type: str
    required: true
  title:
    description: Title of the group, unique in its folder.
    type: str
    required: true
  interval:
    description: Seconds between evaluations, a multiple of 10.
    type: int
    default: 60
  rules:
    description:
      - Rules in the form of Grafana's API, each with its own C(uid).
        Required when O(state=present).
      - The defaults of C(noDataState), C(execErrState) and C(for) are C(NoData), C(Alerting) and
        C(0s), as in Grafana's own files.
      - Write values with C({{ }}) for Grafana between C({% raw %}) and C({% endraw %}), or read
        them from a file.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Alert when a target is down
  hippius.monitoring.grafana_rule_group:
    password: "{{ grafana_admin_password }}"
    folder_uid: platform
    title: targets
    interval: 60
    rules:
      - uid: target-down
        title: Target is down
        condition: B
        for: 5m
        labels: {severity: critical}
        annotations:
          summary: "{% raw %}{{ $labels.instance }}{% endraw %} is down"
        data:
          - refId: A
            datasourceUid: prometheus
            relativeTimeRange: {from: 600, to: 0}
            model: {refId: A, expr: up, instant: true}
          - refId: B
            datasourceUid: __expr__
            model:
              refId: B
              type: threshold
              expression: A
              conditions: [{evaluator: {type: lt, params: [1]}}]
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: rule_group, identity: platform/targets, action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {rule_group: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "folder_uid": {"type": "str", "required": True},
    "title": {"type": "str", "required": True},
    "interval": {"type": "int", "default": 60},
    "rules": {"type": "list", "elements": "dict"},
}


def rule_group(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the group."""
    folder, title = params["folder_uid"], params["title"]
    body = {
        "folderUid": folder,
        "title": title,
        "interval": params["interval"],
        "rules": params["rules"] or [],
    }
    return f"{folder}/{title}", body


def main() -> None:
    """Run the module."""
    run(
        "rule_group", OPTIONS, rule_group, required_if=[("state", "present", ["rules"])]
    )


if __name__ == "__main__":
    main()
