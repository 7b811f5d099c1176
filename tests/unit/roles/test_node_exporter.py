# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the variables of the node_exporter role."""

from __future__ import annotations

import pytest

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
        "--collector.textfile.directory=/run/node-exporter-services",
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


@pytest.mark.parametrize(
    ("variables", "containers"),
    [
        ({}, "/var/lib/docker/containers"),
        ({"promtail_docker_root": "/srv/docker"}, "/srv/docker/containers"),
        ({"node_exporter_docker_root": "/data"}, "/data/containers"),
        ({"node_exporter_docker_root": ""}, ""),
    ],
)
def test_containers_are_read_where_docker_keeps_them_and_nothing_else_of_it(
    variables: dict[str, str], containers: str
):
    units = rollout("node_exporter", **variables)["units"]
    service = units["node-exporter-services.service"]["Service"]
    script = "{python} -IS {bin}/service-metrics"
    output = "--output=/run/node-exporter-services/services.prom"
    option = f" --containers={containers}" if containers else ""
    assert service["ExecStart"].strip() == f"{script} {output}{option}"
    seen = [f"-{containers}"] if containers else []
    assert service["BindReadOnlyPaths"] == seen
