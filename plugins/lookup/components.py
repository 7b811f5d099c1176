# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answer questions about the components of the whole inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: components
short_description: Addresses and scrape jobs of the components in the inventory
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Reads C(meta/component.yml) and the defaults of this collection's roles, and the groups and variables of the
    inventory, and tells where components run and how they are reached.
  - The answer covers all hosts and is the same under C(--limit) and C(--tags). Nothing is contacted.
  - Role defaults count for every host of the group that the role is named after, overridden by the variables that
    the host has in the inventory, as facts or by C(--extra-vars). Variables of plays, blocks and tasks do not count,
    since they are not visible from elsewhere.
options:
  _terms:
    description:
      - V(scrape_jobs) gives Prometheus' C(scrape_configs) for all components, seen from the current host. Each target
        has the labels C(env) (C(monitoring_environment) of its host) and C(host) (its name in the inventory).
      - V(address) gives C(host:port) of one component. It is the current host's own one if it has the component,
        else that of the first host in the group.
      - V(url) gives the same with what is spoken there, such as V(https://10.0.0.2:3100).
      - V(client) gives what the current host needs to ask that component, C(tls_config) and C(basic_auth) in the form
        of Prometheus, with files below O(etc). It is empty where plain text is spoken.
      - V(tls) gives what O(component) on the current host needs for TLS on its own O(address), or, without an
        address, to ask others. C(scheme) is what it speaks there, C(config) and C(secrets) are files for the component
        module, C(probe_auth) belongs into its C(ready) and C(reload), and C(web) is the configuration of the web server that
        Prometheus' own programs share. All of them are empty where plain text is spoken.
      - V(names) gives the names of the components that the current host should have.
      - V(known) gives the names of all components that this collection has a role for.
      - V(releases) gives what the inventory rolls out, as a lock has it, by name, version and architecture.
      - V(alerts) gives the rule files of the components that the inventory has, C(files/alerts.yml) of their roles, as
        a list of C(component), C(path) and C(document). Nothing in them is taken for a template of Ansible.
      - V(content) gives what the components of the inventory bring to Grafana, C(files/dashboards) and, of
        C(files/alerts.yml), Grafana's share, as items for the option C(content) of the module
        M(hippius.monitoring.grafana_content), put into O(folder).
    choices: [scrape_jobs, address, url, client, tls, names, known, releases, alerts, content]
    required: true
  component:
    description: Component whose address is wanted, for example V(otel-collector).
    type: str
  listen:
    description: Name of the address in the C(listen_addresses) of the component's role.
    type: str
    default: http
  address:
    description: The component's own listener, as C(host:port).
    type: str
    default: ""
  etc:
    description: Directory of the asker's files, such as V(/etc/promtail); empty for paths relative to it.
    type: str
    default: ""
  engine:
    description:
      - Only V(alerts) that are evaluated by V(grafana) or by V(prometheus), as their label C(engine) says, and without
        that label. Components without such alerts are left out.
    type: str
    default: ""
    choices: ["", grafana, prometheus]
  folder:
    description: Path of the folder of Grafana that V(content) goes into.
    type: str
    default: ""
notes:
  - On another host a component is reached at C(monitoring_address) of that host; where it is not set, at the address
    it listens on, or, where that is every address, at C(ansible_host), or at the host's name in the inventory.
  - A listener speaks TLS, and wants a certificate of whoever asks, where C(monitoring_tls_certificate) of its host is
    set and its address is neither loopback nor in C(monitoring_plaintext_networks).
"""

EXAMPLES = r"""
- name: Show what Prometheus on this host scrapes
  ansible.builtin.debug:
    msg: "{{ lookup('hippius.monitoring.components', 'scrape_jobs') }}"

- name: Show where this host's logs go
  ansible.builtin.debug:
    msg: "{{ lookup('hippius.monitoring.components', 'address', component='loki') }}"
"""

RETURN = r"""
_raw:
  description: A list with one element, the answer.
  type: list
  elements: raw
"""


from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    catalog,
    lock_files,
    pinned_releases,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.inventory import (
    ROLES,
    all_components,
    named_component,
    of,
    read,
)

# Questions about one component.
ABOUT = ("address", "url", "client", "tls")
QUESTIONS = ("scrape_jobs", *ABOUT, "names", "known", "releases", "alerts", "content")


class LookupModule(LookupBase):
    """``lookup('hippius.monitoring.components', question, ...)``."""

    def run(
        self,
        terms: list,
        variables: dict,
        component: str = "",
        listen: str = "http",
        address: str = "",
        etc: str = "",
        engine: str = "",
        folder: str = "",
    ) -> list:
        """Answer one question; the answer is the only element of the list."""
        if len(terms) != 1 or terms[0] not in QUESTIONS:
            raise AnsibleError(f"Ask for one of {', '.join(QUESTIONS)}, not for {terms}.")
        inventory = of(self._loader, variables)
        host = variables["inventory_hostname"]
        try:
            if terms[0] in ABOUT:
                return [
                    _about(
                        terms[0], named_component(component), inventory, host, listen, address, etc
                    )
                ]
            if terms[0] == "names":
                return [catalog.names(all_components(), inventory, host)]
            if terms[0] == "known":
                return [[item.name for item in all_components()]]
            if terms[0] == "releases":
                return [pinned_releases.locked(all_components(), inventory, lock_files.archives)]
            if terms[0] == "alerts":
                return [alerts(inventory, engine)]
            if terms[0] == "content":
                return [content(inventory, folder)]
            return [catalog.scrape_jobs(all_components(), inventory, host)]
        except catalog.CatalogError as error:
            raise AnsibleError(str(error)) from error


def _about(
    question: str,
    item: catalog.Component,
    inventory: catalog.Inventory,
    host: str,
    listen: str,
    address: str,
    etc: str,
) -> object:
    """The answer to a question about one component."""
    if question == "tls":
        asked = [named_component(name) for name in item.consumes]
        return catalog.tls(item, asked, address, inventory, host)
    if question == "client":
        return catalog.client(item, listen, inventory, host, etc)
    return getattr(catalog, question)(item, listen, inventory, host)


def alerts(inventory: catalog.Inventory, engine: str) -> list:
    """The rule files that the components of an inventory bring, or one engine's share of each."""
    # Loading it costs each task time, and few ask for alerts.
    from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
        prometheus_rules,
    )

    if engine not in ("", *prometheus_rules.ENGINES):
        raise catalog.CatalogError(
            f"engine is {engine!r}; it may be {' or '.join(prometheus_rules.ENGINES)}."
        )
    files = [
        (item, ROLES / item.role / "files" / "alerts.yml")
        for item in all_components()
        if inventory.hosts(item)
    ]
    found = []
    for item, path in files:
        try:
            document = read(path) if path.exists() else {}
            if engine and document:
                document = prometheus_rules.split(document)[prometheus_rules.ENGINES.index(engine)]
        except prometheus_rules.RuleError as error:
            raise catalog.CatalogError(f"{path}: {error}") from error
        if document.get("groups"):
            found.append({"component": item.name, "path": str(path), "document": document})
    return found


def content(inventory: catalog.Inventory, folder: str) -> list:
    """What the components of an inventory bring to Grafana, as items of grafana_content."""
    paths = [
        ROLES / item.role / "files" / "dashboards"
        for item in all_components()
        if inventory.hosts(item)
    ]
    brought = [{"directory": str(path), "folder": folder} for path in paths if path.is_dir()]
    return brought + [
        {"file": item["path"], "folder": folder} for item in alerts(inventory, "grafana")
    ]
