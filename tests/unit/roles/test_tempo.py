# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the variables of the Tempo role."""

from __future__ import annotations

import pytest

from tests.unit.roles.rendering import rendered, rollout

REMOTE_WRITE = [{"url": "http://127.0.0.1:9090/api/v1/write", "send_exemplars": True}]
COMMON = {
    "server.http_listen_address": "127.0.0.1",
    "server.http_listen_port": 3200,
    "server.grpc_listen_address": "127.0.0.1",
    "server.grpc_listen_port": 9095,
    "distributor.receivers.otlp.protocols.grpc.endpoint": "127.0.0.1:4319",
    "storage.trace.backend": "local",
    "storage.trace.wal.path": "/var/lib/tempo/wal",
    "storage.trace.local.path": "/var/lib/tempo/blocks",
    "metrics_generator.registry.external_labels.source": "tempo",
    "metrics_generator.registry.external_labels.env": "test",
    "metrics_generator.storage.path": "/var/lib/tempo/generator/wal",
    "metrics_generator.storage.remote_write": REMOTE_WRITE,
    "overrides.defaults.metrics_generator.processors": [
        "span-metrics",
        "service-graphs",
    ],
    "usage_report.reporting_enabled": False,
}
# Verified on 2.10.7 and on 3.0.3. Each refuses the keys of the other.
VERIFIED = {
    "2.10.7": {
        "ingester.max_block_duration": "5m",
        "compactor.compaction.block_retention": "336h",
    },
    "3.0.3": {
        "stream_over_http_enabled": True,
        "live_store.wal.path": "/var/lib/tempo/live-store/traces",
        "live_store.shutdown_marker_dir": "/var/lib/tempo/live-store/shutdown-marker",
        "backend_scheduler.local_work_path": "/var/lib/tempo/scheduler",
        "backend_scheduler.provider.compaction.compaction.block_retention": "336h",
        "backend_worker.finish_on_shutdown_timeout": "5s",
        "backend_worker.compaction.block_retention": "336h",
    },
}


def config(**variables):
    variables = {
        "__tempo_prometheus": REMOTE_WRITE,
        "groups": {"prometheus": ["here"]},
        **variables,
    }
    return rendered("tempo", "__tempo_config", **variables)


def flat(value, path=""):
    """Dotted path -> value of everything that is not a mapping."""
    if not isinstance(value, dict):
        return {path: value}
    return {
        name: leaf
        for key in value
        for name, leaf in flat(value[key], f"{path}.{key}".lstrip(".")).items()
    }


@pytest.mark.parametrize("version", VERIFIED)
def test_the_configuration_is_the_verified_one(version):
    assert flat(config(tempo_version=version)) == COMMON | VERIFIED[version]


@pytest.mark.parametrize(
    ("version", "key"),
    [
        ("2.9.5", "ingester"),
        ("2.10.8", "ingester"),
        ("3.0.0", "live_store"),
        ("10.1.0", "live_store"),
    ],
)
def test_the_version_decides_the_form(version, key):
    assert {"ingester", "live_store"} & set(config(tempo_version=version)) == {key}


@pytest.mark.parametrize("version", VERIFIED)
def test_retention_is_the_same_everywhere(version):
    made = flat(config(tempo_version=version, tempo_retention="48h"))
    assert {value for key, value in made.items() if key.endswith("retention")} == {
        "48h"
    }


def test_addresses_are_split_into_host_and_port():
    server = config(
        tempo_listen_address="[::1]:80",
        tempo_grpc_listen_address="traces.example.com:81",
    )["server"]
    assert (server["http_listen_address"], server["http_listen_port"]) == ("::1", 80)
    assert (server["grpc_listen_address"], server["grpc_listen_port"]) == (
        "traces.example.com",
        81,
    )


def test_metrics_are_generated_if_they_can_be_written():
    alone = config(groups={"prometheus": []})
    assert "overrides" not in alone
    assert alone["metrics_generator"]["storage"]["remote_write"] == []
    elsewhere = config(groups={}, tempo_remote_write=[{"url": "https://example.com"}])
    assert "overrides" in elsewhere
    assert elsewhere["metrics_generator"]["storage"]["remote_write"] == [
        {"url": "https://example.com"}
    ]
    assert "overrides" not in config(tempo_processors=[])


def test_extra_configuration_is_merged():
    extra = {"storage": {"trace": {"blocklist_poll": "1m"}}}
    content = rollout("tempo", tempo_config_extra=extra)["config"][0]["content"]
    assert content["storage"]["trace"]["blocklist_poll"] == "1m"
    assert content["storage"]["trace"]["backend"] == "local"


def test_an_own_file_replaces_the_configuration_without_a_lookup():
    item = rollout(
        "tempo", tempo_config_file="/srv/mine.yaml", groups={"prometheus": ["unknown"]}
    )["config"][0]
    assert item == {"path": "tempo.yaml", "content": "", "source": "/srv/mine.yaml"}


def test_a_change_causes_a_restart_that_may_end_in_a_kill():
    arguments = rollout("tempo")
    assert "reload" not in arguments
    assert arguments["unit"]["Service"] == {"ExecReload": None, "TimeoutStopSec": "30s"}
