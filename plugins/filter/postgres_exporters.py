# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Describe the exporters of PostgreSQL metrics as instances of a component."""

from __future__ import annotations

DOCUMENTATION = r"""
name: postgres_exporters
short_description: Describe the exporters of PostgreSQL metrics as instances of a component
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Turns the variable C(postgres_exporter_instances) into the option
    O(hippius.monitoring.component#module:instances).
options:
  _input:
    description: Exporters as in the variable C(postgres_exporter_instances).
    type: list
    elements: dict
    required: true
  tls:
    description:
      - Result of the lookup C(hippius.monitoring.components) for V(tls), one for each exporter.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the instance of an exporter without TLS
  ansible.builtin.debug:
    msg: "{{ exporters | hippius.monitoring.postgres_exporters([plain_text]) }}"
  vars:
    exporters: [{name: main, listen_address: "127.0.0.1:9187", postgres_address: "127.0.0.1:5432"}]
    plain_text: {scheme: http, config: [], secrets: {}, probe_auth: {}, web: {}}
"""

RETURN = r"""
_value:
  description: Items for the option C(instances).
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ansible.plugins.filter.core import to_json

Instances = list[dict[str, Any]]
DISCOVERY = "-auto-discover-databases"
# Without this file the exporter logs a warning. It could hold logins for the exporter's probe page,
# which nothing here requests.
CONFIG_FILE = {"path": "postgres_exporter.yml", "content": {}}


def postgres_exporters(
    exporters: list[dict[str, Any]], tls: list[dict[str, Any]]
) -> Instances:
    """Return the component instance of each exporter."""
    return list(map(_instance, exporters, tls))


def _instance(exporter: dict[str, Any], tls: dict[str, Any]) -> dict[str, Any]:
    listen_address = exporter["listen_address"]
    ready = {"url": f"{tls['scheme']}://{listen_address}/", **tls["probe_auth"]}
    return {
        "name": exporter["name"],
        "description": f"Exporter of PostgreSQL metrics, {exporter['name']}",
        "command": _command(exporter, tls["scheme"]),
        "environment": _environment(exporter),
        "config": [CONFIG_FILE, *tls["config"]],
        "secrets": _secrets(exporter, tls),
        "listen_addresses": [listen_address],
        "ready": ready,
        **_groups(exporter),
    }


def _groups(exporter: dict[str, Any]) -> dict[str, Any]:
    """Return a unit with the exporter's further groups; none without any."""
    if not exporter.get("groups"):
        return {}
    # An instance's unit replaces that of the component, in which SIGHUP ends an exporter.
    service = {"ExecReload": None, "SupplementaryGroups": exporter["groups"]}
    return {"unit": {"Service": service}}


def _command(exporter: dict[str, Any], scheme: str) -> list[str]:
    command = [
        "{release}/postgres_exporter",
        f"--web.listen-address={exporter['listen_address']}",
        "--config.file={etc}/postgres_exporter.yml",
    ]
    if scheme == "https":
        command.append("--web.config.file={etc}/web.yml")
    return [*command, *(exporter.get("flags") or [])]


def _environment(exporter: dict[str, Any]) -> dict[str, str | None]:
    """Return the environment, where the exporter takes its data source from."""
    return {
        "DATA_SOURCE_URI": _uri(exporter),
        "DATA_SOURCE_USER": exporter.get("user") or "postgres_exporter",
        "DATA_SOURCE_PASS_FILE": "{etc}/password" if exporter.get("password") else None,
    }


def _uri(exporter: dict[str, Any]) -> str:
    """Return the data source; the directory of a socket is a parameter, a host comes first."""
    address = exporter["postgres_address"]
    database = quote(str(exporter.get("database") or "postgres"))
    path = f"/{database}?sslmode={exporter.get('sslmode') or 'disable'}"
    if address.startswith("/"):
        # With no host at all, the exporter would take a database that it discovers for the host.
        discovers = any(DISCOVERY in flag for flag in exporter.get("flags") or [])
        return f"{':5432' if discovers else ''}{path}&host={address}"
    return f"{address}{path}"


def _secrets(exporter: dict[str, Any], tls: dict[str, Any]) -> dict[str, str]:
    secrets: dict[str, str] = {}
    if exporter.get("password"):
        secrets["password"] = exporter["password"]
    secrets.update(tls["secrets"])
    # The web configuration may hold the hash of a password.
    if tls["scheme"] == "https":
        secrets["web.yml"] = to_json(tls["web"])
    return secrets


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., Instances]]:
        """Return the filters of this file by name."""
        return {"postgres_exporters": postgres_exporters}
