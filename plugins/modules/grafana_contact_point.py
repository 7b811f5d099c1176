#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a contact point of Grafana."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana.grafana_module import run

RECEIVER = {
    "uid": {"type": "str", "required": True},
    "type": {"type": "str", "required": True},
    "settings": {"type": "dict", "default": {}},
    "secure_settings": {"type": "dict", "default": {}, "no_log": True},
    "disable_resolve_message": {"type": "bool", "default": False},
}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "receivers": {"type": "list", "elements": "dict", "options": RECEIVER},
}


def contact_point(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the contact point."""
    receivers = [
        {
            "uid": receiver["uid"],
            "type": receiver["type"],
            "settings": {**receiver["settings"], **receiver["secure_settings"]},
            "disableResolveMessage": receiver["disable_resolve_message"],
        }
        for receiver in params["receivers"] or []
    ]
    return params["name"], {"name": params["name"], "receivers": receivers}


def main() -> None:
    """Run the module."""
    run(
        "contact_point",
        OPTIONS,
        contact_point,
        required_if=[("state", "present", ["receivers"])],
    )


if __name__ == "__main__":
    main()
