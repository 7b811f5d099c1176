# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the role otel_collector that depend on several variables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.plugins.filter.core import combine

from ansible_collections.hippius.monitoring.plugins.filter.host_port import host_port
from ansible_collections.hippius.monitoring.plugins.filter.otel_exporters import (
    otel_exporters,
)
from ansible_collections.hippius.monitoring.plugins.filter.otel_pipelines import (
    otel_pipelines,
)
from ansible_collections.hippius.monitoring.plugins.filter.otel_receivers import (
    otel_receivers,
)
from ansible_collections.hippius.monitoring.plugins.filter.service_access import (
    service_access,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.transport import (
    HTTP,
    HTTPS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.hippius.monitoring.plugins.plugin_utils.role_variables import (
        Role,
    )

Values = dict[str, Any]


def tempo(role: Role) -> Values:
    """Return the destination of traces, if the inventory has a Tempo."""
    if not role.has("tempo"):
        return {}
    client = role.client("tempo", "/etc/otel-collector", "otlp")
    endpoint = role.ask("address", component="tempo", listener="otlp")
    tls = client.get("tls_config", {"insecure": True})
    return {
        "otlp_grpc/tempo": {"signals": ["traces"], "endpoint": endpoint, "tls": tls}
    }


def destinations(role: Role) -> Values:
    """Return the settings of all destinations."""
    own = role.fact("tempo") if role.has("tempo") else {}
    merged: Values = combine(own, role.own("destinations"), recursive=True)
    return merged


def queue(role: Role) -> Values:
    """Return the settings of a destination's queue; its size may come from a command line."""
    size = int(role.own("queue_bytes"))
    sending = {**role.fact("sending_queue"), "queue_size": size}
    return {**role.fact("retries"), "sending_queue": sending}


def schemes(role: Role) -> dict[str, str]:
    """Return the scheme of each OTLP address: https where other hosts reach it.

    Each address gets its own receiver, so that nothing listens on any other.
    """
    addresses = role.strings("listen_addresses")
    return {address: role.tls(f"{address}:0")["scheme"] for address in addresses}


def receivers(role: Role) -> Values:
    """Return a receiver for each OTLP address."""
    ports = role.own("grpc_port"), role.own("http_port")
    tls = role.fact("tls_settings")
    return otel_receivers(schemes(role), *ports, tls)


def self_parts(role: Role) -> Values:
    """Return what republishes the collector's own metrics with TLS; nothing without TLS."""
    uses_tls = role.tls(role.own("metrics_address"))["scheme"] == HTTPS
    return role.fact("self") if uses_tls else {}


def self_address(role: Role) -> str:
    """Return the address of the page of the collector's own metrics.

    The page does not support TLS. Where other hosts scrape it, it listens on 127.0.0.1, one port
    below, and an exporter with TLS republishes its metrics.
    """
    address: str = role.own("metrics_address")
    if role.tls(address)["scheme"] == HTTP:
        return address
    return f"127.0.0.1:{host_port(address)['port'] - 1}"


def self_exporter(role: Role) -> Values:
    """Return the exporter that republishes the collector's own metrics."""
    return {**role.fact("self_exporter"), **role.fact("tls_settings")}


def processors(role: Role) -> Values:
    """Return the processors in the order in which data passes them, without empty ones."""
    return {
        name: settings
        for name, settings in role.fact("all_processors").items()
        if settings
    }


def memory_limiter(role: Role) -> Values:
    """Return the limit of memory, which may come from a command line as text."""
    return {"check_interval": "1s", "limit_mib": memory_limit(role)}


def memory_limit(role: Role) -> int:
    """Return the limit of memory in MiB."""
    return int(role.own("memory_limit_mib"))


def garbage_limit(role: Role) -> str:
    """Return the memory above which the garbage collector works harder."""
    return f"{int(memory_limit(role) * 0.8)}MiB"


def attributes(role: Role) -> list[Values]:
    """Return the changes to the resource of all data."""
    return [*role.fact("environment_attributes"), *role.own("resource_attributes")]


def pipelines(role: Role) -> Values:
    """Return the pipelines of the data of applications."""
    names = [list(role.fact(part)) for part in ("receivers", "processors")]
    return dict(otel_pipelines(role.fact("destinations"), *names))


def self_telemetry(role: Role) -> Values:
    """Return the page of the collector's own metrics."""
    address = host_port(role.fact("self_address"), brackets=True)
    return {**address, **role.fact("names_of_metrics")}


def exporter_for_prometheus(role: Role) -> Values:
    """Return the exporter that Prometheus scrapes."""
    uses_tls = role.tls(role.own("prometheus_address"))["scheme"] == HTTPS
    tls = role.fact("tls_settings") if uses_tls else {}
    return {**role.fact("prometheus"), **tls}


def exporters(role: Role) -> Values:
    """Return the exporters of all destinations."""
    own = self_parts(role).get("exporters", {})
    others = otel_exporters(role.fact("destinations"), role.fact("queue"))
    return {**role.fact("exporters"), **own, **others}


def with_self(part: str) -> Callable[[Role], Values]:
    """Return a function that adds to a part what republishes the collector's own metrics."""
    return lambda role: {**role.fact(part), **self_parts(role).get(part, {})}


def command(role: Role) -> list[str]:
    """Return the program with all flags."""
    config = "--config={etc}/otel-config.yml"
    return ["{release}/otelcol-contrib", config, *role.fact("flags")]


def check(role: Role) -> list[str]:
    """Return the checker with all flags."""
    [program, *flags] = command(role)
    return [program, "validate", *flags]


def listen_addresses(role: Role) -> list[str]:
    """Return the addresses of all listeners."""
    addresses = role.strings("listen_addresses")
    ports = role.own("grpc_port"), role.own("http_port")
    names = ("prometheus_address", "metrics_address", "health_address")
    return [
        *(f"{address}:{port}" for address in addresses for port in ports),
        *map(role.own, names),
    ]


def service(role: Role) -> Values:
    """Return the directives of the service with its environment and groups."""
    groups = role.own("groups")
    return service_access(role.fact("service"), role.own("environment"), groups)


VALUES = {
    "tempo": tempo,
    "destinations": destinations,
    "queue": queue,
    "receivers": receivers,
    "self_address": self_address,
    "self_exporter_with_tls": self_exporter,
    "processors": processors,
    "memory_limiter": memory_limiter,
    "garbage_limit": garbage_limit,
    "attributes": attributes,
    "pipelines": pipelines,
    "self_telemetry": self_telemetry,
    "exporter_for_prometheus": exporter_for_prometheus,
    "all_exporters": exporters,
    "all_receivers": with_self("receivers"),
    "used_processors": with_self("processors"),
    "all_pipelines": with_self("pipelines"),
    "command": command,
    "check": check,
    "listen_addresses": listen_addresses,
    "guarded_service": service,
}
