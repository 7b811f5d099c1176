# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where components run and how they are reached, from the roles' facts and the inventory. Pure.

What has to be templated goes through ``render(host, component, value)``, which gives ``value`` as it reads on that
host: with the variables of the host over the defaults of the component's role.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

FACTS = {"release": str, "group": str, "component": str, "listens": dict, "ready": str, "scrape_jobs": list}
JOB_FACTS = {"name": str, "address": str, "path": str, "interval": str, "labels": dict}
NAMED = "{{ monitoring_address | default('', true) }}"
CONNECTED = "{{ ansible_host | default(inventory_hostname, true) }}"
ENVIRONMENT = "{{ monitoring_environment }}"
ENVIRONMENT_OR_NOTHING = "{{ monitoring_environment | default('', true) }}"


class CatalogueError(Exception):
    """The inventory or a role's facts do not answer a question."""


@dataclass(frozen=True)
class Component:
    """What a role tells about its component, before templating."""

    role: str
    name: str
    group: str
    listens: dict = field(default_factory=dict)
    scrape_jobs: tuple = ()


def component(role: str, facts: object) -> Component:
    """The component that ``meta/component.yml`` of a role describes."""
    where = f"meta/component.yml of role {role}"
    _require_fields(where, facts, FACTS, required=("release", "group", "component"))
    for job in facts.get("scrape_jobs", ()):
        _require_fields(f"{where}, scrape_jobs", job, JOB_FACTS, required=("name", "address"))
        if job["address"] not in facts.get("listens", {}):
            raise CatalogueError(f"{where}: scrape job {job['name']} is at {job['address']}, which listens lacks.")
    return Component(
        role=role,
        name=facts["component"],
        group=facts["group"],
        listens=facts.get("listens", {}),
        scrape_jobs=tuple(facts.get("scrape_jobs", ())),
    )


def names(components: list, groups: dict, host: str) -> list:
    """The components that a host should have, by the groups it is in."""
    return [item.name for item in components if host in groups.get(item.group, ())]


def problems(components: list, groups: dict, render: object) -> list:
    """What the inventory lacks, in sentences for people, whatever hosts a run is limited to."""
    lacking = []
    for item in components:
        for host in groups.get(item.group, ()):
            if host not in lacking and not render(host, item, ENVIRONMENT_OR_NOTHING):
                lacking.append(host)
    if not lacking:
        return []
    return [
        f"monitoring_environment is not set for {', '.join(lacking)}."
        " Set it in the inventory's group_vars to the environment's name, such as dev or prod."
    ]


def address(found: Component, listen: str, groups: dict, viewer: str, render: object) -> str:
    """``host:port`` at which ``viewer`` reaches a component: its own one, else that of the group's first host."""
    hosts = groups.get(found.group) or ()
    if not hosts:
        raise CatalogueError(f"No host is in the inventory group {found.group}, so {found.name} has no address.")
    if listen not in found.listens:
        raise CatalogueError(f"{found.name} has no address {listen!r}, only {', '.join(sorted(found.listens))}.")
    return _seen(found, listen, viewer if viewer in hosts else hosts[0], viewer, render)


def scrape_jobs(components: list, groups: dict, viewer: str, render: object) -> list:
    """Prometheus' scrape_configs for everything in the inventory, seen from ``viewer``."""
    jobs: dict = {}
    problems = []
    for item in components:
        for host in groups.get(item.group, ()):
            for facts in item.scrape_jobs:
                try:
                    _add_target(jobs, item, facts, host, viewer, render)
                except CatalogueError as error:
                    problems.append(str(error))
    if problems:
        raise CatalogueError("\n".join(dict.fromkeys(problems)))
    return [job for _owner, job in jobs.values()]


def _add_target(jobs: dict, item: Component, facts: dict, host: str, viewer: str, render: object) -> None:
    job, labels = _job(render(host, item, {key: value for key, value in facts.items() if key != "address"}))
    owner, known = jobs.setdefault(job["job_name"], ((item.name, host), {**job, "static_configs": []}))
    if owner[0] != item.name:
        raise CatalogueError(f"Scrape job {job['job_name']} belongs to both {owner[0]} and {item.name}.")
    if {**known, "static_configs": None} != {**job, "static_configs": None}:
        raise CatalogueError(f"Scrape job {job['job_name']} differs between the hosts {owner[1]} and {host}.")
    target = _seen(item, facts["address"], host, viewer, render)
    labels = {**labels, "env": str(render(host, item, ENVIRONMENT)), "host": host}
    known["static_configs"].append({"targets": [target], "labels": labels})


def _job(facts: dict) -> tuple:
    """A scrape job without its targets, and the labels that they get; what is Prometheus' default is left out."""
    job = {"job_name": facts["name"]}
    if facts.get("interval"):
        job["scrape_interval"] = facts["interval"]
    if facts.get("path", "/metrics") != "/metrics":
        job["metrics_path"] = facts["path"]
    return job, facts.get("labels") or {}


def _seen(item: Component, listen: str, host: str, viewer: str, render: object) -> str:
    """The address of a component on ``host`` as ``viewer`` can use it."""
    expression = item.listens[listen]
    where = f"{item.name} on {host} ({listen}: {expression})"
    bound, port = _split(render(host, item, expression), where)
    if host == viewer:
        return _join(_to_itself(bound), port)
    if _is_loopback(bound):
        raise CatalogueError(f"{where} listens on {bound} only, which {viewer} cannot reach; let it listen elsewhere.")
    # Whoever names an address knows the network; else the bound one is the only one that is certain to answer.
    known_as = render(host, item, NAMED) or ("" if _is_wildcard(bound) else bound) or render(host, item, CONNECTED)
    if _is_loopback(known_as):
        raise CatalogueError(f"{where}: {known_as} is no address for {viewer}; set monitoring_address of {host}.")
    return _join(known_as, port)


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
