#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Return a component of this host to the generation before its last rollout."""

from __future__ import annotations

from typing import Any

from ..module_utils.component import rollback, transaction
from ..module_utils.component.component_module import COMMON_OPTIONS, run
from ..module_utils.unlogged_module import QuietModule

OPTIONS = {
    **COMMON_OPTIONS,
    "name": {"type": "str", "required": True},
    "adopt": {"type": "bool", "default": False},
    "without_peers": {"type": "bool", "default": False},
}


def apply(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Roll back; return the module's values."""
    return transaction.summary(rollback.roll_back(params, check_mode))


def main() -> None:
    """Run the module."""
    run(QuietModule(OPTIONS, supports_check_mode=True), apply)


if __name__ == "__main__":
    main()
