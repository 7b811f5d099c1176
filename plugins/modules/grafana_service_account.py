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
  - Makes a service account, and where asked for one token of it, which is kept in a file on the host that the module
    runs on.
  - Grafana shows a token only when it is made. So a token is made again, in the place of the old one, when the file
    is
    missing, holds one that Grafana does not take, or may be read by others.
  - Service accounts are managed with O(password), by a user who is an administrator.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
options:
  name:
    description: Name of the service account.
    type: str
    required: true
  role:
    description: What it may do in its organization.
    type: str
    choices: [None, Viewer, Editor, Admin]
    default: Viewer
  disabled:
    description: Whether its tokens are refused.
    type: bool
    default: false
  token_path:
    description:
      - File in which the token is kept, readable by its owner only. Its directory must exist. Without it no token is
        made.
      - With O(state=absent) the file is removed.
    type: path
  token_name:
    description: Name of the token, which must be of no other use.
    type: str
    default: automation
"""

EXAMPLES = r"""
- name: Have a service account for the automation
  hippius.monitoring.grafana_service_account:
    password: "{{ grafana_admin_password }}"
    name: automation
    role: Admin
    token_path: /etc/grafana-automation/token
"""

RETURN = r"""
token_changed:
  description: Whether the file of the token was written or removed, or in check mode would be.
  returned: always
  type: bool
"""

from ..module_utils.grafana.api import service_account
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
    "role": {"type": "str", "choices": ["None", "Viewer", "Editor", "Admin"], "default": "Viewer"},
    "disabled": {"type": "bool", "default": False},
    "token_path": {"type": "path", "no_log": False},
    "token_name": {"type": "str", "default": "automation", "no_log": False},
}


def main() -> None:
    """Run the module."""
    module = QuietModule({**CONNECTION, **STATE, **OPTIONS}, supports_check_mode=True, **ONE_LOGIN)
    params, check = module.params, module.check_mode
    desired = service_account.Account(**{option: params[option] for option in OPTIONS})

    def with_token(token: str) -> service_account.Client:
        return connect({**params, "password": None, "token": token}, check)

    def act() -> dict:
        is_desired = params["state"] == "present"
        values = unplanned(module, is_desired)
        if values is not None:
            return {**values, "token_changed": is_desired and bool(desired.token_path)}
        if not is_desired:
            return service_account.remove(connect(params, check), desired, check)
        return service_account.converge(connect(params, check), with_token, desired, check)

    finish(module, act)


if __name__ == "__main__":
    main()
