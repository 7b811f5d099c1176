# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make a receiver of Alertmanager for each severity."""

from __future__ import annotations

DOCUMENTATION = r"""
name: alert_receivers
short_description: Make a receiver of Alertmanager for each severity
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Joins the receivers of all severities and of each one, and names the result after the severity.
  - A severity without a receiver gets those of another one, since its alerts would be lost.
options:
  _input:
    description: Receivers by severity, in Alertmanager's format without a name, such as
      C(discord_configs).
    type: dict
    required: true
  notify:
    description: More receivers, in the same format, by severity or for C(all).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the receivers critical, high and medium
  ansible.builtin.debug:
    msg: "{{ {} | hippius.monitoring.alert_receivers({'all': {'slack_configs': [{}]}}) }}"
"""

RETURN = r"""
_value:
  description: Receivers in Alertmanager's format; none where no severity has one.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.hippius.monitoring.plugins.plugin_utils import severities

Settings = dict[str, list[Any]]


def alert_receivers(
    base: dict[str, Settings], notify: dict[str, Settings]
) -> list[dict[str, Any]]:
    """Return a receiver for each severity."""
    try:
        severities.check(notify)
    except ValueError as error:
        raise AnsibleFilterError(f"alertmanager_notify: {error}") from error
    merged = {
        severity: _merged(
            base.get(severity), notify.get(severities.ALL), notify.get(severity)
        )
        for severity in severities.SEVERITIES
    }
    if not any(merged.values()):
        return []
    receivers = severities.completed(merged)
    return [{"name": name, **settings} for name, settings in receivers.items()]


def _merged(*parts: Settings | None) -> Settings:
    merged: Settings = {}
    for part in parts:
        for kind, settings in (part or {}).items():
            merged[kind] = [*merged.get(kind, []), *settings]
    return merged


class FilterModule:
    """Filter of Ansible."""

    def filters(self) -> dict[str, Callable[..., list[dict[str, Any]]]]:
        """Return the filter by its name."""
        return {"alert_receivers": alert_receivers}
