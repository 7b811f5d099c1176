# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reasons why a configuration file of the user's own cannot work on a host, found in the file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from ..module_utils.grafana.files.documents import Document, DocumentError
from . import catalog, environment, own_files, transport
from .catalog import CatalogError, Component
from .inventory import Inventory
from .own_files import Facts, Found
from .yaml_documents import parse_document

if TYPE_CHECKING:
    from ..module_utils.grafana.files.documents import Steps

PROMETHEUS = "prometheus"
# Variables that systemd or the role sets.
PRESENT = (
    "GOMEMLIMIT",
    "HOME",
    "LANG",
    "LOGNAME",
    "PATH",
    "SHELL",
    "STATE_DIRECTORY",
    "USER",
)
EXPAND_FLAG = "config.expand-env"
EXPANSION = re.compile(rf"--?{re.escape(EXPAND_FLAG)}(?:=(.*))?")
# What strconv.ParseBool of Go takes for false.
FALSE = ("0", "f", "F", "false", "FALSE", "False")
# They separate paths of units, or begin one of systemd's own names.
UNSHOWN = re.compile(r"[:\s%\"'\\]")
# Directories that the unit of Promtail hides, except for what its role shows.
HIDDEN = (
    "/boot",
    "/etc/letsencrypt",
    "/etc/ssh",
    "/etc/ssl/private",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run/containerd",
    "/run/docker",
    "/run/log",
    "/run/secrets",
    "/run/user",
    "/srv",
    "/tmp",
    "/var",
)
# Where other programs usually expect discovered targets; a rollout replaces the directory.
REPLACED = "/etc/prometheus/"
TARGETS = "/var/lib/prometheus/targets"


class Requirement(TypedDict, total=False):
    """An element of the option ``requires`` of the component module."""

    path: str
    address: str
    host: str
    subject: str
    optional: bool


class Blocker(NamedTuple):
    """A reason, with the place in the file and the variable that names it."""

    at: str
    subject: str
    reason: str


class Own(NamedTuple):
    """A configuration of the user's own for a component on a host."""

    component: Component
    host: str
    variable: str
    document: Document
    facts: Facts
    instance: catalog.Instance | None = None

    def blocker(
        self,
        steps: Steps,
        reason: str,
    ) -> Blocker:
        """Return a reason that a value of the file gives."""
        path = ".".join(map(str, steps))
        return Blocker(self.document.at(*steps), f"{path} ({self.variable}", reason)


def blockers(
    components: Iterable[Component],
    inventory: Inventory,
    hosts: list[str],
) -> list[str]:
    """Return a sentence for each reason, with all hosts to which it applies."""
    found: dict[Blocker, list[str]] = {}
    messages = []
    for component in components:
        for host in inventory.hosts(component):
            if host not in hosts:
                continue
            try:
                for blocker in _of_host(component, host, inventory):
                    found.setdefault(blocker, []).append(host)
            except CatalogError as error:
                messages.append(str(error))
    for (at, subject, reason), names in found.items():
        on_hosts = ", ".join(dict.fromkeys(names))
        messages.append(f"{at}: {subject} of {on_hosts}): {reason}.")
    return list(dict.fromkeys(messages))


def warnings(
    components: Iterable[Component],
    inventory: Inventory,
) -> list[str]:
    """Return a warning for each file of targets that a rollout would move away."""
    messages = []
    for component in components:
        if component.role != PROMETHEUS:
            continue
        for host in inventory.hosts(component):
            try:
                own = list(_configurations(component, host, inventory))
            except CatalogError:
                # The check of the inventory reports it.
                continue
            for one in own:
                messages += [
                    f"{one.document.at(*found.steps)}: {found.value} ({one.variable} of {host}): a"
                    f" rollout replaces {REPLACED}; keep targets below {TARGETS}."
                    for found in one.facts.discovered
                    if found.value.startswith(REPLACED)
                    or not found.value.startswith("/")
                ]
    return list(dict.fromkeys(messages))


