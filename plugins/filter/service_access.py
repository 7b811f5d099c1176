# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Give a service a secret environment and further groups."""

from __future__ import annotations

DOCUMENTATION = r"""
name: service_access
short_description: Give a service a secret environment and further groups
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Adds directives to the section C(Service) of a unit, for the option
    O(hippius.monitoring.component#module:unit). Without variables and groups it stays as it is.
options:
  _input:
    description: Directives of the section.
    type: dict
    required: true
  environment:
    description: >-
      Variables of which the filter P(hippius.monitoring.environment_file#filter) writes the file.
    type: dict
    default: {}
  groups:
    description: Names of groups of which the service is a member besides its own.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the section of a service that may read logs
  ansible.builtin.debug:
    msg: "{{ {'ExecReload': None} | hippius.monitoring.service_access(groups=['adm']) }}"
"""

RETURN = r"""
_value:
  description: Directives of the section.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def service_access(
    service: Mapping[str, Any],
    environment: Mapping[str, Any] | None = None,
    groups: Sequence[str] | str | None = None,
) -> dict[str, Any]:
    """Return the section with a file of its environment and with its groups, where set."""
    result = dict(service)
    if environment:
        result["EnvironmentFile"] = "{etc}/environment"
    if groups:
        result["SupplementaryGroups"] = (
            [groups] if isinstance(groups, str) else list(groups)
        )
    return result


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return the filters of this file by name."""
        return {"service_access": service_access}
