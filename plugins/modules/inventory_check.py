#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_check
short_description: Refuse an inventory that the roles cannot use
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Checks the variables of the play's hosts. Fails with a sentence for each variable that is
    missing, has another type than its role documents, has an example value outside the environment
    dev, or makes a component unreachable for another one.
  - Warns of the same diagnostics for other hosts of the inventory, such as with C(--limit).
  - Warns of a variable whose name nearly equals that of a role.
  - Runs on the controller. No host is contacted.
  - Ignores variables of plays, blocks and tasks.
attributes:
  check_mode:
    description: The module never changes anything.
    support: full
  diff_mode:
    description: The module never changes anything.
    support: none
options: {}
seealso:
  - plugin: hippius.monitoring.components
    plugin_type: lookup
"""

EXAMPLES = r"""
# In the first play, for all hosts.
- name: Check the inventory
  hippius.monitoring.inventory_check:
  run_once: true
"""

RETURN = r"""
msg:
  description: One line for each diagnostic, with file and line of the variable if they are known.
  returned: on failure
  type: str
"""
