# SPDX-License-Identifier: GPL-3.0-or-later
"""Common entry and exit of the rollout engine's modules."""

from __future__ import annotations

import os
from typing import Any, Callable

from .component_errors import ComponentError
from .release_store import ReleaseRequired

Values = dict[str, Any]
# Options of every module that changes a component; ``masked`` are parts of secrets.
COMMON_OPTIONS: Values = {
    "lock_owner": {"type": "str"},
    "lock_timeout": {"type": "int", "default": 60},
    "masked": {"type": "list", "elements": "str", "default": [], "no_log": True},
}


def run(module: Any, action: Callable[[Values, bool], Values]) -> None:
    """Call ``action`` with the module's parameters; exit with its values or one error."""
    if os.geteuid() != 0:
        module.fail_json(
            msg="The module must run as root on the host; set become: true."
        )
    try:
        values = action(module.params, module.check_mode)
    except ReleaseRequired as required:
        values = {"changed": False, "release_required": required.values}
    except ComponentError as error:
        module.fail_json(
            msg=str(error),
            rolled_back=list(error.rolled_back),
            notices=list(error.notices),
            locked=error.locked,
        )
    except OSError as error:
        prefix = f"{error.filename}: " if error.filename else ""
        module.fail_json(msg=f"{prefix}{error.strerror or error}", rolled_back=[])
    module.exit_json(**values)
