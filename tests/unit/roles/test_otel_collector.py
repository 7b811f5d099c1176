# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the variables of the collector role."""

from __future__ import annotations

import pytest

from tests.unit.roles.rendering import rendered, rollout

VENDOR = {
    "otlp_http/vendor": {
        "signals": ["traces", "metrics"],
        "endpoint": "https://otlp.example.com",
    }
}


def config(**variables):
    return rendered("otel_collector", "__otel_collector_config", **variables)


def pipelines(**variables):
    return config(**variables)["service"]["pipelines"]


def endpoints(value):
    """Return every listen address in a configuration."""
    if not isinstance(value, dict):
        return []
    own = [value["endpoint"]] if "endpoint" in value else []
    return own + [endpoint for child in value.values() for endpoint in endpoints(child)]


def test_everything_listens_on_loopback_by_default():
    made = config()
    addresses = (
        endpoints(made["receivers"])
        + endpoints(made["exporters"])
        + endpoints(made["extensions"])
    )
    reader = made["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"][
        "prometheus"
    ]
    assert sorted(addresses) == [
        "127.0.0.1:13133",
        "127.0.0.1:4317",
        "127.0.0.1:4318",
        "127.0.0.1:8889",
    ]
    assert (reader["host"], reader["port"]) == ("127.0.0.1", 8888)


def test_own_metrics_are_named_as_prometheus_expects():
    readers = config()["service"]["telemetry"]["metrics"]["readers"]
    settings = readers[0]["pull"]["exporter"]["prometheus"]
    # The collector takes each as false as soon as one of them is set.
    assert settings["without_type_suffix"] is False
    assert settings["without_units"] is False
    assert settings["without_scope_info"] is True


def test_each_address_gets_a_receiver_with_both_ports():
    made = config(
        otel_collector_listen_addresses=["127.0.0.1", "172.30.0.1"],
        otel_collector_grpc_port=14317,
    )
    assert made["receivers"]["otlp/172.30.0.1"]["protocols"] == {
        "grpc": {"endpoint": "172.30.0.1:14317"},
        "http": {"endpoint": "172.30.0.1:4318"},
    }
    for pipeline in made["service"]["pipelines"].values():
        assert pipeline["receivers"] == ["otlp/127.0.0.1", "otlp/172.30.0.1"]


def test_an_ipv6_address_has_no_double_colon_in_the_receivers_name():
    # The collector reads a double colon in a key as a path.
    receivers = config(otel_collector_listen_addresses=["[::1]", "[fd00::2]"])[
        "receivers"
    ]
    assert len(receivers) == 2
    assert not any("::" in name for name in receivers)
    assert sorted(endpoints(receivers)) == [
        "[::1]:4317",
        "[::1]:4318",
        "[fd00::2]:4317",
        "[fd00::2]:4318",
    ]


def test_the_rollout_lists_every_listen_address():
    listen_addresses = rollout(
        "otel_collector", otel_collector_listen_addresses=["127.0.0.1", "172.30.0.1"]
    )["listen_addresses"]
    assert sorted(listen_addresses) == [
        "127.0.0.1:13133", "127.0.0.1:4317", "127.0.0.1:4318", "127.0.0.1:8888", "127.0.0.1:8889",
        "172.30.0.1:4317", "172.30.0.1:4318",
    ]  # fmt: skip


def test_env_is_set_on_all_data_except_the_metrics_for_prometheus():
    made = config()
    steps = made["processors"]
    assert {item["key"]: item["value"] for item in steps["resource"]["attributes"]} == {
        "env": "test",
        "deployment.environment.name": "test",
    }
    assert steps["resource/prometheus"] == {
        "attributes": [{"key": "env", "action": "delete"}]
    }
    flows = pipelines(otel_collector_destinations=VENDOR)
    assert flows["metrics"]["processors"] == [
        "memory_limiter",
        "resource",
        "resource/prometheus",
    ]
    assert flows["metrics/destinations"]["processors"] == ["memory_limiter", "resource"]
    assert flows["traces"]["processors"] == ["memory_limiter", "resource"]


def test_own_resource_attributes_come_after_the_environment():
    own = {"key": "k8s.cluster.name", "value": "main", "action": "upsert"}
    assert (
        config(otel_collector_resource_attributes=[own])["processors"]["resource"][
            "attributes"
        ][-1]
        == own
    )


def test_rules_are_applied_in_order_and_sampling_to_traces_only():
    flows = pipelines(
        otel_collector_transform_rules={
            "trace_statements": ["set(span.name, span.name)"]
        },
        otel_collector_filter_rules={"trace_conditions": ['span.name == "x"']},
        otel_collector_tail_sampling={
            "policies": [{"name": "all", "type": "always_sample"}]
        },
        otel_collector_probabilistic_sampling={"sampling_percentage": 10},
        otel_collector_destinations=VENDOR,
    )
    rules = ["memory_limiter", "resource", "transform", "filter"]
    assert flows["traces"]["processors"] == [
        *rules,
        "tail_sampling",
        "probabilistic_sampler",
    ]
    assert flows["metrics"]["processors"] == [*rules, "resource/prometheus"]
    assert flows["metrics/destinations"]["processors"] == rules