def _of_host(
    component: Component,
    host: str,
    inventory: Inventory,
) -> Iterator[Blocker]:
    is_dev = inventory.variable(host, catalog.ENVIRONMENT) == catalog.DEV
    yield from _odd_variables(component, host, inventory)
    if component.role == "promtail":
        yield from _odd_paths(component, host, inventory)
    if not is_dev:
        for own in _flags(component, host, inventory):
            yield from _exposed(own, inventory)
    for own in _configurations(component, host, inventory):
        if not is_dev:
            yield from _exposed(own, inventory)
        if own.variable.endswith("_config_file"):
            yield from _missing_listeners(own, inventory)
            yield from _misplaced_data(own)
            yield from _unset_variables(own, inventory)
        if component.role == "promtail":
            yield from _hidden(own, inventory)


def _odd_variables(
    component: Component,
    host: str,
    inventory: Inventory,
) -> Iterator[Blocker]:
    """Yield the variables of a program's environment that it could not read."""
    variable = f"{component.role}_environment"
    values = inventory.variable(host, variable)
    at = inventory.location(host, variable) or variable
    for name, value in values.items() if isinstance(values, dict) else ():
        problem = environment.problem(name, value)
        if problem:
            yield Blocker(at, f"{name!r} ({variable}", problem)


def _odd_paths(
    component: Component,
    host: str,
    inventory: Inventory,
) -> Iterator[Blocker]:
    """Yield the paths that the unit of Promtail cannot show as they are meant."""
    variable = "promtail_read_paths"
    values = inventory.role_variable(host, component, variable) or []
    at = inventory.location(host, variable) or variable
    for path in _strings(values):
        problem = path_problem(path)
        if problem:
            yield Blocker(at, f"{path!r} ({variable}", problem)


def path_problem(path: str) -> str | None:
    """Return why a unit cannot show a path, or None."""
    if not path.startswith("/"):
        return "is not absolute; write a path from the root, such as /var/log"
    if own_files.GLOB.search(path):
        return "is a pattern; write the directory in which the files are"
    odd = UNSHOWN.search(path)
    if odd:
        return f"has {odd[0]!r}, which systemd does not take as a part of a path; write another"
    if ".." in path.split("/"):
        return "has .. in it; write the path that is meant"
    return None


def _flags(
    component: Component,
    host: str,
    inventory: Inventory,
) -> Iterator[Own]:
    """Yield the addresses in flags of the user's own, of each instance as well."""
    role = component.role
    if component.instances:
        variable = f"{role}_instances"
        instances = inventory.variable(host, variable)
        owners = instances if isinstance(instances, list) else []
    else:
        variable = f"{role}_flags"
        owners = [{"flags": inventory.variable(host, variable)}]
    name = inventory.location(host, variable) or variable
    for owner in owners:
        flags = owner.get("flags") if isinstance(owner, dict) else None
        facts = own_files.facts_of_flags(_strings(flags or []))
        if facts.listeners:
            yield Own(
                component,
                host,
                variable,
                Document(name, None),
                facts,
                owner if component.instances else None,
            )


def _configurations(
    component: Component,
    host: str,
    inventory: Inventory,
) -> Iterator[Own]:
    """Yield the file of the user's own, and variables that have parts of a configuration."""
    role = component.role
    variable = f"{role}_config_file"
    file = inventory.variable(host, variable)
    if isinstance(file, str) and file and role in own_files.READERS:
        try:
            path = inventory.find_file(role, host, file)
            content = inventory.read_file(path)
        except CatalogError:
            # Another check reports it.
            return
        relative = os.path.relpath(path)
        name = path if relative.startswith("..") else relative
        document = _parsed(role, name, content)
        facts = own_files.facts_of(role, document.content)
        yield Own(
            component,
            host,
            variable,
            document,
            facts,
        )
        return
    variable = f"{role}_scrape_configs"
    jobs = inventory.variable(host, variable)
    if isinstance(jobs, list) and jobs and role in own_files.READERS:
        name = inventory.location(host, variable) or variable
        parts: dict[str, Any] = {"scrape_configs": jobs}
        if role == "promtail":
            parts["positions"] = {"filename": "/var/lib/promtail/positions.yaml"}
        facts = own_files.facts_of(role, parts)
        yield Own(
            component,
            host,
            variable,
            Document(name, parts),
            facts,
        )


