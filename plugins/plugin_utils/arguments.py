# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the inventory's variables are what the roles document, and its groups what the playbooks look for."""

from __future__ import annotations

import difflib
from functools import cache, partial

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import (
    ArgumentTypeError,
    ElementError,
    RequiredError,
    UnsupportedError,
)

from . import inventory as site
from .catalog import CatalogError, Inventory

# The group of all hosts.
ALL = "monitoring"
# How much of a name has to be that of a variable, for people to have meant it.
LIKENESS = 0.85
# Ansible's types of options as people call them; others are texts of some form.
TYPES = {
    "dict": "mapping",
    "list": "list",
    "bool": "boolean",
    "int": "number",
    "float": "number",
    "str": "text",
}

# What all roles share, as README.md has it. What is raw is judged where it is used.
SHARED = {
    f"monitoring_{name}": {"type": kind} for kind, names in (
        ("raw", "environment address serial plaintext_networks tls_certificate tls_key tls_ca"),
        ("raw", "basic_auth_username basic_auth_password basic_auth_hash mirrors archives_dir releases_lock"),
        ("raw", "lock_file lock_roles bundle_architectures bundle_mirrors"),
        ("bool", "lock_replace allow_unlocked adopt"),
        ("int", "prune_max"),
    ) for name in names.split()
}  # fmt: skip


@cache
def options() -> dict:
    """The options of each role, as its argument specification has them, and of all."""
    files = sorted(site.ROLES.glob("*/meta/argument_specs.yml"))
    specified = {
        path.parts[-3]: site.read(path)["argument_specs"]["main"]["options"] for path in files
    }
    return {**specified, ALL: SHARED}


def hosts_of(role: str, inventory: Inventory) -> list:
    """The hosts that a role is for; one without a component goes along with that which its name begins with."""
    components = site.all_components()
    if role == ALL:
        return inventory.all_hosts(components)
    owners = [item for item in components if f"{role}_".startswith(f"{item.role}_")]
    return inventory.hosts(max(owners, key=lambda item: len(item.role))) if owners else []


def checks(inventory: site.Inventory, hosts: list) -> list:
    """What has to be asked to know each variable of some hosts that has not the type that its role documents."""
    return [
        partial(wrong, role, host, {name: known[name] for name in inventory.named(host) if name in known}, inventory)
        for role, known in options().items() for host in hosts_of(role, inventory) if host in hosts
    ]  # fmt: skip


def wrong(role: str, host: str, spec: dict, inventory: site.Inventory) -> list:
    """What is wrong with a host's variables of a role, in sentences that tell no secret."""
    found = []
    for name, option in spec.items():
        try:
            value = inventory.variable(host, name)
        except CatalogError as error:
            found.append(str(error))
            continue
        messages = refusals(name, option, value) or absent(role, option, value, inventory)
        found += [f"{name} of {host}: {message}." for message in messages]
    return found


def absent(role: str, option: dict, value: object, inventory: site.Inventory) -> list:
    """Which files of the controller are named and not there; those of hosts are texts, not paths."""
    found = []
    named = value if isinstance(value, list) else [value]
    for path in named if "path" in (option.get("type"), option.get("elements")) else ():
        try:
            inventory.file(role, str(path)) if path else None
        except CatalogError as error:
            found.append(str(error))
    return found


def refusals(name: str, option: dict, value: object) -> list:
    """Why a value will not do as an option of a role. Pure."""
    if value is None:
        # A role takes it as it is, and not its default.
        return (
            []
            if option.get("default") in (None, "")
            else ["it has no value; without it the role's default counts"]
        )
    errors = (
        ArgumentSpecValidator({name: option})
        .validate({name: value}, validate_role_argument_spec=True)
        .errors
    )
    messages = [_told(option, error) for error in errors.errors] or _converted(option, value)
    return list(dict.fromkeys(message.removesuffix(".") for message in messages))


def _converted(option: dict, value: object, what: str = "it") -> list:
    """Where something else stands of which Ansible makes what is documented; roles take it as it is.

    Only of a text alone, as it comes from --extra-vars, they make a list of texts.
    """
    kind, parts = option.get("type", "str"), option.get("options") or {}
    if (
        kind == "list"
        and option.get("elements") in ("str", "path")
        and what == "it"
        and not isinstance(value, list)
    ):
        kind = option["elements"]
    if kind == "list" and isinstance(value, list):
        element = {"type": option.get("elements", "raw"), "options": parts}
        return [
            message
            for item in value
            for message in _converted(element, item, f"each element of {what}")
        ]
    if kind == "dict" and isinstance(value, dict):
        named = [(parts[name], part, name) for name, part in value.items() if name in parts]
        return [
            message for *both, name in named for message in _converted(*both, f"{name} in {what}")
        ]
    wrong = isinstance(value, (dict, list)) if kind in ("str", "path") else kind in ("list", "dict")
    return [f"{what} has to be a {TYPES.get(kind, 'text')}"] if wrong and value is not None else []


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
    return bool(option.get("no_log")) or any(
        map(holds_secrets, (option.get("options") or {}).values())
    )


def misspelt(inventory: site.Inventory) -> list:
    """A remark for each variable that no role has and that is nearly one of a role's."""
    first: dict = {}
    for host in sorted(inventory.all_hosts(site.all_components())):
        for name in inventory.named(host):
            first.setdefault(name, host)
    meant = {name: nearest(name, options()) for name in sorted(first)}
    return [
        f"{name} of {first[name]} is no variable of a role; {right} is."
        for name, right in meant.items()
        if right
    ]


def strange_groups(inventory: Inventory) -> list:
    """A remark for each group that is nearly a role's, and one for the hosts that are not in that of all hosts."""
    groups = {
        **dict.fromkeys([item.group for item in site.all_components()], ()),
        **inventory.groups,
    }
    found = []
    for name in sorted(set(groups) - set(site.roles()) - {ALL}):
        for meant in difflib.get_close_matches(name, site.roles(), 1, LIKENESS):
            if others := [host for host in groups[name] if host not in groups[meant]]:
                found.append(
                    f"{', '.join(others)} in the group {name}: no role is called so; {meant} is."
                )
    if apart := [host for host in hosts_of(ALL, inventory) if host not in groups.get(ALL, ())]:
        found.append(
            f"{', '.join(apart)} should be in the group {ALL}, whose hosts status, sweep and uninstall look at."
        )
    return found


def nearest(name: str, known: dict) -> str:
    """The variable that somebody meant, of those of each role; empty if there is none, or if it is right. Pure."""
    others = [
        option for role, own in known.items() if name.startswith(f"{role}_") for option in own
    ]
    if name in others:
        return ""
    return next(iter(difflib.get_close_matches(name, others, 1, LIKENESS)), "")
