# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reasons why an inventory cannot be rolled out, found before any host is contacted. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial

from . import catalog, transport
from .catalog import (
    DEV,
    ENVIRONMENT,
    CatalogError,
    Component,
    Instance,
    Inventory,
    Listener,
    RequiredVariable,
    Value,
)

# A function that returns blockers, or raises CatalogError with one per line.
Check = Callable[[], list[str]]
# The group whose hosts scrape all components.
SCRAPER = "prometheus"
# A message that begins with file and line, and names its variable after them.
LOCATED = re.compile(r"[^\s:]+(?::\d+)?: \S[^:]*\(\w+ of ")
# What precedes the name of a host in a message.
BEFORE_HOST = r"(?:\b(?:of|on|from|leads|hosts|and) |, )"
# A blocker of one variable of one host.
OF_VARIABLE = re.compile(r"(?P<variable>\w+) of (?P<host>\S+): (?P<message>.*)")


def blockers(
    components: list[Component],
    inventory: Inventory,
    hosts: list[str],
    *more_checks: Check,
) -> list[str]:
    """Return the reasons why nothing can be rolled out to ``hosts``, as sentences.

    Each is ``<object>: <what is wrong>; <what to do>``.
    """
    without_environment = [
        host for host in hosts if not inventory.variable(host, ENVIRONMENT)
    ]
    if without_environment:
        message = (
            f"{ENVIRONMENT} of {', '.join(without_environment)}: is not set; set it in the"
            " inventory's group_vars to the environment's name, such as dev or prod."
        )
        return [message]
    messages: list[str] = []
    for check in (*_checks(components, inventory, hosts), *more_checks):
        messages += _run(check)
    followed = {
        name: required["follows"]
        for component in components
        for name, required in component.required_variables.items()
        if "follows" in required
    }
    return _deduplicate(_without_followers(list(dict.fromkeys(messages)), followed))


def _without_followers(messages: list[str], followed: dict[str, str]) -> list[str]:
    """Return messages without those of a variable whose default has a message of its own."""
    matches = {message: OF_VARIABLE.fullmatch(message) for message in messages}
    named = {match["variable"] for match in matches.values() if match}
    return [
        message
        for message, match in matches.items()
        if not match or followed.get(match["variable"]) not in named
    ]


def _run(check: Check) -> list[str]:
    try:
        return check()
    except CatalogError as error:
        return str(error).splitlines()


def _deduplicate(messages: list[str]) -> list[str]:
    """Return one message for all hosts of a variable, and drop those that follow from others.

    A message follows from another one if it quotes it, as the error of a lookup in a template does,
    or if its subject is the template of a variable that has a message of its own.
    """
    matches = [match for match in map(OF_VARIABLE.fullmatch, messages) if match]
    wrong = {(match["host"], match["variable"]) for match in matches}
    causes = {message.removesuffix(".") for message in messages}
    lengths = {len(cause) for cause in causes}
    hosts: dict[tuple[str, str], list[str]] = {}
    for message in messages:
        if _quotes_any(message, causes, lengths) or wrong & _templates_in(message):
            continue
        match = OF_VARIABLE.fullmatch(message)
        if match:
            key = (match["variable"], match["message"])
            hosts.setdefault(key, []).append(match["host"])
        else:
            hosts[("", message)] = []
    return [_of_hosts(*key, names) for key, names in hosts.items()]


def _templates_in(message: str) -> set[tuple[str, str]]:
    """Return host and variable of each template that is a message's subject."""
    templates = set(re.findall(r" on (\S+?)[,:] \{\{ (\w+) \}\}", message))
    of_instance = re.match(r"(\S+) on (\S+?), \{\{ instance\.", message)
    if of_instance:
        instances = f"{of_instance[1].replace('-', '_')}_instances"
        templates.add((of_instance[2], instances))
    return templates


def _quotes_any(message: str, causes: set[str], lengths: set[int]) -> bool:
    """Return whether a message is the error of a template that quotes another message.

    A fleet has as many messages as hosts, so each is looked up rather than searched for.
    """
    starts = [match.end() for match in re.finditer(": ", message)]
    for start in starts:
        if any(message[start : start + length] in causes for length in lengths):
            return True
    ends = [match.start() for match in re.finditer("; ", message)]
    return any(message[:end] in causes for end in ends)


