# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Describe the pipelines of the OpenTelemetry Collector."""

from __future__ import annotations

DOCUMENTATION = r"""
name: otel_pipelines
short_description: Describe the pipelines of the OpenTelemetry Collector
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Connects receivers, processors and exporters for traces, metrics and logs.
  - Metrics always reach the exporter C(prometheus).
  - Traces without a destination reach the exporter C(nop), which drops them.
  - Logs, and metrics for destinations, have a pipeline only when a destination takes them.
options:
  _input:
    description: Destinations by the name of their exporter, each with its C(signals).
    type: dict
    required: true
  receivers:
    description: Names of the receivers.
    type: list
    elements: str
    required: true
  processors:
    description:
      - Names of the processors, in the order in which data passes them.
      - C(tail_sampling) and C(probabilistic_sampler) process traces only.
      - C(resource/prometheus) processes only the metrics that Prometheus scrapes.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show the pipelines traces and metrics
  ansible.builtin.debug:
    msg: "{{ {} | hippius.monitoring.otel_pipelines(['otlp/127.0.0.1'], ['memory_limiter']) }}"
"""

RETURN = r"""
_value:
  description: C(receivers), C(processors) and C(exporters) of each pipeline, by its name.
  type: dict
"""

from collections.abc import Callable
from typing import Any, TypedDict

from ansible.errors import AnsibleFilterError

# Sampling decides by trace, and other signals have none.
SAMPLERS = ("tail_sampling", "probabilistic_sampler")
FOR_PROMETHEUS = "resource/prometheus"


class Pipeline(TypedDict):
    """Names of the parts that data passes."""

    receivers: list[str]
    processors: list[str]
    exporters: list[str]


def otel_pipelines(
    destinations: dict[str, dict[str, Any]], receivers: list[str], processors: list[str]
) -> dict[str, Pipeline]:
    """Return the pipelines that have an exporter, by name."""
    sampled = [name for name in processors if name != FOR_PROMETHEUS]
    unsampled = [name for name in sampled if name not in SAMPLERS]

    def pipeline(names: list[str], exporters: list[str]) -> Pipeline:
        return {
            "receivers": list(receivers),
            "processors": names,
            "exporters": exporters,
        }

    pipelines = {
        "traces": pipeline(sampled, _taking("traces", destinations) or ["nop"]),
        "metrics": pipeline([*unsampled, FOR_PROMETHEUS], ["prometheus"]),
        "metrics/destinations": pipeline(unsampled, _taking("metrics", destinations)),
        "logs": pipeline(unsampled, _taking("logs", destinations)),
    }
    return {name: parts for name, parts in pipelines.items() if parts["exporters"]}


def _taking(signal: str, destinations: dict[str, dict[str, Any]]) -> list[str]:
    """Return the names of the destinations that take ``signal``."""
    return [name for name in destinations if signal in _signals(name, destinations)]


def _signals(name: str, destinations: dict[str, dict[str, Any]]) -> list[str]:
    if "signals" not in destinations[name]:
        raise AnsibleFilterError(
            f"otel_collector_destinations: {name!r} has no signals; list traces, metrics or logs."
        )
    signals: list[str] = destinations[name]["signals"]
    return signals


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., dict[str, Pipeline]]]:
        """Return the filters of this file by name."""
        return {"otel_pipelines": otel_pipelines}
