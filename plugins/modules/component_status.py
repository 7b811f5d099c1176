#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Report the components of this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_status
short_description: Report version, state and drift of a host's components
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Reports version, generation, state, drift and readiness of each component that
    M(hippius.monitoring.component) installed on this host. Changes nothing.
  - Drift is a file, link or unit that was changed manually, or a drop-in of C(systemctl edit). A
    rollout corrects all except drop-ins, which stay active until they are removed manually.
requirements:
  - Linux with systemd 247 or newer
  - Python 3.9 or newer
attributes:
  check_mode:
    description: The module never changes anything.
    support: full
  diff_mode:
    description: The module never changes anything.
    support: none
options:
  expected:
    description:
      - Names of the components that the host should have. A missing one and an additional one are
        reported.
      - Without it neither is reported.
    type: list
    elements: str
seealso:
  - module: hippius.monitoring.component
"""

EXAMPLES = r"""
- name: Get the status of all components
  hippius.monitoring.component_status:
    expected: [loki, prometheus]
  register: components
"""

RETURN = r"""
instances:
  description: Status of each installed C(<name>), and of each expected component that is missing.
  returned: success
  type: dict
  contains:
    component:
      description: Component of the instance.
      type: str
    release:
      description: Name and version of the active release.
      type: str
      sample: loki-3.7.8
    version:
      description: Version of the active release.
      type: str
    generation:
      description: Active generation.
      type: str
    previous:
      description: Generation to roll back to; empty when there is none.
      type: str
    rolled_back_from:
      description: Generation that was rolled back from; empty after a rollout.
      type: str
    since:
      description: Time at which the generation became active, in UTC.
      type: str
      sample: "2026-01-31T03:00:00Z"
    started:
      description: Time at which the unit became active, in UTC.
      type: str
    state:
      description: State of the unit in systemd; V(absent) for a missing component.
      type: str
      sample: active
    restarts:
      description: Number of times that systemd restarted the program by itself.
      type: int
    ready:
      description: Whether the unit is active, listens, and reports that it is ready.
      type: bool
    drift:
      description: Differences from the rollout, a sentence for each.
      type: list
      elements: str
    diagnostics:
      description: Everything that requires attention, including the drift, a sentence for each.
      type: list
      elements: str
header:
  description: Names of the columns of RV(lines).
  returned: success
  type: str
lines:
  description: The status as a table, one line for each instance.
  returned: success
  type: list
  elements: str
"""

from ..module_utils.component import status
from ..module_utils.component.component_module import run
from ..module_utils.unlogged_module import QuietModule

OPTIONS = {"expected": {"type": "list", "elements": "str"}}


def main() -> None:
    """Run the module."""
    run(QuietModule(OPTIONS, supports_check_mode=True), status.status)


if __name__ == "__main__":
    main()