@cache
def _parsed(
    role: str,
    name: str,
    content: bytes,
) -> Document:
    """Return a parsed file; an invalid one is left to other checks and the program's own."""
    if role == PROMETHEUS and b"file_sd_configs" not in content:
        # It may have megabytes of targets, and nothing else of it is judged.
        return Document(name, None)
    try:
        return parse_document(name, content)
    except DocumentError:
        return Document(name, None)


def _exposed(
    own: Own,
    inventory: Inventory,
) -> Iterator[Blocker]:
    """Yield the listeners that others would reach although the inventory does not say so."""
    listed = _listed(own, inventory)
    open_addresses = inventory.variable(own.host, transport.OPEN_VARIABLE) or []
    trusted = [open_addresses] if isinstance(open_addresses, str) else open_addresses
    for listener in own.facts.listeners:
        if not _is_public(listener.host, own.host, inventory):
            continue
        address = catalog.host_port(listener.host or "0.0.0.0", listener.port)
        if any(_covers(*_split(one), listener) for one in trusted):
            continue
        is_listed = any(_covers(host, port, listener) for host, port in listed)
        if is_listed and listener.uses_tls:
            continue
        fault = (
            "it answers other hosts in plain text"
            if is_listed
            else "it is open to other hosts"
        )
        allowed = ", ".join(catalog.host_port(*one) for one in dict.fromkeys(listed))
        yield own.blocker(
            listener.steps,
            f"listens on {address}, so {fault}, while the inventory has {allowed}; set the"
            f" inventory's address, or list {address} in {transport.OPEN_VARIABLE}",
        )


def _is_public(
    bind_host: str,
    host: str,
    inventory: Inventory,
) -> bool:
    """Return whether other hosts reach an address in the file without a trusted network."""
    is_known = not bind_host or transport.parse_ip(bind_host) is not None
    return is_known and not catalog.allows_plaintext(bind_host, host, inventory)


def _covers(
    host: str,
    port: str,
    listener: own_files.Listener,
) -> bool:
    is_every = transport.is_wildcard(host)
    return port == listener.port and (is_every or host == listener.host)


def _split(address: Any) -> tuple[str, str]:
    host, _colon, port = str(address).rpartition(":")
    return host.strip("[]"), port


def _listed(
    own: Own,
    inventory: Inventory,
) -> list[catalog.BindAddress]:
    """Return the addresses that the inventory's variables have."""
    component = own.component
    return [
        address
        for name in component.listen_addresses
        for address in catalog.bind_addresses_of(
            catalog.Listener(component, name, own.host, own.instance), inventory
        )
    ]


def _missing_listeners(
    own: Own,
    inventory: Inventory,
) -> Iterator[Blocker]:
    """Yield the addresses of the inventory that the file does not open."""
    if not own.facts.is_complete or not own.facts.listeners:
        return
    opened = [(_name(one.host), one.port) for one in own.facts.listeners]
    for address in _listed(own, inventory):
        if not {("", address.port), (_name(address.host), address.port)} & set(opened):
            present = ", ".join(
                catalog.host_port(host or "0.0.0.0", port) for host, port in opened
            )
            yield Blocker(
                own.document.name,
                f"the file ({own.variable}",
                f"does not listen on {catalog.host_port(*address)}, which the inventory has, but on"
                f" {present}; add the address, or correct its variable",
            )


def _name(host: str) -> str:
    return "localhost" if transport.is_loopback(host) else host