def _of_hosts(variable: str, message: str, hosts: list[str]) -> str:
    if not variable:
        return message
    return f"{variable} of {', '.join(hosts)}: {message}"


def _checks(
    components: list[Component],
    inventory: Inventory,
    hosts: list[str],
) -> list[Check]:
    """Return the checks of some hosts and their components."""
    checks: list[Check] = []
    for component in components:
        for host in _selected(inventory.hosts(component), hosts):
            checks.append(partial(_no_instances, component, host, inventory))
            checks.append(partial(_empty_secrets, component, host, inventory))
            checks.append(partial(_required_variables, component, host, inventory))
    for host in hosts:
        present = [
            component for component in components if host in inventory.hosts(component)
        ]
        checks.append(partial(_incomplete_credentials, host, inventory))
        checks.append(partial(_open_addresses, host, inventory))
        checks.append(partial(_plaintext_listeners, present, host, inventory))
        checks.append(partial(_address_conflicts, present, host, inventory))
        for component in present:
            checks.append(partial(_unreachable, component, components, host, inventory))
    for host in _selected(inventory.groups.get(SCRAPER) or [], hosts):
        # A configuration file of the user's own has scrape jobs of the user's own.
        if not inventory.variable(host, f"{SCRAPER}_config_file"):
            checks.append(partial(_unscrapable, components, host, inventory))
    return checks


def _selected(hosts: Iterable[str], selection: list[str]) -> list[str]:
    return [host for host in hosts if host in selection]


def _unscrapable(
    components: list[Component],
    client_host: str,
    inventory: Inventory,
) -> list[str]:
    """Raise CatalogError unless ``client_host`` can scrape all components."""
    catalog.scrape_jobs(components, inventory, client_host)
    return []


def _no_instances(
    component: Component,
    host: str,
    inventory: Inventory,
) -> list[str]:
    """Return a blocker for a component of several instances that has none on its host."""
    if not component.instances or catalog.instances_of(component, host, inventory):
        return []
    remedy = f"list them, or remove the host from the group {component.group}"
    return [f"{component.role}_instances of {host}: is empty; {remedy}."]


def _empty_secrets(
    component: Component,
    host: str,
    inventory: Inventory,
) -> list[str]:
    """Return a blocker for each empty secret, such as one that the environment lacks."""
    variable = f"{component.role}_secrets"
    secrets = inventory.variable(host, variable)
    if not isinstance(secrets, dict):
        # Another check reports the type.
        return []
    empty = [file for file, value in secrets.items() if not value]
    return [
        f"{file} in {variable} of {host}: is empty; set its value." for file in empty
    ]


def _required_variables(
    component: Component,
    host: str,
    inventory: Inventory,
) -> list[str]:
    """Return a blocker for each required variable that is not set or may not have its value."""
    messages: list[str] = []
    for instance in catalog.instances_of(component, host, inventory):
        for name, required in component.required_variables.items():
            subject = f"{name} of {host}"
            if instance:
                subject += f", instance {instance.get('name')}"
            check = partial(
                _check_value,
                name,
                subject,
                required,
                component,
                host,
                inventory,
                instance,
            )
            messages += _run(check)
    return messages


def _unset(
    name: str,
    required: RequiredVariable,
    component: Component,
    host: str,
    inventory: Inventory,
) -> str:
    """Return what is wrong with an empty value, and how to make one."""
    variable = inventory.environment_variable(host, name)
    command = required.get("command")
    if variable and command:
        export = f'export {variable}="$({command})" once and keep the value'
        example = f"{export}, or run the playbook secrets"
        return f"the environment variable {variable} is empty; {example}."
    alternative = required.get("alternative")
    choice = f", or set {alternative}" if alternative else ""
    if variable:
        return f"the environment variable {variable} is empty; export it{choice}."
    source = f", made for example by: {command}" if command else ""
    return f"is not set; set the value that {component.name} requires{choice}{source}."


def _check_value(
    name: str,
    subject: str,
    required: RequiredVariable,
    component: Component,
    host: str,
    inventory: Inventory,
    instance: Instance | None,
) -> list[str]:
    own_file = inventory.variable(host, f"{component.role}_config_file")
    # A configuration file of the user's own may do without a variable, but not use an example.
    is_optional = bool(own_file) and not required.get("always")
    try:
        value = inventory.render(host, component, required["value"], instance)
    except CatalogError:
        if is_optional:
            return []
        raise
    if value:
        environment = inventory.variable(host, ENVIRONMENT)
        return _value_blockers(subject, value, required, environment)
    if is_optional:
        return []
    return [f"{subject}: {_unset(name, required, component, host, inventory)}"]


