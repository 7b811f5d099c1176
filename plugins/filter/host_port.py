# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Split an address into host and port."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_port
short_description: Split an address into host and port
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Splits C(host:port) for programs that take the host and the port as two settings.
options:
  _input:
    description: Address as C(host:port). An IPv6 host is in brackets; an empty host is allowed.
    type: str
    required: true
  brackets:
    description: Keep the brackets of an IPv6 host, for programs that join host and port again.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show 3100
  ansible.builtin.debug:
    msg: "{{ ('127.0.0.1:3100' | hippius.monitoring.host_port).port }}"
"""

RETURN = r"""
_value:
  description: C(host), a string, and C(port), an integer.
  type: dict
"""

from collections.abc import Callable
from typing import TypedDict

from ansible.errors import AnsibleFilterError


class HostPort(TypedDict):
    """The two parts of an address."""

    host: str
    port: int


def host_port(address: str, brackets: bool = False) -> HostPort:
    """Return the host and the port of ``address``."""
    if not isinstance(address, str):
        raise AnsibleFilterError(
            f"host_port: the address is of type {type(address).__name__}; write it as host:port."
        )
    host, _colon, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit()):
        raise AnsibleFilterError(
            f"host_port: {address!r} has no port; write it as host:port."
        )
    return {"host": host if brackets else host.strip("[]"), "port": int(port)}


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., HostPort]]:
        """Return the filters of this file by name."""
        return {"host_port": host_port}