def _misplaced_data(own: Own) -> Iterator[Blocker]:
    name = own.component.name
    for steps, path in own.facts.data:
        if own_files.EXPANDED in path or not path.startswith("/"):
            continue
        if not _is_below(path, [f"/var/lib/{name}"]):
            yield own.blocker(
                steps,
                f"{path} is outside of /var/lib/{name}, the only directory in which {name} may"
                " write and which a restart keeps; set a path below it",
            )


def _unset_variables(
    own: Own,
    inventory: Inventory,
) -> Iterator[Blocker]:
    """Yield the variables of the environment that the file uses and nothing sets."""
    role, host = own.component.role, own.host
    variable = f"{role}_environment"
    own_variables = inventory.variable(host, variable) or {}
    flags = inventory.variable(host, f"{role}_flags") or []
    expands = role == "otel_collector" or expands_variables(_strings(flags))
    for steps, name in own.facts.variables:
        if not expands:
            reason = (
                f"${{{name}}} is not expanded; add -{EXPAND_FLAG}=true to {role}_flags"
            )
            yield own.blocker(
                steps,
                reason,
            )
        elif name not in own_variables and name not in PRESENT:
            yield own.blocker(
                steps,
                f"{name} is not set; set it in {variable}",
            )


def expands_variables(flags: list[str]) -> bool:
    """Return whether the last of the flags for it lets a program expand variables."""
    values = [match[1] for match in map(EXPANSION.fullmatch, flags) if match]
    return bool(values) and values[-1] not in FALSE


def _hidden(
    own: Own,
    inventory: Inventory,
) -> Iterator[Blocker]:
    """Yield what Promtail is told to read and its unit does not show."""
    host, component = own.host, own.component
    paths = inventory.role_variable(host, component, "promtail_read_paths") or []
    root = inventory.role_variable(host, component, "promtail_docker_root")
    visible = [*_strings(paths), f"{root}/containers", "/var/lib/promtail"]
    for steps, pattern in own.facts.read:
        directory = own_files.static_directory(pattern)
        if _is_below(directory, HIDDEN) and not _is_below(directory, visible):
            yield own.blocker(
                steps,
                f"{pattern} is hidden from Promtail; add {directory} to promtail_read_paths",
            )
    if own.facts.sockets and not inventory.variable(host, "promtail_docker_socket"):
        for steps, path in own.facts.sockets:
            yield own.blocker(
                steps,
                f"{path} is hidden from Promtail; set promtail_docker_socket, or use the targets in"
                " /run/promtail-targets/docker.json (file_sd_configs)",
            )


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value]


def _is_below(
    path: str,
    directories: Iterable[str],
) -> bool:
    """Return whether a path is one of some directories or in one of them."""
    normal = f"{_normal(path)}/"
    return any(normal.startswith(f"{_normal(one)}/") for one in directories)


def _normal(path: str) -> str:
    """Return a path without its redundant parts; "" for the root."""
    normal = os.path.normpath(path).replace("//", "/")
    return "" if normal == "/" else normal


def prerequisites(
    role: str,
    content: Any,
    name: str,
) -> list[Requirement]:
    """Return what a configuration requires of its host, for the component module.

    ``name`` is the file of the configuration, for messages.
    """
    facts = own_files.facts_of(role, content)
    requires: list[Requirement] = []

    def add(
        kind: Literal["path", "host", "address"],
        value: str,
        found: Found,
    ) -> None:
        subject = f"{'.'.join(map(str, found.steps))} of {name}"
        requirement = Requirement(subject=subject, optional=kind != "address")
        requirement[kind] = value
        requires.append(requirement)

    for found in facts.read:
        add("path", own_files.static_directory(found.value), found)
    for found in facts.clients:
        host = _split(found.value)[0]
        if transport.parse_ip(host) is None:
            add("host", host, found)
    for found in facts.storage:
        add("address", found.value, found)
    return requires
