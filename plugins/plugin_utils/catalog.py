# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses and scrape jobs of components, from the roles' facts and the inventory. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

from ansible.module_utils.parsing.convert_bool import boolean

from . import transport

ENVIRONMENT = "monitoring_environment"
# The environment that allows example values, plain text and releases that are not locked.
DEV = "dev"
MAX_PORT = 65535
DEFAULT_METRICS_PATH = "/metrics"

# A variable of the inventory, templated: anything that YAML or a template yields.
Value = Any
# One of several instances of a component, as the user describes it in a variable of the role.
Instance = Mapping[str, Any]
# The types of some fields, by name.
Schema = Mapping[str, type]

REQUIRED_FACTS: Schema = {"release": str, "group": str, "component": str}
FACTS: Schema = {
    **REQUIRED_FACTS,
    "listen_addresses": dict,
    "scrape_jobs": list,
    "instances": str,
    "required_variables": dict,
    "consumes": dict,
    "consumes_every_host": list,
    "plaintext_listeners": list,
    "gossip": str,
    "several_hosts": dict,
    "supports_basic_auth": bool,
}
REQUIRED_JOB_FACTS: Schema = {"name": str, "address": str}
JOB_FACTS: Schema = {**REQUIRED_JOB_FACTS, "path": str, "interval": str, "labels": dict}
REQUIRED_VARIABLE_FACTS: Schema = {"value": str}
VARIABLE_FACTS: Schema = {
    **REQUIRED_VARIABLE_FACTS,
    "examples": list,
    "min_length": int,
    "always": bool,
    "refused": str,
    "reason": str,
    "command": str,
    "follows": str,
    "alternative": str,
}
REQUIRED_GUARD_FACTS: Schema = {"value": str, "problem": str, "remedy": str}
GUARD_FACTS: Schema = {**REQUIRED_GUARD_FACTS, "variable": str}
SEVERAL_HOSTS_FACTS: Schema = {
    "ready": str,
    "reach": list,
    "own": str,
    "guards": list,
    "same": list,
    "reason": str,
}
# The listener whose page shows that a program is ready.
READY_LISTENER = "http"
# With it a host does not wait for the others of its group, so it need not reach them.
WITHOUT_PEERS = "monitoring_without_peers"


class CatalogError(Exception):
    """The inventory or the facts of a role are incomplete or contradict each other."""


class _RequiredVariableFacts(TypedDict):
    value: str


class RequiredVariable(_RequiredVariableFacts, total=False):
    """A value that must be set, as a template, and the values that only dev accepts.

    With ``always`` it is required even beside a configuration file of the user's own. A value in
    which the pattern ``refused`` is found is refused everywhere, for the ``reason``. ``command``
    makes a value. By default the value is that of the variable ``follows``; the variable
    ``alternative`` makes it unnecessary.
    """

    examples: list[str]
    min_length: int
    always: bool
    refused: str
    reason: str
    command: str
    follows: str
    alternative: str


class _GuardFacts(TypedDict):
    value: str
    problem: str
    remedy: str


class Guard(_GuardFacts, total=False):
    """A template that must be true if the group has several hosts, and the error if it is not.

    The subject of the error is the ``variable`` of a host, by default the group.
    """

    variable: str


class SeveralHosts(TypedDict, total=False):
    """Requirements of a group with several hosts.

    ``ready`` is the path of a page that answers once a host is ready, as a template. The variables
    ``same`` must not differ between its hosts, for the ``reason``. They connect to each other's
    listeners ``reach`` too. Where the template ``own`` is true, the hosts are a cluster by the
    user's own configuration, and only ``ready`` and ``same`` apply.
    """

    ready: str
    reach: list[str]
    own: str
    guards: list[Guard]
    same: list[str]
    reason: str


class _ScrapeJobFacts(TypedDict):
    name: str
    address: str


class ScrapeJob(_ScrapeJobFacts, total=False):
    """A scrape job of a component, as templates; ``address`` is the name of a listener."""

    path: str
    interval: str
    labels: dict[str, str]


class Member(TypedDict):
    """A host of a component's group, and how a client reaches the component there.

    ``address`` and ``url`` are those for the client, ``advertised`` is the address for other hosts.
    """

    host: str
    address: str
    advertised: str
    url: str
    client: transport.ClientConfig


