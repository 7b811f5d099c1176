#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_check
short_description: Refuse an inventory that the roles cannot work with
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Looks at the variables of the hosts of the play, and fails with a sentence for each one that is missing, has not the
    type that its role documents, holds an example outside the environment dev, or would leave a component of theirs
    unable to reach another.
  - What is wrong with other hosts of the inventory, as where a run is limited, is warned about.
  - A variable that is nearly one of a role's is warned about.
  - Runs on the controller. No host is contacted.
  - Variables of plays, blocks and tasks do not count.
attributes:
  check_mode:
    description: It changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
options: {}
seealso:
  - plugin: hippius.monitoring.components
    plugin_type: lookup
"""

EXAMPLES = r"""
# In the first play, of all hosts.
- name: Require what every host needs
  hippius.monitoring.inventory_check:
  run_once: true
"""

RETURN = r"""
msg:
  description: What is wrong, a line each, with file and line where they are known.
  returned: on failure
  type: str
"""
