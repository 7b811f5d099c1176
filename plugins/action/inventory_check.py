# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refuse an inventory that is not complete, on the controller and before any host is contacted."""

from __future__ import annotations

from functools import partial

from ansible.plugins.action import ActionBase

from ..plugin_utils import arguments, inventory, lock_files, pinned_releases, preflight


class ActionModule(ActionBase):
    """Look at all hosts of the inventory: refuse what is in the way of the run's, warn of what else is wrong.

    The process that starts the tasks loads this file, so that all of them have at hand what the roles ask for, too.
    """

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        """Fail with everything that is wrong."""
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        task_vars = task_vars or {}
        return judged(inventory.of(self._loader, task_vars), task_vars["ansible_play_hosts_all"])


def judged(found: inventory.Inventory, run: list) -> dict:
    """What the module returns for an inventory and the hosts of a run; what is wrong with others is only told."""
    hosts = found.all_hosts(inventory.all_components())
    problems = problems_of([host for host in hosts if host in run], found)
    others = problems_of([host for host in hosts if host not in run], found)
    remarks = [
        f"Not in the way of this run: {problem}" for problem in others if problem not in problems
    ]
    remarks += [*arguments.misspelt(found), *arguments.strange_groups(found)]
    told = {"failed": True, "msg": "\n".join(placed(problems, found))} if problems else {}
    return {"changed": False, **told, **({"warnings": placed(remarks, found)} if remarks else {})}


def problems_of(hosts: list, found: inventory.Inventory) -> list:
    """What stands in the way of a rollout to some hosts."""
    components = inventory.all_components()
    unlocked = partial(pinned_releases.unlocked, components, found, hosts, lock_files.archives)
    return preflight.problems(components, found, hosts, *arguments.checks(found, hosts), unlocked)


def placed(sentences: list, found: inventory.Inventory) -> list:
    """Sentences with the places of what they name."""
    return [preflight.placed(sentence, inventory.all_components(), found) for sentence in sentences]
