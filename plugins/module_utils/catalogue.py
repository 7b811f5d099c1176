# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where components run and how they are reached, from the roles' facts and the inventory. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from itertools import product

# The group whose hosts scrape all others.
SCRAPER = "prometheus"
FACTS = {
    "release": str, "group": str, "component": str, "listens": dict, "ready": str, "scrape_jobs": list,
    "instances": str, "needs": dict,
}  # fmt: skip
# The environment in which examples will do.
DEV = "dev"
NEED_FACTS = {"value": str, "examples": list}
JOB_FACTS = {"name": str, "address": str, "path": str, "interval": str, "labels": dict}


class CatalogueError(Exception):
    """The inventory or a role's facts do not answer a question."""


@dataclass(frozen=True)
class Component:
    """What a role tells about its component, before templating; ``instances`` gives a list where it has several."""

    role: str
    name: str
    group: str
    listens: dict = field(default_factory=dict)
    scrape_jobs: tuple = ()
    instances: str = ""
    needs: dict = field(default_factory=dict)


def component(role: str, facts: object) -> Component:
    """The component that ``meta/component.yml`` of a role describes."""
    where = f"meta/component.yml of role {role}"
    _require_fields(where, facts, FACTS, required=("release", "group", "component"))
    for job in facts.get("scrape_jobs", ()):
        _require_fields(f"{where}, scrape_jobs", job, JOB_FACTS, required=("name", "address"))
        if job["address"] not in facts.get("listens", {}):
            raise CatalogueError(f"{where}: scrape job {job['name']} is at {job['address']}, which listens lacks.")
    for variable, need in facts.get("needs", {}).items():
        _require_fields(f"{where}, needs, {variable}", need, NEED_FACTS, required=("value",))
    return Component(
        role=role,
        name=facts["component"],
        group=facts["group"],
        listens=facts.get("listens", {}),
        scrape_jobs=tuple(facts.get("scrape_jobs", ())),
        instances=facts.get("instances", ""),
        needs=facts.get("needs", {}),
    )


class Inventory:
    """What is asked of an inventory; the lookup plugin answers."""

    groups: dict

    def variable(self, host: str, name: str) -> object:
        """A variable of a host, None where it is not set."""
        raise NotImplementedError

    def render(self, host: str, item: Component, value: object, instance: dict | None = None) -> object:
        """``value`` templated with the variables of the host over the defaults of the component's role.

        The instance that it is asked for is the variable ``instance``.
        """
        raise NotImplementedError

    def hosts(self, item: Component) -> list:
        """The hosts that have a component."""
        return self.groups.get(item.group) or []


def names(components: list, inventory: Inventory, host: str) -> list:
    """The components that a host should have, by the groups it is in."""
    return [item.name for item in components if host in inventory.hosts(item)]


def problems(components: list, inventory: Inventory) -> list:
    """What the inventory lacks, in sentences for people, whatever hosts a run is limited to."""
    hosts = dict.fromkeys(host for item in components for host in inventory.hosts(item))
    lacking = [host for host in hosts if not inventory.variable(host, "monitoring_environment")]
    if lacking:
        remedy = "Set it in the inventory's group_vars to the environment's name, such as dev or prod."
        return [f"monitoring_environment is not set for {', '.join(lacking)}. {remedy}"]
    found = dict.fromkeys(
        problem for item in components for host in inventory.hosts(item) for problem in _unmet(item, host, inventory)
    )
    for viewer in inventory.groups.get(SCRAPER) or []:
        # Who rolls out a file of their own scrapes what they like.
        if not inventory.variable(viewer, f"{SCRAPER}_config_file"):
            try:
                scrape_jobs(components, inventory, viewer)
            except CatalogueError as error:
                found.update(dict.fromkeys(str(error).splitlines()))
    return list(found)


def _unmet(item: Component, host: str, inventory: Inventory) -> list:
    """Which variables a host lacks for a component, or still has as an example; what they hold is not told."""
    if inventory.variable(host, f"{item.role}_config_file"):
        return []
    found = []
    for variable, need in item.needs.items():
        try:
            value = inventory.render(host, item, need["value"])
        except CatalogueError as error:
            found.append(str(error))
            continue
        environment = inventory.variable(host, "monitoring_environment")
        if not value:
            found.append(f"{variable} is not set for {host}, and {item.name} needs it.")
        elif environment != DEV and value in need.get("examples", ()):
            found.append(f"{variable} of {host} is the example of {DEV}, which will not do in {environment}.")
    return found


def address(item: Component, listen: str, inventory: Inventory, viewer: str) -> str:
    """``host:port`` at which ``viewer`` reaches a component: its own one, else that of the group's first host."""
    hosts = inventory.hosts(item)
    if not hosts:
        raise CatalogueError(f"No host is in the inventory group {item.group}, so {item.name} has no address.")
    if listen not in item.listens:
        raise CatalogueError(f"{item.name} has no address {listen!r}, only {', '.join(sorted(item.listens))}.")
    if item.instances:
        raise CatalogueError(f"{item.name} has an address {listen!r} for each of its instances, not one.")
    return _seen(item, listen, viewer if viewer in hosts else hosts[0], viewer, inventory)


