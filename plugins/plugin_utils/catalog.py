# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where components run and how they are reached, from the roles' facts and the inventory. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

from . import transport

FACTS = {
    "release": str, "group": str, "component": str, "listen_addresses": dict, "scrape_jobs": list,
    "instances": str, "required_variables": dict, "consumes": dict, "plaintext_listeners": list, "supports_basic_auth": bool,
}  # fmt: skip
# The environment in which examples will do.
DEV = "dev"
VARIABLE_FACTS = {"value": str, "examples": list, "min_length": int, "always": bool}
JOB_FACTS = {"name": str, "address": str, "path": str, "interval": str, "labels": dict}


class CatalogError(Exception):
    """The inventory or a role's facts do not answer a question."""


@dataclass(frozen=True)
class Component:
    """What a role tells about its component, before templating.

    ``instances`` gives a list where it has several, ``consumes`` the listeners of other components that it needs where the
    inventory has them, ``plaintext_listeners`` the listeners that know no TLS; ``supports_basic_auth`` says whether it can ask for one.
    ``required_variables`` are values that have to be there, the ``always`` ones beside a configuration file of the user's own too.
    """

    role: str
    name: str
    group: str
    listen_addresses: dict = field(default_factory=dict)
    scrape_jobs: tuple = ()
    instances: str = ""
    required_variables: dict = field(default_factory=dict)
    consumes: dict = field(default_factory=dict)
    plaintext_listeners: tuple = ()
    supports_basic_auth: bool = False
    release: str = ""


def component(role: str, facts: object) -> Component:
    """The component that ``meta/component.yml`` of a role describes."""
    where = f"meta/component.yml of role {role}"
    _require_fields(where, facts, FACTS, required=("release", "group", "component"))
    for job in facts.get("scrape_jobs", ()):
        _require_fields(f"{where}, scrape_jobs", job, JOB_FACTS, required=("name", "address"))
        if job["address"] not in facts.get("listen_addresses", {}):
            raise CatalogError(
                f"{where}: scrape job {job['name']} is at {job['address']}, which listens lacks."
            )
    if unknown := set(facts.get("plaintext_listeners", ())) - set(
        facts.get("listen_addresses", {})
    ):
        raise CatalogError(f"{where}: plain has {', '.join(sorted(unknown))}, which listens lacks.")
    for variable, need in facts.get("required_variables", {}).items():
        _require_fields(f"{where}, needs, {variable}", need, VARIABLE_FACTS, required=("value",))
    return Component(
        role=role,
        name=facts["component"],
        group=facts["group"],
        listen_addresses=facts.get("listen_addresses", {}),
        scrape_jobs=tuple(facts.get("scrape_jobs", ())),
        instances=facts.get("instances", ""),
        required_variables=facts.get("required_variables", {}),
        consumes=facts.get("consumes", {}),
        plaintext_listeners=tuple(facts.get("plaintext_listeners", ())),
        supports_basic_auth=facts.get("supports_basic_auth", False),
        release=facts["release"],
    )


class Inventory:
    """What is asked of an inventory; the lookup plugin answers."""

    groups: dict

    def variable(self, host: str, name: str) -> object:
        """A variable of a host, None where it is not set."""
        raise NotImplementedError

    def setting(self, host: str, item: Component, name: str) -> object:
        """A variable of the component's role, its default where the host does not set it."""
        raise NotImplementedError

    def render(
        self, host: str, item: Component, value: object, instance: dict | None = None
    ) -> object:
        """``value`` templated with the variables of the host over the defaults of the component's role.

        The instance that it is asked for is the variable ``instance``.
        """
        raise NotImplementedError

    def place(self, host: str, name: str) -> str:
        """File and line of the definition of a host's variable that counts, empty where they are not known."""
        return ""

    def hosts(self, item: Component) -> list:
        """The hosts that have a component."""
        return self.groups.get(item.group) or []

    def all_hosts(self, components: list) -> list:
        """The hosts that have any of some components."""
        return list(dict.fromkeys(host for item in components for host in self.hosts(item)))


