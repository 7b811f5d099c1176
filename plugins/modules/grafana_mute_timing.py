#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create, change or delete a mute timing of Grafana."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {
    "name": {"type": "str", "required": True},
    "time_intervals": {"type": "list", "elements": "dict"},
}


def mute_timing(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the mute timing."""
    name, intervals = params["name"], params["time_intervals"] or []
    return name, {"name": name, "time_intervals": intervals}


def main() -> None:
    """Run the module."""
    run(
        "mute_timing",
        OPTIONS,
        mute_timing,
        required_if=[("state", "present", ["time_intervals"])],
    )


if __name__ == "__main__":
    main()
