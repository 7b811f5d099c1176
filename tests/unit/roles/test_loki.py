# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the variables of the Loki role."""

from __future__ import annotations

import pytest

from tests.unit.roles.rendering import rendered, rollout


def config(**variables):
    return rendered("loki", "__loki_config", **variables)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        pytest.param("127.0.0.1:3100", "127.0.0.1", 3100, id="IPv4"),
        pytest.param("[::1]:3101", "::1", 3101, id="IPv6"),
        pytest.param("logs.example.com:80", "logs.example.com", 80, id="name"),
    ],
)
def test_the_address_is_split_into_host_and_port(address, host, port):
    server = config(loki_listen_address=address)["server"]
    assert (server["http_listen_address"], server["http_listen_port"]) == (host, port)
    assert (server["grpc_listen_address"], server["grpc_listen_port"]) == (
        "127.0.0.1",
        9096,
    )


def test_retention_deletes():
    result = config(loki_retention="48h")
    assert result["limits_config"]["retention_period"] == "48h"
    # Without these Loki keeps everything.
    assert result["compactor"]["retention_enabled"] is True
    assert result["compactor"]["delete_request_store"] == "filesystem"
    assert [item["index"]["period"] for item in result["schema_config"]["configs"]] == [
        "24h"
    ]


def test_a_line_is_accepted_as_long_as_it_is_retained():
    limits = config(loki_retention="48h")["limits_config"]
    assert limits["reject_old_samples_max_age"] == limits["retention_period"]


def test_all_data_is_in_its_own_directory():
    def paths(value):
        if isinstance(value, dict):
            return [path for child in value.values() for path in paths(child)]
        return [value] if isinstance(value, str) and value.startswith("/") else []

    assert [
        path for path in paths(config()) if not path.startswith("/var/lib/loki")
    ] == ["/etc/loki/runtime.yml"]


def test_extra_configuration_is_merged():
    content = rollout(
        "loki", loki_config_extra={"limits_config": {"max_query_series": 9}}
    )["config"][0]["content"]
    assert content["limits_config"]["max_query_series"] == 9
    assert content["limits_config"]["retention_period"] == "744h"


def test_an_own_file_replaces_the_configuration():
    item = rollout("loki", loki_config_file="/srv/mine.yml")["config"][0]
    assert item == {"path": "loki-config.yml", "content": "", "source": "/srv/mine.yml"}


def test_overrides_are_checked_and_need_no_restart():
    arguments = rollout("loki", loki_overrides={"ingestion_rate_mb": 64})
    runtime, checked = arguments["config"][1:]
    assert runtime == {
        "path": "runtime.yml",
        "content": {"overrides": {"fake": {"ingestion_rate_mb": 64}}},
        "on_change": "none",
    }
    assert checked["content"]["limits_config"]["ingestion_rate_mb"] == 64
    assert checked["path"].removesuffix(".yml") in arguments["check"][-1]


def test_a_change_causes_a_restart():
    arguments = rollout("loki")
    assert "reload" not in arguments
    assert arguments["unit"]["Service"]["ExecReload"] is None
