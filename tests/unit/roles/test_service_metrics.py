# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the script that writes failed units and containers as metrics."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/node_exporter/files/service_metrics.py"
specification = importlib.util.spec_from_file_location("service_metrics", SCRIPT)
service_metrics = importlib.util.module_from_spec(specification)
specification.loader.exec_module(service_metrics)

SAMPLE = re.compile(r"^monitoring_(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
SECRET = "s3cret-of-a-container"


class Host:
    """Docker's directory, and the answer of systemctl."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.containers, self.output = root / "containers", root / "services.prom"
        self.containers.mkdir()
        self.tool = root / "systemctl"
        self.answer("")
        monkeypatch.setenv("PATH", str(root), prepend=":")

    def answer(self, text: str, status: int = 0) -> None:
        """Let systemctl answer."""
        told = "".join(f"echo '{line}'\n" for line in text.splitlines())
        self.tool.write_text(f"#!/bin/sh\n{told}exit {status}\n")
        self.tool.chmod(0o755)

    def add(self, name: str, policy: str = "always", **state: Any) -> Path:
        """Write a container as Docker 20.10 keeps it."""
        directory = self.containers / f"{len(list(self.containers.iterdir())):064x}"
        directory.mkdir()
        config = {
            "Name": f"/{name}",
            "RestartCount": state.pop("RestartCount", 0),
            "HasBeenManuallyStopped": state.pop("HasBeenManuallyStopped", False),
            "HasBeenStartedBefore": state.pop("HasBeenStartedBefore", True),
            "Config": {"Env": [f"PASSWORD={SECRET}"]},
            "State": {"Running": True, "ExitCode": 0, **state},
        }
        (directory / "config.v2.json").write_text(json.dumps(config))
        host = {"RestartPolicy": {"Name": policy, "MaximumRetryCount": 0}}
        (directory / "hostconfig.json").write_text(json.dumps(host))
        return directory

    def metrics(self) -> dict[str, dict[str, float]]:
        """Run the script; return the values by metric and the value of its only label."""
        options = [f"--output={self.output}", f"--containers={self.containers}"]
        assert service_metrics.main(options) == 0
        text = self.output.read_text(encoding="utf-8")
        assert SECRET not in text
        found: dict[str, dict[str, float]] = {}
        for metric, label, value in SAMPLE.findall(text):
            found.setdefault(metric, {})[label.partition("=")[2].strip('"')] = float(
                value
            )
        return found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("answer", "units"),
    [
        pytest.param("", [], id="none"),
        pytest.param(
            "backup.service loaded failed failed Backup\n"
            "data.mount not-found failed failed data.mount",
            ["backup.service", "data.mount"],
            id="two",
        ),
        pytest.param(
            "\u25cf backup.service loaded failed failed Backup",
            ["backup.service"],
            id="with a dot, as systemd 239 writes it",
        ),
    ],
)
def test_each_failed_unit_is_a_series(host: Host, answer: str, units: list[str]):
    host.answer(answer)
    found = host.metrics()
    assert found["units_failed"] == {"": len(units)}
    assert found.get("unit_failed", {}) == dict.fromkeys(units, 1)


def test_a_systemd_that_does_not_answer_leaves_the_old_file(host: Host):
    host.metrics()
    old = host.output.stat()
    host.answer("", status=1)
    with pytest.raises(service_metrics.subprocess.CalledProcessError):
        host.metrics()
    assert host.output.stat() == old


@pytest.mark.parametrize(
    ("policy", "state", "running"),
    [
        pytest.param("always", {}, 1, id="runs"),
        pytest.param("unless-stopped", {}, 1, id="runs until it is stopped"),
        pytest.param("no", {}, None, id="no policy"),
        pytest.param("always", {"Running": False, "ExitCode": 1}, 0, id="ended"),
        pytest.param("always", {"Running": False}, 0, id="ended by itself"),
        pytest.param("on-failure", {"Running": False}, None, id="done"),
        pytest.param("on-failure", {"Running": False, "ExitCode": 1}, 0, id="given up"),
        pytest.param(
            "always",
            {"Running": False, "ExitCode": 137, "HasBeenManuallyStopped": True},
            None,
            id="stopped by someone",
        ),
        pytest.param(
            "always",
            {"Running": False, "HasBeenStartedBefore": False},
            None,
            id="only created",
        ),
    ],
)
def test_a_container_that_docker_keeps_running_is_seen_when_it_does_not_run(
    host: Host, policy: str, state: dict[str, Any], running: int | None
):
    host.add("api", policy, **state)
    found = host.metrics().get("container_running", {})
    assert found == ({} if running is None else {"api": running})


@pytest.mark.parametrize(
    ("health", "unhealthy"),
    [
        (None, None),
        ({"Status": "none"}, None),
        ({"Status": "starting"}, 0),
        ({"Status": "healthy"}, 0),
        ({"Status": "unhealthy"}, 1),
    ],
)
def test_a_health_check_is_seen_when_it_fails(
    host: Host, health: dict[str, str] | None, unhealthy: int | None
):
    host.add("api", Health=health)
    found = host.metrics().get("container_unhealthy", {})
    assert found == ({} if unhealthy is None else {"api": unhealthy})


def test_restarts_are_counted_by_container(host: Host):
    host.add("api", RestartCount=3)
    host.add("worker", policy="no")
    found = host.metrics()["container_restarts_total"]
    assert found == {"api": 3, "worker": 0}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"Name": ""}', '{"State": 1}'])
def test_a_container_that_cannot_be_read_is_left_out(host: Host, damage: str):
    host.add("api")
    (host.add("worker") / "config.v2.json").write_text(damage)
    (host.containers / "tmp").mkdir()
    assert host.metrics()["container_running"] == {"api": 1}


@pytest.mark.parametrize("state", [None, 1, [], {"Health": 3}])
def test_a_damaged_state_is_no_error(host: Host, state: Any):
    directory = host.add("api", RestartCount="many")
    path = directory / "config.v2.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "State": state}))
    assert host.metrics()["container_restarts_total"] == {"api": 0}


def test_a_host_without_docker_has_its_units_only(host: Host):
    host.containers.rmdir()
    assert set(host.metrics()) == {"units_failed"}
