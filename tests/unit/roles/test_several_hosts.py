# SPDX-License-Identifier: GPL-3.0-or-later
"""Test what roles write where a group has several hosts, and that one host has what it had."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.roles.rendering import rendered, rollout

WEBHOOK = "https://discord.example/api/webhooks/1/token"
TLS = {
    "monitoring_tls_certificate": "CERT",
    "monitoring_tls_key": "KEY",
    "monitoring_tls_ca": "CA",
}
# As the documentation shows it.
VARIABLES = {
    "alertmanager_discord_webhook": WEBHOOK,
    "alertmanager_listen_address": "{{ monitoring_address }}:9093",
    "prometheus_listen_address": "{{ monitoring_address }}:9090",
    "monitoring_address": "10.0.0.1",
}
OTHERS = {
    "second": {"inventory_hostname": "second", "monitoring_address": "10.0.0.2"},
    "third": {"inventory_hostname": "third", "monitoring_address": "10.0.0.3"},
}
HERE = ["here"]
ALL = ["here", *OTHERS]


def groups(prometheus: list[str], alertmanager: list[str]) -> dict[str, list[str]]:
    return {"all": ALL, "prometheus": prometheus, "alertmanager": alertmanager}


def arguments(role: str, hosts: list[str], **variables: Any) -> dict[str, Any]:
    """Return the arguments of a role on the first of some hosts that have both components."""
    return rollout(
        role,
        other_hosts=OTHERS,
        groups=groups(hosts, hosts),
        **{**VARIABLES, **variables},
    )


def content(options: dict[str, Any], path: str) -> Any:
    [found] = [item["content"] for item in options["config"] if item["path"] == path]
    return found


def test_one_alertmanager_listens_for_no_other() -> None:
    options = arguments("alertmanager", HERE)
    assert options["command"] == [
        "{release}/alertmanager",
        "--config.file={etc}/alertmanager.yml",
        "--storage.path={data}",
        "--web.listen-address=10.0.0.1:9093",
        "--cluster.listen-address=",
        "--data.maintenance-interval=1m",
    ]
    assert options["listen_addresses"] == ["10.0.0.1:9093"]


def test_several_alertmanagers_know_each_other() -> None:
    options = arguments("alertmanager", ALL)
    assert [flag for flag in options["command"] if "cluster" in flag] == [
        "--cluster.listen-address=10.0.0.1:9094",
        "--cluster.advertise-address=10.0.0.1:9094",
        "--cluster.peer=10.0.0.2:9094",
        "--cluster.peer=10.0.0.3:9094",
    ]
    assert options["listen_addresses"] == ["10.0.0.1:9093", "10.0.0.1:9094"]
    one = arguments("alertmanager", HERE)
    assert (options["config"], options["secrets"]) == (one["config"], one["secrets"])


@pytest.mark.parametrize(
    ("address", "listens", "advertises"),
    [
        pytest.param(":9093", "0.0.0.0:9094", "10.0.0.1:9094", id="every address"),
        pytest.param("0.0.0.0:1", "0.0.0.0:9094", "10.0.0.1:9094", id="every IPv4"),
        pytest.param("[::]:9093", "[::]:9094", "10.0.0.1:9094", id="every IPv6"),
        pytest.param("10.0.9.1:9", "10.0.9.1:9094", "10.0.0.1:9094", id="another one"),
    ],
)
def test_an_alertmanager_tells_others_the_address_that_they_reach(
    address: str, listens: str, advertises: str
) -> None:
    command = arguments("alertmanager", ALL, alertmanager_listen_address=address)[
        "command"
    ]
    assert f"--cluster.listen-address={listens}" in command
    assert f"--cluster.advertise-address={advertises}" in command


def test_the_address_among_alertmanagers_is_a_variable_of_its_own() -> None:
    options = arguments(
        "alertmanager",
        ALL,
        alertmanager_cluster_listen_address="{{ monitoring_address }}:7777",
    )
    assert "--cluster.listen-address=10.0.0.1:7777" in options["command"]
    assert "--cluster.peer=10.0.0.3:7777" in options["command"]


MUTUAL = {
    "tls_server_config": {
        "cert_file": "tls/certificate.pem",
        "key_file": "tls/key.pem",
        "client_ca_file": "tls/ca.pem",
        "client_auth_type": "RequireAndVerifyClientCert",
    },
    "tls_client_config": {
        "cert_file": "tls/certificate.pem",
        "key_file": "tls/key.pem",
        "ca_file": "tls/ca.pem",
    },
}
PATHS = ["tls/certificate.pem", "tls/ca.pem", "cluster-tls.yml"]


@pytest.mark.parametrize(
    "api",
    [
        pytest.param("{{ monitoring_address }}:9093", id="beside an API with TLS"),
        pytest.param("127.0.0.1:9093", id="beside an API on 127.0.0.1"),
    ],
)
def test_alertmanagers_speak_mutual_tls_where_they_have_certificates(api: str) -> None:
    options = arguments(
        "alertmanager",
        ALL,
        **TLS,
        alertmanager_listen_address=api,
        monitoring_without_peers=api.startswith("127."),
        alertmanager_cluster_listen_address="{{ monitoring_address }}:9094",
    )
    assert "--cluster.tls-config={etc}/cluster-tls.yml" in options["command"]
    assert content(options, "cluster-tls.yml") == MUTUAL
    assert [item["path"] for item in options["config"]][-3:] == PATHS
    assert options["secrets"]["tls/key.pem"] == "KEY"
    assert "KEY" not in str({**options, "secrets": {}})


def test_a_trusted_network_carries_gossip_in_plain_text() -> None:
    options = arguments(
        "alertmanager", ALL, **TLS, monitoring_plaintext_networks=["10.0.0.0/24"]
    )
    assert "cluster-tls" not in str(options)


def prometheus(hosts: list[str], **variables: Any) -> dict[str, Any]:
    found: dict[str, Any] = content(
        arguments("prometheus", hosts, **variables), "prometheus.yml"
    )
    return found


def test_one_prometheus_has_no_label_of_a_replica() -> None:
    made = prometheus(HERE)
    assert made["global"]["external_labels"] == {"env": "test"}
    assert made["alerting"] == {
        "alertmanagers": [{"static_configs": [{"targets": ["10.0.0.1:9093"]}]}]
    }


def test_several_prometheus_differ_by_a_label_that_their_alerts_lack() -> None:
    made = prometheus(ALL)
    assert made["global"]["external_labels"] == {"env": "test", "replica": "here"}
    drop = {"regex": "replica", "action": "labeldrop"}
    assert made["alerting"]["alert_relabel_configs"] == [drop]
    # Each scrapes the others too.
    [own] = [job for job in made["scrape_configs"] if job["job_name"] == "prometheus"]
    assert [each["labels"]["host"] for each in own["static_configs"]] == ALL


@pytest.mark.parametrize("hosts", [HERE, ["second"]], ids=["beside it", "elsewhere"])
def test_a_prometheus_sends_alerts_to_every_alertmanager(hosts: list[str]) -> None:
    alertmanagers = rendered(
        "prometheus",
        "__prometheus_alertmanagers",
        other_hosts=OTHERS,
        groups=groups(HERE, [*hosts, "third"]),
        **VARIABLES,
        **TLS,
    )
    targets = [item["static_configs"][0]["targets"] for item in alertmanagers]
    first = "10.0.0.1:9093" if hosts == HERE else "10.0.0.2:9093"
    assert targets == [[first], ["10.0.0.3:9093"]]
    assert {item["scheme"] for item in alertmanagers} == {"https"}
    files = {item["tls_config"]["ca_file"] for item in alertmanagers}
    assert files == {"tls/ca.pem"}


def test_tempo_writes_its_metrics_to_every_prometheus() -> None:
    writes = rendered(
        "tempo",
        "__tempo_remote_write",
        other_hosts=OTHERS,
        groups=groups(["here", "third"], []),
        **VARIABLES,
        **TLS,
    )
    assert [write["url"] for write in writes] == [
        "https://10.0.0.1:9090/api/v1/write",
        "https://10.0.0.3:9090/api/v1/write",
    ]
    for write in writes:
        assert write["send_exemplars"]
        assert write["tls_config"]["ca_file"] == "/etc/tempo/tls/ca.pem"


def test_grafana_asks_one_prometheus_and_one_alertmanager() -> None:
    stores = rendered(
        "grafana_content",
        "__grafana_content_stores",
        other_hosts=OTHERS,
        groups={**groups(["second", "third"], ALL), "grafana": HERE},
        **VARIABLES,
        grafana_content_scrape_interval="15s",
    )
    urls = {store["uid"]: store["url"] for store in stores}
    # The first of the group, or the one of its own host.
    assert urls == {
        "prometheus": "http://10.0.0.2:9090",
        "alertmanager": "http://10.0.0.1:9093",
    }


STORES = {
    "loki": ("3100", "/ready"),
    "tempo": ("3200", "/ready"),
    "prometheus": ("9090", "/-/ready"),
    "alertmanager": ("9093", "/-/ready"),
    "grafana": ("3000", "/api/health"),
}


def ready(role: str, hosts: list[str], **variables: Any) -> dict[str, Any]:
    """Return how a rollout of a role on the first of some hosts is verified."""
    address = f"{{{{ monitoring_address }}}}:{STORES[role][0]}"
    given = {
        **VARIABLES,
        "grafana_admin_password": "longer than twelve",
        "grafana_secret_key": "long enough as well",
        f"{role}_listen_address": address,
        **variables,
    }
    hosts_of = {"all": ALL, role: hosts}
    options = rollout(role, other_hosts=OTHERS, groups=hosts_of, **given)
    return options["ready"]


@pytest.mark.parametrize("role", STORES)
def test_the_only_host_of_a_group_waits_for_nobody(role: str) -> None:
    assert "peers" not in ready(role, HERE)
    assert "peers" not in ready(role, HERE, **TLS)


@pytest.mark.parametrize("role", STORES)
def test_a_host_waits_for_the_others_of_its_group(role: str) -> None:
    port, path = STORES[role]
    plain, secure = ready(role, ALL), ready(role, ALL, **TLS)
    assert plain["peers"] == [
        {"host": "second", "url": f"http://10.0.0.2:{port}{path}"},
        {"host": "third", "url": f"http://10.0.0.3:{port}{path}"},
    ]
    assert secure["peers"][1] == {
        "host": "third",
        "url": f"https://10.0.0.3:{port}{path}",
        "ca_file": "tls/ca.pem",
        "certificate_file": "tls/certificate.pem",
        "key_file": "tls/key.pem",
    }


def test_a_grafana_below_a_path_has_its_page_there() -> None:
    [second, _third] = ready(
        "grafana",
        ALL,
        grafana_url="https://metrics.example/grafana/",
        grafana_config_extra={"server": {"serve_from_sub_path": True}},
    )["peers"]
    assert second["url"] == "http://10.0.0.2:3000/grafana/api/health"


STORE = {
    "endpoint": "https://s3.example.net",
    "access_key": "id of a key",
    "secret_key": "never shown",
    "buckets": {"loki": "logs"},
}
CLIENT = {
    "tls_enabled": True,
    "tls_cert_path": "/etc/loki/tls/certificate.pem",
    "tls_key_path": "/etc/loki/tls/key.pem",
    "tls_ca_path": "/etc/loki/tls/ca.pem",
}
# The clients of the gRPC listener, as paths in the configuration.
GRPC_CLIENTS = (
    "ingester_client.grpc_client_config",
    "frontend.grpc_client_config",
    "frontend_worker.grpc_client_config",
    "query_scheduler.grpc_client_config",
    "compactor_grpc_client",
    "ruler.ruler_client",
    "storage_config.tsdb_shipper.index_gateway_client.grpc_client_config",
)


def loki(hosts: list[str], **variables: Any) -> dict[str, Any]:
    """Return the arguments of Loki on the first of some hosts."""
    given = {
        "monitoring_address": "10.0.0.1",
        "loki_listen_address": "{{ monitoring_address }}:3100",
        "monitoring_object_store": STORE,
        **variables,
    }
    return rollout(
        "loki", other_hosts=OTHERS, groups={"all": ALL, "loki": hosts}, **given
    )


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name, {})
    return value


def test_one_loki_is_no_ring() -> None:
    options = loki(HERE)
    config = content(options, "loki-config.yml")
    assert "memberlist" not in config
    assert config["common"]["replication_factor"] == 1
    assert config["common"]["ring"] == {"kvstore": {"store": "inmemory"}}
    assert config["common"]["instance_addr"] == "127.0.0.1"
    assert options["listen_addresses"] == ["10.0.0.1:3100", "127.0.0.1:9096"]


def test_several_lokis_are_a_ring_with_three_copies() -> None:
    options = loki(ALL)
    config = content(options, "loki-config.yml")
    assert config["common"]["instance_addr"] == "10.0.0.1"
    assert config["common"]["replication_factor"] == 3
    assert config["common"]["ring"]["kvstore"] == {"store": "memberlist"}
    assert config["common"]["ring"]["instance_id"] == "here"
    memberlist = config["memberlist"]
    assert memberlist["join_members"] == [f"10.0.0.{last}:7946" for last in (1, 2, 3)]
    assert (memberlist["bind_addr"], memberlist["bind_port"]) == (["10.0.0.1"], 7946)
    assert (memberlist["advertise_addr"], memberlist["advertise_port"]) == (
        "10.0.0.1",
        7946,
    )
    assert memberlist["cluster_label"] == "loki-test"
    assert config["ingester"]["lifecycler"]["unregister_on_shutdown"] is False
    assert config["ingester"]["wal"]["enabled"] is True
    assert options["listen_addresses"] == [
        "10.0.0.1:3100",
        "10.0.0.1:9096",
        "10.0.0.1:7946",
    ]
    assert "tls" not in str(options)


@pytest.mark.parametrize(
    ("address", "binds"), [(":3100", "0.0.0.0"), ("0.0.0.0:3100", "0.0.0.0")]
)
def test_a_loki_on_every_address_tells_others_the_one_that_they_reach(
    address: str, binds: str
) -> None:
    config = content(loki(ALL, loki_listen_address=address), "loki-config.yml")
    assert config["memberlist"]["bind_addr"] == [binds]
    assert config["memberlist"]["advertise_addr"] == "10.0.0.1"
    assert config["common"]["instance_addr"] == "10.0.0.1"


def test_lokis_speak_mutual_tls_where_they_have_certificates() -> None:
    options = loki(ALL, **TLS)
    config = content(options, "loki-config.yml")
    assert config["server"]["grpc_tls_config"] == {
        "cert_file": "/etc/loki/tls/certificate.pem",
        "key_file": "/etc/loki/tls/key.pem",
        "client_ca_file": "/etc/loki/tls/ca.pem",
        "client_auth_type": "RequireAndVerifyClientCert",
    }
    for path in GRPC_CLIENTS:
        assert at(config, path) == CLIENT, path
    assert {name: config["memberlist"][name] for name in CLIENT} == CLIENT
    assert options["secrets"]["tls/key.pem"] == "KEY"


def test_lokis_use_their_certificates_although_their_api_is_in_a_trusted_network() -> (
    None
):
    options = loki(
        ALL,
        **TLS,
        monitoring_plaintext_networks=["10.0.0.0/24"],
        loki_grpc_listen_address="10.0.1.1:9096",
        loki_memberlist_listen_address="10.0.1.1:7946",
    )
    config = content(options, "loki-config.yml")
    assert "http_tls_config" not in config["server"]
    assert at(config, "ingester_client.grpc_client_config") == CLIENT
    assert options["secrets"]["tls/key.pem"] == "KEY"
    assert "tls/ca.pem" in [item["path"] for item in options["config"]]


def test_a_ring_of_the_users_own_is_left_alone() -> None:
    own = {"memberlist": {"join_members": ["elsewhere"]}}
    config = content(loki(ALL, loki_config_extra=own), "loki-config.yml")
    assert config["memberlist"] == own["memberlist"]
    assert config["common"]["replication_factor"] == 1


def test_a_member_may_start_while_another_one_is_down() -> None:
    config = content(loki(ALL), "loki-config.yml")
    lifecycler = config["ingester"]["lifecycler"]
    assert lifecycler["readiness_check_ring_health"] is False
    assert config["memberlist"]["abort_if_cluster_join_fails"] is False


TEMPO_CLIENTS = (
    "ingester_client.grpc_client_config",
    "metrics_generator_client.grpc_client_config",
    "querier.frontend_worker.grpc_client_config",
)


def tempo(hosts: list[str], **variables: Any) -> dict[str, Any]:
    """Return the arguments of Tempo on the first of some hosts."""
    given = {
        "monitoring_address": "10.0.0.1",
        "tempo_listen_address": "{{ monitoring_address }}:3200",
        "tempo_otlp_listen_address": "{{ monitoring_address }}:4319",
        "monitoring_object_store": {**STORE, "buckets": {"tempo": "traces"}},
        **variables,
    }
    return rollout(
        "tempo", other_hosts=OTHERS, groups={"all": ALL, "tempo": hosts}, **given
    )


def test_one_tempo_is_no_ring() -> None:
    options = tempo(HERE)
    config = content(options, "tempo.yaml")
    assert not {"memberlist", "target", "querier"} & set(config)
    assert options["listen_addresses"] == [
        "10.0.0.1:3200",
        "10.0.0.1:4319",
        "127.0.0.1:9095",
    ]


def test_several_tempos_are_a_ring_with_three_copies() -> None:
    options = tempo(ALL)
    config = content(options, "tempo.yaml")
    assert config["target"] == "scalable-single-binary"
    lifecycler = config["ingester"]["lifecycler"]
    assert (lifecycler["id"], lifecycler["address"]) == ("here", "10.0.0.1")
    assert lifecycler["ring"]["replication_factor"] == 3
    assert lifecycler["unregister_on_shutdown"] is False
    memberlist = config["memberlist"]
    assert memberlist["join_members"] == [f"10.0.0.{last}:7947" for last in (1, 2, 3)]
    assert memberlist["cluster_label"] == "tempo-test"
    for part in ("compactor", "metrics_generator"):
        ring = config[part]["ring"]
        assert (ring["instance_id"], ring["instance_addr"]) == ("here", "10.0.0.1")
        assert ring["kvstore"] == {"store": "memberlist"}
    # Each makes metrics of its own spans.
    labels = config["metrics_generator"]["registry"]["external_labels"]
    assert labels == {"source": "tempo", "env": "test", "tempo": "here"}
    worker = config["querier"]["frontend_worker"]
    assert worker == {"frontend_address": "10.0.0.1:9095"}
    assert options["listen_addresses"][2:] == ["10.0.0.1:9095", "10.0.0.1:7947"]


def test_tempos_speak_mutual_tls_where_they_have_certificates() -> None:
    config = content(tempo(ALL, **TLS), "tempo.yaml")
    client = {
        name: path.replace("loki", "tempo") if isinstance(path, str) else path
        for name, path in CLIENT.items()
    }
    for path in TEMPO_CLIENTS:
        found = at(config, path)
        assert {name: found.get(name) for name in client} == client, path
    assert {name: config["memberlist"][name] for name in client} == client
    grpc = config["server"]["grpc_tls_config"]
    assert grpc["client_auth_type"] == "RequireAndVerifyClientCert"


def test_a_ring_of_tempos_of_the_users_own_is_left_alone() -> None:
    own = {"memberlist": {"join_members": ["elsewhere"]}}
    config = content(tempo(ALL, tempo_config_extra=own), "tempo.yaml")
    assert config["memberlist"] == own["memberlist"]
    assert "target" not in config


def test_the_last_lines_of_a_single_loki_are_in_its_bucket_after_a_stop() -> None:
    for hosts, flushes in ((HERE, True), (ALL, False)):
        config = content(loki(hosts), "loki-config.yml")
        assert config["ingester"]["wal"]["flush_on_shutdown"] is flushes
