# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The address outside that reports when the alerting itself is down. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .catalog import DEV, ENVIRONMENT

if TYPE_CHECKING:
    from .catalog import Inventory

VARIABLE = "monitoring_heartbeat_url"
URL = re.compile(r"https?://[^\s/]+\S*")
# Prometheus fires an alert all the time, which Alertmanager sends to the address.
GROUPS = ("prometheus", "alertmanager")


def blockers(hosts: list[str], inventory: Inventory) -> list[str]:
    """Return a blocker for each host with a wrong address, or with one that others lack."""
    senders = _senders(inventory)
    urls = {host: inventory.variable(host, VARIABLE) for host in senders}
    messages = []
    for host in senders:
        url = urls[host]
        if host not in hosts:
            continue
        if url and not URL.fullmatch(str(url)):
            messages.append(
                f"{VARIABLE} of {host}: is no address; write one such as"
                " https://hc.example/ping/<id>."
            )
        elif not url and any(urls.values()):
            messages.append(
                f"{VARIABLE} of {host}: is not set as on other hosts; set it in"
                " group_vars/all.yml."
            )
    return messages


def warnings(inventory: Inventory) -> list[str]:
    """Return a warning for environments whose alerting nobody outside watches."""
    unwatched = [
        host
        for host in inventory.groups.get("alertmanager") or []
        if inventory.variable(host, ENVIRONMENT) != DEV
        and not inventory.variable(host, VARIABLE)
    ]
    if not unwatched:
        return []
    warning = (
        f"{VARIABLE} of {', '.join(unwatched)}: is not set, so nobody notices when the alerting"
        " itself is down; set it to an address of a service outside that expects regular requests."
    )
    return [warning]


def _senders(inventory: Inventory) -> list[str]:
    """Return the hosts that fire or send the heartbeat."""
    groups = [inventory.groups.get(group) or [] for group in GROUPS]
    # Without an Alertmanager nothing is sent.
    return list(dict.fromkeys(groups[0] + groups[1])) if groups[1] else []
