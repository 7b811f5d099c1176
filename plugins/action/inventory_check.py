# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refuse an incomplete or inconsistent inventory, before any host is contacted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, TypedDict

from ansible.plugins.action import ActionBase

from ..plugin_utils import (
    arguments,
    buckets,
    flow_plan,
    heartbeat,
    lock_files,
    muted_times,
    own_file_checks,
    pinned_releases,
    preflight,
    several_hosts,
)
from ..plugin_utils.inventory import Inventory, all_components, inventory_of
from ..plugin_utils.role_variables import load_roles

load_roles()
# A template of an address, which begins with a variable.
TEMPLATE = re.compile(r"\{\{ \W*(\w+)[^}]* \}\}")


class Result(TypedDict, total=False):
    """The result of the module; ``msg`` and ``warnings`` have a sentence for each diagnostic."""

    changed: bool
    failed: bool
    msg: str
    warnings: list[str]


class ActionModule(ActionBase):
    """Check all hosts of the inventory: fail on blockers of this run, warn of everything else.

    The process that starts the tasks loads this file, and with it the roles, which are then in
    memory for all tasks. Each task would need 10 ms for that.
    """

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self,
        tmp: str | None = None,
        task_vars: dict[str, Any] | None = None,
    ) -> Result:
        """Return a failure with all blockers, or success with all warnings."""
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        variables = task_vars or {}
        inventory = inventory_of(self._loader, variables)
        wishes = ("verify", "verify_only", "verify_notifications")
        errors = flow_plan.request_errors(*map(variables.get, wishes))
        return check_inventory(inventory, variables["ansible_play_hosts_all"], errors)


def check_inventory(
    inventory: Inventory,
    run_hosts: list[str],
    errors: Sequence[str] = (),
) -> Result:
    """Return the module's result for an inventory; blockers of other hosts are only warnings.

    ``errors`` are those in the variables of the run itself.
    """
    hosts = inventory.all_hosts(all_components())
    of_run = [host for host in hosts if host in run_hosts]
    blockers = [*errors, *blockers_of(of_run, inventory)]
    other_blockers = blockers_of(
        [host for host in hosts if host not in run_hosts], inventory
    )
    for error, misplaced in arguments.misspelled_groups(inventory).items():
        is_of_run = any(host in run_hosts for host in misplaced)
        (blockers if is_of_run else other_blockers).append(error)
    warnings = [
        f"{blocker.removesuffix('.')} (this does not block the run)."
        for blocker in other_blockers
        if blocker not in blockers
    ]
    warnings += arguments.misspelled_variables(inventory)
    warnings += arguments.group_warnings(inventory)
    warnings += own_file_checks.warnings(all_components(), inventory)
    warnings += heartbeat.warnings(inventory)
    if not blockers:
        # A version that no lock file has is a blocker.
        find = lock_files.archives
        components = all_components()
        warnings += pinned_releases.absent_archives(components, inventory, of_run, find)
    result: Result = {"changed": False}
    if blockers:
        result["failed"] = True
        result["msg"] = "\n".join(with_locations(blockers, inventory))
    if warnings:
        result["warnings"] = with_locations(warnings, inventory)
    return result


def blockers_of(hosts: list[str], inventory: Inventory) -> list[str]:
    """Return the reasons why nothing can be rolled out to some hosts."""
    components = all_components()
    checks = arguments.type_checks(inventory, hosts)
    archives = lock_files.archives
    checks.append(
        partial(pinned_releases.unlocked, components, inventory, hosts, archives)
    )
    checks.append(partial(own_file_checks.blockers, components, inventory, hosts))
    checks.append(partial(several_hosts.blockers, components, inventory, hosts))
    checks.append(partial(buckets.blockers, components, inventory, hosts))
    checks.append(partial(muted_times.blockers, hosts, inventory))
    checks.append(partial(heartbeat.blockers, hosts, inventory))
    return preflight.blockers(components, inventory, hosts, *checks)


def with_locations(
    messages: list[str],
    inventory: Inventory,
) -> list[str]:
    """Return messages with file and line of the variables that they name."""
    components = all_components()
    located = [
        preflight.with_locations(message, components, inventory) for message in messages
    ]
    # The template of an address is that of a variable, whose name says more without braces.
    return [TEMPLATE.sub(r"\1", message) for message in located]