def names(components: list, inventory: Inventory, host: str) -> list:
    """The components that a host should have, by the groups it is in."""
    return [item.name for item in components if host in inventory.hosts(item)]


def address(item: Component, listen: str, inventory: Inventory, client_host: str) -> str:
    """``host:port`` at which ``client_host`` reaches a component: its own one, else that of the group's first host."""
    return _seen(
        item, listen, _server(item, listen, inventory, client_host), client_host, inventory
    )[1]


def url(item: Component, listen: str, inventory: Inventory, client_host: str) -> str:
    """The address with what is spoken there, as ``https://host:port``."""
    return "://".join(
        _seen(item, listen, _server(item, listen, inventory, client_host), client_host, inventory)
    )


def client(
    item: Component, listen: str, inventory: Inventory, client_host: str, etc: str = ""
) -> dict:
    """What ``client_host`` needs to ask a component, in Prometheus' form; nothing for plain text."""
    host = _server(item, listen, inventory, client_host)
    scheme, _address = _seen(item, listen, host, client_host, inventory)
    return _client(item, host, client_host, inventory, etc) if scheme == transport.HTTPS else {}


def _server(item: Component, listen: str, inventory: Inventory, client_host: str) -> str:
    """The host whose component ``client_host`` uses."""
    hosts = inventory.hosts(item)
    if not hosts:
        raise CatalogError(
            f"No host is in the inventory group {item.group}, so {item.name} has no address."
        )
    if listen not in item.listen_addresses:
        raise CatalogError(
            f"{item.name} has no address {listen!r}, only {', '.join(sorted(item.listen_addresses))}."
        )
    if item.instances:
        raise CatalogError(
            f"{item.name} has an address {listen!r} for each of its instances, not one."
        )
    return client_host if client_host in hosts else hosts[0]


def _client(
    item: Component, host: str, client_host: str, inventory: Inventory, etc: str = ""
) -> dict:
    own = credentials(inventory, client_host)
    if not (own.certificate and own.key and own.authority):
        variables = ", ".join(transport.TLS_VARIABLES)
        raise CatalogError(
            f"{item.name} on {host} wants to know who asks by TLS: set {variables} of {client_host}."
        )
    login = (own.username, own.password)
    if item.supports_basic_auth and login != tuple(
        texts(inventory, host, transport.PASSWORD_VARIABLES)[:2]
    ):
        variables = " and ".join(transport.PASSWORD_VARIABLES[:2])
        raise CatalogError(
            f"{item.name} on {host} asks for a password: {variables} of {client_host} have to be the same."
        )
    return transport.client(own, etc, item.supports_basic_auth and bool(own.password))


def credentials(inventory: Inventory, host: str) -> transport.Credentials:
    """What a host has to show to others."""
    return transport.Credentials(
        *texts(inventory, host, transport.TLS_VARIABLES + transport.PASSWORD_VARIABLES)
    )


def texts(inventory: Inventory, host: str, names: tuple) -> list:
    """Variables of a host as texts, empty where they are not set."""
    return [str(inventory.variable(host, name) or "") for name in names]


def tls(item: Component, asked: list, bind_address: str, inventory: Inventory, host: str) -> dict:
    """What a component needs so that its listener on an address speaks as others expect; without one, to ask others.

    ``scheme`` is what it speaks, ``config`` and ``secrets`` are files, ``proof`` is what its readiness has to be asked
    with, and ``web`` is the configuration of the web server that Prometheus' own programs share. All are empty where
    nothing but plain text is spoken.
    """
    where = f"{item.name} on {host}, {bind_address}"
    scheme = (
        scheme_of(item, "", host, _split(bind_address, where)[0], inventory)
        if bind_address
        else transport.HTTP
    )
    own = credentials(inventory, host)
    if not own.certificate or (bind_address and scheme == transport.HTTP):
        return {"scheme": scheme, "config": [], "secrets": {}, "probe_auth": {}, "web": {}}
    wants_password = item.supports_basic_auth and bool(own.password)
    tells_password = bool(own.password) and any(
        component.supports_basic_auth for component in (item, *asked)
    )
    return {
        "scheme": scheme,
        **transport.files(own, tells_password),
        "probe_auth": transport.probe_auth(own, wants_password) if bind_address else {},
        "web": transport.web(own) if bind_address else {},
    }


