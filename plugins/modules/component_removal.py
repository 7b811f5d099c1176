#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove components from this host."""

from __future__ import annotations

from typing import Any

from ..module_utils.component import uninstall
from ..module_utils.component.component_module import COMMON_OPTIONS, run
from ..module_utils.unlogged_module import QuietModule

NAMES = {"type": "list", "elements": "str", "required": True}
PRUNE = {"keep": NAMES, "known": NAMES, "prune_max": {"type": "int", "required": True}}
OPTIONS = {
    **COMMON_OPTIONS,
    "name": {"type": "str"},
    "instances": {"type": "list", "elements": "str", "default": []},
    "purge": {"type": "bool", "default": False},
    "prune": {"type": "dict", "options": PRUNE},
}
CHOICE = [("name", "prune")]


def apply(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Remove a component, or those that the host should not have; return the module's values."""
    if params["prune"]:
        return uninstall.prune({**params, **params["prune"]}, check_mode)
    return uninstall.absent(params, check_mode)


def main() -> None:
    """Run the module."""
    module = QuietModule(
        OPTIONS,
        supports_check_mode=True,
        required_one_of=CHOICE,
        mutually_exclusive=CHOICE,
    )
    run(module, apply)


if __name__ == "__main__":
    main()
