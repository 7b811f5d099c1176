#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a message template of Grafana."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "name": {"type": "str", "required": True},
    "template": {"type": "str"},
}


def template(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the template."""
    return params["name"], {
        "name": params["name"],
        "template": params["template"] or "",
    }


def main() -> None:
    """Run the module."""
    run("template", OPTIONS, template, required_if=[("state", "present", ["template"])])


if __name__ == "__main__":
    main()
