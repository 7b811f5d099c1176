#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a mute timing of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_mute_timing
short_description: Create, change or delete a mute timing of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Creates, changes or deletes a mute timing, to which notification policies and rules refer.
  - A mute timing that is still in use is not deleted.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
  - hippius.monitoring.grafana.provenance
options:
  name:
    description: Name of the mute timing.
    type: str
    required: true
  time_intervals:
    description: Intervals in the form of Grafana's API. Required when O(state=present).
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Mute alerts at the weekend
  hippius.monitoring.grafana_mute_timing:
    password: "{{ grafana_admin_password }}"
    name: weekend
    time_intervals:
      - weekdays: [saturday, sunday]
        location: Europe/Berlin
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: mute_timing, identity: weekend, action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {mute_timing: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "name": {"type": "str", "required": True},
    "time_intervals": {"type": "list", "elements": "dict"},
}


def mute_timing(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the mute timing."""
    name, intervals = params["name"], params["time_intervals"] or []
    return name, {"name": name, "time_intervals": intervals}


def main() -> None:
    """Run the module."""
    run(
        "mute_timing",
        OPTIONS,
        mute_timing,
        required_if=[("state", "present", ["time_intervals"])],
    )


if __name__ == "__main__":
    main()
