# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Describe the exporters of the OpenTelemetry Collector's destinations."""

from __future__ import annotations

DOCUMENTATION = r"""
name: otel_exporters
short_description: Describe the exporters of the OpenTelemetry Collector's destinations
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Merges the settings of each destination over those of the queue that all destinations share.
options:
  _input:
    description:
      - Settings of each destination, by the name of its exporter.
      - C(signals) is left out, and so is each setting that is null.
    type: dict
    required: true
  queue:
    description: Settings of the queue and of retries.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the exporter otlp_http/vendor with its queue
  ansible.builtin.debug:
    msg: "{{ destinations | hippius.monitoring.otel_exporters(queue) }}"
  vars:
    queue: {sending_queue: {storage: file_storage}}
    destinations:
      otlp_http/vendor: {signals: [traces], endpoint: "https://otlp.example.com"}
"""

RETURN = r"""
_value:
  description: Settings of each exporter, by its name.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.utils.vars import merge_hash

Exporters = dict[str, dict[str, Any]]


def otel_exporters(
    destinations: dict[str, dict[str, Any]], queue: dict[str, Any]
) -> Exporters:
    """Return the settings of the exporter of each destination."""
    return {
        name: _settings(merge_hash(queue, destination))
        for name, destination in destinations.items()
    }


def _settings(merged: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the collector's own exporter has."""
    return {
        key: value
        for key, value in merged.items()
        if key != "signals" and value is not None
    }


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., Exporters]]:
        """Return the filters of this file by name."""
        return {"otel_exporters": otel_exporters}
