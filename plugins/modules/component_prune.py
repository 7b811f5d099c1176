#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_prune
short_description: Remove components whose inventory group a host has left
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Stops, disables and removes each component that is named in O(known) and not in O(keep), and that
    M(hippius.monitoring.component) made on this host. Data in C(/var/lib/<name>) and users stay.
  - Components that are not in O(known), such as those of a role of your own, and what this collection did not make are
    never touched.
  - It is run on the host by M(hippius.monitoring.component), unless nothing in O(known) may go.
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
  prune_max:
    description: Refuse, and remove nothing, when more components than this would go.
    type: int
    default: 1
  lock_timeout:
    description: Seconds to wait while another run holds a component on the host.
    type: int
    default: 60
seealso:
  - module: hippius.monitoring.component
"""

EXAMPLES = r"""
- name: Remove what the host should no longer have
  hippius.monitoring.component_prune:
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
