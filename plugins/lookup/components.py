# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look up the components of the whole inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: components
short_description: Addresses and scrape jobs of the components in the inventory
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Returns the components of the inventory, their addresses, and the settings by which other
    components reach them.
  - Reads C(meta/component.yml), the defaults and the files of this collection's roles, and the
    groups and variables of the inventory.
  - Covers all hosts, also under C(--limit) and C(--tags). No host is contacted.
  - The defaults of a role apply to every host of the group that is named after the role. Variables
    of the host in the inventory, facts and C(--extra-vars) override them. Variables of plays,
    blocks and tasks are ignored, since they are not visible to other hosts.
options:
  _terms:
    description: Question about the inventory; exactly one.
    type: list
    elements: str
    required: true
    choices:
      scrape_jobs:
        - C(scrape_configs) of a Prometheus on the current host, for all components. Each target has
          the labels C(env) (C(monitoring_environment) of its host) and C(host) (the name of its
          host in the inventory).
      address:
        - C(host:port) of a component. On a host without the component it is that of the first host
          in the group.
      url:
        - The address with its scheme, such as V(https://10.0.0.2:3100).
      members:
        - All hosts of the group of a component, as a list of C(host), C(address), C(url) and
          C(client) as the current host reaches them, and C(advertised), the address for other
          hosts.
      peers:
        - The other hosts of the group of a component whose hosts stand in for each other, for
          C(ready.peers) of M(hippius.monitoring.component). Empty on a host outside of the group.
      client:
        - C(tls_config) and C(basic_auth) in the format of Prometheus, by which the current host
          reaches the component, with files below O(etc). Empty for plain text.
      tls:
        - Settings for TLS of O(component) on the current host, which listens on O(address). Without
          O(address), the settings of a client.
        - C(scheme) is the scheme of the listener. C(config) and C(secrets) are files for the
          component module, C(probe_auth) is part of its options C(ready) and C(reload). C(web) is
          the web configuration that Prometheus and its exporters share. All but C(scheme) are empty
          for plain text.
      names:
        - Names of the components that the current host should have.
      known:
        - Names of all components that this collection has a role for.
      releases:
        - Releases that the inventory requests, in the format of a release lock, by name, version
          and architecture.
      alerts:
        - Rule files of the components in the inventory, C(files/alerts.yml) of their roles, as a
          list of C(component), C(path) and C(document). They are not templated.
      content:
        - Grafana content of the components in the inventory, C(files/dashboards) and the share of
          C(files/alerts.yml) that Grafana evaluates, as a value for the option C(content) of
          M(hippius.monitoring.grafana_content).
  component:
    description: Name of the component, such as V(otel-collector). Required for V(address), V(url),
      V(members), V(peers), V(client), V(tls).
    type: str
    default: ""
  listener:
    description: Name of the listener in the C(listen_addresses) of the component's role.
    type: str
    default: http
  address:
    description: Listen address of the component itself, as C(host:port), for V(tls).
    type: str
    default: ""
  etc:
    description: Directory of the client's files, such as V(/etc/promtail). By default their paths
      are relative to it.
    type: str
    default: ""
  engine:
    description:
      - Evaluator of the V(alerts), as in their label C(engine). The result lacks this label, and
        components without such alerts. By default all alerts are returned.
    type: str
    default: ""
    choices: ["", grafana, prometheus]
  folder:
    description: Path of the Grafana folder for V(content).
    type: str
    default: ""
notes:
  - Other hosts reach a component at C(monitoring_address) of its host. If that is not set, they
    reach it at its listen address or, if it listens on every address, at C(ansible_host), by
    default the name of the host in the inventory.
  - A listener uses TLS and requires a client certificate if C(monitoring_tls_certificate) of its
    host is set, unless its address is loopback or in C(monitoring_plaintext_networks).
"""

EXAMPLES = r"""
- name: Show what Prometheus on this host scrapes
  ansible.builtin.debug:
    msg: "{{ lookup('hippius.monitoring.components', 'scrape_jobs') }}"

- name: Show where this host sends its logs
  ansible.builtin.debug:
    msg: "{{ lookup('hippius.monitoring.components', 'address', component='loki') }}"
"""

RETURN = r"""
_raw:
  description: A list of one element, the answer.
  type: list
  elements: raw
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    catalog,
    documentation,
    lock_files,
    pinned_releases,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.inventory import (
    ROLES,
    Inventory,
    all_components,
    inventory_of,
    named_component,
    read_yaml,
)


class RuleFile(TypedDict):
    """A rule file of a component, or the share of it that one engine evaluates."""

    component: str
    path: str
    document: dict[str, Any]


class Query(NamedTuple):
    """The inventory, the current host and the options of the lookup."""

    inventory: Inventory
    host: str
    component: str
    listener: str
    address: str
    etc: str
    engine: str
    folder: str


def find_scrape_jobs(query: Query) -> list[catalog.ScrapeConfig]:
    """Return ``scrape_configs`` of a Prometheus on the current host."""
    return catalog.scrape_jobs(all_components(), query.inventory, query.host)


def find_address(query: Query) -> str:
    """Return ``host:port`` of a component."""
    component = named_component(query.component)
    return catalog.address_of(component, query.listener, query.inventory, query.host)


def find_url(query: Query) -> str:
    """Return the address of a component with its scheme."""
    component = named_component(query.component)
    return catalog.url_of(component, query.listener, query.inventory, query.host)


def find_members(query: Query) -> list[catalog.Member]:
    """Return all hosts of a component's group, each as the current host reaches it."""
    component = named_component(query.component)
    return catalog.members_of(
        component, query.listener, query.inventory, query.host, query.etc
    )


def find_peers(query: Query) -> list[catalog.Peer]:
    """Return the other hosts of a component's group, and how each shows that it is ready."""
    component = named_component(query.component)
    return catalog.peers_of(component, query.inventory, query.host)


def client_settings(query: Query) -> catalog.transport.ClientConfig:
    """Return the settings by which the current host reaches a component."""
    component = named_component(query.component)
    return catalog.client_config_of(
        component, query.listener, query.inventory, query.host, query.etc
    )


def tls_settings(query: Query) -> catalog.TlsFiles:
    """Return the files and settings for TLS of a component on the current host."""
    component = named_component(query.component)
    consumed = [named_component(name) for name in component.consumes]
    return catalog.tls_files(
        component, consumed, query.address, query.inventory, query.host
    )


def expected_names(query: Query) -> list[str]:
    """Return the names of the components that the current host should have."""
    return catalog.component_names(all_components(), query.inventory, query.host)


def known_names(_query: Query) -> list[str]:
    """Return the names of all components that have a role."""
    return [component.name for component in all_components()]


def requested_releases(query: Query) -> pinned_releases.Lock:
    """Return a lock of the releases that the inventory requests."""
    return pinned_releases.locked(
        all_components(), query.inventory, lock_files.archives
    )


def find_alerts(query: Query) -> list[RuleFile]:
    """Return the rule files of the components in the inventory, or one engine's share of each."""
    base = _documentation_url(query)
    rule_files = _rule_files(query.inventory, query.engine)
    for rule_file in rule_files:
        document = documentation.rules_with_addresses(rule_file["document"], base)
        rule_file["document"] = document
    return rule_files


def find_content(query: Query) -> list[dict[str, str]]:
    """Return the Grafana content of the components in the inventory, as sources of it."""
    paths = _role_paths(query.inventory, "files/dashboards").values()
    directories = [path for path in paths if path.is_dir()]
    placed = {"folder": query.folder, "documentation_url": _documentation_url(query)}
    dashboards = [{"directory": str(path), **placed} for path in directories]
    rule_files = _rule_files(query.inventory, "grafana")
    # While a datasource is down its rules keep their states; its own alert reports it.
    rules = [
        {"file": rule_file["path"], "exec_error": "KeepLast", **placed}
        for rule_file in rule_files
    ]
    return dashboards + rules


def _documentation_url(query: Query) -> str:
    return str(query.inventory.variable(query.host, documentation.VARIABLE) or "")


def _rule_files(inventory: Inventory, engine: str) -> list[RuleFile]:
    # Imported here, since it costs each task time and few tasks look up alerts.
    from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
        prometheus_rules,
    )

    engines = prometheus_rules.ENGINES
    if engine not in ("", *engines):
        raise catalog.CatalogError(
            f"engine {engine!r}: does not exist; choose one of: {', '.join(engines)}."
        )
    rule_files = []
    for component, path in _role_paths(inventory, "files/alerts.yml").items():
        document = read_yaml(path) if path.exists() else {}
        if engine and document:
            try:
                document = prometheus_rules.split(document)[engines.index(engine)]
            except prometheus_rules.RuleError as error:
                raise catalog.CatalogError(f"{path}: {error}") from error
        if document.get("groups"):
            rule_files.append(
                RuleFile(component=component, path=str(path), document=document)
            )
    return rule_files


