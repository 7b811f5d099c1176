# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""This collection's roles, and the inventory of a run, as the catalog asks for them."""

from __future__ import annotations

import multiprocessing
import os
from functools import cache
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.template import Templar

from . import catalog

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core before 2.19 templates every string

    def trust_as_template(value: str) -> str:
        """Give the text back as it is."""
        return value


try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # ansible-core before 2.19 notes it in another way
    Origin = None

ROLES = Path(__file__).parents[2] / "roles"
# Hostvars, and the inventory that was made of them in this process.
_last: list = []


def of(loader: object, variables: dict) -> Inventory:
    """The inventory of a task with these variables.

    A task runs in a process of its own, in which nothing changes; it asks many times, and gathering a host's variables
    is what takes long. The process that starts the tasks lives on and keeps nothing.
    """
    hostvars = variables["hostvars"]
    if _last and _last[0] is hostvars:
        return _last[1]
    found = Inventory(loader, variables["groups"], hostvars)
    if multiprocessing.parent_process():
        _last[:] = [hostvars, found]
    return found


class Inventory(catalog.Inventory):
    """The inventory of this run; each host's variables are gathered once, and templated only where asked for."""

    def __init__(self, loader: object, groups: dict, hostvars: object) -> None:
        self.groups = groups
        self._hostvars = hostvars
        self._loader = loader
        self._templar = Templar(loader=loader)
        self._gathered: dict = {}
        self._known: dict = {}

    def variable(self, host: str, name: str) -> object:
        """See the base class."""
        if (host, name) not in self._known:
            variables = self._variables(host)
            self._known[host, name] = self._template(
                variables, variables.get(name), f"{name} of {host}"
            )
        return self._known[host, name]

    def setting(self, host: str, item: catalog.Component, name: str) -> object:
        """See the base class."""
        variables = {**defaults(item.role), **self._variables(host)}
        return self._template(variables, variables.get(name), f"{name} of {host}")

    def render(
        self, host: str, item: catalog.Component, value: object, instance: dict | None = None
    ) -> object:
        """See the base class."""
        variables = {**defaults(item.role), **self._variables(host), "instance": instance}
        return self._template(variables, trusted(value), f"{item.name} on {host}, {value}")

    def named(self, host: str) -> list:
        """The names of a host's variables."""
        return list(self._variables(host))

    def place(self, host: str, name: str) -> str:
        """File and line of the definition of a host's variable that counts, empty where there is none."""
        variables = self._variables(host)
        key, value = next((item for item in variables.items() if item[0] == name), (None, None))
        # Where definitions override each other, the key is that of the first one, and the value that of the last one.
        first, last = _origin(key), _origin(value)
        if last is None:
            # Of a truth value or an empty one nobody knows; texts from a command line are nowhere.
            last = first if value is None or isinstance(value, (bool, int, float)) else None
        path, line = first if first and last and first[0] == last[0] else last or ("", 0)
        return f"{os.path.relpath(path)}:{line}" if path and line else ""

    def file(self, role: str, name: str) -> str:
        """Where a file of the controller is, looked for as the role's tasks do; raises CatalogError without one."""
        places = [str(ROLES / role), str(ROLES / role / "tasks")]
        try:
            return self._loader.path_dwim_relative_stack(places, "files", name)
        except AnsibleError as error:
            raise catalog.CatalogError(f"there is no file {name} on the controller") from error

    def _variables(self, host: str) -> dict:
        if host not in self._gathered:
            # The raw ones: templating all of them would fail on what does not matter here.
            self._gathered[host] = {**self._hostvars.raw_get(host), "hostvars": self._hostvars}
        return self._gathered[host]

    def _template(self, variables: dict, value: object, where: str) -> object:
        self._templar.available_variables = variables
        try:
            found = self._templar.template(value)
            if Origin is None:
                # A vaulted text is decrypted when somebody looks at it.
                repr(found)
            return found
        except Exception as error:
            # A filter may raise anything, and ansible-core before 2.19 lets it pass.
            raise catalog.CatalogError(f"{where}: {error}") from error


def _origin(value: object) -> tuple | None:
    """File and line from which something was read; None where it does not know."""
    if Origin is None:
        return getattr(value, "ansible_pos", ())[:2] or None
    origin = Origin.get_tag(value)
    return origin and (origin.path, origin.line_num)


@cache
def roles() -> tuple:
    """The roles that bring a component, in order of their names."""
    return tuple(sorted(path.parts[-3] for path in ROLES.glob("*/meta/component.yml")))


def all_components() -> list:
    """The components of all roles."""
    return [component_of(role) for role in roles()]


def named_component(name: str) -> catalog.Component:
    """The component of that name, without reading the other roles."""
    role = name.replace("-", "_")
    if role not in roles():
        raise catalog.CatalogError(
            f"There is no component {name!r}; roles with one: {', '.join(roles())}."
        )
    return component_of(role)


@cache
def component_of(role: str) -> catalog.Component:
    """The component that a role brings."""
    return catalog.component(role, read(ROLES / role / "meta" / "component.yml"))


@cache
def defaults(role: str) -> dict:
    """The defaults of a role."""
    return trusted(read(ROLES / role / "defaults" / "main.yml") or {})


def trusted(value: object) -> object:
    """Texts of our own roles, marked for templating wherever they are nested."""
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def read(path: Path) -> object:
    """A YAML file."""
    with path.open(encoding="utf-8") as stream:
        return yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
