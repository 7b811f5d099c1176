#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove components that this host should no longer have."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_sweep
short_description: Remove components whose inventory group a host has left
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Stops, disables and removes each component that is named in O(known) and not in O(keep), and that
    M(hippius.monitoring.component) made on this host. Data in C(/var/lib/<name>) and users stay.
  - Components that are not in O(known), such as those of a role of your own, and what this collection did not make are
    never touched.
requirements:
  - Linux with systemd 247 or newer
  - Python 3.9 or newer
attributes:
  check_mode:
    description: Tells what would be removed.
    support: full
  diff_mode:
    description: The files and units of each component that would go.
    support: full
options:
  keep:
    description: Names of the components that the host should have.
    type: list
    elements: str
    required: true
  known:
    description: Names of the components that may be removed when they are not to be kept.
    type: list
    elements: str
    required: true
  remove_max:
    description: Refuse, and remove nothing, when more components than this would go.
    type: int
    default: 1
  holder:
    description: Who runs this, for the message to others that find a component locked.
    type: str
  lock_timeout:
    description: Seconds to wait while another run holds a component on the host.
    type: int
    default: 60
seealso:
  - module: hippius.monitoring.component
"""

EXAMPLES = r"""
- name: Remove what the host should no longer have
  hippius.monitoring.component_sweep:
    keep: [prometheus, loki]
    known: [prometheus, loki, promtail]
"""

RETURN = r"""
action:
  description: Whether something was removed.
  returned: always
  type: str
  choices: [none, remove]
instances:
  description: For each removed name what it was.
  returned: always
  type: dict
notices:
  description: Remarks for people to read.
  returned: always
  type: list
  elements: str
"""

from ..module_utils.component import removal
from ..module_utils.component.module import run
from ..module_utils.quiet import QuietModule

OPTIONS = {
    "keep": {"type": "list", "elements": "str", "required": True},
    "known": {"type": "list", "elements": "str", "required": True},
    "remove_max": {"type": "int", "default": 1},
    "holder": {"type": "str"},
    "lock_timeout": {"type": "int", "default": 60},
}


def main() -> None:
    """Run the module."""
    run(QuietModule(OPTIONS, supports_check_mode=True), removal.sweep)


if __name__ == "__main__":
    main()