class Peer(transport.PeerAuth):
    """Another host of a component's group, and the page that shows whether it is ready."""

    host: str
    url: str


class StaticConfig(TypedDict):
    """Targets of a scrape job with their labels, as Prometheus spells them."""

    targets: list[str]
    labels: dict[str, str]


class ScrapeConfig(transport.ClientConfig, total=False):
    """An element of ``scrape_configs`` of Prometheus."""

    job_name: str
    scrape_interval: str
    metrics_path: str
    static_configs: list[StaticConfig]


class TlsFiles(TypedDict):
    """Scheme of a listener, and the files and settings that TLS requires of its component.

    ``config`` and ``secrets`` are options of the component module, ``probe_auth`` is part of its
    options ``ready`` and ``reload``. All but ``scheme`` are empty for plain text.
    """

    scheme: str
    config: list[transport.ConfigFile]
    secrets: dict[str, str]
    probe_auth: transport.ProbeAuth
    web: transport.WebConfig


class BindAddress(NamedTuple):
    """Host and port on which a component listens; an empty host stands for every address."""

    host: str
    port: str


class Endpoint(NamedTuple):
    """Scheme and ``host:port`` by which a client reaches a listener."""

    scheme: str
    address: str

    @property
    def url(self) -> str:
        """The endpoint as a URL without a path."""
        return f"{self.scheme}://{self.address}"


@dataclass(frozen=True)
class Component:
    """The facts of a role about its component, before templating.

    ``listen_addresses`` are templates by the name of the listener. ``instances`` is a template
    that yields a list, and empty for a component that exists once a host. ``consumes`` has the
    listeners that the component uses, by the names of their components; of those in
    ``consumes_every_host`` it uses all hosts. ``plaintext_listeners`` are listeners of its own that
    do not support TLS. Hosts of the group find each other by the listener ``gossip``.
    """

    role: str
    name: str
    group: str
    listen_addresses: Mapping[str, Value] = field(default_factory=dict)
    scrape_jobs: tuple[ScrapeJob, ...] = ()
    instances: str = ""
    required_variables: Mapping[str, RequiredVariable] = field(default_factory=dict)
    consumes: Mapping[str, str] = field(default_factory=dict)
    consumes_every_host: tuple[str, ...] = ()
    plaintext_listeners: tuple[str, ...] = ()
    gossip: str = ""
    several_hosts: SeveralHosts = field(default_factory=SeveralHosts)
    supports_basic_auth: bool = False
    release: str = ""


class Listener(NamedTuple):
    """A listener of a component on a host, of one instance if the component has several."""

    component: Component
    name: str
    host: str
    instance: Instance | None = None

    @property
    def description(self) -> str:
        """The listener as the subject of an error message, with the template of its address."""
        subject = f"{self.component.name} on {self.host}"
        if self.instance:
            subject += f", instance {self.instance.get('name')}"
        return f"{subject}, {self.component.listen_addresses[self.name]}"


class Inventory:
    """The groups and variables of an inventory; the lookup plugin implements the latter."""

    groups: Mapping[str, list[str]]

    def variable(self, host: str, name: str) -> Value:
        """Return a variable of a host, None where it is not set."""
        raise NotImplementedError

    def role_variable(
        self,
        host: str,
        component: Component,
        name: str,
    ) -> Value:
        """Return a variable of a component's role, its default where the host does not set it."""
        raise NotImplementedError

    def render(
        self,
        host: str,
        component: Component,
        value: Value,
        instance: Instance | None = None,
    ) -> Value:
        """Return a template of a component's role, rendered for a host.

        The host's variables override the role's defaults; ``instance`` is a variable too.
        """
        raise NotImplementedError

    def environment_variable(self, host: str, name: str) -> str | None:
        """Return the environment variable that a variable reads, None if there is none."""
        return None

    def location(self, host: str, name: str) -> str | None:
        """Return file and line of the active definition of a variable, None if they are unknown."""
        return None

    def find_file(self, role: str, host: str, name: str) -> str:
        """Return the path of a file of the controller, found as the tasks of a role find it."""
        raise NotImplementedError

    def read_file(self, path: str) -> bytes:
        """Return the content of a file of the controller, decrypted."""
        raise NotImplementedError

    def hosts(self, component: Component) -> list[str]:
        """Return the hosts that have a component."""
        return self.groups.get(component.group) or []

    def all_hosts(self, components: Iterable[Component]) -> list[str]:
        """Return the hosts that have any of some components."""
        hosts = [host for component in components for host in self.hosts(component)]
        return list(dict.fromkeys(hosts))


