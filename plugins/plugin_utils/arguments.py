# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the inventory's variables are what the roles document. Ansible itself asks when a role's turn comes."""

from __future__ import annotations

import difflib
from functools import cache, partial

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import ArgumentTypeError, ElementError, RequiredError, UnsupportedError

from ..module_utils.catalogue import CatalogueError, Inventory
from . import inventory as site

# How much of a name has to be that of a variable, for people to have meant it.
LIKENESS = 0.85
# Ansible's types of options as people call them; others are texts of some form.
TYPES = {"dict": "mapping", "list": "list", "bool": "boolean", "int": "number", "float": "number", "str": "text"}


@cache
def options() -> dict:
    """The options of each role, as its argument specification has them."""
    files = sorted(site.ROLES.glob("*/meta/argument_specs.yml"))
    return {path.parts[-3]: site.read(path)["argument_specs"]["main"]["options"] for path in files}


def hosts_of(role: str, inventory: Inventory) -> list:
    """The hosts that a role is for; one without a component goes along with that which its name begins with."""
    owners = [item for item in site.all_components() if f"{role}_".startswith(f"{item.role}_")]
    return inventory.hosts(max(owners, key=lambda item: len(item.role))) if owners else []


def checks(inventory: site.Inventory) -> list:
    """What has to be asked to know each variable that has not the type that its role documents."""
    return [
        partial(wrong, host, {name: known[name] for name in inventory.named(host) if name in known}, inventory)
        for role, known in options().items() for host in hosts_of(role, inventory)
    ]  # fmt: skip


def wrong(host: str, spec: dict, inventory: Inventory) -> list:
    """What is wrong with a host's variables, in sentences that tell no secret."""
    found = []
    for name, option in spec.items():
        try:
            value = inventory.variable(host, name)
        except CatalogueError as error:
            found.append(str(error))
            continue
        if value is not None:
            found += [f"{name} of {host}: {message}." for message in refusals(name, option, value)]
    return found


def refusals(name: str, option: dict, value: object) -> list:
    """Why a value will not do as an option of a role. Pure."""
    errors = ArgumentSpecValidator({name: option}).validate({name: value}, validate_role_argument_spec=True).errors
    messages = [_told(option, error) for error in errors.errors]
    return list(dict.fromkeys(message.removesuffix(".") for message in messages))


def _told(option: dict, error: Exception) -> str:
    """An error of Ansible's validation; where it quotes what it cannot convert, in words of our own."""
    if isinstance(error, (RequiredError, UnsupportedError)):
        return str(error)
    if isinstance(error, (ArgumentTypeError, ElementError)) or holds_secrets(option):
        elements = f" of {TYPES[option['elements']]}s" if option.get("elements") in TYPES else ""
        return f"it has to be a {TYPES.get(option.get('type'), 'text')}{elements}"
    return str(error)


def holds_secrets(option: dict) -> bool:
    """Whether an option or a part of it is a secret. Pure."""
    return bool(option.get("no_log")) or any(map(holds_secrets, (option.get("options") or {}).values()))


def misspelt(inventory: site.Inventory) -> list:
    """A remark for each variable that no role has and that is nearly one of a role's."""
    used = {
        (name, host)
        for item in site.all_components()
        for host in inventory.hosts(item)
        for name in inventory.named(host)
    }
    meant = {name: nearest(name, options()) for name in dict.fromkeys(name for name, _host in sorted(used))}
    return [
        f"{name} of {next(host for other, host in sorted(used) if other == name)} is no variable of a role; {right} is."
        for name, right in meant.items() if right
    ]  # fmt: skip


def nearest(name: str, known: dict) -> str:
    """The variable that somebody meant, of those of each role; empty if there is none, or if it is right. Pure."""
    others = [option for role, own in known.items() if name.startswith(f"{role}_") for option in own]
    if name in others:
        return ""
    return next(iter(difflib.get_close_matches(name, others, 1, LIKENESS)), "")
