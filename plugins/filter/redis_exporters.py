# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Describe the exporters of Redis metrics as instances of a component."""

from __future__ import annotations

DOCUMENTATION = r"""
name: redis_exporters
short_description: Describe the exporters of Redis metrics as instances of a component
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Turns the variable C(redis_exporter_instances) into the option
    O(hippius.monitoring.component#module:instances).
options:
  _input:
    description: Exporters as in the variable C(redis_exporter_instances).
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
    msg: "{{ exporters | hippius.monitoring.redis_exporters([plain_text]) }}"
  vars:
    exporters: [{name: main, listen_address: "127.0.0.1:9121", redis_address: "127.0.0.1:6379"}]
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
# The exporter takes the login of its own listener from flags only, which all users of the host can
# read. A client certificate needs none.
TLS_FLAGS = (
    "--tls-server-cert-file={etc}/tls/certificate.pem",
    "--tls-server-key-file={etc}/tls/key.pem",
    "--tls-server-ca-cert-file={etc}/tls/ca.pem",
)


def redis_exporters(
    exporters: list[dict[str, Any]], tls: list[dict[str, Any]]
) -> Instances:
    """Return the component instance of each exporter."""
    return list(map(_instance, exporters, tls))


def _instance(exporter: dict[str, Any], tls: dict[str, Any]) -> dict[str, Any]:
    url = _url(exporter["redis_address"])
    listen_address = exporter["listen_address"]
    ready = {"url": f"{tls['scheme']}://{listen_address}/health", **tls["probe_auth"]}
    return {
        "name": exporter["name"],
        "description": f"Exporter of Redis metrics, {exporter['name']}",
        "command": _command(exporter, url, tls["scheme"]),
        "config": tls["config"],
        "secrets": {**_password_file(exporter, url), **tls["secrets"]},
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


def _url(address: str) -> str:
    return address if "://" in address else f"redis://{address}"


def _command(exporter: dict[str, Any], url: str, scheme: str) -> list[str]:
    command = [
        "{release}/redis_exporter",
        f"--web.listen-address={exporter['listen_address']}",
        f"--redis.addr={url}",
        "--disable-scrape-endpoint",
    ]
    if exporter.get("user"):
        command.append(f"--redis.user={exporter['user']}")
    if exporter.get("password"):
        command.append("--redis.password-file={etc}/passwords.json")
    if scheme == "https":
        command.extend(TLS_FLAGS)
    return [*command, *(exporter.get("flags") or [])]


def _password_file(exporter: dict[str, Any], url: str) -> dict[str, str]:
    """Return the password file, in which the exporter looks up the URL with the user in it."""
    if not exporter.get("password"):
        return {}
    login = f"{quote(exporter['user'])}@" if exporter.get("user") else ""
    key = url.replace("://", f"://{login}", 1)
    return {"passwords.json": to_json({key: exporter["password"]})}


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., Instances]]:
        """Return the filters of this file by name."""
        return {"redis_exporters": redis_exporters}
