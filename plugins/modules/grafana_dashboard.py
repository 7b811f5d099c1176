#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Save or delete a dashboard of Grafana."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "uid": {"type": "str"},
    "folder_uid": {"type": "str", "default": ""},
    "dashboard": {"type": "dict"},
}


def dashboard(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the dashboard."""
    model = params["dashboard"] or {}
    uid = params["uid"] or model.get("uid") or ""
    return uid, {"dashboard": model, "folderUid": params["folder_uid"]}


def main() -> None:
    """Run the module."""
    rules = [("state", "present", ["dashboard"]), ("state", "absent", ["uid"])]
    run("dashboard", OPTIONS, dashboard, required_if=rules)


if __name__ == "__main__":
    main()
