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
  - Saves a dashboard in the classic format if it differs from Grafana's.
  - It is never overwritten blindly. A save names the version that it replaces, and a dashboard with
    the title of another one in the same folder is refused.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
options:
  uid:
    description: Identifier of the dashboard. By default the C(uid) in O(dashboard).
    type: str
  folder_uid:
    description: uid of the folder. Without it the dashboard is at the top level.
    type: str
    default: ""
  dashboard:
    description:
      - Dashboard as Grafana exports it, in the classic format with C(panels) at its first level.
        Required when O(state=present).
      - Its C(id) and C(version) are ignored.
    type: dict
"""

EXAMPLES = r"""
- name: Save the dashboard of the application
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
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: dashboard, identity: application, action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {dashboard: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "uid": {"type": "str"},
    "folder_uid": {"type": "str", "default": ""},
    "dashboard": {"type": "dict"},
}


def dashboard(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the dashboard."""
    model = params["dashboard"] or {}
    uid = params["uid"] or model.get("uid") or ""
    return uid, {"dashboard": model, "folderUid": params["folder_uid"]}


def main() -> None:
    """Run the module."""
    rules = [("state", "present", ["dashboard"]), ("state", "absent", ["uid"])]
    run("dashboard", OPTIONS, dashboard, required_if=rules)


if __name__ == "__main__":
    main()