def parse_component(role: str, facts: Any) -> Component:
    """Return the component that ``meta/component.yml`` of a role describes."""
    file = f"meta/component.yml of role {role}"
    _require_fields(file, facts, FACTS, REQUIRED_FACTS)
    listeners = facts.get("listen_addresses", {})
    for job in facts.get("scrape_jobs", ()):
        _require_fields(f"{file}, scrape_jobs", job, JOB_FACTS, REQUIRED_JOB_FACTS)
        _require_listener(
            f"{file}, scrape job {job['name']}", job["address"], listeners
        )
    for listener in facts.get("plaintext_listeners", ()):
        _require_listener(f"{file}, plaintext_listeners", listener, listeners)
    if "gossip" in facts:
        _require_listener(f"{file}, gossip", facts["gossip"], listeners)
    several_hosts = facts.get("several_hosts", {})
    _require_fields(f"{file}, several_hosts", several_hosts, SEVERAL_HOSTS_FACTS, {})
    for listener in several_hosts.get("reach", ()):
        _require_listener(f"{file}, several_hosts, reach", listener, listeners)
    for guard in several_hosts.get("guards", ()):
        subject = f"{file}, several_hosts, guards"
        _require_fields(subject, guard, GUARD_FACTS, REQUIRED_GUARD_FACTS)
    for name, variable in facts.get("required_variables", {}).items():
        subject = f"{file}, required_variables, {name}"
        _require_fields(subject, variable, VARIABLE_FACTS, REQUIRED_VARIABLE_FACTS)
    return Component(
        role=role,
        name=facts["component"],
        group=facts["group"],
        listen_addresses=listeners,
        scrape_jobs=tuple(facts.get("scrape_jobs", ())),
        instances=facts.get("instances", ""),
        required_variables=facts.get("required_variables", {}),
        consumes=facts.get("consumes", {}),
        consumes_every_host=tuple(facts.get("consumes_every_host", ())),
        plaintext_listeners=tuple(facts.get("plaintext_listeners", ())),
        gossip=facts.get("gossip", ""),
        several_hosts=several_hosts,
        supports_basic_auth=facts.get("supports_basic_auth", False),
        release=facts["release"],
    )


def component_names(
    components: Iterable[Component],
    inventory: Inventory,
    host: str,
) -> list[str]:
    """Return the names of the components that a host should have, by the groups it is in."""
    return [
        component.name for component in components if host in inventory.hosts(component)
    ]


def address_of(
    component: Component,
    listener: str,
    inventory: Inventory,
    client_host: str,
) -> str:
    """Return the ``host:port`` at which ``client_host`` reaches a component.

    That is the component on ``client_host`` if it has one, else on the first host of the group.
    """
    server = _server(component, listener, inventory, client_host)
    return reachable_endpoint(server, client_host, inventory).address


def url_of(
    component: Component,
    listener: str,
    inventory: Inventory,
    client_host: str,
) -> str:
    """Return the address with its scheme, as ``https://host:port``."""
    server = _server(component, listener, inventory, client_host)
    return reachable_endpoint(server, client_host, inventory).url


def client_config_of(
    component: Component,
    listener: str,
    inventory: Inventory,
    client_host: str,
    etc: str = "",
) -> transport.ClientConfig:
    """Return the settings by which ``client_host`` reaches a component, empty for plain text."""
    server = _server(component, listener, inventory, client_host)
    endpoint = reachable_endpoint(server, client_host, inventory)
    if endpoint.scheme == transport.HTTP:
        return {}
    return _client_config(server, client_host, inventory, etc)


def members_of(
    component: Component,
    listener: str,
    inventory: Inventory,
    client_host: str,
    etc: str = "",
) -> list[Member]:
    """Return all hosts of a component's group, each as ``client_host`` reaches it."""
    if not inventory.hosts(component):
        return []
    servers = _servers(component, listener, inventory)
    return [_member(server, inventory, client_host, etc) for server in servers]


