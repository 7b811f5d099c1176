# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the variables of the Promtail role."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    unit,
)
from tests.unit.roles.rendering import rendered


def value(expression: str, **variables: Any) -> Any:
    return rendered(
        "promtail", expression, **{"promtail_loki_url": "http://loki/push", **variables}
    )


def unit_text(name: str, **variables: Any) -> list[str]:
    """Return the lines of a unit."""
    sections = value("__promtail_units", **variables)[name]
    return unit.render(
        unit.further_unit(name, sections), layout.placeholders("promtail")
    ).splitlines()


def main_unit(**variables: Any) -> list[str]:
    sections = unit.main_unit(
        "promtail", "", ["x"], {}, value("__promtail_unit", **variables)
    )
    return unit.render(sections, layout.placeholders("promtail")).splitlines()


def docker_job(**variables: Any) -> dict[str, Any]:
    return value("__promtail_config", **variables)["scrape_configs"][0]


def test_each_stream_has_environment_and_host() -> None:
    (client,) = value("__promtail_config", monitoring_environment="prod")["clients"]
    assert client["external_labels"] == {"env": "prod", "host": "here"}


def test_it_never_gives_up_on_loki() -> None:
    (client,) = value("__promtail_config")["clients"]
    assert client["backoff_config"] == {
        "min_period": "500ms",
        "max_period": "30s",
        "max_retries": 0,
    }


def test_it_accepts_settings_of_the_client() -> None:
    extra = {"tenant_id": "storage", "backoff_config": {"max_period": "5s"}}
    (client,) = value("__promtail_config", promtail_client_extra=extra)["clients"]
    assert client["tenant_id"] == "storage"
    assert client["backoff_config"] == {
        "min_period": "500ms",
        "max_period": "5s",
        "max_retries": 0,
    }


def test_the_file_name_is_not_a_label_and_is_dropped_last() -> None:
    stages = [{"drop": {"expression": "health"}}]
    assert docker_job(promtail_pipeline_stages=stages)["pipeline_stages"] == [
        {"docker": {}},
        {"template": {"source": "output", "template": '{{ TrimSuffix .Value "\\n" }}'}},
        {"output": {"source": "output"}},
        {"drop": {"expression": "health"}},
        {"labeldrop": ["filename"]},
    ]


def test_a_users_rules_come_after_its_own() -> None:
    rule = {"source_labels": ["container_name"], "regex": "noisy", "action": "drop"}
    rules = docker_job(promtail_relabel_configs=[rule], promtail_default_job="other")[
        "relabel_configs"
    ]
    assert rules[-1] == rule
    assert {"target_label": "job", "replacement": "other"} in rules


def test_a_users_scrape_configs_are_added_to_its_own() -> None:
    job = {"job_name": "nginx", "static_configs": []}
    assert value("__promtail_config", promtail_scrape_configs=[job])["scrape_configs"][
        1:
    ] == [job]


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:9080", "127.0.0.1", "9080"),
        ("[::1]:1", "::1", "1"),
        ("logs.example.org:80", "logs.example.org", "80"),
    ],
)
def test_the_listen_address_is_split_for_its_flags(
    address: str, host: str, port: str
) -> None:
    assert (
        value("__promtail_http.host", promtail_listen_address=address),
        str(value("__promtail_http.port", promtail_listen_address=address)),
    ) == (host, port)


def test_the_step_back_is_as_large_as_a_batch() -> None:
    (client,) = value("__promtail_config")["clients"]
    assert int(value("__promtail_unsent")) == client["batchsize"]
    assert (
        int(value("__promtail_unsent", promtail_client_extra={"batchsize": 5000}))
        == 5000
    )
    assert int(value("__promtail_unsent", promtail_config_file="own.yml")) == 1048576, (
        "Promtail's own default"
    )


def test_promtail_has_one_capability_only() -> None:
    lines = main_unit()
    assert "CapabilityBoundingSet=CAP_DAC_READ_SEARCH" in lines
    assert "AmbientCapabilities=CAP_DAC_READ_SEARCH" in lines
    assert "PrivateUsers=no" in lines, (
        "the capability means nothing in a user namespace"
    )
    assert "NoNewPrivileges=yes" in lines
    assert "ProtectSystem=strict" in lines


def test_promtail_sees_dockers_logs_and_little_else() -> None:
    lines = main_unit(
        promtail_docker_root="/data/docker", promtail_read_paths=["/var/log"]
    )
    assert (
        "BindReadOnlyPaths=/data/docker/containers:/data/docker/containers:norbind"
        in lines
    )
    assert "BindReadOnlyPaths=/var/log" in lines
    for path in ("/opt", "/var"):
        assert f"TemporaryFileSystem={path}:ro" in lines
    assert "InaccessiblePaths=-/run/docker.sock" in lines


def test_the_target_writer_is_root_without_network() -> None:
    lines = unit_text("promtail-targets.service")
    assert "User=root" in lines
    assert "PrivateNetwork=yes" in lines
    assert "RestrictAddressFamilies=none" in lines
    assert "CapabilityBoundingSet=CAP_DAC_READ_SEARCH" in lines
    assert "AmbientCapabilities=" in lines
    assert "RuntimeDirectoryPreserve=yes" in lines


def test_the_target_writer_runs_every_ten_seconds_and_when_a_container_starts() -> None:
    timer, path = (
        unit_text("promtail-targets.timer"),
        unit_text("promtail-targets.path"),
    )
    assert "OnUnitInactiveSec=5s" in timer
    assert "AccuracySec=500ms" in timer
    assert "PathChanged=/var/lib/docker/containers" in path


def test_the_target_writer_exports_labels() -> None:
    (start,) = [
        line
        for line in unit_text(
            "promtail-targets.service",
            promtail_container_labels=["org.example/team", "tier"],
        )
        if line.startswith("ExecStart=")
    ]
    assert start.endswith(
        "/bin/promtail-targets --containers=/var/lib/docker/containers"
        " --output=/run/promtail-targets/docker.json"
        " --label=org.example/team --label=tier"
    )