def scrape_jobs(components: list, inventory: Inventory, viewer: str) -> list:
    """Prometheus' scrape_configs for everything in the inventory, seen from ``viewer``."""
    jobs: dict = {}
    wrong = []
    for item in components:
        for host in inventory.hosts(item):
            for instance, facts in product(_instances(item, host, inventory, wrong), item.scrape_jobs):
                try:
                    job = inventory.render(host, item, facts, instance)
                    target = _seen(item, facts["address"], host, viewer, inventory, instance)
                    _add_target(jobs, job, target, item.name, host, inventory.variable(host, "monitoring_environment"))
                except CatalogueError as error:
                    wrong.append(str(error))
    if wrong:
        raise CatalogueError("\n".join(dict.fromkeys(wrong)))
    return [job for _owner, job in jobs.values()]


def _instances(item: Component, host: str, inventory: Inventory, wrong: list) -> list:
    """The instances that a host has of a component, ``[None]`` for one without instances; adds to ``wrong``."""
    if not item.instances:
        return [None]
    try:
        found = inventory.render(host, item, item.instances)
    except CatalogueError as error:
        wrong.append(str(error))
        return []
    if isinstance(found, list) and all(isinstance(instance, dict) for instance in found):
        return found
    wrong.append(f"{item.name} on {host}, {item.instances}: {found!r} is not a list of mappings.")
    return []


def _add_target(jobs: dict, facts: dict, target: str, name: str, host: str, environment: object) -> None:
    if not environment:
        raise CatalogueError(f"{name} on {host}: monitoring_environment is not set.")
    job = _job(facts)
    (owner, first), known = jobs.setdefault(facts["name"], ((name, host), {**job, "static_configs": []}))
    if owner != name:
        raise CatalogueError(f"Scrape job {facts['name']} belongs to both {owner} and {name}.")
    if {**job, "static_configs": known["static_configs"]} != known:
        raise CatalogueError(f"Scrape job {facts['name']} differs between the hosts {first} and {host}.")
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
    item: Component, listen: str, host: str, viewer: str, inventory: Inventory, instance: dict | None = None
) -> str:
    """The address of a component on ``host`` as ``viewer`` can use it."""
    which = f"instance {instance.get('name')}, " if instance else ""
    where = f"{item.name} on {host}, {which}{item.listens[listen]}"
    bound, port = _split(inventory.render(host, item, item.listens[listen], instance), where)
    if host == viewer:
        return _join(_to_itself(bound), port)
    if _is_loopback(bound):
        raise CatalogueError(f"{where}: {bound} cannot be reached from {viewer}; let it listen on another address.")
    known_as = _known_as(host, bound, inventory)
    if _is_loopback(known_as):
        raise CatalogueError(f"{where}: {known_as} means {viewer} itself there; set monitoring_address of {host}.")
    return _join(known_as, port)


def _known_as(host: str, bound: str, inventory: Inventory) -> str:
    """Who names an address knows the network; else the bound one is the only one that is certain to answer."""
    named = inventory.variable(host, "monitoring_address") or ("" if _is_wildcard(bound) else bound)
    return named or inventory.variable(host, "ansible_host") or host


def _split(bound: object, where: str) -> tuple:
    host, colon, port = bound.rpartition(":") if isinstance(bound, str) else ("", "", "")
    if not colon or not port.isdigit():
        raise CatalogueError(f"{where}: {bound!r} is not host:port.")
    return host.strip("[]"), port


def _join(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _to_itself(bound: str) -> str:
    if not _is_wildcard(bound):
        return bound
    return "::1" if ":" in bound else "127.0.0.1"


def _is_wildcard(host: str) -> bool:
    parsed = _ip(host)
    return not host or bool(parsed and parsed.is_unspecified)


def _is_loopback(host: str) -> bool:
    parsed = _ip(host)
    return host == "localhost" or bool(parsed and parsed.is_loopback)


def _ip(host: str) -> object:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _require_fields(where: str, facts: object, known: dict, required: tuple) -> None:
    if not isinstance(facts, dict):
        raise CatalogueError(f"{where}: {facts!r} is not a mapping.")
    missing, unknown = sorted(set(required) - set(facts)), sorted(set(facts) - set(known))
    if missing or unknown:
        problems = [f"{key} is missing" for key in missing] + [f"{key} is unknown" for key in unknown]
        raise CatalogueError(f"{where}: {', '.join(problems)}.")
    for key, value in facts.items():
        if not isinstance(value, known[key]):
            raise CatalogueError(f"{where}: {key} must be a {known[key].__name__}, not {value!r}.")
