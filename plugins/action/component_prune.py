# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove components that a host should no longer have, by the module that installed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.plugins.action import ActionBase

from ..plugin_utils import action_helpers, journal, observations

if TYPE_CHECKING:
    from ..module_utils.component.observation import HostObservation

OPTIONS = {
    "keep": {"type": "list", "elements": "str", "required": True},
    "managed_components": {"type": "list", "elements": "str", "required": True},
    "prune_max": {"type": "int", "default": 1},
    "lock_timeout": {"type": "int", "default": 60},
}


class ActionModule(ActionBase):
    """Run the module that removes components, where there are any to remove."""

    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module once, unless nothing may be removed."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=OPTIONS)
        variables = task_vars or {}
        removable = set(options["managed_components"]) - set(options["keep"])
        observed = observations.known(action_helpers.action_host(self, variables))
        if not removable or (observed and not has_leftovers(observed, removable)):
            # Nothing is to be removed, so the host does not have to be contacted.
            return {"changed": False, "action": "none", "instances": {}, "notices": []}
        prune = {
            "keep": options["keep"],
            "known": options["managed_components"],
            "prune_max": options["prune_max"],
        }
        args = {
            "prune": prune,
            "lock_timeout": options["lock_timeout"],
            "lock_owner": action_helpers.lock_owner(),
        }
        result = action_helpers.run_component(
            self, args, variables, "component_removal"
        )
        if result.get("changed") and not self._task.check_mode:
            journal.add(str(variables.get("inventory_hostname")), result)
        return result


def has_leftovers(observed: HostObservation, removable: set[str]) -> bool:
    """Return whether a host has any of these components, or what a killed run left. Pure."""
    installed = {instance["component"] for instance in observed["instances"].values()}
    return observed["leftovers"] or bool(installed & removable)
