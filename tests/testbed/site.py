# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole site on one host: its groups, and variables for the servers of the test bed."""

from __future__ import annotations

from typing import Any

from tests.testbed.hosts import Host

# The prune play covers all hosts of `monitoring`; each other group is named after a role.
GROUPS = (
    "monitoring",
    "loki",
    "tempo",
    "prometheus",
    "alertmanager",
    "otel_collector",
    "promtail",
    "redis_exporter",
    "postgres_exporter",
    "node_exporter",
    "grafana",
)
# The test bed's Tempo 1.5 supports only flat keys for its processors, which 2.10 rejects.
TEMPO = {
    "tempo_processors": [],
    "tempo_config_extra": {
        "metrics_generator_enabled": True,
        "overrides": {
            "metrics_generator_processors": ["span-metrics", "service-graphs"]
        },
        "metrics_generator": {"registry": {"collection_interval": "5s"}},
        # Not 15s after each start.
        "ingester": {"lifecycler": {"min_ready_duration": "0s"}},
    },
}


def variables(host: Host) -> dict[str, Any]:
    """Return inventory variables of a host with every component, reachable from containers."""
    return {
        "monitoring_environment": "dev",
        "alertmanager_discord_webhook": "https://discord.com/api/webhooks/dummy",
        # The fake accepts Grafana's own example values.
        "grafana_admin_password": "admin",
        "grafana_secret_key": "SW2YcwTIb9zpOOhoPsMm",
        "otel_collector_listen_addresses": ["127.0.0.1", host.address],
        # For applications that send directly; the collector uses the same address.
        "tempo_otlp_listen_address": f"{host.address}:4319",
        **TEMPO,
    }
