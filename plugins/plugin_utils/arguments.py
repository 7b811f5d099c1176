# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Comparison of the inventory's variables and groups with those that the roles document."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache, partial
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import (
    ArgumentTypeError,
    ElementError,
    RequiredError,
    UnsupportedError,
)

from ..module_utils.grafana.files.documents import DocumentError, decode_utf8
from . import controller_files, rule_files, value_checks
from . import inventory as site
from .catalog import CatalogError, Component, Inventory, Value
from .pinned_releases import ARCHIVES
from .preflight import Check

# An option of a role in its argument specification, and the options of a role by name.
Option = Mapping[str, Any]
Options = Mapping[str, Option]

# The group of all hosts.
ALL = "monitoring"
# Similarity above which a name is a likely misspelling of another one.
SIMILARITY = 0.85
# Durations as Prometheus and its relatives write them, the longest unit first, and as Go does. Zero
# has no unit.
DURATION = rule_files.DURATION
GO_DURATION = re.compile(r"0|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")
GO_DURATIONS = {
    "tempo_retention",
    "loki_compaction_interval",
    "loki_retention_delete_delay",
    "otel_collector_metric_expiration",
}
SIZE = re.compile(r"0|\d+(B|[KMGTPE]B)")
RULES = "prometheus_rule_files"
# A message of Ansible about a key that a dict may not have.
UNSUPPORTED = re.compile(
    r"(?P<keys>\S.*)\. Supported parameters include: (?P<known>.*)"
)
# Higher where the name of the role is misspelled, too.
SIMILARITY_WITH_ROLE = 0.92
PREFIXES = tuple(f"{role}_" for role in site.component_roles())
# Lower for groups, of which there are few.
SIMILARITY_OF_GROUPS = 0.8
# The variable with groups that resemble a role's and are right nevertheless.
OTHER_GROUPS = "monitoring_other_groups"
# Ansible's types with their articles; the values of all other types are strings of some form.
TYPES = {
    "dict": "a dict",
    "list": "a list",
    "bool": "a bool",
    "int": "an int",
    "float": "a float",
    "str": "a str",
}
REMEDY = "correct it, or remove it to use the default"
NAMES_OF_SHARED = {
    # The code that uses these checks their values.
    "raw": """
        environment address serial plaintext_networks open_addresses tls_certificate tls_key tls_ca
        basic_auth_username basic_auth_password basic_auth_hash mirrors releases_lock
        lock_file lock_roles bundle_architectures bundle_mirrors other_groups mute_timings
    """,
    "str": "documentation_url heartbeat_url archives_dir",
    "bool": "lock_replace allow_unlocked adopt without_peers",
    "dict": "object_store",
    "int": "prune_max",
}
# The variables that all roles share, as README.md documents them.
SHARED: Options = {
    f"monitoring_{name}": {"type": type_name}
    for type_name, names in NAMES_OF_SHARED.items()
    for name in names.split()
}


@cache
def role_options() -> dict[str, Options]:
    """Return the options of each role from its argument specification, and those of all roles."""
    files = sorted(site.ROLES.glob("*/meta/argument_specs.yml"))
    specified = {path.parts[-3]: site.read_yaml(path) for path in files}
    options = {
        role: specification["argument_specs"]["main"]["options"]
        for role, specification in specified.items()
    }
    return {**options, ALL: SHARED}


def hosts_of(role: str, inventory: Inventory) -> list[str]:
    """Return the hosts to which a role applies.

    A role without a component, such as grafana_content, goes with the one that begins its name.
    """
    components = site.all_components()
    if role == ALL:
        return inventory.all_hosts(components)
    owners = [owner for owner in components if f"{role}_".startswith(f"{owner.role}_")]
    if not owners:
        return []
    return inventory.hosts(max(owners, key=_role_length))


def _role_length(component: Component) -> int:
    return len(component.role)


def type_checks(
    inventory: site.Inventory,
    hosts: list[str],
) -> list[Check]:
    """Return the checks of some hosts' variables against the types that the roles document."""
    checks: list[Check] = []
    for role, options in role_options().items():
        for host in hosts_of(role, inventory):
            if host in hosts:
                names = [
                    name for name in inventory.variable_names(host) if name in options
                ]
                used_options = {name: options[name] for name in names}
                checks.append(partial(type_errors, role, host, used_options, inventory))
    return checks


