#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a library panel of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_library_panel
short_description: Create, change or delete a library panel of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Creates, changes or deletes a library panel, which dashboards use by its uid.
  - It is never overwritten blindly. An update names the version that it replaces.
  - A library panel in use is not deleted.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
options:
  uid:
    description: Identifier of the library panel, up to 40 letters, digits, dashes and underscores.
    type: str
    required: true
  name:
    description: Name of the library panel, unique in its folder. Required when O(state=present).
    type: str
  folder_uid:
    description: uid of the folder. Without it the library panel is at the top level. Grafana keeps
      counting a library panel in the folder in which it was created, so a change is refused.
    type: str
    default: ""
  model:
    description: Panel as in a dashboard. Required when O(state=present).
    type: dict
"""

EXAMPLES = r"""
- name: Share a panel between dashboards
  hippius.monitoring.grafana_library_panel:
    password: "{{ grafana_admin_password }}"
    uid: request-rate
    name: Request rate
    folder_uid: platform
    model: "{{ lookup('ansible.builtin.file', 'request-rate.json') | from_json }}"
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: library_panel, identity: request-rate, action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {library_panel: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "uid": {"type": "str", "required": True},
    "name": {"type": "str"},
    "folder_uid": {"type": "str", "default": ""},
    "model": {"type": "dict"},
}


def library_panel(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the library panel."""
    body = {
        "uid": params["uid"],
        "name": params["name"],
        "folderUid": params["folder_uid"],
        "model": params["model"] or {},
    }
    return params["uid"], body


def main() -> None:
    """Run the module."""
    rules = [("state", "present", ["name", "model"])]
    run("library_panel", OPTIONS, library_panel, required_if=rules)


if __name__ == "__main__":
    main()
