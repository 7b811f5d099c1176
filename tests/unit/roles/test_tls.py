# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the TLS settings that each role derives from the inventory's certificates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.roles.rendering import rendered, rollout

ADDRESS = "10.0.0.1"
TLS = {
    "monitoring_tls_certificate": "CERT",
    "monitoring_tls_key": "KEY",
    "monitoring_tls_ca": "CA",
}
PASSWORD = {
    "monitoring_basic_auth_username": "us",
    "monitoring_basic_auth_password": "word",
    "monitoring_basic_auth_hash": "$2b$hash",
}
# Role -> variables with which other hosts reach its component.
REACHABLE = {
    "alertmanager": {
        "alertmanager_listen_address": f"{ADDRESS}:9093",
        "alertmanager_discord_webhook": "https://x/y",
    },
    "loki": {"loki_listen_address": f"{ADDRESS}:3100"},
    "node_exporter": {"node_exporter_listen_address": f"{ADDRESS}:9100"},
    "otel_collector": {
        "otel_collector_listen_addresses": ["127.0.0.1", ADDRESS],
        "otel_collector_prometheus_address": f"{ADDRESS}:8889",
        "otel_collector_metrics_address": f"{ADDRESS}:8888",
    },
    "postgres_exporter": {
        "postgres_exporter_instances": [
            {
                "name": "main",
                "listen_address": f"{ADDRESS}:9187",
                "postgres_address": "127.0.0.1:5432",
            }
        ]
    },
    "prometheus": {"prometheus_listen_address": f"{ADDRESS}:9090"},
    "promtail": {"promtail_listen_address": f"{ADDRESS}:9080"},
    "redis_exporter": {
        "redis_exporter_instances": [
            {
                "name": "main",
                "listen_address": f"{ADDRESS}:9121",
                "redis_address": "127.0.0.1:6379",
            }
        ]
    },
    "tempo": {
        "tempo_listen_address": f"{ADDRESS}:3200",
        "tempo_otlp_listen_address": f"{ADDRESS}:4319",
    },
}
ALL = {
    key: value for variables in REACHABLE.values() for key, value in variables.items()
}
HERE = {"groups": {name: ["here"] for name in ("all", *REACHABLE)}}


def rollout_arguments(role: str, **variables: Any) -> dict[str, Any]:
    """Return a component's arguments, or those of its only instance, on a host with all roles."""
    arguments = rollout(role, **{**HERE, **ALL, **TLS, **variables})
    return arguments["instances"][0] if "instances" in arguments else arguments


def files(arguments: dict[str, Any]) -> dict[str, Any]:
    return {item["path"]: item.get("content") for item in arguments["config"]}


def config(role: str, **variables: Any) -> dict[str, Any]:
    return rollout_arguments(role, **variables)["config"][0]["content"]


@pytest.mark.parametrize("role", REACHABLE)
def test_role_installs_the_certificate_and_keeps_its_key_secret(role: str) -> None:
    arguments = rollout_arguments(role)
    assert (
        files(arguments)["tls/certificate.pem"],
        files(arguments)["tls/ca.pem"],
    ) == (
        "CERT",
        "CA",
    )
    assert arguments["secrets"].pop("tls/key.pem") == "KEY"
    assert "KEY" not in str(arguments)


@pytest.mark.parametrize(
    "role", [role for role in REACHABLE if role != "otel_collector"]
)
def test_role_is_probed_with_tls(role: str) -> None:
    arguments = rollout_arguments(role)
    for probe_auth in (
        arguments["ready"],
        arguments.get("reload") or arguments["ready"],
    ):
        assert probe_auth["url"].startswith(f"https://{ADDRESS}:")
        assert (probe_auth["certificate_file"], probe_auth["key_file"]) == (
            "tls/certificate.pem",
            "tls/key.pem",
        )


@pytest.mark.parametrize("role", REACHABLE)
def test_role_uses_plain_text_in_a_trusted_network(role: str) -> None:
    plain = {
        "monitoring_tls_certificate": "",
        "monitoring_tls_key": "",
        "monitoring_tls_ca": "",
    }
    trusted = rollout_arguments(role, monitoring_plaintext_networks=["10.0.0.0/24"])
    expected = rollout_arguments(role, **plain)
    # A client of other components has the files in any case.
    trusted["config"] = [
        item for item in trusted["config"] if not item["path"].startswith("tls/")
    ]
    trusted["secrets"] = {
        name: content
        for name, content in trusted["secrets"].items()
        if not name.startswith("tls/")
    }
    assert trusted == expected
    assert "https://10" not in str(trusted)


@pytest.mark.parametrize("role", ["alertmanager", "prometheus", "postgres_exporter"])
def test_web_configuration_of_prometheus_programs_is_a_secret_file(
    role: str,
) -> None:
    arguments = rollout_arguments(role, **PASSWORD)
    web = json.loads(arguments["secrets"]["web.yml"])
    assert web["tls_server_config"]["client_auth_type"] == "VerifyClientCertIfGiven"
    assert web["basic_auth_users"] == {"us": "$2b$hash"}
    assert "--web.config.file={etc}/web.yml" in arguments["command"]
    assert (arguments["ready"]["username"], arguments["ready"]["password_file"]) == (
        "us",
        "tls/password",
    )
    assert "hash" not in str({**arguments, "secrets": {}})