def type_errors(
    role: str,
    host: str,
    options: Options,
    inventory: site.Inventory,
) -> list[str]:
    """Return the errors of a host's variables of a role, without quoting a secret."""
    errors = []
    for name, option in options.items():
        try:
            value = inventory.variable(host, name)
        except CatalogError as error:
            errors.append(str(error))
            continue
        messages = value_errors(name, option, value)
        if not messages:
            messages = file_errors(role, host, name, option, value, inventory)
        errors += [f"{name} of {host}: {message}." for message in messages]
    return errors


def file_errors(
    role: str,
    host: str,
    name: str,
    option: Option,
    value: Value,
    inventory: site.Inventory,
) -> list[str]:
    """Return the errors of the files of the controller that an option names.

    One may be missing, a rule file may be wrong, and Ansible cannot send a file that is not UTF-8.
    The type ``path`` is for files of the controller; paths on hosts are of the type ``str``.
    """
    values = value if isinstance(value, list) else [value]
    if "path" not in (option.get("type"), option.get("elements")):
        # Items of the module grafana_content, whose paths are those of the controller as well.
        items = [item for item in values if isinstance(item, dict)]
        is_content = name == value_checks.CONTENT
        values = [
            item.get(key)
            for item in items
            for key in value_checks.SOURCES
            if is_content
        ]
    if name == ARCHIVES:
        return _directory_errors(host, str(value or ""), inventory)
    errors = []
    for path in filter(None, values):
        try:
            found = inventory.find_file(role, host, str(path))
            if role != "grafana_content":
                if os.path.isdir(found):
                    errors.append(f"{str(path)!r} is a directory; name a file")
                    continue
                decode_utf8(os.path.relpath(found), inventory.read_file(found))
        except (CatalogError, DocumentError) as error:
            errors.append(str(error))
            continue
        if name == RULES:
            errors += rule_files.errors_of(str(path), found)
    return [error.removesuffix(".") for error in errors]


def _directory_errors(host: str, path: str, inventory: site.Inventory) -> list[str]:
    """Return an error unless the directory with the archives, if any, is on the controller."""
    directory = inventory.variable(host, "inventory_dir")
    found = controller_files.beside_inventory(path, directory)
    if not path or os.path.isdir(found):
        return []
    remedy = (
        "correct the path, which is relative to the inventory, or collect the archives by"
        f" ansible-playbook hippius.monitoring.bundle -e bundle={path}"
    )
    return [f"{path!r} is not a directory on the controller; {remedy}"]


def value_errors(name: str, option: Option, value: Value) -> list[str]:
    """Return the reasons why a role does not accept a value of an option. Pure."""
    if value is None:
        # A role uses an empty value as it is, instead of its default.
        is_default = option.get("default") in (None, "")
        return [] if is_default else [f"has no value; {REMEDY}"]
    validator = ArgumentSpecValidator({name: option})
    result = validator.validate({name: value}, validate_role_argument_spec=True)
    messages = _conversion_errors(option, value)
    if not messages:
        errors = result.errors.errors
        messages = [_validation_message(option, error, value) for error in errors]
    if not messages:
        messages = _unit_errors(name, option.get("default"), value)
        messages += value_checks.errors(name, value)
    return [f"{message}; {REMEDY}" for message in dict.fromkeys(messages)]


def _unit_errors(name: str, default: Value, value: Value, part: str = "") -> list[str]:
    """Return an error for each duration or size without a unit that its program knows.

    A value whose default is a duration is one itself.
    """
    if isinstance(default, dict) and isinstance(value, dict):
        parts = [(key, default[key], value[key]) for key in default if key in value]
        return [
            error
            for key, own_default, own_value in parts
            for error in _unit_errors(name, own_default, own_value, f"{key} ")
        ]
    if not isinstance(default, str) or isinstance(value, (dict, list)):
        return []
    text = str(value)
    if DURATION.fullmatch(default):
        grammar, example = DURATION, "90s, 15m, 12h or 30d"
        if name in GO_DURATIONS:
            grammar, example = GO_DURATION, "90s, 15m or 720h, without days"
        if not grammar.fullmatch(text):
            return [f"{part}must be a duration such as {example}, not {text!r}"]
    elif SIZE.fullmatch(default) and not SIZE.fullmatch(text):
        return [f"{part}must be a size such as 500MB or 20GB, not {text!r}"]
    return []