def scrape_jobs(components: list, inventory: Inventory, client_host: str) -> list:
    """Prometheus' scrape_configs for everything in the inventory, seen from ``client_host``."""
    jobs: dict = {}
    wrong = []
    for item in components:
        for host in inventory.hosts(item):
            for instance, facts in product(
                instances_of(item, host, inventory, wrong), item.scrape_jobs
            ):
                try:
                    job = inventory.render(host, item, facts, instance)
                    scheme, target = _seen(
                        item, facts["address"], host, client_host, inventory, instance
                    )
                    _add_target(
                        jobs,
                        job,
                        target,
                        item.name,
                        host,
                        inventory.variable(host, "monitoring_environment"),
                    )
                    if scheme == transport.HTTPS:
                        _ask_by_tls(
                            jobs[job["name"]][1], _client(item, host, client_host, inventory)
                        )
                except CatalogError as error:
                    wrong.append(str(error))
    if wrong:
        raise CatalogError("\n".join(dict.fromkeys(wrong)))
    return [job for _owner, job in jobs.values()]


def _ask_by_tls(job: dict, settings: dict) -> None:
    """Ask the last target of a job by TLS; others of it may speak plain text, as those on Prometheus' own host do."""
    job["static_configs"][-1]["labels"]["__scheme__"] = transport.HTTPS
    job.update(settings)


def instances_of(item: Component, host: str, inventory: Inventory, wrong: list) -> list:
    """The instances that a host has of a component, ``[None]`` for one without instances; adds to ``wrong``."""
    if not item.instances:
        return [None]
    try:
        found = inventory.render(host, item, item.instances)
    except CatalogError as error:
        wrong.append(str(error))
        return []
    if isinstance(found, list) and all(isinstance(instance, dict) for instance in found):
        return found
    # What it holds is not told, since passwords are in it.
    wrong.append(f"{item.name} on {host}: {item.instances} has to be a list of mappings.")
    return []


def _add_target(
    jobs: dict, facts: dict, target: str, name: str, host: str, environment: object
) -> None:
    if not environment:
        raise CatalogError(f"{name} on {host}: monitoring_environment is not set.")
    job = _job(facts)
    (owner, first, same), known = jobs.setdefault(
        facts["name"], ((name, host, job), {**job, "static_configs": []})
    )  # fmt: skip
    if owner != name:
        raise CatalogError(f"Scrape job {facts['name']} belongs to both {owner} and {name}.")
    if job != same:
        raise CatalogError(
            f"Scrape job {facts['name']} differs between the hosts {first} and {host}."
        )
    labels = {**facts.get("labels", {}), "env": str(environment), "host": host}
    known["static_configs"].append({"targets": [target], "labels": labels})


def _job(facts: dict) -> dict:
    """A scrape job without its targets; what is Prometheus' default anyway is left out."""
    job = {"job_name": facts["name"]}
    if facts.get("interval"):
        job["scrape_interval"] = facts["interval"]
    if facts.get("path", "/metrics") != "/metrics":
        job["metrics_path"] = facts["path"]
    return job


