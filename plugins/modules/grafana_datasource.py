#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a datasource of Grafana."""

from __future__ import annotations

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