def _value_blockers(
    subject: str,
    value: Value,
    required: RequiredVariable,
    environment: Value,
) -> list[str]:
    """Return a blocker for a value that is refused, without quoting it: it may be secret."""
    pattern = required.get("refused")
    if pattern and re.search(pattern, str(value)):
        return [f"{subject}: {required.get('reason')}; set another value."]
    if environment == DEV:
        return []
    if value in required.get("examples", ()):
        message = (
            f"{subject}: is the example of {DEV}, which is refused in {environment}"
        )
        command = required.get("command")
        source = f", made for example by: {command}" if command else ""
        return [f"{message}; set a value of your own{source}."]
    min_length = required.get("min_length", 0)
    if len(str(value)) < min_length:
        return [
            f"{subject}: is shorter than {min_length} characters; set a longer value."
        ]
    return []


def _incomplete_credentials(
    host: str,
    inventory: Inventory,
) -> list[str]:
    """Return a blocker for each set of TLS or login variables of which a host has only a part."""
    messages = []
    for names in (transport.TLS_VARIABLES, transport.PASSWORD_VARIABLES):
        values = {name: inventory.variable(host, name) for name in names}
        containers = [
            name for name in names if isinstance(values[name], (dict, list, tuple))
        ]
        messages += [
            f"{name} of {host}: must be a str; correct it." for name in containers
        ]
        present = [name for name in names if values[name]]
        missing = [name for name in names if not values[name]]
        if present and missing:
            messages.append(
                f"{' and '.join(missing)} of {host}: must be set together with"
                f" {' and '.join(present)}; set all of them or none."
            )
    return messages


def _open_addresses(
    host: str,
    inventory: Inventory,
) -> list[str]:
    """Return a blocker for each of the addresses that may be open and is none."""
    value = inventory.variable(host, transport.OPEN_VARIABLE) or []
    messages = []
    for address in value if isinstance(value, list) else [value]:
        try:
            catalog.parse_bind_address(address, f"{transport.OPEN_VARIABLE} of {host}")
        except CatalogError as error:
            messages.append(str(error))
    return messages


def _plaintext_listeners(
    present: list[Component],
    host: str,
    inventory: Inventory,
) -> list[str]:
    """Return blockers for the listeners of a host that other hosts would reach in plain text."""
    environment = inventory.variable(host, ENVIRONMENT)
    if environment == DEV:
        return []
    without_certificate: list[str] = []
    without_tls_support: list[str] = []
    for listener in _listeners(present, host, inventory):
        addresses = _exposed_plaintext_addresses(listener, inventory)
        if listener.name in listener.component.plaintext_listeners:
            without_tls_support += addresses
        else:
            without_certificate += addresses
    messages = []
    if without_certificate:
        messages.append(
            f"{_join(without_certificate)} on {host}: plain text to other hosts is refused in"
            f" {environment}; set {', '.join(transport.TLS_VARIABLES)} of {host}, or add a trusted"
            f" network to {transport.NETWORKS_VARIABLE}."
        )
    if without_tls_support:
        messages.append(
            f"{_join(without_tls_support)} on {host}: only plain text is supported;"
            " listen on 127.0.0.1."
        )
    return messages


def _listeners(
    present: list[Component],
    host: str,
    inventory: Inventory,
) -> list[Listener]:
    """Return the listeners of all instances of some components on a host."""
    return [
        Listener(component, name, host, instance)
        for component in present
        for instance in _valid_instances(component, host, inventory)
        for name in component.listen_addresses
    ]


def _address_conflicts(
    present: list[Component],
    host: str,
    inventory: Inventory,
) -> list[str]:
    """Return a blocker for each two listeners of a host that claim the same address."""
    claims: list[tuple[Listener, catalog.BindAddress]] = []
    messages = []
    for listener in _listeners(present, host, inventory):
        try:
            addresses = catalog.bind_addresses_of(listener, inventory)
        except CatalogError as error:
            # One wrong address does not hide the next.
            messages.append(str(error))
            continue
        for address in addresses:
            others = [other for other, taken in claims if _overlap(address, taken)]
            messages += [_conflict(other, listener, address) for other in others[:1]]
            claims.append((listener, address))
    return messages


