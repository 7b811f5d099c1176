# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refuse an inventory that is not complete, on the controller and before any host is contacted."""

from __future__ import annotations

from functools import partial

from ansible.plugins.action import ActionBase

from ..module_utils import guards, locks
from ..plugin_utils import arguments, inventory, lockfiles


class ActionModule(ActionBase):
    """Look at all hosts of the inventory, whichever of them a run is limited to.

    The process that starts the tasks loads this file, so that all of them have at hand what the roles ask for, too.
    """

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        """Fail with everything that is wrong."""
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        return judged(inventory.of(self._loader, task_vars or {}))


def judged(found: inventory.Inventory) -> dict:
    """What the module returns for an inventory."""
    components = inventory.all_components()
    unlocked = partial(locks.unlocked, components, found, lockfiles.archives)
    problems = guards.problems(components, found, *arguments.checks(found), unlocked)
    problems = [guards.placed(problem, components, found) for problem in problems]
    remarks = [guards.placed(remark, components, found) for remark in arguments.misspelt(found)]
    remarks += arguments.strange_groups(found)
    told = {"failed": True, "msg": "\n".join(problems)} if problems else {}
    return {"changed": False, **told, **({"warnings": remarks} if remarks else {})}
