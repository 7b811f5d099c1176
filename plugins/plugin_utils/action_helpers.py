# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Helpers of several action plugins."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any

VAULT_HEADER = b"$ANSIBLE_VAULT;"


def lock_owner() -> str:
    """Return the name of this run that others show while they wait for its lock."""
    return f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}"


def plain(value: Any) -> Any:
    """Return Ansible's own strings and containers as Python's, which YAML and JSON require."""
    if isinstance(value, dict):
        return {plain(key): plain(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if isinstance(value, str):
        # Strings of ansible-core before 2.19 stay marked as unsafe through their own str().
        return str.__str__(value)
    for scalar in (bool, int, float):
        if isinstance(value, scalar):
            return scalar(value)
    return None if value is None else str(value)