def test_node_exporter_merges_the_users_settings_and_hides_them_with_a_hash() -> None:
    extra = {"node_exporter_config_extra": {"http_server_config": {"http2": False}}}
    shown = config("node_exporter", **extra)
    assert (
        shown["tls_server_config"]["client_auth_type"] == "RequireAndVerifyClientCert"
    )
    assert shown["http_server_config"] == {"http2": False}
    hidden = rollout_arguments("node_exporter", **extra, **PASSWORD)
    assert set(files(hidden)) == {"tls/certificate.pem", "tls/ca.pem"}
    assert json.loads(hidden["secrets"]["web.yml"])["http_server_config"] == {
        "http2": False
    }


def test_prometheus_checks_its_web_configuration_and_uses_tls_for_alertmanager() -> (
    None
):
    assert (
        "check web-config {etc}/web.yml" in rollout_arguments("prometheus")["check"][-1]
    )
    (alertmanager,) = rendered(
        "prometheus", "__prometheus_alertmanagers", **{**HERE, **ALL, **TLS}
    )
    assert alertmanager["scheme"] == "https"
    assert alertmanager["tls_config"]["ca_file"] == "tls/ca.pem"
    assert alertmanager["static_configs"] == [{"targets": [f"{ADDRESS}:9093"]}]


@pytest.mark.parametrize("role", ["loki", "tempo", "promtail"])
def test_servers_of_grafana_labs_require_a_client_certificate(role: str) -> None:
    tls = config(role)["server"]["http_tls_config"]
    assert tls.pop("client_auth_type") == "RequireAndVerifyClientCert"
    assert set(tls.values()) == {
        f"/etc/{role}/tls/{name}.pem" for name in ("certificate", "key", "ca")
    }


def test_tempo_requires_a_client_certificate_and_presents_its_own_to_prometheus() -> (
    None
):
    assert config("tempo")["distributor"]["receivers"]["otlp"]["protocols"]["grpc"] == {
        "endpoint": f"{ADDRESS}:4319",
        "tls": {
            "cert_file": "/etc/tempo/tls/certificate.pem",
            "key_file": "/etc/tempo/tls/key.pem",
            "client_ca_file": "/etc/tempo/tls/ca.pem",
        },
    }
    (write,) = config("tempo", **PASSWORD)["metrics_generator"]["storage"][
        "remote_write"
    ]
    assert write["url"] == f"https://{ADDRESS}:9090/api/v1/write"
    assert write["tls_config"]["cert_file"] == "/etc/tempo/tls/certificate.pem"
    assert write["basic_auth"] == {
        "username": "us",
        "password_file": "/etc/tempo/tls/password",
    }


def test_promtail_presents_its_certificate_to_the_inventorys_loki_only() -> None:
    (client,) = config("promtail")["clients"]
    assert client["url"].startswith(f"https://{ADDRESS}:3100/")
    assert client["tls_config"]["cert_file"] == "/etc/promtail/tls/certificate.pem"
    (client,) = config("promtail", promtail_loki_url="https://logs.example/push")[
        "clients"
    ]
    assert "tls_config" not in client


def test_collector_uses_plain_text_on_loopback_and_tls_elsewhere() -> None:
    receivers = config("otel_collector")["receivers"]
    assert "tls" not in receivers["otlp/127.0.0.1"]["protocols"]["grpc"]
    for protocol in receivers[f"otlp/{ADDRESS}"]["protocols"].values():
        assert protocol["tls"]["client_ca_file"] == "/etc/otel-collector/tls/ca.pem"
    exporters = config("otel_collector")["exporters"]
    assert (
        exporters["otlp_grpc/tempo"]["tls"]["ca_file"]
        == "/etc/otel-collector/tls/ca.pem"
    )
    assert (
        exporters["prometheus"]["tls"]["client_ca_file"]
        == "/etc/otel-collector/tls/ca.pem"
    )


def test_collector_republishes_its_own_metrics_with_tls() -> None:
    collector = config("otel_collector")
    (reader,) = collector["service"]["telemetry"]["metrics"]["readers"]
    settings = reader["pull"]["exporter"]["prometheus"]
    assert (settings["host"], settings["port"]) == ("127.0.0.1", 8887)
    # The second exporter adds _total to counters without it, so the first one does as well.
    assert settings["without_type_suffix"] is False
    (job,) = collector["receivers"]["prometheus/self"]["config"]["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8887"]}]
    assert collector["exporters"]["prometheus/self"]["endpoint"] == f"{ADDRESS}:8888"
    assert collector["service"]["pipelines"]["metrics/self"]["exporters"] == [
        "prometheus/self"
    ]


def test_redis_exporter_requires_a_client_certificate() -> None:
    flags = {
        flag
        for flag in rollout_arguments("redis_exporter")["command"]
        if flag.startswith("--tls-server")
    }
    assert flags == {
        "--tls-server-cert-file={etc}/tls/certificate.pem",
        "--tls-server-key-file={etc}/tls/key.pem",
        "--tls-server-ca-cert-file={etc}/tls/ca.pem",
    }