def _conversion_errors(
    option: Option,
    value: Value,
    path: str = "",
) -> list[str]:
    """Return an error for each part of a value that Ansible would convert to its documented type.

    Roles use values as they are. They make a list only of a lone string, as --extra-vars yields it.
    """
    type_name = option.get("type", "str")
    elements = option.get("elements")
    if value is None:
        return []
    if type_name == "list" and isinstance(value, list):
        element_option = {"type": elements or "raw", "options": option.get("options")}
        element_path = f"each element of {path}" if path else "each element"
        return _errors_of_parts(
            (element_option, element, element_path) for element in value
        )
    if type_name == "dict" and isinstance(value, dict):
        options = option.get("options") or {}
        suffix = f" in {path}" if path else ""
        return _errors_of_parts(
            (options[name], part, f"{name}{suffix}")
            for name, part in value.items()
            if name in options
        )
    article = _with_article(type_name)
    if type_name == "list" and elements in ("str", "path") and not path:
        type_name = elements
        article += f" of {elements}"
    if type_name in ("str", "path"):
        is_wrong = isinstance(value, (dict, list))
    else:
        is_wrong = type_name in ("list", "dict")
    if not is_wrong:
        return []
    message = f"{path} must be {article}".lstrip()
    return [f"{message}, not {_type_of(value)}"]


def _errors_of_parts(parts: Iterable[tuple[Option, Value, str]]) -> list[str]:
    return [
        message
        for option, part, path in parts
        for message in _conversion_errors(option, part, path)
    ]


def _validation_message(option: Option, error: Exception, value: Value) -> str:
    """Return an error of Ansible's validation; where Ansible quotes the value, in other words."""
    if isinstance(error, UnsupportedError):
        return _unsupported(str(error).removesuffix("."))
    is_about_type = isinstance(error, (ArgumentTypeError, ElementError))
    is_quoting = is_about_type or has_secrets(option)
    if isinstance(error, RequiredError) or not is_quoting:
        return str(error).removesuffix(".")
    type_name = option.get("type", "str")
    message = f"must be {_with_article(type_name)}"
    elements = option.get("elements")
    if elements in TYPES:
        message += f" of {elements}"
    if isinstance(value, list) and type_name == "list":
        # One of its elements is wrong.
        return message
    is_secret = type_name not in ("bool", "int", "float") or has_secrets(option)
    is_container = isinstance(value, (dict, list))
    return f"{message}, not {_type_of(value) if is_secret or is_container else repr(value)}"


def _unsupported(message: str) -> str:
    """Return Ansible's message about unknown keys with what each of them may be."""
    match = UNSUPPORTED.fullmatch(message)
    if not match:
        return message
    known = match["known"].split(", ")
    problems = []
    for path in match["keys"].split(", "):
        key = path.rpartition(".")[2]
        closest = difflib.get_close_matches(key, known, 1)
        hint = f", did you mean {closest[0]}?" if closest else ""
        problems.append(f"unknown key {key}{hint}")
    return f"{', '.join(problems)} (known are {', '.join(known)})"


def _with_article(type_name: str) -> str:
    return TYPES.get(type_name, TYPES["str"])


def _type_of(value: Value) -> str:
    """Return the type of a value, which itself may be secret, with its article."""
    types = (bool, int, float, dict, list)
    names = [type_.__name__ for type_ in types if isinstance(value, type_)]
    return _with_article(names[0] if names else "str")


def has_secrets(option: Option) -> bool:
    """Return whether an option or a part of it is secret. Pure."""
    if option.get("no_log"):
        return True
    parts = option.get("options") or {}
    return any(has_secrets(part) for part in parts.values())


