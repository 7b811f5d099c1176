# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Common entry and exit of the rollout engine's modules."""

from __future__ import annotations

import os
from typing import Any, Callable

from .component_errors import ComponentError
from .release_store import ReleaseRequired

Values = dict[str, Any]


def run(module: Any, action: Callable[[Values, bool], Values]) -> None:
    """Call ``action`` with the module's parameters; exit with its values or one error."""
    if os.geteuid() != 0:
        module.fail_json(
            msg="The module must run as root on the host; set become: true."
        )
    # Ansible masks a secret as a whole, and programs print parts of it.
    module.no_log_values |= _secret_forms(module.params)
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


def _secret_forms(params: Values) -> set[str]:
    """Return the strings to mask; most components have none, and need not load what finds them."""
    owners = (params, *(params.get("instances") or ()))
    if not any(owner.get("secrets") for owner in owners):
        return set()
    from .secret_forms import secret_forms

    return secret_forms(params)
