# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reasons why a group may not have several hosts, found before any host is contacted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from . import catalog, transport
from .catalog import CatalogError, Component, Guard, Inventory, Listener


def blockers(
    components: Iterable[Component],
    inventory: Inventory,
    hosts: Iterable[str],
) -> list[str]:
    """Return the errors of all groups that have several hosts, some of them among ``hosts``.

    Whether a run is limited to one host of a group makes no difference.
    """
    selection = set(hosts)
    messages: list[str] = []
    for component in components:
        group = inventory.hosts(component)
        if len(group) > 1 and selection.intersection(group):
            messages += _blockers_of(component, group, inventory)
    return messages


def _blockers_of(
    component: Component,
    group: list[str],
    inventory: Inventory,
) -> list[str]:
    facts = component.several_hosts
    messages: list[str] = []
    is_own = any(
        inventory.render(host, component, facts.get("own", "")) for host in group
    )
    for guard in () if is_own else facts.get("guards", ()):
        is_refused = partial(_is_refused, guard, component, inventory)
        refused = list(filter(is_refused, group))
        if refused:
            messages.append(_refusal(guard, component, group, refused))
    for name in facts.get("same", ()):
        if _differs(name, component, group, inventory):
            messages.append(
                f"{name} of {', '.join(group)}: must not differ, since"
                f" {facts.get('reason')}; set one value for the group {component.group}."
            )
    return messages + _unreachable(component, group, inventory, is_own)


def _unreachable(
    component: Component,
    group: list[str],
    inventory: Inventory,
    is_own: bool,
) -> list[str]:
    """Return why the hosts of a group do not reach each other.

    By default all listeners have the same host, and the same fault, so the first one is told.
    """
    facts = component.several_hosts
    names: list[str] = []
    is_alone = any(catalog.is_without_peers(inventory, host) for host in group)
    if facts.get("ready") and not is_alone:
        names.append(catalog.READY_LISTENER)
    schemes = [partial(_scheme_of, component, name, inventory) for name in names]
    # A cluster of the user's own has addresses of its own.
    if not is_own:
        schemes += [
            partial(_scheme_of, component, name, inventory)
            for name in facts.get("reach", ())
        ]
        if component.gossip:
            schemes.append(partial(_gossip_scheme, component, inventory))
    for scheme in schemes:
        messages = _scheme_blockers(component, group, scheme)
        if messages:
            return messages
    return []


def _is_refused(
    guard: Guard,
    component: Component,
    inventory: Inventory,
    host: str,
) -> bool:
    """Return whether a host does not fulfil a requirement."""
    return not inventory.render(host, component, guard["value"])


def _refusal(
    guard: Guard,
    component: Component,
    group: list[str],
    refused: list[str],
) -> str:
    """Return the error of a requirement, whose subject is a variable or the group."""
    subject = f"group {component.group} ({', '.join(group)})"
    if "variable" in guard:
        subject = f"{guard['variable']} of {', '.join(refused)}"
    return f"{subject}: {guard['problem']}; {guard['remedy']}."


def _differs(
    name: str,
    component: Component,
    group: list[str],
    inventory: Inventory,
) -> bool:
    """Return whether a variable has several values in a group; the value may be secret."""
    first, *others = (inventory.role_variable(host, component, name) for host in group)
    return any(other != first for other in others)


def _scheme_blockers(
    component: Component,
    group: list[str],
    scheme_of: Callable[[str, str], str],
) -> list[str]:
    """Return why the hosts of a group do not reach each other.

    ``scheme_of`` is the scheme of a listener of a host for another one, or raises CatalogError.
    """
    hosts_of: dict[str, list[str]] = {transport.HTTPS: [], transport.HTTP: []}
    messages: list[str] = []
    for host in group:
        other = group[1] if host == group[0] else group[0]
        try:
            hosts_of[scheme_of(host, other)].append(host)
        except CatalogError as error:
            messages.append(str(error))
    if all(hosts_of.values()):
        secure, plain = (", ".join(hosts) for hosts in hosts_of.values())
        messages.append(
            f"{component.name} on {', '.join(group)}: TLS on {secure} and plain text on {plain} do"
            f" not understand each other; set {', '.join(transport.TLS_VARIABLES)} of all of them,"
            f" or {transport.NETWORKS_VARIABLE}."
        )
    return messages


def _scheme_of(
    component: Component,
    name: str,
    inventory: Inventory,
    host: str,
    other_host: str,
) -> str:
    """Return the scheme by which another host connects to a listener of a host."""
    listener = Listener(component, name, host)
    return catalog.reachable_endpoint(listener, other_host, inventory).scheme


def _gossip_scheme(
    component: Component,
    inventory: Inventory,
    host: str,
    other_host: str,
) -> str:
    """Return the scheme of the gossip of a host for the other hosts of its group.

    Raise CatalogError unless it has an IP address that another host can reach: a name is looked up
    before it is told to others, and certificates name what others connect to.
    """
    listener = Listener(component, component.gossip, host)
    endpoint = catalog.reachable_endpoint(listener, other_host, inventory)
    bind = catalog.bind_addresses_of(listener, inventory)[0]
    if not transport.is_wildcard(bind.host) and transport.parse_ip(bind.host) is None:
        raise CatalogError(
            f"{listener.description}: {bind.host} is no IP address; write the address of a network"
            " interface."
        )
    host = catalog.parse_bind_address(endpoint.address, listener.description).host
    if transport.parse_ip(host) is None:
        raise CatalogError(
            f"monitoring_address of {listener.host}: {host} is no IP address, which"
            f" {listener.component.name} on several hosts requires; set one."
        )
    return endpoint.scheme
