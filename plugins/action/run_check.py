# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refuse a run that would do nothing: no host, no such tag, or a controller that is too old."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, TypedDict

from ansible import context
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as core_version
from ansible.utils.vars import load_extra_vars

from ..plugin_utils import arguments, observations, run_scope
from ..plugin_utils.inventory import component_roles

COLLECTION = Path(__file__).resolve().parents[2]
# The plays of site.yml that do not belong to the component of a role.
MORE_TAGS = {"grafana_content": "grafana", "prune": "monitoring"}

OPTIONS = {
    "groups": {"type": "list", "elements": "str"},
    "controller_only": {"type": "bool", "default": False},
}


class Result(TypedDict, total=False):
    """The result of the module; ``msg`` has a sentence for each error."""

    changed: bool
    failed: bool
    msg: str
    warnings: list[str]


class ActionModule(ActionBase):
    """Compare the hosts and the tags of the run with those of the playbook."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self,
        tmp: str | None = None,
        task_vars: dict[str, Any] | None = None,
    ) -> Result:
        """Return a failure with all errors, or success."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=OPTIONS)
        errors = run_scope.unsupported(version_of(core_version), sys.version_info[:3])
        if not errors:
            expected = expectation_of(options["groups"], options["controller_only"])
            run = run_of(task_vars or {})
            errors = run_scope.errors_of(run, expected, runs_own_playbook())
            errors += run_scope.request_errors(self._requests(task_vars or {}))
        extra = load_extra_vars(self._loader)
        warnings = run_scope.misspelled_requests(extra)
        if options["controller_only"]:
            # Nothing else looks at the variables of roles here.
            warnings += arguments.misspelled_names(extra)
        result: Result = {"changed": False}
        if warnings:
            result["warnings"] = warnings
        if errors:
            return {**result, "failed": True, "msg": "\n".join(errors)}
        is_site = options["groups"] is None and not options["controller_only"]
        if is_site and len(run_scope.selected_tags(run, component_roles())) > 1:
            # For a single component it saves nothing.
            observations.enable()
        return result

    def _requests(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the variables of playbooks that are set."""
        names = (*run_scope.SWITCHES, run_scope.SERIAL)
        return {
            name: self._templar.template(variables[name])
            for name in names
            if name in variables
        }


def version_of(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, without the suffix of a release candidate. Pure."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def expectation_of(
    groups: list[str] | None, controller_only: bool
) -> run_scope.Expectation:
    """Return the expectation of a playbook for hosts in some groups, by default of site.yml."""
    takes_limit = not controller_only
    if groups is not None:
        return run_scope.Expectation(groups, {}, takes_limit)
    roles = component_roles()
    if controller_only:
        return run_scope.Expectation(list(roles), {}, takes_limit)
    tags = {**{role: role for role in roles}, **MORE_TAGS}
    return run_scope.Expectation([*roles, "monitoring"], tags, takes_limit)


def run_of(variables: dict[str, Any]) -> run_scope.Run:
    """Return the scope of a run from the variables that Ansible itself sets."""
    groups = variables["groups"]
    return run_scope.Run(
        sources=list(context.CLIARGS.get("inventory") or ()),
        limit=variables.get("ansible_limit") or "",
        groups=groups,
        hosts=list(variables["ansible_play_hosts_all"]) if groups["all"] else [],
        tags=list(variables.get("ansible_run_tags") or ["all"]),
        skipped_tags=list(variables.get("ansible_skip_tags") or []),
    )


def selected_roles(variables: dict[str, Any]) -> list[str]:
    """Return the roles whose components a run of site.yml does not skip."""
    return run_scope.selected_tags(run_of(variables), component_roles())


def runs_own_playbook() -> bool:
    """Return whether each playbook of the command line is one of this collection."""
    return all(
        name.startswith("hippius.monitoring.")
        or Path(name).resolve().is_relative_to(COLLECTION)
        for name in context.CLIARGS.get("args") or ()
    )
