#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_prune
short_description: Remove components that a host should no longer have
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Stops, disables and removes each component of O(managed_components) that is not in O(keep) and
    that M(hippius.monitoring.component) installed on this host. Data in C(/var/lib/<name>) and
    users stay.
  - A component that is not in O(managed_components), such as that of another role, is never
    removed, and neither is anything that this collection did not create.
  - The host is not contacted when O(keep) contains all of O(managed_components). Otherwise
    M(hippius.monitoring.component) runs there.
requirements:
  - Linux with systemd 247 or newer
  - Python 3.9 or newer
attributes:
  check_mode:
    description: Reports the components that would be removed.
    support: full
  diff_mode:
    description: Files and units of each component that would be removed.
    support: full
options:
  keep:
    description: Names of the components that the host should have.
    type: list
    elements: str
    required: true
  managed_components:
    description: Names of the components that are removed unless O(keep) contains them.
    type: list
    elements: str
    required: true
  prune_max:
    description: Maximum number of components to remove. With more of them nothing is removed.
    type: int
    default: 1
  lock_timeout:
    description: Seconds to wait while another run holds a component's lock on the host.
    type: int
    default: 60
seealso:
  - module: hippius.monitoring.component
"""

EXAMPLES = r"""
- name: Remove components that the host should no longer have
  hippius.monitoring.component_prune:
    keep: [prometheus, loki]
    managed_components: [prometheus, loki, promtail]
"""

RETURN = r"""
action:
  description: V(remove) when a component was removed, or would be in check mode.
  returned: always
  type: str
  choices: [none, remove]
instances:
  description: Generation and release of each removed C(<name>).
  returned: always
  type: dict
notices:
  description: Messages that the run reports besides its result.
  returned: always
  type: list
  elements: str
"""
