# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles make of the inventory's certificates, each in the words of its program."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.roles.rendering import rendered, rollout

ADDRESS = "10.0.0.1"
TLS = {"monitoring_tls_certificate": "CERT", "monitoring_tls_key": "KEY", "monitoring_tls_ca": "CA"}
PASSWORD = {
    "monitoring_basic_auth_username": "us",
    "monitoring_basic_auth_password": "word",
    "monitoring_basic_auth_hash": "$2b$hash",
}
# Role -> variables with which others reach it, in each program's own way.
REACHED = {
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
            {"name": "main", "listen_address": f"{ADDRESS}:9121", "redis_address": "127.0.0.1:6379"}
        ]
    },
    "tempo": {
        "tempo_listen_address": f"{ADDRESS}:3200",
        "tempo_otlp_listen_address": f"{ADDRESS}:4319",
    },
}
ALL = {key: value for variables in REACHED.values() for key, value in variables.items()}
HERE = {"groups": {name: ["here"] for name in ("all", *REACHED)}}


def made(role: str, **variables: Any) -> dict:
    """One host with every component, whose own arguments or those of its only instance are given."""
    arguments = rollout(role, **{**HERE, **ALL, **TLS, **variables})
    return arguments["instances"][0] if "instances" in arguments else arguments


def files(arguments: dict) -> dict:
    return {item["path"]: item.get("content") for item in arguments["config"]}


def config(role: str, **variables: Any) -> dict:
    return made(role, **variables)["config"][0]["content"]


@pytest.mark.parametrize("role", REACHED)
def test_role_brings_the_certificate_and_keeps_its_key_secret(role: str) -> None:
    arguments = made(role)
    assert (files(arguments)["tls/certificate.pem"], files(arguments)["tls/ca.pem"]) == (
        "CERT",
        "CA",
    )
    assert arguments["secrets"].pop("tls/key.pem") == "KEY"
    assert "KEY" not in str(arguments)


@pytest.mark.parametrize("role", [role for role in REACHED if role != "otel_collector"])
def test_role_is_asked_by_tls_whether_it_is_ready(role: str) -> None:
    arguments = made(role)
    for probe_auth in (arguments["ready"], arguments.get("reload") or arguments["ready"]):
        assert probe_auth["url"].startswith(f"https://{ADDRESS}:")
        assert (probe_auth["certificate_file"], probe_auth["key_file"]) == (
            "tls/certificate.pem",
            "tls/key.pem",
        )


@pytest.mark.parametrize("role", REACHED)
def test_role_speaks_plain_text_in_a_network_that_is_trusted(role: str) -> None:
    plain = {"monitoring_tls_certificate": "", "monitoring_tls_key": "", "monitoring_tls_ca": ""}
    trusted = made(role, monitoring_plaintext_networks=["10.0.0.0/24"])
    expected = made(role, **plain)
    # Who asks others has the files all the same.
    trusted["config"] = [item for item in trusted["config"] if not item["path"].startswith("tls/")]
    trusted["secrets"] = {
        name: text for name, text in trusted["secrets"].items() if not name.startswith("tls/")
    }
    assert trusted == expected
    assert "https://10" not in str(trusted)


@pytest.mark.parametrize("role", ["alertmanager", "prometheus", "postgres_exporter"])
def test_web_server_of_prometheus_programs_is_configured_by_a_file_that_is_not_shown(
    role: str,
) -> None:
    arguments = made(role, **PASSWORD)
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
    assert shown["tls_server_config"]["client_auth_type"] == "RequireAndVerifyClientCert"
    assert shown["http_server_config"] == {"http2": False}
    hidden = made("node_exporter", **extra, **PASSWORD)
    assert set(files(hidden)) == {"tls/certificate.pem", "tls/ca.pem"}
    assert json.loads(hidden["secrets"]["web.yml"])["http_server_config"] == {"http2": False}


