#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, rename, move or delete a folder of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_folder
short_description: Create, rename, move or delete a folder of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Creates a folder, changes its title, or moves it below another folder.
  - A folder is deleted only if nothing is in it or below it. Grafana itself would delete its
    dashboards along with it.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
options:
  uid:
    description: Identifier of the folder.
    type: str
    required: true
  title:
    description: Title of the folder. Required when O(state=present).
    type: str
  parent_uid:
    description: uid of the parent folder. Without it the folder is at the top level.
    type: str
    default: ""
  description:
    description: Description of the folder. Grafana 11 does not return it, so a change of the
      description alone goes unnoticed there.
    type: str
"""

EXAMPLES = r"""
- name: Create a folder for the platform
  hippius.monitoring.grafana_folder:
    password: "{{ grafana_admin_password }}"
    uid: platform
    title: Platform

- name: Create a folder for databases in it
  hippius.monitoring.grafana_folder:
    token: "{{ grafana_token }}"
    uid: databases
    title: Databases
    parent_uid: platform
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: folder, identity: platform, action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {folder: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "uid": {"type": "str", "required": True},
    "title": {"type": "str"},
    "parent_uid": {"type": "str", "default": ""},
    "description": {"type": "str"},
}


def folder(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the folder."""
    body = {
        "uid": params["uid"],
        "title": params["title"],
        "parentUid": params["parent_uid"],
    }
    if params["description"] is not None:
        body["description"] = params["description"]
    return params["uid"], body


def main() -> None:
    """Run the module."""
    run("folder", OPTIONS, folder, required_if=[("state", "present", ["title"])])


if __name__ == "__main__":
    main()
