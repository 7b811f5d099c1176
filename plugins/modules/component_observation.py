#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe every component of this host at once."""

from __future__ import annotations

from ..module_utils.component import observation
from ..module_utils.component.component_module import run
from ..module_utils.unlogged_module import QuietModule

OPTIONS = {"nonce": {"type": "str", "required": True, "no_log": True}}


def main() -> None:
    """Run the module."""
    run(QuietModule(OPTIONS, supports_check_mode=True), observation.collect)


if __name__ == "__main__":
    main()
