#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a datasource of Grafana."""

from __future__ import annotations

DOCUMENTATION = r"""
module: grafana_datasource
short_description: Create, change or delete a datasource of Grafana
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Creates, changes or deletes a datasource.
  - Grafana never returns a secret. To notice a rotated secret, and not to write an unchanged one
    again, the C(jsonData) of the datasource has a digest of each, bound to the version that the
    write made.
  - Any other change of the datasource voids the digests, and its secrets are written once more.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
options:
  uid:
    description: Identifier of the datasource.
    type: str
    required: true
  name:
    description: Name of the datasource, unique in the organization. Required when O(state=present).
    type: str
  type:
    description: Type of its plugin, such as V(prometheus). Required when O(state=present).
    type: str
  access:
    description: Sender of the queries, Grafana (V(proxy)) or the browser (V(direct)).
    type: str
    choices: [proxy, direct]
    default: proxy
  url:
    description: URL of the data source. Without it the current one stays, since no update of
      Grafana empties it.
    type: str
    default: ""
  user:
    description: User name at the data source.
    type: str
    default: ""
  database:
    description: Database at the data source.
    type: str
    default: ""
  basic_auth:
    description: Whether Grafana uses basic authentication with O(basic_auth_user) and the secret
      C(basicAuthPassword).
    type: bool
    default: false
  basic_auth_user:
    description: User name for O(basic_auth). Without it the current one stays, since no update of
      Grafana empties it.
    type: str
    default: ""
  with_credentials:
    description: Whether requests to other sites include credentials such as cookies.
    type: bool
    default: false
  is_default:
    description:
      - Whether panels without a datasource use this one. Grafana has one default, at first the
        first datasource; V(true) moves it here, V(false) leaves it where it is.
    type: bool
    default: false
  json_data:
    description: Settings of the plugin, with Grafana's keys.
    type: dict
    default: {}
  exact:
    description:
      - Whether keys of C(jsonData) that O(json_data) does not have are removed. Plugins add keys of
        their own, which then differ on each run.
    type: bool
    default: false
  secure_json_data:
    description: Secrets, with Grafana's keys. A secret that is no longer given is removed.
    type: dict
    default: {}
  fingerprint_key:
    description:
      - Key of the digests, any constant secret string. Without one a slow salted hash is used,
        which takes some 50 ms for each secret.
      - A new key makes the secrets be written once more.
    type: str
"""

EXAMPLES = r"""
- name: Add Prometheus as a datasource
  hippius.monitoring.grafana_datasource:
    password: "{{ grafana_admin_password }}"
    uid: prometheus
    name: Prometheus
    type: prometheus
    url: http://127.0.0.1:9090
    is_default: true
    json_data:
      httpMethod: POST
      timeInterval: 15s

- name: Add a database as a datasource
  hippius.monitoring.grafana_datasource:
    password: "{{ grafana_admin_password }}"
    uid: orders
    name: Orders
    type: grafana-postgresql-datasource
    url: 127.0.0.1:5432
    user: grafana
    json_data:
      database: orders
      sslmode: disable
    secure_json_data:
      password: "{{ orders_password }}"
    fingerprint_key: "{{ grafana_fingerprint_key }}"
"""

RETURN = r"""
changes:
  description: Objects that were written, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{kind: datasource, identity: prometheus, action: update, source: inline}]
counts:
  description: Number of created, updated, kept and deleted objects of each kind.
  returned: always
  type: dict
  sample: {datasource: {create: 0, update: 1, keep: 0, delete: 0}}
"""

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "uid": {"type": "str", "required": True},
    "name": {"type": "str"},
    "type": {"type": "str"},
    "access": {"type": "str", "choices": ["proxy", "direct"], "default": "proxy"},
    "url": {"type": "str", "default": ""},
    "user": {"type": "str", "default": ""},
    "database": {"type": "str", "default": ""},
    "basic_auth": {"type": "bool", "default": False},
    "basic_auth_user": {"type": "str", "default": ""},
    "with_credentials": {"type": "bool", "default": False},
    "is_default": {"type": "bool", "default": False},
    "json_data": {"type": "dict", "default": {}},
    "exact": {"type": "bool", "default": False},
    "secure_json_data": {"type": "dict", "default": {}, "no_log": True},
    "fingerprint_key": {"type": "str", "no_log": True},
}
# Options whose name differs from Grafana's key.
KEYS = {
    "basic_auth": "basicAuth",
    "basic_auth_user": "basicAuthUser",
    "with_credentials": "withCredentials",
    "is_default": "isDefault",
    "json_data": "jsonData",
    "secure_json_data": "secureJsonData",
}


def datasource(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the datasource."""
    fields = [
        option for option in OPTIONS if option not in ("exact", "fingerprint_key")
    ]
    return params["uid"], {KEYS.get(field, field): params[field] for field in fields}


def main() -> None:
    """Run the module."""
    run(
        "datasource",
        OPTIONS,
        datasource,
        required_if=[("state", "present", ["name", "type"])],
    )


if __name__ == "__main__":
    main()
