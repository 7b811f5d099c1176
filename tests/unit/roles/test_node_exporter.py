# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the variables of the node_exporter role."""

from __future__ import annotations

from tests.unit.roles.rendering import rollout


def test_collectors_are_flags_of_the_command_and_of_its_check():
    result = rollout(
        "node_exporter",
        node_exporter_collectors_enabled=["systemd", "processes"],
        node_exporter_collectors_disabled=["wifi"],
        node_exporter_flags=["--collector.textfile.directory=/srv/metrics"],
    )
    assert result["command"] == [
        "{release}/node_exporter",
        "--web.listen-address=127.0.0.1:9100",
        "--web.config.file={etc}/web.yml",
        "--collector.textfile.directory=/run/node-exporter-rollouts",
        "--collector.systemd",
        "--collector.processes",
        "--no-collector.wifi",
        "--collector.textfile.directory=/srv/metrics",
    ]
    assert result["check"] == [*result["command"], "--version"]


def test_a_string_of_extra_vars_is_a_list_of_one():
    flags = {
        "collectors_enabled": "systemd",
        "collectors_disabled": "wifi",
        "flags": "--one",
    }
    result = rollout(
        "node_exporter",
        **{f"node_exporter_{name}": flag for name, flag in flags.items()},
    )
    assert result["command"][-3:] == [
        "--collector.systemd",
        "--no-collector.wifi",
        "--one",
    ]


def test_the_web_configuration_comes_from_the_user():
    settings = {"http_server_config": {"http2": False}}
    assert rollout("node_exporter")["config"] == [
        {"path": "web.yml", "content": {}, "source": ""}
    ]
    assert (
        rollout("node_exporter", node_exporter_config_extra=settings)["config"][0][
            "content"
        ]
        == settings
    )
    result = rollout("node_exporter", node_exporter_config_file="/srv/web.yml")[
        "config"
    ][0]
    assert result == {"path": "web.yml", "content": "", "source": "/srv/web.yml"}
