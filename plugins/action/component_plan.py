# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find out which components of a host are as desired, all of them in one task."""

from __future__ import annotations

from functools import partial
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.filter.core import to_bool

from ..module_utils import upstream_releases
from ..module_utils.component.component_errors import ComponentError
from ..plugin_utils import (
    catalog,
    component_calls,
    desired_instances,
    observations,
    role_variables,
)
from ..plugin_utils.inventory import (
    all_components,
    inventory_of,
)
from . import component, component_prune, run_check

PRUNE = "prune"
Values = dict[str, Any]


class ActionModule(component.ActionModule):
    """Make the plan of each component from one observation of the host.

    Ansible starts a process for each task and host, which costs more than the plan.
    """

    def run(self, tmp: str | None = None, task_vars: Values | None = None) -> Values:
        """Return the instances that are as desired."""
        super(component.ActionModule, self).run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        variables = task_vars or {}
        self._notices = []
        if not self._observes(variables):
            return {"changed": False, "instances": {}}
        self._inventory = inventory_of(self._loader, variables)
        host = str(variables["inventory_hostname"])
        found: dict[str, Values] = {}
        for role in run_check.selected_roles(variables):
            if host in variables["groups"].get(role, ()):
                self._role = role
                result = self._planned(role, variables)
                if result is not None:
                    found[role.replace("_", "-")] = result
        names = list(found)
        if self._has_no_leftovers(host):
            names.append(PRUNE)
        observations.save_unchanged(host, names)
        instances: Values = {}
        for result in found.values():
            instances |= result["instances"]
        return {"changed": False, "instances": instances}

    def _observes(self, variables: Values) -> bool:
        """Observe the host, if the run is to; return whether it has an observation.

        A host that cannot be reached fails in the first play of a component, as without a plan.
        """
        if to_bool(self._variable(variables, "verify", False)):
            return False
        host = str(variables["inventory_hostname"])
        try:
            found = observations.of_host(host, "", partial(self._observe, variables))
        except AnsibleConnectionFailure:
            return False
        return found is not None and found.state is not None

    def _planned(self, role: str, variables: Values) -> Values | None:
        """Return the result of a component that is as desired; None for any other, and in doubt.

        What fails here fails in the play of the component too, with a message of its own.
        """
        try:
            own = role_variables.of_role(role, variables, self._loader)
            args = own.completed(own.fill(role_variables.task_of(role)))
            self._add_controllers_part(args, variables)
            params = component_calls.validated(args)
            desired = desired_instances.instances(params)
            result = self._decided(params["name"], desired, variables)
        except (AnsibleError, catalog.CatalogError, upstream_releases.ReleaseError):
            return None
        except ComponentError:
            return None
        # A filter or a template may raise anything.
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        if result is not None:
            for name, address in component.addresses_of(args).items():
                result["instances"].get(name, {})["address"] = address
        return result

    def _has_no_leftovers(self, host: str) -> bool:
        """Return whether nothing on the host is to be removed."""
        observed = observations.known(host)
        if observed is None:
            return False
        known = {described.name for described in all_components()}
        keep = catalog.component_names(all_components(), self._inventory, host)
        return not component_prune.has_leftovers(observed, known - set(keep))

    def _find(self, source: str, variables: Values) -> str:
        """Return the path of a file of the controller as the task of the role finds it."""
        host = str(variables["inventory_hostname"])
        return self._inventory.find_file(self._role, host, source)

    def _published(
        self, name: str, version: str, build: str, mirrors: list[str]
    ) -> upstream_releases.Archives:
        """Leave a release without a locked checksum to the play of the component."""
        raise upstream_releases.ReleaseError(f"{name} {version}: is not locked.")
