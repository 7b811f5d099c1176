#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Report the components of this host."""

from __future__ import annotations

from ..module_utils.component import status
from ..module_utils.component.component_module import run
from ..module_utils.unlogged_module import QuietModule

OPTIONS = {"expected": {"type": "list", "elements": "str"}}


def main() -> None:
    """Run the module."""
    run(QuietModule(OPTIONS, supports_check_mode=True), status.status)


if __name__ == "__main__":
    main()
