# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role's variables amount to on a host, templated by Ansible itself without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from plugins.plugin_utils.action_helpers import plain

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19 templates every string

    def trust_as_template(value: str) -> str:
        """Give the text back as it is."""
        return value


ROLES = Path(__file__).parents[3] / "roles"
HOST = {"monitoring_environment": "test", "inventory_hostname": "here", "groups": {"all": ["here"]}}


class HostVars:
    """The only host of an inventory, with these variables."""

    def __init__(self, variables: dict) -> None:
        self._variables = variables

    def raw_get(self, host: str) -> dict:
        """The variables before templating."""
        return self._variables


def rendered(role: str, expression: str, **variables: Any) -> Any:
    """The value of a Jinja expression in a role, as plain Python; ``variables`` win over all of the role's own."""
    return _templated(role, "{{ " + expression + " }}", variables)


def rollout(role: str, **variables: Any) -> dict:
    """The arguments of the role's only task, as the component's action plugin gets them."""
    tasks = _read(DataLoader(), role, "tasks")
    assert len(tasks) == 1, f"Role {role} has {len(tasks)} tasks."
    return _templated(role, tasks[0]["hippius.monitoring.component"], variables)


def _templated(role: str, value: Any, variables: dict) -> Any:
    loader = DataLoader()
    inventory = _trusted({**HOST, **variables})
    known = {
        **_trusted(_read(loader, role, "defaults")),
        **inventory,
        **_trusted(_read(loader, role, "vars")),
    }
    known |= {**_trusted(variables), "hostvars": HostVars(inventory)}
    return plain(Templar(loader=loader, variables=known).template(_trusted(value)))


def _read(loader: DataLoader, role: str, folder: str) -> Any:
    path = ROLES / role / folder / "main.yml"
    return loader.load_from_file(str(path), cache="none") if path.exists() else {}


def _trusted(value: Any) -> Any:
    """The value with every string in it as a template that Ansible fills in."""
    if isinstance(value, dict):
        return {key: _trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value
