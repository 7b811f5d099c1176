# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The roles of this collection, and the inventory of a run, as the catalog requires them."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Mapping
from functools import cache, partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible.errors import AnsibleError
from ansible.template import Templar

from . import catalog, controller_files
from .action_helpers import VAULT_HEADER
from .catalog import CatalogError, Component, Instance, Value

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19 templates every string

    def trust_as_template(value: str) -> str:
        """Return the string as it is."""
        return value


try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # ansible-core before 2.19 records it as an attribute
    Origin = None

# A template that reads the environment of the controller.
FROM_ENVIRONMENT = re.compile(
    r"""lookup\(\s*["'](?:ansible\.builtin\.)?env["'],\s*["'](\w+)"""
)
VAULT = "run with --ask-vault-pass or --vault-password-file, and with the password of this value"
# A template that is a variable or a part of it, which needs no compilation.
REFERENCE = re.compile(r"\{\{ ([a-z_][a-z0-9_]*(?:\.[a-z_]+)*) \}\}")
ROLES = Path(__file__).parents[2] / "roles"


class Location(NamedTuple):
    """File and line of a definition."""

    path: str
    line: int


class Inventory(catalog.Inventory):
    """The inventory of this run.

    The variables of a host are gathered once, and each of them is templated when it is requested.
    """

    def __init__(
        self,
        loader: Any,
        groups: Mapping[str, list[str]],
        hostvars: Any,
    ) -> None:
        self.groups = groups
        self._hostvars = hostvars
        self._loader = loader
        self._templar = Templar(loader=loader)
        self._raw_variables: dict[str, dict[str, Value]] = {}
        self._values: dict[tuple[str, str], Value] = {}

    def variable(self, host: str, name: str) -> Value:
        """Return a variable of a host, None where it is not set."""
        key = (host, name)
        if key not in self._values:
            variables = self._variables(host)
            value = self._template(variables, variables.get(name), f"{name} of {host}")
            self._values[key] = value
        return self._values[key]

    def role_variable(
        self,
        host: str,
        component: Component,
        name: str,
    ) -> Value:
        """Return a variable of a component's role, its default where the host does not set it."""
        variables = {**defaults_of(component.role), **self._variables(host)}
        return self._template(variables, variables.get(name), f"{name} of {host}")

    def render(
        self,
        host: str,
        component: Component,
        value: Value,
        instance: Instance | None = None,
    ) -> Value:
        """Return a template of a component's role, rendered for a host."""
        defaults = defaults_of(component.role)
        variables = {**defaults, **self._variables(host), "instance": instance}
        subject = f"{component.name} on {host}, {value}"
        reference = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        name, *keys = reference[1].split(".") if reference else [""]
        if name in variables:
            found = self._template(variables, variables[name], subject)
            if has_path(found, keys):
                return reduce(getitem, keys, found)
        return self._template(variables, trusted_as_template(value), subject)

    def variable_names(self, host: str) -> list[str]:
        """Return the names of a host's variables."""
        return list(self._variables(host))

    def environment_variable(self, host: str, name: str) -> str | None:
        """Return the environment variable that a variable reads, None if there is none."""
        match = FROM_ENVIRONMENT.search(str(self._variables(host).get(name)))
        return match[1] if match else None

    def refers_to(self, host: str, name: str) -> bool:
        """Return whether another variable of a host has a template with a name."""
        return any(
            name in str(value)
            for key, value in self._variables(host).items()
            if key not in (name, "hostvars", "groups")
        )

    def location(self, host: str, name: str) -> str | None:
        """Return file and line of the active definition of a variable, None if they are unknown."""
        # Not by name: the key that Ansible read has an origin.
        for key, value in self._variables(host).items():
            if key == name:
                location = _location(key, value)
                if location is None:
                    return None
                return f"{os.path.relpath(location.path)}:{location.line}"
        return None

    def find_file(self, role: str, host: str, name: str) -> str:
        """Return the path of a file of the controller, found as the tasks of a role find it.

        Raise CatalogError if there is none.
        """
        stack = [str(ROLES / role), str(ROLES / role / "tasks")]
        find = partial(self._loader.path_dwim_relative_stack, stack, "files")
        try:
            return controller_files.find(name, self._variables(host), find)
        except controller_files.MissingFile as error:
            raise CatalogError(str(error)) from None

    def read_file(self, path: str) -> bytes:
        """Return the content of a file of the controller, decrypted if Ansible Vault encrypted it.

        Raise CatalogError if it cannot be read.
        """
        try:
            content = Path(path).read_bytes()
            if not content.startswith(VAULT_HEADER):
                return content
            copy = self._loader.get_real_file(path)
            try:
                return Path(copy).read_bytes()
            finally:
                self._loader.cleanup_tmp_file(copy)
        except (AnsibleError, OSError) as error:
            raise CatalogError(f"{path}: it cannot be read: {error}") from error

    def _variables(self, host: str) -> dict[str, Value]:
        """Return the variables of a host, not templated: unrelated ones may have errors."""
        if host not in self._raw_variables:
            variables = self._hostvars.raw_get(host)
            self._raw_variables[host] = {**variables, "hostvars": self._hostvars}
        return self._raw_variables[host]

    def _template(
        self,
        variables: Mapping[str, Value],
        template: Value,
        subject: str,
    ) -> Value:
        self._templar.available_variables = variables
        try:
            value = self._templar.template(template)
            if Origin is None:
                # A vaulted string is decrypted on its first use.
                repr(value)
            return value
        except Exception as error:
            # A filter may raise anything, and ansible-core before 2.19 does not wrap it.
            message = str(error).removesuffix(".")
            is_vaulted = re.search("vault.?secret", message, re.IGNORECASE)
            remedy = VAULT if is_vaulted else "correct the value"
            raise CatalogError(f"{subject}: {message}; {remedy}.") from error