def peers_of(
    component: Component,
    inventory: Inventory,
    client_host: str,
) -> list[Peer]:
    """Return the other hosts of a component's group; none unless they stand in for each other."""
    path = component.several_hosts.get("ready")
    if not path or client_host not in inventory.hosts(component):
        return []
    try:
        members = members_of(component, READY_LISTENER, inventory, client_host)
    except CatalogError:
        if is_without_peers(inventory, client_host):
            return []
        raise
    peers: list[Peer] = []
    for member in members:
        host = member["host"]
        if host != client_host:
            url = member["url"] + inventory.render(host, component, path)
            auth = transport.peer_auth(member["client"])
            peers.append(Peer(**auth, host=host, url=url))
    return peers


def is_without_peers(inventory: Inventory, host: str) -> bool:
    """Return whether a host does not wait for the others of its group."""
    value = inventory.variable(host, WITHOUT_PEERS)
    return value is not None and bool(boolean(value, strict=False))


def _member(
    server: Listener,
    inventory: Inventory,
    client_host: str,
    etc: str,
) -> Member:
    """Return a host of a group, as ``client_host`` reaches it."""
    endpoint = reachable_endpoint(server, client_host, inventory)
    bind_addresses = bind_addresses_of(server, inventory)
    bind_address = _remote_bind_address(bind_addresses, server.host, inventory)
    host = _advertised_host(server.host, bind_address.host, inventory)
    client: transport.ClientConfig = {}
    if endpoint.scheme == transport.HTTPS:
        client = _client_config(server, client_host, inventory, etc)
    return Member(
        host=server.host,
        address=endpoint.address,
        advertised=host_port(host, bind_address.port),
        url=endpoint.url,
        client=client,
    )


def _server(
    component: Component,
    listener: str,
    inventory: Inventory,
    client_host: str,
) -> Listener:
    """Return the listener that ``client_host`` uses."""
    servers = _servers(component, listener, inventory)
    host = server_host(component, inventory, client_host)
    return next(server for server in servers if server.host == host)


def server_host(component: Component, inventory: Inventory, client_host: str) -> str:
    """Return the host whose server a client uses: its own, else the first; empty without any."""
    hosts = inventory.hosts(component)
    return client_host if client_host in hosts else next(iter(hosts), "")


def _servers(
    component: Component,
    listener: str,
    inventory: Inventory,
) -> list[Listener]:
    """Return a listener of a component on each host of its group."""
    hosts = inventory.hosts(component)
    if not hosts:
        raise CatalogError(
            f"{component.name}: no host has it; add one to the inventory group {component.group}."
        )
    if listener not in component.listen_addresses:
        listeners = ", ".join(sorted(component.listen_addresses))
        raise CatalogError(
            f"{component.name}: there is no listener {listener!r}; choose one of: {listeners}."
        )
    if component.instances:
        raise CatalogError(
            f"{component.name}: each of its instances has a listener {listener!r};"
            " use scrape_jobs, which names all of them."
        )
    return [Listener(component, listener, host) for host in hosts]


def _client_config(
    server: Listener,
    client_host: str,
    inventory: Inventory,
    etc: str = "",
) -> transport.ClientConfig:
    """Return the settings of a client with its certificate, and its login where supported."""
    component = server.component
    own = credentials_of(inventory, client_host)
    if not (own.certificate and own.key and own.authority):
        variables = ", ".join(transport.TLS_VARIABLES)
        raise CatalogError(
            f"{component.name} on {server.host}: a client certificate is required;"
            f" set {variables} of {client_host}."
        )
    if not component.supports_basic_auth:
        return transport.client_config(own, etc, with_password=False)
    server_login = strings(inventory, server.host, transport.LOGIN_VARIABLES)
    if [own.username, own.password] != server_login:
        variables = " and ".join(transport.LOGIN_VARIABLES)
        raise CatalogError(
            f"{component.name} on {server.host}: the login of {client_host} differs;"
            f" set {variables} of {client_host} to those of {server.host}."
        )
    return transport.client_config(own, etc, with_password=bool(own.password))


def credentials_of(
    inventory: Inventory,
    host: str,
) -> transport.Credentials:
    """Return the certificate and login of a host."""
    variables = transport.TLS_VARIABLES + transport.PASSWORD_VARIABLES
    return transport.Credentials(*strings(inventory, host, variables))


