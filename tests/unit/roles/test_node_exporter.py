# SPDX-License-Identifier: GPL-3.0-or-later
"""What node_exporter's role makes of its variables."""

from __future__ import annotations

from tests.unit.roles.rendering import rollout


def test_collectors_are_flags_which_the_check_judges_too():
    made = rollout(
        "node_exporter",
        node_exporter_collectors_enabled=["systemd", "processes"],
        node_exporter_collectors_disabled=["wifi"],
        node_exporter_flags=["--collector.textfile.directory=/srv/metrics"],
    )
    assert made["command"] == [
        "{release}/node_exporter",
        "--web.listen-address=127.0.0.1:9100",
        "--web.config.file={etc}/web.yml",
        "--collector.systemd",
        "--collector.processes",
        "--no-collector.wifi",
        "--collector.textfile.directory=/srv/metrics",
    ]
    assert made["check"] == [*made["command"], "--version"]


def test_single_texts_of_extra_vars_are_lists_of_one():
    flags = {"collectors_enabled": "systemd", "collectors_disabled": "wifi", "flags": "--one"}
    made = rollout(
        "node_exporter", **{f"node_exporter_{name}": text for name, text in flags.items()}
    )
    assert made["command"][-3:] == ["--collector.systemd", "--no-collector.wifi", "--one"]


def test_the_web_configuration_is_the_users():
    settings = {"http_server_config": {"http2": False}}
    assert rollout("node_exporter")["config"] == [{"path": "web.yml", "content": {}, "source": ""}]
    assert (
        rollout("node_exporter", node_exporter_config_extra=settings)["config"][0]["content"]
        == settings
    )
    made = rollout("node_exporter", node_exporter_config_file="/srv/web.yml")["config"][0]
    assert made == {"path": "web.yml", "content": "", "source": "/srv/web.yml"}
