# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules, panels and facts about series of the roles in an inventory, from their files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..module_utils.grafana.files import prometheus_rules
from .flow_plan import SeriesFacts, Site
from .inventory import ROLES, read_yaml

FACTS = "meta/verify.yml"
# A user's own reasons, in the inventory.
ALLOWED = "verify_allowed_empty"
PROMETHEUS = "prometheus"


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


def expressions(site: Site) -> list[tuple[str, str]]:
    """Return place and expression of each rule that Grafana evaluates, and of each panel."""
    found = []
    for component in site.components.values():
        if not site.inventory.hosts(component):
            continue
        files = ROLES / component.role / "files"
        alerts = files / "alerts.yml"
        if alerts.exists():
            found += list(_rules(read_yaml(alerts)))
        for path in sorted(files.glob("dashboards/*.json")):
            found += list(_panels(json.loads(path.read_text(encoding="utf-8"))))
    return found


def _rules(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    grafana = prometheus_rules.split(document)[
        prometheus_rules.ENGINES.index("grafana")
    ]
    for group in grafana.get("groups") or ():
        for rule in group["rules"]:
            yield f"rule {rule.get('alert') or rule.get('record')}", rule["expr"]


def _panels(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    title = dashboard["title"]
    for panel in dashboard.get("panels") or ():
        for target in panel.get("targets") or ():
            if (target.get("datasource") or {}).get("type") == PROMETHEUS:
                yield f"dashboard {title}, panel {panel['title']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield f"dashboard {title}, {annotation['name']}", annotation["expr"]
