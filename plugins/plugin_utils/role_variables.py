# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The variables of a role for one host, each evaluated once.

Ansible compiles each template anew wherever a variable is used, in each process. Roles of this
collection refer to some variables in many places, so their data has plain references, such as
`"{{ loki_retention }}"`, which need no compilation, and what takes logic is a function in
`vars/<role>_values.py`. Any other template works too and is left to Ansible.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from functools import cache, reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleError
from ansible.plugins.filter.core import flatten
from ansible.template import Templar

from ..lookup.components import LookupModule
from . import every_role_values
from .action_helpers import plain
from .inventory import (
    REFERENCE,
    ROLES,
    component_of,
    component_roles,
    defaults_of,
    has_path,
    read_yaml,
    trusted_as_template,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .catalog import Member
    from .transport import ClientConfig

Values = dict[str, Any]


class Role:
    """The variables of a role; what a function of the role derives is one of them."""

    def __init__(
        self, role: str, variables: dict[str, Any], loader: Any, templar: Templar
    ) -> None:
        self.role = role
        self.component = role.replace("_", "-")
        self.host = str(variables["inventory_hostname"])
        self._variables = variables
        self._templar = templar
        self._lookup = LookupModule(loader=loader, templar=templar)
        self._functions = functions_of(role)
        self._internal = f"__{role}_"
        self._values: Values = {}

    def __getitem__(self, name: str) -> Any:
        """Return the value of a variable; raise what Ansible raises for an undefined one."""
        if name not in self._values:
            self._values[name] = self._evaluated(name)
        return self._values[name]

    def get(self, name: str, default: Any) -> Any:
        """Return the value of a variable, the default where it is not set."""
        return self[name] if name in self._variables else default

    def own(self, name: str) -> Any:
        """Return the value of a variable whose name begins with that of the role."""
        return self[f"{self.role}_{name}"]

    def fact(self, name: str) -> Any:
        """Return the value of an internal variable of the role."""
        return self[self._internal + name]

    def strings(self, name: str) -> list[Any]:
        """Return the role's variable as a list, which may be one value or have lists in it."""
        values: list[Any] = flatten([self.own(name)])
        return values

    def has(self, group: str) -> bool:
        """Return whether a group of the inventory has hosts."""
        return bool(self._variables["groups"].get(group))

    def has_several(self, group: str) -> bool:
        """Return whether a group of the inventory has several hosts."""
        return len(self._variables["groups"].get(group) or []) > 1

    def is_one_of_several(self, group: str) -> bool:
        """Return whether the host belongs to a group with other hosts."""
        return self.has_several(group) and self.host in self._variables["groups"][group]

    def tls(self, address: str = "") -> Values:
        """Return the settings for TLS of a listener, those of a client without an address."""
        settings: Values = self.ask("tls", component=self.component, address=address)
        return settings

    def client(
        self, component: str, etc: str = "", listener: str = "http"
    ) -> ClientConfig:
        """Return the settings by which this host reaches a component."""
        settings: ClientConfig = self.ask(
            "client", component=component, listener=listener, etc=etc
        )
        return settings

    def members(
        self, component: str, etc: str = "", listener: str = "http"
    ) -> list[Member]:
        """Return all hosts of a component's group as this host reaches them."""
        members: list[Member] = self.ask(
            "members", component=component, listener=listener, etc=etc
        )
        return members

    def ask(self, question: str, **options: str) -> Any:
        """Return the answer of the components lookup."""
        key = f"{question} {sorted(options.items())}"
        if key not in self._values:
            [answer] = self._lookup.run(
                [question], variables=self._variables, **options
            )
            self._values[key] = answer
        return self._values[key]

    def completed(self, options: Values) -> Values:
        """Return options with those of the variable that `options_from` names, as plain Python."""
        name = options.get("options_from")
        further = self[name] if name else {}
        merged: Values = plain({**further, **options})
        merged.pop("options_from", None)
        return merged

    def fill(self, value: Any) -> Any:
        """Return data of the role with the values of its templates."""
        if isinstance(value, dict):
            return {plain(key): self.fill(element) for key, element in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.fill(element) for element in value]
        if not isinstance(value, str):
            return plain(value)
        if "{{" not in value and "{%" not in value:
            return plain(value)
        return self._filled(value)

    def _filled(self, template: str) -> Any:
        """Return the value of a template."""
        parts = REFERENCE.split(template)
        literals, references = parts[::2], parts[1::2]
        if any("{{" in literal or "{%" in literal for literal in literals):
            return self._template(template)
        values = [self._referred(reference) for reference in references]
        if parts == ["", *references, ""] and len(values) == 1:
            return values[0]
        if not all(type(value) in (str, int) for value in values):
            return self._template(template)
        parts[1::2] = map(str, values)
        return "".join(map(plain, parts))

    def _referred(self, reference: str) -> Any:
        name, *keys = reference.split(".")
        if has_path(self[name], keys):
            return reduce(getitem, keys, self[name])
        return self._template(trusted_as_template(f"{{{{ {reference} }}}}"))

    def _evaluated(self, name: str) -> Any:
        if name not in self._variables and name in self._functions:
            return self._functions[name](self)
        if name in self._variables and name.startswith(self._internal):
            return self.fill(self._variables[name])
        value = self._variables.get(name, trusted_as_template(f"{{{{ {name} }}}}"))
        return plain(self._templar.template(value))

    def _template(self, template: str) -> Any:
        """Return the value of a template that Ansible has to evaluate.

        It may not use all variables that it names, so that one without a value is left to Ansible.
        """
        variables = dict(self._variables)
        for name in set(re.findall(rf"\b{self._internal}\w+", template)):
            # A filter may raise anything.
            with contextlib.suppress(Exception):
                variables[name] = self[name]
        self._templar.available_variables = variables
        try:
            return plain(self._templar.template(template))
        finally:
            self._templar.available_variables = self._variables


def of_role(role: str, variables: dict[str, Any], loader: Any) -> Role:
    """Return the variables that a role has for a host with these variables of its own."""
    folder = {"role_path": str(ROLES / role)}
    merged = {**defaults_of(role), **variables, **internal_of(role), **folder}
    templar = Templar(loader=loader, variables=merged)
    return Role(role, merged, loader, templar)


@cache
def internal_of(role: str) -> Values:
    """Return the internal variables of a role, as templates."""
    variables: Values = trusted_as_template(read_yaml(ROLES / role / "vars/main.yml"))
    return variables


@cache
def task_of(role: str) -> Values:
    """Return the options of the role's only task, as templates."""
    [task] = read_yaml(ROLES / role / "tasks/main.yml")
    options: Values = trusted_as_template(task["hippius.monitoring.component"])
    return options


def load_roles() -> None:
    """Load all roles into this process, and so into those that it forks for its tasks."""
    for role in component_roles():
        component_of(role)
        defaults_of(role)
        internal_of(role)
        task_of(role)
        functions_of(role)


@cache
def functions_of(role: str) -> dict[str, Callable[[Role], Any]]:
    """Return the functions of a role by the name of the variable that they derive."""
    found = dict(every_role_values.VALUES)
    path = ROLES / role / "vars" / f"{role}_values.py"
    if path.exists():
        found |= _loaded(path).VALUES
    return {f"__{role}_{name}": function for name, function in found.items()}


def _loaded(path: Path) -> Any:
    """Return the module in a file of a role, where Python's import does not look."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise AnsibleError(f"{path}: is no Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
