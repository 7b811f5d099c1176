#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a service account of Grafana."""

from __future__ import annotations

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