# The hostvars of the last call in this process, and the inventory that was built from them.
_last: list[Any] = []


def inventory_of(
    loader: Any,
    variables: Mapping[str, Value],
) -> Inventory:
    """Return the inventory of a task with these variables.

    A task runs in a process of its own, in which no variable changes. It queries the inventory many
    times, and gathering the variables of a host is the slow part, so the inventory is kept there.
    The process that starts the tasks lives on and keeps nothing.
    """
    hostvars = variables["hostvars"]
    if _last and _last[0] is hostvars:
        last: Inventory = _last[1]
        return last
    inventory = Inventory(loader, variables["groups"], hostvars)
    if multiprocessing.parent_process():
        _last[:] = [hostvars, inventory]
    return inventory


def has_path(value: Value, keys: list[str]) -> bool:
    """Return whether nested dicts have a value at these keys."""
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def _location(key: Value, value: Value) -> Location | None:
    """Return the location of the active definition of a variable.

    If definitions override each other, the key is that of the first one, and the value that of the
    last one.
    """
    first = _origin(key)
    last = _origin(value)
    if last is None and (value is None or isinstance(value, (bool, int, float))):
        # These values have no origin. A string without one comes from a command line.
        last = first
    if last is None:
        return None
    # The key is the better location: a value may begin on a later line.
    is_same_file = first is not None and first.path == last.path
    location = first if is_same_file else last
    if location is None or not (location.path and location.line):
        return None
    return location


def _origin(value: Value) -> Location | None:
    """Return the location from which Ansible read something, None if it is unknown."""
    if Origin is None:
        position = getattr(value, "ansible_pos", None)
        return Location(*position[:2]) if position else None
    origin = Origin.get_tag(value)
    return Location(origin.path, origin.line_num) if origin else None


@cache
def component_roles() -> tuple[str, ...]:
    """Return the names of the roles with a component, sorted."""
    return tuple(sorted(path.parts[-3] for path in ROLES.glob("*/meta/component.yml")))


def all_components() -> list[Component]:
    """Return the components of all roles."""
    return [component_of(role) for role in component_roles()]


def named_component(name: str) -> Component:
    """Return the component of a name, without reading the other roles."""
    role = name.replace("-", "_")
    if role not in component_roles():
        names = ", ".join(role.replace("_", "-") for role in component_roles())
        raise CatalogError(
            f"component {name!r}: does not exist; choose one of: {names}."
        )
    return component_of(role)


@cache
def component_of(role: str) -> Component:
    """Return the component of a role."""
    return catalog.parse_component(
        role, read_yaml(ROLES / role / "meta" / "component.yml")
    )


@cache
def defaults_of(role: str) -> dict[str, Value]:
    """Return the defaults of a role, as templates."""
    defaults = read_yaml(ROLES / role / "defaults" / "main.yml") or {}
    return {name: trusted_as_template(value) for name, value in defaults.items()}


def trusted_as_template(value: Value) -> Value:
    """Return a value of our own roles with each string in it marked as a template."""
    if isinstance(value, dict):
        return {key: trusted_as_template(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [trusted_as_template(element) for element in value]
    return trust_as_template(value) if isinstance(value, str) else value


def read_yaml(path: Path) -> Value:
    """Return the content of a YAML file."""
    with path.open(encoding="utf-8") as stream:
        return yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