def misspelled_variables(inventory: site.Inventory) -> list[str]:
    """Return a warning for each variable that looks like one of a role and is none."""
    hosts: dict[str, str] = {}
    for host in sorted(inventory.all_hosts(site.all_components())):
        for name in inventory.variable_names(host):
            hosts.setdefault(name, host)
    options = role_options()
    known = {name for options_of_role in options.values() for name in options_of_role}
    warnings = []
    for name in sorted(set(hosts) - known):
        closest = closest_variable(name, options) or _closest_of_all(name, known)
        remedy = ""
        if closest:
            remedy = f"did you mean {closest}?"
        elif name.startswith(PREFIXES) and not inventory.refers_to(hosts[name], name):
            remedy = "it has no effect; remove it."
        if remedy:
            subject = f"{name} of {hosts[name]}"
            warnings.append(f"{subject}: is not a variable of a role; {remedy}")
    return warnings


def misspelled_names(names: Iterable[str]) -> list[str]:
    """Return a warning for each extra variable that is a likely misspelling of one of a role."""
    options = role_options()
    known = {name for options_of_role in options.values() for name in options_of_role}
    warnings = []
    for name in sorted(set(names) - known):
        closest = closest_variable(name, options) or _closest_of_all(name, known)
        if closest:
            warnings.append(
                f"-e {name}: is no variable of a role; did you mean {closest}?"
            )
    return warnings


def _closest_of_all(name: str, known: Iterable[str]) -> str | None:
    """Return the variable of any role that a name with a misspelled role stands for."""
    if name.startswith(PREFIXES):
        return None
    initial = [variable for variable in known if variable[0] == name[0]]
    matches = difflib.get_close_matches(name, initial, 1, SIMILARITY_WITH_ROLE)
    return matches[0] if matches else None


def closest_variable(
    name: str,
    options: Mapping[str, Options],
) -> str | None:
    """Return the variable that a name is a likely misspelling of, from the options by role. Pure.

    None stands for a name that is right, and for one that resembles no variable.
    """
    variables = [
        variable
        for role, options_of_role in options.items()
        if name.startswith(f"{role}_")
        for variable in options_of_role
    ]
    if name in variables:
        return None
    return _closest(name, variables)


def _closest(name: str, candidates: Iterable[str]) -> str | None:
    matches = difflib.get_close_matches(name, candidates, 1, SIMILARITY)
    return matches[0] if matches else None


def misspelled_groups(inventory: Inventory) -> dict[str, list[str]]:
    """Return an error for each group that resembles that of a role, with its hosts.

    A component is removed from a host outside of its group, so a misspelling may not pass. A group
    whose hosts are all in the role's own group as well is right.
    """
    errors = {}
    for name in sorted(set(inventory.groups) - {*site.component_roles(), ALL}):
        role = _closest_role(name)
        if not role:
            continue
        role_hosts = inventory.groups.get(role, ())
        hosts = [host for host in inventory.groups[name] if host not in role_hosts]
        if hosts and name not in _other_groups(inventory, hosts[0]):
            message = (
                f"group {name} ({', '.join(hosts)}): no role has this name; did you mean {role}?"
                f" Rename it, or add it to {OTHER_GROUPS}."
            )
            errors[message] = hosts
    return errors


def _other_groups(inventory: Inventory, host: str) -> list[str]:
    names = inventory.variable(host, OTHER_GROUPS) or []
    return [names] if isinstance(names, str) else list(names)


def _closest_role(name: str) -> str | None:
    """Return the role or the group of all hosts that a group's name is a misspelling of."""
    letters = _letters(name)
    roles = {_letters(role): role for role in site.component_roles()}
    matches = difflib.get_close_matches(letters, roles, 1, SIMILARITY_OF_GROUPS)
    if matches:
        return roles[matches[0]]
    # Words such as monitor and monitored are names of other groups.
    return ALL if difflib.get_close_matches(letters, [ALL], 1, 0.9) else None


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def group_warnings(inventory: Inventory) -> list[str]:
    """Return a warning for hosts with a component outside the group ALL."""
    members = inventory.groups.get(ALL, ())
    outsiders = [host for host in hosts_of(ALL, inventory) if host not in members]
    if not outsiders:
        return []
    users = "status, prune and uninstall cover"
    problem = f"not in the group {ALL}, which {users}"
    return [f"{', '.join(outsiders)}: {problem}; add each of these hosts to it."]
