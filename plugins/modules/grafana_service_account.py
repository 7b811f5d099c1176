#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a service account of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_service_account
short_description: Create, change or delete a service account of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Creates, changes or deletes a service account, and keeps a token of it in a file on the host on
    which the module runs.
  - Grafana shows a token only when it is created. A new token replaces the old one if the file is
    missing, has a token that Grafana refuses, or is readable by other users.
  - Requires O(password) of an administrator.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
options:
  name:
    description: Name of the service account.
    type: str
    required: true
  role:
    description: Role of the service account in its organization.
    type: str
    choices: [None, Viewer, Editor, Admin]
    default: Viewer
  disabled:
    description: Whether Grafana refuses the tokens of the service account.
    type: bool
    default: false
  token_path:
    description:
      - File of the token, readable by its owner only, in an existing directory. Without it no token
        is created.
      - O(state=absent) removes the file.
    type: path
  token_name:
    description: Name of the token. No other program may use this token.
    type: str
    default: automation
"""

EXAMPLES = r"""
- name: Create a service account for the automation
  hippius.monitoring.grafana_service_account:
    password: "{{ grafana_admin_password }}"
    name: automation
    role: Admin
    token_path: /etc/grafana-automation/token
"""

RETURN = r"""
token_changed:
  description: Whether the file of the token was written or removed, or would be in check mode.
  returned: always
  type: bool
"""

from typing import Any

from ..module_utils.grafana.api import service_account
from ..module_utils.grafana.api.client import Client
from ..module_utils.grafana.grafana_module import (
    CONNECTION,
    ONE_LOGIN,
    STATE,
    connect,
    finish,
    unplanned,
)
from ..module_utils.unlogged_module import QuietModule

OPTIONS = {
    "name": {"type": "str", "required": True},
    "role": {
        "type": "str",
        "choices": ["None", "Viewer", "Editor", "Admin"],
        "default": "Viewer",
    },
    "disabled": {"type": "bool", "default": False},
    "token_path": {"type": "path", "no_log": False},
    "token_name": {"type": "str", "default": "automation", "no_log": False},
}


def main() -> None:
    """Run the module."""
    module = QuietModule(
        {**CONNECTION, **STATE, **OPTIONS}, supports_check_mode=True, **ONE_LOGIN
    )
    params, check = module.params, module.check_mode
    desired = service_account.Account(**{option: params[option] for option in OPTIONS})

    def with_token(token: str) -> Client:
        return connect({**params, "password": None, "token": token}, check)

    def act() -> dict[str, Any]:
        is_desired = params["state"] == "present"
        values = unplanned(module, is_desired)
        if values is not None:
            return {**values, "token_changed": is_desired and bool(desired.token_path)}
        if not is_desired:
            return service_account.remove(connect(params, check), desired, check)
        return service_account.converge(
            connect(params, check), with_token, desired, check
        )

    finish(module, act)


if __name__ == "__main__":
    main()
