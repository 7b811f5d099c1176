# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Describe the OTLP receivers of the OpenTelemetry Collector."""

from __future__ import annotations

DOCUMENTATION = r"""
name: otel_receivers
short_description: Describe the OTLP receivers of the OpenTelemetry Collector
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Returns one receiver for each address, so that the collector listens on these addresses only.
options:
  _input:
    description: Scheme of each address, V(http) or V(https). An IPv6 address is in brackets.
    type: dict
    required: true
  grpc_port:
    description: Port of OTLP over gRPC.
    type: int
    required: true
  http_port:
    description: Port of OTLP over HTTP.
    type: int
    required: true
  tls:
    description: Settings added to the listeners of each V(https) address.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the receiver otlp/127.0.0.1
  ansible.builtin.debug:
    msg: "{{ {'127.0.0.1': 'http'} | hippius.monitoring.otel_receivers(4317, 4318, {}) }}"
"""

RETURN = r"""
_value:
  description: Settings of each receiver, by its name.
  type: dict
"""

import re
from collections.abc import Callable
from typing import Any

Receivers = dict[str, dict[str, Any]]
NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z.-]+")


def otel_receivers(
    schemes: dict[str, str], grpc_port: int, http_port: int, tls: dict[str, Any]
) -> Receivers:
    """Return a receiver for OTLP over gRPC and HTTP for each address in ``schemes``."""
    receivers: Receivers = {}
    for address, scheme in schemes.items():
        security = tls if scheme == "https" else {}
        protocols = {
            "grpc": {"endpoint": f"{address}:{grpc_port}", **security},
            "http": {"endpoint": f"{address}:{http_port}", **security},
        }
        receivers["otlp/" + NOT_IN_NAMES.sub("_", address)] = {"protocols": protocols}
    return receivers


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., Receivers]]:
        """Return the filters of this file by name."""
        return {"otel_receivers": otel_receivers}
