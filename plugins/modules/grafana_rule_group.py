#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replace or delete a group of alert rules of Grafana."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "folder_uid": {"type": "str", "required": True},
    "title": {"type": "str", "required": True},
    "interval": {"type": "int", "default": 60},
    "rules": {"type": "list", "elements": "dict"},
}


def rule_group(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the group."""
    folder, title = params["folder_uid"], params["title"]
    body = {
        "folderUid": folder,
        "title": title,
        "interval": params["interval"],
        "rules": params["rules"] or [],
    }
    return f"{folder}/{title}", body


def main() -> None:
    """Run the module."""
    run(
        "rule_group", OPTIONS, rule_group, required_if=[("state", "present", ["rules"])]
    )


if __name__ == "__main__":
    main()
