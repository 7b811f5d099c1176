#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring a whole Grafana to the state in files, or export its state as such files."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana import payload
from ..module_utils.grafana.api import service_account
from ..module_utils.grafana.api.client import Client
from ..module_utils.grafana.files import exporting
from ..module_utils.grafana.grafana_module import (
    CONNECTION,
    ONE_LOGIN,
    PROVENANCE,
    connect,
    finish,
    hide_secrets,
    unplanned,
)
from ..module_utils.grafana.kinds.registry import KINDS
from ..module_utils.grafana.sync.load import read_existing
from ..module_utils.grafana.sync.reconcile import Options, reconcile
from ..module_utils.unlogged_module import QuietModule

# The action plugin runs the state checked alone.
STATES = ["present", "exported", "checked"]
OPTIONS = {
    **payload.CONTROLLER,
    "state": {"type": "str", "choices": STATES, "default": "present"},
    "token_path": {"type": "path", "no_log": False},
    "service_account": {"type": "str", "default": "hippius-monitoring"},
    "owner": {"type": "str", "default": "hippius-monitoring"},
    "prune": {"type": "list", "elements": "str", "choices": list(KINDS), "default": []},
    "prune_max": {"type": "int", "default": 10},
    "exact": {"type": "bool", "default": False},
    "fingerprint_key": {"type": "str", "no_log": True},
    "payload": {"type": "str", "no_log": True},
}


def connect_with_token(
    params: dict[str, Any], check: bool
) -> tuple[Client, dict[str, bool]]:
    """Return a client, and result values if a token file is used.

    Without a token file the client logs in with the options.
    """
    token_path = params["token_path"]
    if not token_path:
        return connect(params, check), {}

    def with_token(token: str) -> Client:
        return connect({**params, "password": None, "token": token}, check)

    token = service_account.working_token(with_token, token_path)
    if token:
        return with_token(token), {"token_changed": False}
    account = service_account.Account(
        params["service_account"], "Admin", token_path=token_path
    )
    service_account.converge(connect(params, check), with_token, account, check)
    return connect(params, check), {"token_changed": True, "changed": True}


def present(module: QuietModule) -> dict[str, Any]:
    """Bring Grafana to the desired state."""
    params = module.params
    desired, required = payload.decode_content(params["payload"])
    hide_secrets(module, desired)
    values = unplanned(module, bool(desired))
    if values is not None:
        return values
    options = Options(
        check=module.check_mode,
        owner=params["owner"],
        fingerprint_key=params["fingerprint_key"] or "",
        editable=params["editable"],
        adopt=params["adopt"],
        prune=tuple(params["prune"]),
        prune_max=params["prune_max"],
        exact_json_data=params["exact"],
        required=tuple(required),
    )
    client, token_values = connect_with_token(params, module.check_mode)
    result = reconcile(client, desired, options)
    return {**result.values(), **token_values, "warnings": result.warnings}


def exported(module: QuietModule) -> dict[str, Any]:
    """Return the state of Grafana as files, which the controller writes."""
    client, _token_values = connect_with_token(module.params, True)
    files = exporting.files(read_existing(client))
    return {"changed": False, "payload": payload.encode(files)}


def main() -> None:
    """Run the module."""
    module = QuietModule(
        argument_spec={**CONNECTION, **PROVENANCE, **OPTIONS},
        supports_check_mode=True,
        **ONE_LOGIN,
    )
    act = present if module.params["state"] == "present" else exported
    finish(module, lambda: act(module))


if __name__ == "__main__":
    main()
