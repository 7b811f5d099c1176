# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Return the object store that keeps the data of a component."""

from __future__ import annotations

DOCUMENTATION = r"""
name: object_store
short_description: Return the object store that keeps the data of a component
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Returns what a component has to know of the object store, and an empty dict if it has no bucket
    and keeps its data on disk.
options:
  _input:
    description: Value of the variable C(monitoring_object_store).
    type: dict
    required: true
  component:
    description: Name of the component, such as V(loki).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where Loki keeps its data
  ansible.builtin.debug:
    msg: "{{ (monitoring_object_store | hippius.monitoring.object_store('loki')).bucket }}"
"""

RETURN = r"""
_value:
  description: >-
    C(endpoint) as host:port, C(insecure), C(region), C(bucket), C(ca) as PEM or empty, and
    C(environment), the variables with the keys, which are secret.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.hippius.monitoring.plugins.plugin_utils import buckets


def object_store(value: Any, component: str) -> dict[str, Any]:
    """Return the object store of a component, empty if its data is on disk."""
    try:
        return dict(buckets.store_of(value, component) or {})
    except buckets.ObjectStoreError as error:
        raise AnsibleFilterError(f"{buckets.VARIABLE}: {error}.") from error


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return the filters of this file by name."""
        return {"object_store": object_store}
