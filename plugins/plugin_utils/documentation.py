# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses of this collection's pages in alerts and dashboards. Pure.

Files of the roles name a page by its path in the collection. Only an inventory knows a server that
shows it.
"""

from __future__ import annotations

from typing import Any

VARIABLE = "monitoring_documentation_url"
PAGES = "docs/"
RUNBOOK = "runbook_url"


def address(path: str, base: str) -> str:
    """Return the address of a page; the path itself without a server or for another address."""
    if not base or not path.startswith(PAGES):
        return path
    return f"{base.rstrip('/')}/{path}"


def rules_with_addresses(document: Any, base: str) -> Any:
    """Return a rule file whose alerts have the addresses of their runbooks."""
    if isinstance(document, list):
        return [rules_with_addresses(item, base) for item in document]
    if not isinstance(document, dict):
        return document
    located = {
        key: rules_with_addresses(value, base) for key, value in document.items()
    }
    if isinstance(located.get(RUNBOOK), str):
        located[RUNBOOK] = address(located[RUNBOOK], base)
    return located


def dashboard_with_addresses(dashboard: Any, base: str) -> Any:
    """Return a dashboard whose links have addresses; those to pages go without a server."""
    links = [
        {**link, "url": address(link["url"], base)}
        for link in dashboard.get("links", [])
        if base or not link["url"].startswith(PAGES)
    ]
    return {**dashboard, "links": links}
