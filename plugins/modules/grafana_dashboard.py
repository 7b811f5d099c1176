#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Save or delete a dashboard of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_dashboard
short_description: Save or delete a dashboard of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Saves a dashboard in the classic format when it differs from the one that Grafana has.
  - It is never overwritten blindly. A save names the version that it replaces, and a dashboard whose title another
    one
    has in the same folder is refused.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
options:
  uid:
    description: What identifies the dashboard. By default the C(uid) in O(dashboard).
    type: str
  folder_uid:
    description: uid of the folder that it is in; an empty one is the top.
    type: str
    default: ""
  dashboard:
    description:
      - The dashboard as Grafana exports it, in the classic format with C(panels) at its first level. Required when
        O(state=present).
      - Its C(id) and C(version) are ignored.
    type: dict
"""

EXAMPLES = r"""
- name: Have the dashboard of the application
  hippius.monitoring.grafana_dashboard:
    password: "{{ grafana_admin_password }}"
    folder_uid: platform
    dashboard: "{{ lookup('ansible.builtin.file', 'application.json') | from_json }}"

- name: Delete the dashboard that it replaces
  hippius.monitoring.grafana_dashboard:
    password: "{{ grafana_admin_password }}"
    uid: application-old
    state: absent
"""

RETURN = r"""
changes:
  description: What was written, or in check mode would be.
  returned: always
  type: list
  elements: dict
  sample: [{kind: dashboard, identity: application, action: update, source: inline}]
counts:
  description: Number of objects created, updated, kept and deleted, for each kind.
  returned: always
  type: dict
  sample: {dashboard: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "uid": {"type": "str"},
    "folder_uid": {"type": "str", "default": ""},
    "dashboard": {"type": "dict"},
}


def dashboard(params: dict) -> tuple:
    """Identity and body of the dashboard."""
    model = params["dashboard"] or {}
    return params["uid"] or model.get("uid") or "", {
        "dashboard": model,
        "folderUid": params["folder_uid"],
    }


def main() -> None:
    """Run the module."""
    rules = [("state", "present", ["dashboard"]), ("state", "absent", ["uid"])]
    run("dashboard", OPTIONS, dashboard, required_if=rules)


if __name__ == "__main__":
    main()