def strings(
    inventory: Inventory,
    host: str,
    names: Iterable[str],
) -> list[str]:
    """Return variables of a host as strings, empty where they are not set."""
    return [str(inventory.variable(host, name) or "") for name in names]


def tls_files(
    component: Component,
    consumed: Iterable[Component],
    bind_address: str,
    inventory: Inventory,
    host: str,
) -> TlsFiles:
    """Return the files and settings of a component that listens on ``bind_address``.

    Without ``bind_address`` they are those of a client of the ``consumed`` components only.
    """
    scheme = transport.HTTP
    if bind_address:
        subject = f"{component.name} on {host}, {bind_address}"
        bind_host = parse_bind_address(bind_address, subject).host
        scheme = _scheme_at(bind_host, host, inventory)
    own = credentials_of(inventory, host)
    files = TlsFiles(scheme=scheme, config=[], secrets={}, probe_auth={}, web={})
    is_plaintext_listener = bool(bind_address) and scheme == transport.HTTP
    if is_plaintext_listener or not own.certificate:
        return files
    peers = (component, *consumed)
    is_password_used = any(peer.supports_basic_auth for peer in peers)
    has_password = bool(own.password)
    files["config"] = transport.config_files(own)
    files["secrets"] = transport.secret_files(own, has_password and is_password_used)
    if bind_address:
        requires_password = has_password and component.supports_basic_auth
        files["probe_auth"] = transport.probe_auth(own, requires_password)
        files["web"] = transport.web_config(own)
    return files


class _Job(NamedTuple):
    """A scrape job, the component and host that introduced it, and its settings for all targets."""

    component: str
    host: str
    settings: ScrapeConfig
    config: ScrapeConfig


def scrape_jobs(
    components: Iterable[Component],
    inventory: Inventory,
    client_host: str,
) -> list[ScrapeConfig]:
    """Return the ``scrape_configs`` of a Prometheus on ``client_host`` for all components.

    Raise CatalogError with one line for each target that has an error.
    """
    jobs: dict[str, _Job] = {}
    errors: list[str] = []
    for component in components:
        for host in inventory.hosts(component):
            errors += _add_targets(jobs, component, host, client_host, inventory)
    if errors:
        raise CatalogError("\n".join(dict.fromkeys(errors)))
    return [job.config for job in jobs.values()]


def _add_targets(
    jobs: dict[str, _Job],
    component: Component,
    host: str,
    client_host: str,
    inventory: Inventory,
) -> list[str]:
    """Add the targets of a component on a host to ``jobs`` and return the errors."""
    try:
        instances = instances_of(component, host, inventory)
    except CatalogError as error:
        return [str(error)]
    errors = []
    for instance in instances:
        for job in component.scrape_jobs:
            listener = Listener(component, job["address"], host, instance)
            try:
                _add_target(jobs, job, listener, client_host, inventory)
            except CatalogError as error:
                errors.append(str(error))
    return errors


def _add_target(
    jobs: dict[str, _Job],
    template: ScrapeJob,
    listener: Listener,
    client_host: str,
    inventory: Inventory,
) -> None:
    component, host = listener.component, listener.host
    facts: ScrapeJob = inventory.render(host, component, template, listener.instance)
    endpoint = reachable_endpoint(listener, client_host, inventory)
    environment = inventory.variable(host, ENVIRONMENT)
    if not environment:
        raise CatalogError(
            f"{component.name} on {host}: {ENVIRONMENT} is not set;"
            " set it to the environment's name, such as dev or prod."
        )
    config = _find_or_add_job(jobs, facts, component.name, host)
    labels = {**facts.get("labels", {}), "env": str(environment), "host": host}
    config["static_configs"].append({"targets": [endpoint.address], "labels": labels})
    if endpoint.scheme == transport.HTTP:
        return
    # Other targets of the job may use plain text, as those on Prometheus' own host do.
    labels["__scheme__"] = transport.HTTPS
    client = _client_config(listener, client_host, inventory)
    config["tls_config"] = client["tls_config"]
    if "basic_auth" in client:
        config["basic_auth"] = client["basic_auth"]


