# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules, panels and facts about series of the roles in an inventory, from their files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import yaml

from ..module_utils.grafana.files import prometheus_rules
from . import heartbeat
from .catalog import CatalogError
from .flow_plan import RuleName, SeriesFacts, Site
from .inventory import ROLES, read_yaml

if TYPE_CHECKING:
    from .content import DesiredRule

FACTS = "meta/verify.yml"
# A user's own reasons, in the inventory.
ALLOWED = "verify_allowed_empty"
PROMETHEUS = "prometheus"
OWN_RULES = "prometheus_rule_files"
# Group and name of the alert that the role of Prometheus adds for the address outside.
HEARTBEAT = ("heartbeat", "Watchdog")


def series_facts(site: Site, host: str) -> SeriesFacts:
    """Return the facts of all roles, and the exceptions in the variables of a host."""
    owners: dict[str, str] = {}
    applications: list[str] = []
    allowed: dict[str, str] = {}
    for name, component in site.components.items():
        path = ROLES / component.role / FACTS
        facts = read_yaml(path) if path.exists() else {}
        owners.update(dict.fromkeys(facts.get("metrics") or (), name))
        applications += facts.get("application_metrics") or ()
        allowed.update(facts.get("allowed_empty") or {})
    own = site.inventory.variable(host, ALLOWED) or {}
    allowed.update({str(selector): str(reason) for selector, reason in own.items()})
    return SeriesFacts(owners, tuple(applications), allowed)


def expressions(
    site: Site, kind: str, rules: Iterable[DesiredRule] = ()
) -> list[tuple[str, str]]:
    """Return place and expression of Grafana's rules, and of the panels of all components.

    ``kind`` is the type of the datasource, and ``rules`` are those of the whole content.
    """
    found = [
        (f"rule {rule['rule']}", query["expression"])
        for rule in rules
        for query in rule["queries"]
        if query["type"] == kind
    ]
    for component in site.components.values():
        if not site.inventory.hosts(component):
            continue
        files = ROLES / component.role / "files"
        alerts = files / "alerts.yml"
        if alerts.exists() and kind == PROMETHEUS:
            found += list(_rules(read_yaml(alerts)))
        for path in sorted(files.glob("dashboards/*.json")):
            dashboard = json.loads(path.read_text(encoding="utf-8"))
            found += list(_panels(dashboard, kind))
    return found


def rules_of_prometheus(
    site: Site, host: str, objectives: dict[str, Any]
) -> list[RuleName]:
    """Return the rules that a Prometheus should have; ``objectives`` is the file of the SLOs.

    With a configuration of the user's own none are known.
    """
    if site.own_file(PROMETHEUS, host):
        return []
    documents = [objectives]
    for component in site.components.values():
        alerts = ROLES / component.role / "files" / "alerts.yml"
        if site.inventory.hosts(component) and alerts.exists():
            documents.append(_share(read_yaml(alerts), PROMETHEUS))
    names = site.variable(PROMETHEUS, host, OWN_RULES) or []
    for name in [names] if isinstance(names, str) else names:
        path = site.inventory.find_file(PROMETHEUS, host, str(name))
        try:
            documents.append(yaml.safe_load(site.inventory.read_file(path)) or {})
        except yaml.YAMLError as error:
            raise CatalogError(f"{path}: is no YAML; correct it: {error}") from error
    found = [
        RuleName(str(group["name"]), str(rule.get("alert") or rule.get("record")))
        for document in documents
        for group in document.get("groups") or ()
        for rule in group.get("rules") or ()
    ]
    is_watched = site.inventory.variable(host, heartbeat.VARIABLE)
    if is_watched and site.hosts("alertmanager"):
        found.append(RuleName(*HEARTBEAT))
    return found


def _share(document: dict[str, Any], engine: str) -> dict[str, Any]:
    """Return the rules of a file that one engine evaluates."""
    return prometheus_rules.split(document)[prometheus_rules.ENGINES.index(engine)]


def _rules(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for group in _share(document, "grafana").get("groups") or ():
        for rule in group["rules"]:
            yield f"rule {rule.get('alert') or rule.get('record')}", rule["expr"]


def _panels(dashboard: dict[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    title = dashboard["title"]
    for panel in dashboard.get("panels") or ():
        for target in panel.get("targets") or ():
            if (target.get("datasource") or {}).get("type") == kind:
                yield f"dashboard {title}, panel {panel['title']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation and kind == PROMETHEUS:
            yield f"dashboard {title}, {annotation['name']}", annotation["expr"]
