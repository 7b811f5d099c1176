#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Send marked data to programs of this host, and find it in servers of this host."""

from __future__ import annotations

from ..module_utils.component.component_module import run
from ..module_utils.unlogged_module import QuietModule
from ..module_utils.verify import flow_queries

OPTIONS = {
    "marks": {"type": "list", "elements": "dict", "default": []},
    "queries": {"type": "list", "elements": "dict", "default": []},
    "receivers": {"type": "list", "elements": "dict", "default": []},
    "remove": {"type": "list", "elements": "dict", "default": []},
    "grafana_username": {"type": "str", "default": "admin"},
    "grafana_password": {"type": "str", "no_log": True},
    "grafana_token_path": {"type": "path", "no_log": False},
}


def main() -> None:
    """Run the module."""
    module = QuietModule(OPTIONS, supports_check_mode=True)
    run(module, lambda params, _check: flow_queries.run(params))


if __name__ == "__main__":
    main()
