# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an inventory lacks, told before any host is touched. Pure."""

from __future__ import annotations

import re
from functools import partial
from itertools import product
from typing import Callable

from . import catalog, transport
from .catalog import DEV, CatalogError, Component, Inventory

# The group whose hosts scrape all others.
SCRAPER = "prometheus"


def problems(
    components: list, inventory: Inventory, hosts: list, *more: Callable[[], list]
) -> list:
    """What stands in the way of a rollout to some hosts, in sentences for people; ``more`` look further."""
    lacking = [host for host in hosts if not inventory.variable(host, "monitoring_environment")]
    if lacking:
        remedy = (
            "Set it in the inventory's group_vars to the environment's name, such as dev or prod."
        )
        return [f"monitoring_environment is not set for {', '.join(lacking)}. {remedy}"]
    found: dict = {}
    for check in (*_checks(components, inventory, hosts), *more):
        try:
            found.update(dict.fromkeys(check()))
        except CatalogError as error:
            found.update(dict.fromkeys(str(error).splitlines()))
    return _once(list(found))


def _once(problems: list) -> list:
    """Each problem once: not for each host, nor as a lookup tells it, nor where a variable is used that is wrong."""
    told = [re.fullmatch(r"(\w+) of (\S+): (.*)", problem) for problem in problems]
    users = [
        f" on {found[2]}{mark} {{{{ {found[1]} }}}}" for found in told if found for mark in ",:"
    ]
    hosts: dict = {}
    for problem, found in zip(problems, told):
        repeated = any(problem.endswith(f": {other}") for other in problems)
        if not repeated and not any(user in problem for user in users):
            name, host, message = found.groups() if found else ("", "", problem)
            hosts.setdefault((name, message), []).append(host)
    return [
        f"{name} of {', '.join(whom)}: {message}" if name else message
        for (name, message), whom in hosts.items()
    ]


def _checks(components: list, inventory: Inventory, hosts: list) -> list:
    """What has to be asked to know all problems."""
    checks = [
        partial(check, item, host, inventory)
        for item in components for host in inventory.hosts(item) if host in hosts for check in (_empty_secrets, _unmet)
    ]  # fmt: skip
    for host in hosts:
        present = [item for item in components if host in inventory.hosts(item)]
        checks.append(partial(_half_protected, host, inventory))
        checks.append(partial(_plain_text, present, host, inventory))
        checks += [partial(_unreachable, item, components, host, inventory) for item in present]
    # Who rolls out a file of their own scrapes what they like.
    client_hosts = [
        host for host in inventory.groups.get(SCRAPER) or []
        if host in hosts and not inventory.variable(host, f"{SCRAPER}_config_file")
    ]  # fmt: skip
    return checks + [partial(_unscrapable, components, host, inventory) for host in client_hosts]


def _unscrapable(components: list, client_host: str, inventory: Inventory) -> list:
    catalog.scrape_jobs(components, inventory, client_host)
    return []


def _empty_secrets(item: Component, host: str, inventory: Inventory) -> list:
    """Which secrets of a host are empty, as those are that a vault or the environment lacks."""
    name = f"{item.role}_secrets"
    values = inventory.variable(host, name)
    if not isinstance(values, dict):
        # Its type is told elsewhere.
        return []
    return [f"{file} in {name} is empty for {host}." for file in values if not values[file]]


def _unmet(item: Component, host: str, inventory: Inventory) -> list:
    """Which variables a host lacks for a component, or still has as an example; what they hold is not told."""
    found: list = []
    instances = catalog.instances_of(item, host, inventory, found)
    # It may do without, but what it takes of them it takes as it is.
    own_file = inventory.variable(host, f"{item.role}_config_file")
    for instance, (variable, need) in product(instances, item.required_variables.items()):
        required = need.get("always") or not own_file
        try:
            value = inventory.render(host, item, need["value"], instance)
        except CatalogError as error:
            found += [str(error)] if required else []
            continue
        whose = f"{host}, instance {instance.get('name')}" if instance else host
        if value or required:
            found += _judged(
                value,
                need,
                variable,
                whose,
                item.name,
                inventory.variable(host, "monitoring_environment"),
            )
    return found