def _conflict(
    first: Listener,
    second: Listener,
    address: catalog.BindAddress,
) -> str:
    names = " and ".join(_owner(listener) for listener in (first, second))
    templates = [
        str(listener.component.listen_addresses[listener.name])
        for listener in (first, second)
    ]
    variables = [name for text in templates for name in re.findall(r"\w+_\w+", text)]
    remedy = f"change {' or '.join(dict.fromkeys(variables))}" if variables else ""
    return (
        f"{names} on {first.host}: both listen on {catalog.host_port(*address)};"
        f" {remedy or 'change one of them'}."
    )


def _owner(listener: Listener) -> str:
    instance = listener.instance
    suffix = f", instance {instance.get('name')}," if instance else ""
    return f"{listener.component.name}{suffix}"


def _overlap(first: catalog.BindAddress, second: catalog.BindAddress) -> bool:
    """Return whether two listeners cannot both have their addresses."""
    if first.port != second.port:
        return False
    hosts = {first.host, second.host}
    if len(hosts) == 1 or hosts & {"", "::", "*"}:
        return True
    return "0.0.0.0" in hosts and not any(":" in host for host in hosts)


def _valid_instances(
    component: Component,
    host: str,
    inventory: Inventory,
) -> list[Instance] | list[None]:
    try:
        return catalog.instances_of(component, host, inventory)
    except CatalogError:
        # Another check reports it.
        return []


def _exposed_plaintext_addresses(
    listener: Listener,
    inventory: Inventory,
) -> list[str]:
    """Return the addresses on which a listener uses plain text where TLS is required."""
    host = listener.host
    addresses = []
    for bind_address in catalog.bind_addresses_of(listener, inventory):
        scheme = catalog.scheme_of(listener, bind_address.host, inventory)
        is_safe = catalog.allows_plaintext(bind_address.host, host, inventory)
        if scheme == transport.HTTP and not is_safe:
            address = catalog.host_port(*bind_address)
            addresses.append(f"{listener.component.name} at {address}")
    return addresses


def _join(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _unreachable(
    component: Component,
    components: list[Component],
    host: str,
    inventory: Inventory,
) -> list[str]:
    """Return a blocker for each component that one of a host consumes and cannot reach."""
    if inventory.variable(host, f"{component.role}_config_file"):
        return []
    messages = []
    for server in components:
        if server.name not in component.consumes or not inventory.hosts(server):
            continue
        listener = component.consumes[server.name]
        try:
            if server.name in component.consumes_every_host:
                catalog.members_of(server, listener, inventory, host)
            else:
                catalog.client_config_of(server, listener, inventory, host)
        except CatalogError as error:
            messages.append(str(error))
    return messages


def with_locations(
    message: str,
    components: list[Component],
    inventory: Inventory,
) -> str:
    """Return a message after file and line of each variable that it names, where known.

    A message about a value in a file begins with the location of that value.
    """
    if LOCATED.match(message):
        return message
    prefixes = ("monitoring_", *(f"{component.role}_" for component in components))
    words = re.findall(r"\w+", message)
    # The variable that a message is about may have a misspelled prefix.
    subject = OF_VARIABLE.fullmatch(message)
    own = [subject["variable"]] if subject else []
    variables = [word for word in words if word.startswith(prefixes) or word in own]
    hosts = _named_hosts(message, inventory.all_hosts(components))
    locations = [inventory.location(host, name) for name in variables for host in hosts]
    known_locations = dict.fromkeys(location for location in locations if location)
    if not known_locations:
        return message
    return f"{', '.join(known_locations)}: {message}"


def _named_hosts(message: str, hosts: list[str]) -> list[str]:
    """Return the hosts that a message names, in its order.

    A host may have any word as its name, so the word before it counts too.
    """
    if not hosts:
        return []
    matches = _host_pattern(tuple(hosts)).finditer(message)
    return list(dict.fromkeys(match[1] for match in matches))


@lru_cache(maxsize=4)
def _host_pattern(hosts: tuple[str, ...]) -> re.Pattern[str]:
    """Return one pattern for all hosts of an inventory: one for each took minutes for a fleet."""
    longest_first = sorted(hosts, key=len, reverse=True)
    names = "|".join(map(re.escape, longest_first))
    return re.compile(rf"{BEFORE_HOST}({names})(?![\w-])")