def _find_or_add_job(
    jobs: dict[str, _Job],
    facts: ScrapeJob,
    component: str,
    host: str,
) -> ScrapeConfig:
    """Return the job of that name, which is new or belongs to the same component.

    Raise CatalogError if another component has it, or if its settings differ.
    """
    name = facts["name"]
    settings = _job_settings(facts)
    if name not in jobs:
        config = settings.copy()
        config["static_configs"] = []
        jobs[name] = _Job(component, host, settings, config)
    job = jobs[name]
    if job.component != component:
        raise CatalogError(
            f"scrape job {name}: both {job.component} and {component} have it; rename one of them."
        )
    if job.settings != settings:
        raise CatalogError(
            f"scrape job {name}: it differs between the hosts {job.host} and {host};"
            " give it the same interval and path on both."
        )
    return job.config


def _job_settings(facts: ScrapeJob) -> ScrapeConfig:
    """Return a scrape job without its targets and without Prometheus' own defaults."""
    settings: ScrapeConfig = {"job_name": facts["name"]}
    interval = facts.get("interval")
    if interval:
        settings["scrape_interval"] = interval
    path = facts.get("path", DEFAULT_METRICS_PATH)
    if path != DEFAULT_METRICS_PATH:
        settings["metrics_path"] = path
    return settings


def instances_of(
    component: Component,
    host: str,
    inventory: Inventory,
) -> list[Instance] | list[None]:
    """Return the instances of a component on a host, ``[None]`` if it has no instances at all."""
    if not component.instances:
        return [None]
    instances = inventory.render(host, component, component.instances)
    is_list = isinstance(instances, list)
    if is_list and all(isinstance(instance, dict) for instance in instances):
        return list(instances)
    # The value is not quoted, since it contains passwords.
    raise CatalogError(
        f"{component.name} on {host}: {component.instances} must be a list of dict; correct it."
    )


def reachable_endpoint(
    listener: Listener,
    client_host: str,
    inventory: Inventory,
) -> Endpoint:
    """Return the endpoint at which ``client_host`` reaches a listener."""
    bind_addresses = bind_addresses_of(listener, inventory)
    if not bind_addresses:
        raise CatalogError(
            f"{listener.description}: a group with one host has no such listener;"
            " ask for another one."
        )
    if listener.host == client_host:
        return _local_endpoint(listener, bind_addresses[0], inventory)
    bind_address = _remote_bind_address(bind_addresses, listener.host, inventory)
    if transport.is_loopback(bind_address.host):
        raise CatalogError(
            f"{listener.description}: {bind_address.host} cannot be reached from {client_host};"
            " set an address that other hosts can reach."
        )
    host = _advertised_host(listener.host, bind_address.host, inventory)
    if transport.is_loopback(host):
        raise CatalogError(
            f"{listener.description}: {host} leads {client_host} to itself;"
            f" set monitoring_address of {listener.host}."
        )
    scheme = scheme_of(listener, bind_address.host, inventory)
    return Endpoint(scheme, host_port(host, bind_address.port))


def _local_endpoint(
    listener: Listener,
    bind_address: BindAddress,
    inventory: Inventory,
) -> Endpoint:
    """Return the endpoint at which the host of a listener reaches it."""
    bind_host, port = bind_address
    scheme = scheme_of(listener, bind_host, inventory)
    host = bind_host
    if scheme == transport.HTTPS and transport.is_wildcard(bind_host):
        # The certificate names the address that other hosts use, not the loopback one.
        host = _advertised_host(listener.host, bind_host, inventory)
    return Endpoint(scheme, host_port(_connectable(host), port))


def _remote_bind_address(
    bind_addresses: list[BindAddress],
    host: str,
    inventory: Inventory,
) -> BindAddress:
    """Return the bind address that is best for clients on other hosts.

    An address in a network that allows plain text is the second choice, since such a network may
    be a bridge of containers, which other hosts cannot reach. Loopback is the last choice.
    """
    routable = [
        address for address in bind_addresses if not transport.is_loopback(address.host)
    ]
    candidates = routable or bind_addresses
    for address in candidates:
        if not allows_plaintext(address.host, host, inventory):
            return address
    return candidates[0]


def bind_addresses_of(
    listener: Listener,
    inventory: Inventory,
) -> list[BindAddress]:
    """Return the addresses of a listener, of which it may have several.

    The one by which the hosts of a group find each other has none where the group has one host.
    """
    component = listener.component
    if listener.name == component.gossip and len(inventory.hosts(component)) == 1:
        return []
    template = component.listen_addresses[listener.name]
    value = inventory.render(listener.host, component, template, listener.instance)
    addresses = value if isinstance(value, list) and value else [value]
    subject = listener.description
    parsed = [parse_bind_address(address, subject) for address in addresses]
    if any(not int(address.port) for address in parsed):
        raise CatalogError(
            f"{subject}: the port 0 stands for any port; write one from 1 to {MAX_PORT}."
        )
    return parsed


