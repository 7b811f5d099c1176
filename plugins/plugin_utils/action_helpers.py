# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Helpers of several action plugins."""

from __future__ import annotations

import getpass
import math
import multiprocessing
import os
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail

from . import controller_files
from .rollout_table import old_python

if TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

VAULT_HEADER = controller_files.VAULT_HEADER
# Seconds: the module's default, how long it waits on the host itself, and between two tries.
LOCK_TIMEOUT, LOCK_WAIT_ON_HOST, LOCK_PAUSE = 60, 2, 1.0
Values = dict[str, Any]


def lock_owner() -> str:
    """Return the name of this run that others show while they wait for its lock."""
    return f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}"


def run_component(
    action: ActionBase, args: Values, variables: Values, module: str
) -> Values:
    """Run a module of the engine, again and again while another run holds the component's lock.

    The waiting is done here and not on the host, where a module whose controller was killed would
    take the lock later and roll out what nobody asks for any more.
    """
    seconds = args.get("lock_timeout")
    deadline = time.monotonic() + float(LOCK_TIMEOUT if seconds is None else seconds)
    while True:
        remaining = max(0, math.ceil(deadline - time.monotonic()))
        result: Values = action._execute_module(
            module_name=f"hippius.monitoring.{module}",
            module_args={**args, "lock_timeout": min(remaining, LOCK_WAIT_ON_HOST)},
            task_vars=variables,
            wrap_async=action._task.async_val,
        )
        if old_python(result):
            raise AnsibleActionFail(old_python(result))
        locked = result.pop("locked", False)
        if not locked or not remaining or not controller_is_alive():
            return result
        time.sleep(LOCK_PAUSE)


def action_host(action: ActionBase, variables: Values) -> str:
    """Return the name of the host on which an action runs its module."""
    return str(action._task.delegate_to or variables.get("inventory_hostname"))


def find_file(action: ActionBase, name: str, variables: Values) -> str:
    """Return the path of a file of the controller that an option of a task names.

    Our roles pass the names that users write in their inventory. Other tasks name their own files.
    Raise MissingFile if there is none.
    """
    role = action._task._role
    is_ours = bool(role) and role.get_name().startswith("hippius.monitoring.")
    find = partial(action._find_needle, "files")
    return controller_files.find(name, variables, find, ansible_first=not is_ours)


def controller_is_alive() -> bool:
    """Return whether the process that started this task's worker still runs."""
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


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
