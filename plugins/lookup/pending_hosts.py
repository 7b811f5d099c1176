# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look up the hosts of a group for which a run still has to do something."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pending_hosts
short_description: Hosts of a group for which a run still has to do something
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Returns a pattern for C(hosts) of a play. It matches the hosts of the group without those for
    which M(hippius.monitoring.component_plan) has found less than ten minutes ago in the same run
    that there is nothing to do.
options:
  _terms:
    description: The name of the group; exactly one.
    type: list
    elements: str
    required: true
  component:
    description: Name of the component, or V(prune) for the removal of components.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Loki
  hosts: "{{ lookup('hippius.monitoring.pending_hosts', 'loki', component='loki') }}"
  roles: [hippius.monitoring.loki]
"""

RETURN = r"""
_raw:
  description: A list of one element, the pattern.
  type: list
  elements: str
"""

import re
from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.hippius.monitoring.plugins.plugin_utils import observations

# Without a warning for a group that does not exist.
NO_HOST = "all:!all"
# Other names may have a meaning in a pattern.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def pattern_of(group: str, hosts: list[str], pending: list[str]) -> str:
    """Return a pattern that matches the pending ones among the hosts of a group. Pure."""
    if not pending:
        return NO_HOST
    if pending == hosts or not all(map(PLAIN_NAME.fullmatch, pending)):
        return group
    # A host may have the name of another group.
    return ",".join([*pending, f"&{group}"])


class LookupModule(LookupBase):
    """``lookup('hippius.monitoring.pending_hosts', group, component=...)``."""

    def run(
        self, terms: list[str], variables: dict[str, Any], component: str
    ) -> list[str]:
        """Return the pattern as the only element of a list."""
        [group] = terms
        hosts = list(variables["groups"].get(group) or [])
        pending = [
            host for host in hosts if component not in observations.unchanged(host)
        ]
        return [pattern_of(group, hosts, pending)]
