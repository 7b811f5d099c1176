# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make a contact point of Grafana for each severity."""

from __future__ import annotations

DOCUMENTATION = r"""
name: contact_points
short_description: Make a contact point of Grafana for each severity
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Adds receivers of any type to the contact points of the role C(grafana_content).
  - A severity without a receiver gets those of another one, since its alerts would be lost.
options:
  _input:
    description: Content of the role's C(files/notifications.yml).
    type: dict
    required: true
  notify:
    description: Receivers in Grafana's format (C(type), C(settings)), by severity or for C(all).
    type: dict
    required: true
  webhook:
    description: Webhook URL of Discord; without it nothing is sent to Discord.
    type: str
    required: true
  mention:
    description: Discord mention of critical alerts.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the contact points
  ansible.builtin.debug:
    msg: "{{ document | hippius.monitoring.contact_points(notify, '', '') }}"
  vars:
    document: "{{ lookup('ansible.builtin.file', 'notifications.yml') | from_yaml }}"
    notify: {all: [{type: slack, settings: {url: "https://slack.example/hook"}}]}
"""

RETURN = r"""
_value:
  description: Message templates and contact points, as in a provisioning file.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.hippius.monitoring.plugins.plugin_utils import severities

PREFIX = "hippius-"
Receiver = dict[str, Any]


def contact_points(
    document: dict[str, Any],
    notify: dict[str, list[Receiver]],
    webhook: str,
    mention: str,
) -> dict[str, Any]:
    """Return the role's templates, and a contact point for each severity."""
    try:
        severities.check(notify)
    except ValueError as error:
        raise AnsibleFilterError(f"grafana_content_notify: {error}") from error
    values = {
        "$HIPPIUS_DISCORD_WEBHOOK": webhook,
        "$HIPPIUS_CRITICAL_MENTION": mention,
    }
    own = {point["name"]: point["receivers"] for point in document["contactPoints"]}
    receivers = {
        severity: [
            *(_filled(own[PREFIX + severity], values) if webhook else []),
            *notify.get(severities.ALL, []),
            *notify.get(severity, []),
        ]
        for severity in severities.SEVERITIES
    }
    points = [
        {"name": PREFIX + severity, "receivers": _with_uids(PREFIX + severity, chosen)}
        for severity, chosen in severities.completed(receivers).items()
    ]
    return {"templates": document["templates"], "contactPoints": points}


def _filled(receivers: list[Receiver], values: dict[str, str]) -> list[Receiver]:
    """Return receivers with the values of variables in their settings."""
    return [
        {**receiver, "settings": _replaced(receiver["settings"], values)}
        for receiver in receivers
    ]


def _replaced(settings: dict[str, str], values: dict[str, str]) -> dict[str, str]:
    replaced = dict(settings)
    for variable, value in values.items():
        for name, text in replaced.items():
            replaced[name] = text.replace(variable, value)
    return replaced


def _with_uids(name: str, receivers: list[Receiver]) -> list[Receiver]:
    """Return receivers with a uid for each; the first one is that of the contact point."""
    numbered = enumerate(receivers, start=1)
    return [
        {**receiver, "uid": name if number == 1 else f"{name}-{number}"}
        for number, receiver in numbered
    ]


class FilterModule:
    """Filter of Ansible."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return the filter by its name."""
        return {"contact_points": contact_points}