def test_prometheus_judges_its_web_configuration_and_asks_alertmanager_by_tls() -> None:
    assert "check web-config {etc}/web.yml" in made("prometheus")["check"][-1]
    (alertmanager,) = rendered("prometheus", "__prometheus_alertmanagers", **{**HERE, **ALL, **TLS})
    assert alertmanager["scheme"] == "https"
    assert alertmanager["tls_config"]["ca_file"] == "tls/ca.pem"
    assert alertmanager["static_configs"] == [{"targets": [f"{ADDRESS}:9093"]}]


@pytest.mark.parametrize("role", ["loki", "tempo", "promtail"])
def test_grafanas_servers_want_a_certificate_of_whoever_asks(role: str) -> None:
    tls = config(role)["server"]["http_tls_config"]
    assert tls.pop("client_auth_type") == "RequireAndVerifyClientCert"
    assert set(tls.values()) == {
        f"/etc/{role}/tls/{name}.pem" for name in ("certificate", "key", "ca")
    }


def test_tempo_wants_a_certificate_of_whoever_sends_and_shows_its_own_to_prometheus() -> None:
    assert config("tempo")["distributor"]["receivers"]["otlp"]["protocols"]["grpc"] == {
        "endpoint": f"{ADDRESS}:4319",
        "tls": {
            "cert_file": "/etc/tempo/tls/certificate.pem",
            "key_file": "/etc/tempo/tls/key.pem",
            "client_ca_file": "/etc/tempo/tls/ca.pem",
        },
    }
    (write,) = config("tempo", **PASSWORD)["metrics_generator"]["storage"]["remote_write"]
    assert write["url"] == f"https://{ADDRESS}:9090/api/v1/write"
    assert write["tls_config"]["cert_file"] == "/etc/tempo/tls/certificate.pem"
    assert write["basic_auth"] == {"username": "us", "password_file": "/etc/tempo/tls/password"}


def test_promtail_shows_its_certificate_to_the_inventorys_loki_only() -> None:
    (client,) = config("promtail")["clients"]
    assert client["url"].startswith(f"https://{ADDRESS}:3100/")
    assert client["tls_config"]["cert_file"] == "/etc/promtail/tls/certificate.pem"
    (client,) = config("promtail", promtail_loki_url="https://logs.example/push")["clients"]
    assert "tls_config" not in client


def test_collector_speaks_plain_text_on_loopback_and_tls_elsewhere() -> None:
    receivers = config("otel_collector")["receivers"]
    assert "tls" not in receivers["otlp/127.0.0.1"]["protocols"]["grpc"]
    for protocol in receivers[f"otlp/{ADDRESS}"]["protocols"].values():
        assert protocol["tls"]["client_ca_file"] == "/etc/otel-collector/tls/ca.pem"
    exporters = config("otel_collector")["exporters"]
    assert exporters["otlp_grpc/tempo"]["tls"]["ca_file"] == "/etc/otel-collector/tls/ca.pem"
    assert exporters["prometheus"]["tls"]["client_ca_file"] == "/etc/otel-collector/tls/ca.pem"


def test_collector_passes_on_by_tls_what_it_tells_of_itself() -> None:
    found = config("otel_collector")
    (reader,) = found["service"]["telemetry"]["metrics"]["readers"]
    assert reader["pull"]["exporter"]["prometheus"] == {"host": "127.0.0.1", "port": 8887}
    (job,) = found["receivers"]["prometheus/self"]["config"]["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8887"]}]
    assert found["exporters"]["prometheus/self"]["endpoint"] == f"{ADDRESS}:8888"
    assert found["service"]["pipelines"]["metrics/self"]["exporters"] == ["prometheus/self"]


def test_redis_exporter_wants_a_certificate() -> None:
    flags = {flag for flag in made("redis_exporter")["command"] if flag.startswith("--tls-server")}
    assert flags == {
        "--tls-server-cert-file={etc}/tls/certificate.pem",
        "--tls-server-key-file={etc}/tls/key.pem",
        "--tls-server-ca-cert-file={etc}/tls/ca.pem",
    }