def _seen(
    item: Component,
    listen: str,
    host: str,
    client_host: str,
    inventory: Inventory,
    instance: dict | None = None,
) -> tuple:
    """What a component on ``host`` speaks, and its address as ``client_host`` can use it."""
    bind_addresses = bind_addresses_of(item, listen, host, inventory, instance)
    if host == client_host:
        bind_address, port = bind_addresses[0]
        scheme = scheme_of(item, listen, host, bind_address, inventory)
        if scheme == transport.HTTPS and _is_wildcard(bind_address):
            # The certificate names what others know it by.
            bind_address = _known_as(host, bind_address, inventory)
        return scheme, join(_to_itself(bind_address), port)
    # A network of containers is no way to another host.
    by_others = [
        pair for pair in bind_addresses if not transport.is_loopback(pair[0])
    ] or bind_addresses
    bind_address, port = (
        [pair for pair in by_others if not allows_plaintext(pair[0], host, inventory)] or by_others
    )[0]
    where = _where(item, listen, host, instance)
    if transport.is_loopback(bind_address):
        raise CatalogError(
            f"{where}: {bind_address} cannot be reached from {client_host}; let it listen on another address."
        )
    known_as = _known_as(host, bind_address, inventory)
    if transport.is_loopback(known_as):
        raise CatalogError(
            f"{where}: {known_as} means {client_host} itself there; set monitoring_address of {host}."
        )
    return scheme_of(item, listen, host, bind_address, inventory), join(known_as, port)


def bind_addresses_of(
    item: Component, listen: str, host: str, inventory: Inventory, instance: dict | None
) -> list:
    """Host and port of each address of a listener, which may have several."""
    found = inventory.render(host, item, item.listen_addresses[listen], instance)
    where = _where(item, listen, host, instance)
    return [
        _split(bind_address, where)
        for bind_address in (found if isinstance(found, list) and found else [found])
    ]


def _where(item: Component, listen: str, host: str, instance: dict | None) -> str:
    which = f"instance {instance.get('name')}, " if instance else ""
    return f"{item.name} on {host}, {which}{item.listen_addresses[listen]}"


def scheme_of(
    item: Component, listen: str, host: str, bind_address: str, inventory: Inventory
) -> str:
    """What a listener speaks."""
    protected = listen not in item.plaintext_listeners and inventory.variable(
        host, transport.CERTIFICATE_VARIABLE
    )
    return (
        transport.HTTPS
        if protected and not allows_plaintext(bind_address, host, inventory)
        else transport.HTTP
    )


def allows_plaintext(bind_address: str, host: str, inventory: Inventory) -> bool:
    """Whether plain text will do on an address of a host."""
    try:
        return transport.allows_plaintext(
            bind_address, inventory.variable(host, transport.NETWORKS_VARIABLE)
        )
    except transport.TransportError as error:
        raise CatalogError(f"{host}: {error}") from error


def _known_as(host: str, bind_address: str, inventory: Inventory) -> str:
    """Who names an address knows the network; else the bound one is the only one that is certain to answer."""
    named = inventory.variable(host, "monitoring_address") or (
        "" if _is_wildcard(bind_address) else bind_address
    )
    return named or inventory.variable(host, "ansible_host") or host


def _split(bind_address: object, where: str) -> tuple:
    host, colon, port = (
        bind_address.rpartition(":") if isinstance(bind_address, str) else ("", "", "")
    )
    if not colon or not port.isdigit():
        raise CatalogError(f"{where}: {bind_address!r} is not host:port.")
    return host.strip("[]"), port


def join(host: str, port: str) -> str:
    """Host and port as one address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _to_itself(bind_address: str) -> str:
    if not _is_wildcard(bind_address):
        return bind_address
    return "::1" if ":" in bind_address else "127.0.0.1"


def _is_wildcard(host: str) -> bool:
    parsed = transport.ip(host)
    return not host or bool(parsed and parsed.is_unspecified)


def _require_fields(where: str, facts: object, known: dict, required: tuple) -> None:
    if not isinstance(facts, dict):
        raise CatalogError(f"{where}: {facts!r} is not a mapping.")
    missing, unknown = sorted(set(required) - set(facts)), sorted(set(facts) - set(known))
    if missing or unknown:
        problems = [f"{key} is missing" for key in missing] + [
            f"{key} is unknown" for key in unknown
        ]
        raise CatalogError(f"{where}: {', '.join(problems)}.")
    for key, value in facts.items():
        if not isinstance(value, known[key]):
            raise CatalogError(f"{where}: {key} must be a {known[key].__name__}, not {value!r}.")