def test_empty_rules_have_no_processor():
    assert set(config()["processors"]) == {
        "memory_limiter",
        "resource",
        "resource/prometheus",
    }


def test_without_destinations_traces_are_dropped_and_logs_refused():
    assert {name: flow["exporters"] for name, flow in pipelines().items()} == {
        "traces": ["nop"],
        "metrics": ["prometheus"],
    }


def test_each_signal_reaches_the_destinations_that_take_it():
    more = {
        **VENDOR,
        "otlp_http/logs": {
            "signals": ["logs"],
            "endpoint": "http://127.0.0.1:3100/otlp",
        },
    }
    assert {
        name: flow["exporters"]
        for name, flow in pipelines(otel_collector_destinations=more).items()
    } == {
        "traces": ["otlp_http/vendor"],
        "metrics": ["prometheus"],
        "metrics/destinations": ["otlp_http/vendor"],
        "logs": ["otlp_http/logs"],
    }


def test_a_destination_has_a_durable_queue_and_never_gives_up():
    exporter = config(otel_collector_destinations=VENDOR, otel_collector_queue_bytes=5)[
        "exporters"
    ]["otlp_http/vendor"]
    assert exporter["endpoint"] == "https://otlp.example.com"
    assert exporter["retry_on_failure"] == {"max_elapsed_time": "0s"}
    queue = exporter["sending_queue"]
    assert (queue["storage"], queue["queue_size"], queue["sizer"]) == (
        "file_storage",
        5,
        "bytes",
    )
    assert queue["block_on_overflow"] is True
    # Servers of gRPC refuse more than 4 MiB for good.
    assert queue["batch"]["max_size"] < 4 * 1024 * 1024
    assert "signals" not in exporter


def test_a_destination_can_change_or_remove_a_setting():
    desired = {
        "otlp_http/small": {
            "signals": ["traces"],
            "sending_queue": {"batch": {"flush_timeout": "1s"}},
        },
        "file/archive": {
            "signals": ["traces"],
            "path": "x",
            "sending_queue": None,
            "retry_on_failure": None,
        },
    }
    exporters = config(otel_collector_destinations=desired)["exporters"]
    assert (
        exporters["otlp_http/small"]["sending_queue"]["batch"]["flush_timeout"] == "1s"
    )
    assert exporters["otlp_http/small"]["sending_queue"]["storage"] == "file_storage"
    assert exporters["file/archive"] == {"path": "x"}


def test_tempo_is_a_destination_if_the_inventory_has_it():
    tempo = {
        "otlp_grpc/tempo": {
            "signals": ["traces"],
            "endpoint": "127.0.0.1:4319",
            "tls": {"insecure": True},
        }
    }
    groups = {"all": ["here"], "tempo": ["here"]}
    assert pipelines(groups=groups, __otel_collector_tempo=tempo)["traces"][
        "exporters"
    ] == ["otlp_grpc/tempo"]
    assert pipelines(groups={"all": [], "tempo": []}, __otel_collector_tempo=tempo)[
        "traces"
    ]["exporters"] == ["nop"]


def test_tempo_can_have_other_settings_or_no_signals():
    tempo = {
        "otlp_grpc/tempo": {
            "signals": ["traces"],
            "endpoint": "127.0.0.1:4319",
            "tls": {"insecure": True},
        }
    }
    common = {
        "groups": {"all": ["here"], "tempo": ["here"]},
        "__otel_collector_tempo": tempo,
    }
    changed = config(
        **common,
        otel_collector_destinations={"otlp_grpc/tempo": {"compression": "none"}},
    )
    assert changed["exporters"]["otlp_grpc/tempo"]["compression"] == "none"
    assert changed["exporters"]["otlp_grpc/tempo"]["endpoint"] == "127.0.0.1:4319"
    off = pipelines(
        **common, otel_collector_destinations={"otlp_grpc/tempo": {"signals": []}}
    )
    assert off["traces"]["exporters"] == ["nop"]


def test_extra_configuration_is_merged():
    extra = {"exporters": {"prometheus": {"metric_expiration": "9m"}}}
    content = rollout("otel_collector", otel_collector_config_extra=extra)["config"][0][
        "content"
    ]
    assert content["exporters"]["prometheus"]["metric_expiration"] == "9m"
    assert content["exporters"]["prometheus"]["endpoint"] == "127.0.0.1:8889"


def test_an_own_file_replaces_the_configuration_without_a_lookup():
    item = rollout(
        "otel_collector",
        otel_collector_config_file="/srv/mine.yml",
        __otel_collector_config="{{ lookup('nonsense') }}",
    )["config"][0]
    assert item == {"path": "otel-config.yml", "content": "", "source": "/srv/mine.yml"}


@pytest.mark.parametrize(("limit", "soft"), [(512, "409MiB"), (100, "80MiB")])
def test_go_collects_garbage_below_the_memory_limit(limit, soft):
    assert rollout("otel_collector", otel_collector_memory_limit_mib=limit)[
        "environment"
    ] == {"GOMEMLIMIT": soft}


def test_a_change_causes_a_restart():
    arguments = rollout("otel_collector")
    assert "reload" not in arguments
    assert arguments["unit"]["Service"]["ExecReload"] is None
