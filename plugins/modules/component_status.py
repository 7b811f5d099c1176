#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what runs on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: component_status
short_description: Tell what runs on a host, since when, and what is not as it was rolled out
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - For each component that M(hippius.monitoring.component) made on this host its version, generation, state and drift,
    and whether its program answers. Changes nothing.
  - A file, link or unit that somebody changed is drift, and so is a drop-in of C(systemctl edit). A rollout puts right
    all but drop-ins, which stay in force until somebody removes them.
requirements:
  - Linux with systemd 247 or newer
  - Python 3.9 or newer
attributes:
  check_mode:
    description: Nothing is ever changed.
    support: full
  diff_mode:
    description: Nothing is ever changed.
    support: none
options:
  expected:
    description:
      - Names of the components that the host should have. One that is not there is told as well, and so is one that
        is there and not expected.
      - Without it nothing is said about either.
    type: list
    elements: str
seealso:
  - module: hippius.monitoring.component
"""

EXAMPLES = r"""
- name: See what runs
  hippius.monitoring.component_status:
    expected: [loki, prometheus]
  register: components
"""

RETURN = r"""
instances:
  description: For each installed C(<name>), and for each component that is expected and missing, what is true of it.
  returned: success
  type: dict
  contains:
    component:
      description: Its component.
      type: str
    release:
      description: Name and version of the release in force.
      type: str
      sample: loki-3.7.8
    version:
      description: Version of the release in force.
      type: str
    generation:
      description: Generation in force.
      type: str
    previous:
      description: Generation that a rollback goes to; empty when there is none.
      type: str
    rolled_back_from:
      description: Generation that was rolled back from; empty when the last thing done was a rollout.
      type: str
    since:
      description: When the generation came into force, in UTC.
      type: str
      sample: "2026-01-31T03:00:00Z"
    started:
      description: When the unit became active, in UTC.
      type: str
    state:
      description: What systemd says of the unit; V(absent) for a component that is not there.
      type: str
      sample: active
    restarts:
      description: How often systemd started the program again by itself.
      type: int
    ready:
      description: Whether it is active, listens, and says that it is ready.
      type: bool
    drift:
      description: What is not as it was rolled out, in words.
      type: list
      elements: str
    diagnostics:
      description: Everything that a person should know, the drift included.
      type: list
      elements: str
header:
  description: Names of the columns of RV(lines).
  returned: success
  type: str
lines:
  description: The same for people, one line an instance.
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
