#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a library panel of Grafana."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "uid": {"type": "str", "required": True},
    "name": {"type": "str"},
    "folder_uid": {"type": "str", "default": ""},
    "model": {"type": "dict"},
}


def library_panel(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the library panel."""
    body = {
        "uid": params["uid"],
        "name": params["name"],
        "folderUid": params["folder_uid"],
        "model": params["model"] or {},
    }
    return params["uid"], body


def main() -> None:
    """Run the module."""
    rules = [("state", "present", ["name", "model"])]
    run("library_panel", OPTIONS, library_panel, required_if=rules)


if __name__ == "__main__":
    main()
