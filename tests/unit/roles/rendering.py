# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a role's variables for a host with Ansible's own templating, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
    Role,
)

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19 templates every string

    def trust_as_template(value: str) -> str:
        """Return the string unchanged."""
        return value


ROLES = Path(__file__).parents[3] / "roles"
HOST = {
    "monitoring_environment": "test",
    "inventory_hostname": "here",
    "groups": {"all": ["here"]},
}


class HostVars:
    """The variables of the inventory's hosts: those of the first one, unless others differ."""

    def __init__(
        self,
        variables: dict[str, Any],
        others: dict[str, dict[str, Any]],
    ) -> None:
        self._variables = variables
        self._others = others

    def raw_get(self, host: str) -> dict[str, Any]:
        """Return the variables before templating."""
        return {**self._variables, **self._others.get(host, {})}


def rendered(role: str, expression: str, **variables: Any) -> Any:
    """Return the value of a Jinja expression in a role, as plain Python.

    ``variables`` override all of the role's own. ``other_hosts`` among them are not a variable, but
    the variables in which other hosts of the inventory differ, by host.
    """
    return _variables(role, variables).fill(
        trust_as_template(f"{{{{ {expression} }}}}")
    )


def rollout(role: str, **variables: Any) -> dict[str, Any]:
    """Return the arguments of the role's only task, as the action plugin completes them."""
    tasks = _read(DataLoader(), role, "tasks")
    assert len(tasks) == 1, f"Role {role} has {len(tasks)} tasks."
    own = _variables(role, variables)
    return own.completed(own.fill(_trusted(tasks[0]["hippius.monitoring.component"])))


def _variables(role: str, variables: dict[str, Any]) -> Role:
    loader = DataLoader()
    others = _trusted(variables.pop("other_hosts", {}))
    inventory = _trusted({**HOST, **variables})
    all_variables = {
        **_trusted(_read(loader, role, "defaults")),
        **inventory,
        **_trusted(_read(loader, role, "vars")),
        "role_path": str(ROLES / role),
        **_trusted(variables),
        "hostvars": HostVars(inventory, others),
    }
    templar = Templar(loader=loader, variables=all_variables)
    return Role(role, all_variables, loader, templar)


def _read(loader: DataLoader, role: str, folder: str) -> Any:
    path = ROLES / role / folder / "main.yml"
    return loader.load_from_file(str(path), cache="none") if path.exists() else {}


def _trusted(value: Any) -> Any:
    """Return the value with each string marked as a template for Ansible."""
    if isinstance(value, dict):
        return {key: _trusted(content) for key, content in value.items()}
    if isinstance(value, list):
        return [_trusted(content) for content in value]
    return trust_as_template(value) if isinstance(value, str) else value
