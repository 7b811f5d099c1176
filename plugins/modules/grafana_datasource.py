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
  - Makes a datasource that O(uid) identifies, as the API of Grafana describes it.
  - Grafana never shows a secret again. So that a rotated one is noticed, and an unchanged one is not written again, a
    digest of each is kept in the datasource's C(jsonData), bound to the version that the write made.
  - Whoever else changes the datasource makes the digests void, and its secrets are written once more.
extends_documentation_fragment:
  - hippius.monitoring.grafana
  - hippius.monitoring.grafana.state
options:
  uid:
    description: What identifies the datasource.
    type: str
    required: true
  name:
    description: Name of the datasource, which no other may have. Required when O(state=present).
    type: str
  type:
    description: Type of its plugin, such as V(prometheus). Required when O(state=present).
    type: str
  access:
    description: Whether Grafana or the browser asks it.
    type: str
    choices: [proxy, direct]
    default: proxy
  url:
    description: Address of the source of data. No update of Grafana empties it, so that without it it stays as it is.
    type: str
    default: ""
  user:
    description: User at the source.
    type: str
    default: ""
  database:
    description: Database at the source.
    type: str
    default: ""
  basic_auth:
    description: Whether Grafana logs in with O(basic_auth_user) and the secret C(basicAuthPassword).
    type: bool
    default: false
  basic_auth_user:
    description: User of O(basic_auth). No update of Grafana empties it, so that without it it stays as it is.
    type: str
    default: ""
  with_credentials:
    description: Whether cookies and the like are sent across sites.
    type: bool
    default: false
  is_default:
    description:
      - Whether panels without a datasource use this one. Grafana moves the mark from the one that had it, and gives it
        to the first one that is made; V(false) leaves it where it is.
    type: bool
    default: false
  json_data:
    description: Settings of the plugin, with the keys that Grafana uses.
    type: dict
    default: {}
  exact:
    description:
      - Whether keys that C(jsonData) has beside those of O(json_data) are taken away. Plugins add keys of their own,
        which would then differ on each run.
    type: bool
    default: false
  secure_json_data:
    description: Secrets, with the keys that Grafana uses. One that is not named any more is taken away.
    type: dict
    default: {}
  fingerprint_key:
    description:
      - Key of the digests, any secret text that stays the same. Without one a slow hash with a salt is used, which
        costs some time for each secret.
      - With another key the secrets are written once more.
    type: str
"""

EXAMPLES = r"""
- name: Have Prometheus as a datasource
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

- name: Have a database as a datasource
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
  description: What was written, or in check mode would be.
  returned: always
  type: list
  elements: dict
  sample: [{kind: datasource, identity: prometheus, action: update, source: inline}]
counts:
  description: Number of objects created, updated, kept and deleted, for each kind.
  returned: always
  type: dict
  sample: {datasource: {create: 0, update: 1, keep: 0, delete: 0}}
"""

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
# Option -> key of Grafana's, where they differ.
KEYS = {
    "basic_auth": "basicAuth",
    "basic_auth_user": "basicAuthUser",
    "with_credentials": "withCredentials",
    "is_default": "isDefault",
    "json_data": "jsonData",
    "secure_json_data": "secureJsonData",
}


def datasource(params: dict) -> tuple:
    """Identity and body of the datasource."""
    fields = [option for option in OPTIONS if option not in ("exact", "fingerprint_key")]
    return params["uid"], {KEYS.get(field, field): params[field] for field in fields}


def main() -> None:
    """Run the module."""
    run("datasource", OPTIONS, datasource, required_if=[("state", "present", ["name", "type"])])


if __name__ == "__main__":
    main()