def _role_paths(inventory: Inventory, path: str) -> dict[str, Path]:
    """Return a path below the role of each component that the inventory has, by component."""
    components = [
        component for component in all_components() if inventory.hosts(component)
    ]
    return {component.name: ROLES / component.role / path for component in components}


ANSWERS: Mapping[str, Callable[[Query], Any]] = {
    "scrape_jobs": find_scrape_jobs,
    "address": find_address,
    "url": find_url,
    "members": find_members,
    "peers": find_peers,
    "client": client_settings,
    "tls": tls_settings,
    "names": expected_names,
    "known": known_names,
    "releases": requested_releases,
    "alerts": find_alerts,
    "content": find_content,
}


class LookupModule(LookupBase):
    """``lookup('hippius.monitoring.components', question, ...)``."""

    def run(
        self,
        terms: list[str],
        variables: dict[str, Any],
        component: str = "",
        listener: str = "http",
        address: str = "",
        etc: str = "",
        engine: str = "",
        folder: str = "",
    ) -> list[Any]:
        """Return the answer to one question as the only element of a list."""
        if len(terms) != 1 or terms[0] not in ANSWERS:
            raise AnsibleError(
                f"components lookup: {terms} is not one question; ask one of: {', '.join(ANSWERS)}."
            )
        host = variables["inventory_hostname"]
        inventory = inventory_of(self._loader, variables)
        query = Query(
            inventory, host, component, listener, address, etc, engine, folder
        )
        try:
            return [ANSWERS[terms[0]](query)]
        except catalog.CatalogError as error:
            raise AnsibleError(str(error)) from error
