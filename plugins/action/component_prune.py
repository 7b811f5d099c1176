# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove components that a host should no longer have, by the module that brought them."""

from __future__ import annotations

from ansible.plugins.action import ActionBase

from .component import lock_owner

OPTIONS = {
    "keep": {"type": "list", "elements": "str", "required": True},
    "known": {"type": "list", "elements": "str", "required": True},
    "prune_max": {"type": "int", "default": 1},
    "lock_timeout": {"type": "int", "default": 60},
}


class ActionModule(ActionBase):
    """Run the component module, which is packed already where components are rolled out."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        """Run the module once."""
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(argument_spec=OPTIONS)
        if not set(args["known"]) - set(args["keep"]):
            # Whatever is there, nothing of it may be removed: the host need not be asked.
            return {"changed": False, "action": "none", "instances": {}, "notices": []}
        return self._execute_module(
            module_name="hippius.monitoring.component",
            module_args={**args, "state": "pruned", "lock_owner": lock_owner()},
            task_vars=task_vars,
            wrap_async=self._task.async_val,
        )