def scheme_of(
    listener: Listener,
    bind_host: str,
    inventory: Inventory,
) -> str:
    """Return the scheme of a listener on one of its addresses."""
    if listener.name in listener.component.plaintext_listeners:
        return transport.HTTP
    return _scheme_at(bind_host, listener.host, inventory)


def _scheme_at(bind_host: str, host: str, inventory: Inventory) -> str:
    """Return the scheme of a listener that supports TLS."""
    if not inventory.variable(host, transport.CERTIFICATE_VARIABLE):
        return transport.HTTP
    if allows_plaintext(bind_host, host, inventory):
        return transport.HTTP
    return transport.HTTPS


def allows_plaintext(
    bind_host: str,
    host: str,
    inventory: Inventory,
) -> bool:
    """Return whether plain text is safe on an address of a host."""
    networks = inventory.variable(host, transport.NETWORKS_VARIABLE)
    try:
        return transport.allows_plaintext(bind_host, networks)
    except transport.TransportError as error:
        raise CatalogError(
            f"{transport.NETWORKS_VARIABLE} of {host}: {error}."
        ) from error


def _advertised_host(
    host: str,
    bind_host: str,
    inventory: Inventory,
) -> str:
    """Return the name or address of a host for other hosts.

    Without ``monitoring_address`` that is the bind address, the only one that is certain to answer,
    unless the component listens on every address.
    """
    address = inventory.variable(host, "monitoring_address")
    if address:
        return str(address)
    if not transport.is_wildcard(bind_host):
        return bind_host
    return str(inventory.variable(host, "ansible_host") or host)


def parse_bind_address(address: Value, subject: str) -> BindAddress:
    """Return host and port of an address; raise CatalogError for anything else."""
    text = address if isinstance(address, str) else ""
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isdigit() or re.search(r"[\s/]", host):
        raise CatalogError(
            f"{subject}: {address!r} is not host:port; write an address such as 127.0.0.1:3100."
        )
    if re.fullmatch(r"[^:]+:\d+", host):
        raise CatalogError(f"{subject}: {address!r} has two ports; write {host}.")
    if ":" in host and not is_bracketed:
        raise CatalogError(
            f"{subject}: {address!r} has an IPv6 address without brackets; write [{host}]:{port}."
        )
    # Roles ask with the port 0 for the scheme of any port.
    if int(port) > MAX_PORT:
        raise CatalogError(
            f"{subject}: {address!r} has no valid port; write one from 1 to {MAX_PORT}."
        )
    return BindAddress(host.strip("[]"), port)


def host_port(host: str, port: str) -> str:
    """Return a host and a port as one address, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _connectable(bind_host: str) -> str:
    """Return the host by which a machine reaches its own listener."""
    if not transport.is_wildcard(bind_host):
        return bind_host
    return "::1" if ":" in bind_host else "127.0.0.1"


def _require_listener(
    subject: str,
    listener: Any,
    listeners: Mapping[str, Value],
) -> None:
    if listener not in listeners:
        raise CatalogError(
            f"{subject}: there is no listener {listener!r}; add it to listen_addresses."
        )


def _require_fields(
    subject: str,
    facts: Any,
    schema: Schema,
    required: Schema,
) -> None:
    """Raise CatalogError unless ``facts`` is a dict with the fields of a schema."""
    if not isinstance(facts, dict):
        raise CatalogError(
            f"{subject}: must be a dict, not {facts!r}; correct the file."
        )
    missing = [f"{name} is missing" for name in sorted(set(required) - set(facts))]
    unknown = [f"{name} is unknown" for name in sorted(set(facts) - set(schema))]
    if missing or unknown:
        raise CatalogError(
            f"{subject}: {', '.join(missing + unknown)}; correct the file."
        )
    for name, value in facts.items():
        if not isinstance(value, schema[name]):
            type_name = schema[name].__name__
            raise CatalogError(
                f"{subject}: {name} must be a {type_name}, not {value!r}; correct the file."
            )
