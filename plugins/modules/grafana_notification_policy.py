#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replace or reset the notification policies of Grafana."""

from __future__ import annotations

from typing import Any

from ..module_utils.grafana.grafana_module import run

OPTIONS = {"policy": {"type": "dict"}}


def policy(params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return identity and body of the tree."""
    return "", params["policy"] or {}


def main() -> None:
    """Run the module."""
    run("policy", OPTIONS, policy, required_if=[("state", "present", ["policy"])])


if __name__ == "__main__":
    main()
