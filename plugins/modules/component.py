#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Roll out a monitoring component on this host as one transaction."""

from __future__ import annotations

from typing import Any

from ..module_utils.component import removal, transaction
from ..module_utils.component.component_module import run
from ..module_utils.component.options import OPTIONS, REQUIRED_IF
from ..module_utils.unlogged_module import QuietModule


def apply(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Roll out, roll back, remove or prune; return the module's values."""
    if params["_prune"]:
        return removal.prune({**params, **params["_prune"]}, check_mode)
    if params["state"] == "absent":
        return removal.absent(params, check_mode)
    if params["state"] == "previous":
        # Loading it costs time, and most runs do not need it.
        from ..module_utils.component import rollback

        return transaction.summary(rollback.roll_back(params, check_mode))
    return transaction.summary(transaction.roll_out(params, check_mode))


def main() -> None:
    """Run the module."""
    run(QuietModule(OPTIONS, supports_check_mode=True, required_if=REQUIRED_IF), apply)


if __name__ == "__main__":
    main()
