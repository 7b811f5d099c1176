# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the role prometheus that depend on several variables. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ansible.plugins.filter.core import to_json

from ansible_collections.hippius.monitoring.plugins.filter.slo_rules import slo_rules
from ansible_collections.hippius.monitoring.plugins.plugin_utils.transport import HTTPS

if TYPE_CHECKING:
    from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
        Role,
    )

Values = dict[str, Any]


def external_labels(role: Role) -> dict[str, str]:
    """Return the labels of everything that leaves Prometheus."""
    labels = {"env": role["monitoring_environment"]}
    if role.is_one_of_several("prometheus"):
        labels["replica"] = role.host
    return labels


def alerting(role: Role) -> Values:
    """Return the Alertmanagers, which get the same alerts from each Prometheus of a group."""
    several = role.is_one_of_several("prometheus")
    return {
        "alertmanagers": role.fact("alertmanagers"),
        **(role.fact("without_replica") if several else {}),
    }


def alertmanagers(role: Role) -> list[Values]:
    """Return each Alertmanager of the inventory; it is never behind a load balancer.

    Without one, alerts are visible in Prometheus only.
    """
    members = role.members("alertmanager") if role.has("alertmanager") else []
    return [
        {
            "static_configs": [{"targets": [member["address"]]}],
            **({"scheme": HTTPS} if member["client"] else {}),
            **member["client"],
        }
        for member in members
    ]


def exemplars(role: Role) -> dict[str, int]:
    """Return the limit of exemplars, which may come from a command line as text."""
    return {"max_exemplars": int(role.own("max_exemplars"))}


def scrape_configs(role: Role) -> list[Values]:
    """Return the scrape jobs of all components and those of the user."""
    return [*role.ask("scrape_jobs"), *role.own("scrape_configs")]


def rules(role: Role) -> list[Values]:
    """Return a rule file for each component, those of the user, and what variables describe."""
    generates = not role.own("config_file")
    alerts = role.ask("alerts", engine="prometheus") if generates else []
    documents = {
        f"rules/{alert['component']}.yml": alert["document"] for alert in alerts
    }
    sources = {
        f"rules/own-{PurePosixPath(source).stem}.yml": source
        for source in role.strings("rule_files")
    }
    files = [{"path": path, "content": content} for path, content in documents.items()]
    files += [{"path": path, "source": source} for path, source in sources.items()]
    objectives = role.own("slos")
    if objectives and generates:
        address = role.get("monitoring_documentation_url", "")
        files.append(
            {"path": "rules/slo.yml", "content": slo_rules(objectives, address)}
        )
    # Without a configuration of our own nothing sends it.
    url = role.get("monitoring_heartbeat_url", "") or ""
    if url and role.has("alertmanager") and generates:
        files += role.fact("heartbeat")
    return files


def web(role: Role) -> dict[str, str]:
    """Return the web configuration, a secret file, since it may hold the hash of a password."""
    own = role.fact("tls")
    return {"web.yml": to_json(own["web"])} if own["scheme"] == HTTPS else {}


def command(role: Role) -> list[str]:
    """Return the program with all flags."""
    web_flags = ["--web.config.file={etc}/web.yml"] if role.fact("web") else []
    return [*role.fact("program"), *web_flags, *role.fact("flags")]


def check(role: Role) -> list[str]:
    """Return the checker, also of the web configuration where there is one."""
    checkers: list[list[str]] = role.fact("checkers")
    return checkers[1 if role.fact("web") else 0]


def config_files(role: Role) -> list[Values]:
    """Return all files of the configuration."""
    certificates = role.fact("credentials")["config"]
    return [role.fact("main_file"), *role.fact("rules"), *certificates]


def secret_files(role: Role) -> Values:
    """Return all secret files."""
    credentials = role.fact("credentials")["secrets"]
    return {**role.own("secrets"), **credentials, **role.fact("web")}


VALUES = {
    "external_labels": external_labels,
    "alerting": alerting,
    "alertmanagers": alertmanagers,
    "exemplars": exemplars,
    "scrape_configs": scrape_configs,
    "rules": rules,
    "web": web,
    "command": command,
    "check": check,
    "config_files": config_files,
    "secret_files": secret_files,
}
