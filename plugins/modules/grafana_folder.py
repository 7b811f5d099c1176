#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, rename, move or delete a folder of Grafana."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "uid": {"type": "str", "required": True},
    "title": {"type": "str"},
    "parent_uid": {"type": "str", "default": ""},
    "description": {"type": "str"},
}


def folder(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the folder."""
    body = {
        "uid": params["uid"],
        "title": params["title"],
        "parentUid": params["parent_uid"],
    }
    if params["description"] is not None:
        body["description"] = params["description"]
    return params["uid"], body


def main() -> None:
    """Run the module."""
    run("folder", OPTIONS, folder, required_if=[("state", "present", ["title"])])


if __name__ == "__main__":
    main()
