# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Describe times without messages to Alertmanager and Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mute_timings
short_description: Describe times without messages to Alertmanager and Grafana
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Returns the time intervals, and the routes of the severities with the names of theirs. Both
    programs have the same format.
options:
  _input:
    description: Timings as in the variable C(monitoring_mute_timings).
    type: list
    elements: dict
    required: true
  routes:
    description: Fields of a route by severity.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the settings
  ansible.builtin.debug:
    msg: "{{ [timing] | hippius.monitoring.mute_timings({'medium': {}}) }}"
  vars:
    timing:
      name: weekend
      severities: [medium]
      time_intervals: [{weekdays: ["saturday:sunday"]}]
"""

RETURN = r"""
_value:
  description: C(timings), and C(routes) by severity.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    muted_times,
)


def mute_timings(
    declared: list[dict[str, Any]], routes: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the settings of both programs."""
    try:
        return dict(muted_times.mute_timings(declared, routes)._asdict())
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Filter of Ansible."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return the filter by its name."""
        return {"mute_timings": mute_timings}
