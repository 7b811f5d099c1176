# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the variables of the Promtail role."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import unit_sections
from tests.unit.roles.rendering import rendered, rollout


def value(expression: str, **variables: Any) -> Any:
    return rendered(
        "promtail", expression, **{"promtail_loki_url": "http://loki/push", **variables}
    )


def unit_text(name: str, **variables: Any) -> list[str]:
    """Return the lines of a unit."""
    sections = value("__promtail_units", **variables)[name]
    return unit_sections.render(
        unit_sections.further_unit(name, sections, "promtail"),
        layout.placeholders("promtail"),
    ).splitlines()


def main_unit(**variables: Any) -> list[str]:
    sections = unit_sections.main_unit(
        "promtail", "", ["x"], {}, value("__promtail_unit", **variables)
    )
    return unit_sections.render(sections, layout.placeholders("promtail")).splitlines()


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


@pytest.mark.parametrize(
    ("variables", "lines", "hidden"),
    [
        pytest.param(
            {},
            {
                "TemporaryFileSystem=/opt:ro",
                "TemporaryFileSystem=/var:ro",
                "ProtectHome=yes",
            },
            {"/srv", "/mnt", "/media", "/run/log", "/run/docker.sock"},
            id="nothing",
        ),
        pytest.param(
            {"promtail_read_paths": ["/srv/app/", "/root/app/logs"]},
            {
                "TemporaryFileSystem=/srv:ro",
                "BindReadOnlyPaths=/srv/app/",
                "BindReadOnlyPaths=/root/app/logs",
                "ProtectHome=tmpfs",
            },
            {"/mnt", "/media"},
            id="below hidden directories",
        ),
        pytest.param(
            {"promtail_read_paths": ["/srv", "/home"]},
            {"ProtectHome=read-only", "BindReadOnlyPaths=/srv"},
            {"/mnt", "/media"},
            id="hidden directories themselves",
        ),
        pytest.param(
            {"promtail_docker_root": "/mnt/disk/docker"},
            {
                "TemporaryFileSystem=/mnt:ro",
                "BindReadOnlyPaths=/mnt/disk/docker/containers:/mnt/disk/docker/containers:norbind",
            },
            {"/srv", "/media"},
            id="Docker's root",
        ),
        pytest.param(
            {"promtail_read_paths": ["/srvx", "/mnt2/a"]},
            {"ProtectHome=yes"},
            {"/srv", "/mnt", "/media"},
            id="similar names",
        ),
        pytest.param(
            {"promtail_docker_socket": True, "promtail_groups": ["adm"]},
            {"SupplementaryGroups=docker", "SupplementaryGroups=adm"},
            {"/run/docker", "/run/containerd"},
            id="Docker's socket",
        ),
    ],
)
def test_the_unit_shows_what_promtail_is_to_read(
    variables: dict[str, Any], lines: set[str], hidden: set[str]
) -> None:
    text = main_unit(**variables)
    assert lines <= set(text)
    inaccessible = {f"InaccessiblePaths=-{path}" for path in hidden}
    assert inaccessible <= set(text)
    shown = {line.partition("=")[2] for line in lines if line.startswith("Bind")}
    for path in shown | {"/run/docker.sock"} & set(variables):
        assert f"InaccessiblePaths=-{path}" not in text
    assert ("InaccessiblePaths=-/run/docker.sock" in text) is not variables.get(
        "promtail_docker_socket", False
    )


def test_the_writer_of_targets_sees_a_docker_root_below_a_hidden_directory() -> None:
    for root, emptied, home in (
        ("/srv/docker", "/srv", "yes"),
        ("/media/disk/docker", "/media", "yes"),
        ("/root/docker", "/opt", "tmpfs"),
    ):
        text = unit_text("promtail-targets.service", promtail_docker_root=root)
        assert f"TemporaryFileSystem={emptied}:ro" in text
        assert f"InaccessiblePaths=-{emptied}" not in text
        assert f"ProtectHome={home}" in text
        containers = f"{root}/containers"
        assert f"BindReadOnlyPaths=-{containers}:{containers}:norbind" in text


def test_a_file_of_the_users_own_gets_the_addresses_by_flags() -> None:
    own = rollout("promtail", promtail_config_file="own.yml")["command"]
    assert "-server.grpc-listen-address=127.0.0.1" in own
    generated = rollout("promtail", promtail_loki_url="http://loki/push")["command"]
    assert "-server.grpc-listen-address=127.0.0.1" not in generated


@pytest.mark.parametrize("role", ["loki", "tempo", "promtail", "otel_collector"])
def test_environment_and_flags_reach_program_and_checker(role: str) -> None:
    variables: dict[str, Any] = {
        f"{role}_environment": {"KEY": "c4n4ry"},
        f"{role}_flags": ["-config.expand-env=true"],
        "promtail_loki_url": "http://loki/push",
    }
    task = rollout(role, **variables)
    assert task["command"][-1] == "-config.expand-env=true"
    assert "-config.expand-env=true" in " ".join(task["check"])
    assert task["secrets"]["environment"] == 'KEY="c4n4ry"\n'
    assert task["unit"]["Service"]["EnvironmentFile"] == "{etc}/environment"
    assert "c4n4ry" not in str(task["unit"]) + str(task["command"])


def test_a_start_has_the_time_to_copy_rotated_logs() -> None:
    assert "TimeoutStartSec=30min" in main_unit()