def _judged(
    value: object, need: dict, variable: str, whose: str, name: str, environment: object
) -> list:
    """Why a value will not do, without telling it."""
    if not value:
        return [f"{variable} is not set for {whose}, and {name} needs it."]
    if environment != DEV and value in need.get("examples", ()):
        return [
            f"{variable} of {whose} is the example of {DEV}, which will not do in {environment}."
        ]
    if environment != DEV and len(str(value)) < need.get("min_length", 0):
        return [f"{variable} of {whose} is shorter than {need['min_length']} characters."]
    return []


def _half_protected(host: str, inventory: Inventory) -> list:
    """Which of the variables of TLS and of passwords a host lacks, while it has others of them."""
    found = []
    for names in (transport.TLS_VARIABLES, transport.PASSWORD_VARIABLES):
        values = dict(zip(names, catalog.texts(inventory, host, names)))
        found += [
            f"{name} of {host} has to be a text."
            for name in names if isinstance(inventory.variable(host, name), (dict, list, tuple))
        ]  # fmt: skip
        lacking, others = (
            [name for name in names if bool(values[name]) is present] for present in (False, True)
        )
        if lacking and others:
            found.append(
                f"{' and '.join(lacking)} of {host} must be set where {' and '.join(others)} is."
            )
    return found


def _plain_text(present: list, host: str, inventory: Inventory) -> list:
    """Which listeners of a host would speak plain text to others; examples of everything do in the environment dev."""
    environment, could, cannot = inventory.variable(host, "monitoring_environment"), {}, {}
    if environment == DEV:
        return []
    for item in present:
        for instance, listen in product(
            catalog.instances_of(item, host, inventory, []), item.listen_addresses
        ):
            for bind_address, port in catalog.bind_addresses_of(
                item, listen, host, inventory, instance
            ):
                scheme = catalog.scheme_of(item, listen, host, bind_address, inventory)
                if scheme == transport.HTTP and not catalog.allows_plaintext(
                    bind_address, host, inventory
                ):
                    (cannot if listen in item.plaintext_listeners else could)[
                        f"{item.name} at {catalog.join(bind_address, port)}"
                    ] = True
    found = []
    if could:
        found.append(
            f"On {host} others would be answered in plain text, which will not do in {environment}, by"
            f" {', '.join(could)}: set {', '.join(transport.TLS_VARIABLES)} of {host}, or, if"
            f" what they are reached by is safe, name it in {transport.NETWORKS_VARIABLE}."
        )
    if cannot:
        found.append(
            f"Nothing but plain text is spoken on {host} by {', '.join(cannot)}: let it listen on 127.0.0.1."
        )
    return found


def _unreachable(item: Component, components: list, host: str, inventory: Inventory) -> list:
    """Why a host cannot ask what one of its components needs of others."""
    if inventory.variable(host, f"{item.role}_config_file"):
        return []
    found = []
    for asked in [
        other for other in components if other.name in item.consumes and inventory.hosts(other)
    ]:
        try:
            catalog.client(asked, item.consumes[asked.name], inventory, host)
        except CatalogError as error:
            found.append(str(error))
    return found


def placed(problem: str, components: list, inventory: Inventory) -> str:
    """A sentence, and where the variables that it names are set."""
    named = [
        host
        for host in inventory.all_hosts(components)
        if re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", problem)
    ]
    prefixes = ("monitoring_", *(f"{item.role}_" for item in components))
    places = []
    for variable in dict.fromkeys(re.findall(r"\w+", problem)):
        if variable.startswith(prefixes):
            found = dict.fromkeys(filter(None, (inventory.place(host, variable) for host in named)))
            places += [f"{variable}: {', '.join(found)}"] if found else []
    return f"{problem} ({'; '.join(places)})" if places else problem
