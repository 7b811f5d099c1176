#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Download and unpack a release on this host, ready for a rollout."""

from __future__ import annotations

from ..module_utils.component import release_staging
from ..module_utils.component.component_module import run
from ..module_utils.unlogged_module import QuietModule

RELEASE = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "archives": {"type": "dict", "required": True},
    "pushed": {"type": "path"},
}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "component": {"type": "str"},
    "release": {"type": "dict", "required": True, "options": RELEASE},
    "program": {"type": "str", "default": ""},
    "lock_owner": {"type": "str"},
    "lock_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    """Run the module."""
    run(QuietModule(OPTIONS), release_staging.run)


if __name__ == "__main__":
    main()
