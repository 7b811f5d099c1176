# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the script that writes Promtail's targets."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/promtail/files/promtail_targets.py"
specification = importlib.util.spec_from_file_location("promtail_targets", SCRIPT)
promtail_targets = importlib.util.module_from_spec(specification)
specification.loader.exec_module(promtail_targets)

API, REDIS = "a1" * 32, "b2" * 32
API_LABELS = {
    "com.docker.compose.project": "hippius-s3",
    "com.docker.compose.service": "api",
}


class Docker:
    """A directory in Docker's layout, and the targets that the script writes for it."""

    def __init__(self, root: Path) -> None:
        self.containers = root / "containers"
        self.containers.mkdir()
        self.output = root / "targets" / "docker.json"
        self.output.parent.mkdir()

    def add(
        self,
        container: str,
        name: str = "hippius-s3-api-1",
        labels: object = None,
        driver: str = "json-file",
    ):
        """Create the files of a container as `docker run` does."""
        directory = self.containers / container
        directory.mkdir()
        config = {
            "ID": container,
            "Name": f"/{name}",
            "Config": {"Env": ["TOKEN=canary"], "Labels": labels},
        }
        (directory / "config.v2.json").write_text(json.dumps(config))
        (directory / "hostconfig.json").write_text(
            json.dumps({"LogConfig": {"Type": driver, "Config": {}}})
        )
        self.log(container).write_text("")
        return directory

    def log(self, container: str) -> Path:
        return self.containers / container / f"{container}-json.log"

    def run(self, *words: str) -> int:
        return promtail_targets.main(
            ["--containers", str(self.containers), "--output", str(self.output), *words]
        )

    def labels(self, *words: str) -> dict[str, dict]:
        """Run the script and return the labels that it writes, by container id."""
        assert self.run(*words) == 0
        written = json.loads(self.output.read_text())
        assert all(target["targets"] == ["localhost"] for target in written)
        return {
            Path(target["labels"]["__path__"]).parent.name: target["labels"]
            for target in written
        }


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path)


def test_it_names_container_project_service_and_path(docker: Docker) -> None:
    docker.add(API, labels=API_LABELS)
    assert docker.labels() == {
        API: {
            "__path__": str(docker.log(API)),
            "__container_name": "hippius-s3-api-1",
            "__compose_project": "hippius-s3",
            "__compose_service": "api",
        }
    }


def test_it_exports_nothing_else(docker: Docker) -> None:
    docker.add(API, labels={**API_LABELS, "password": "canary"})
    docker.labels()
    assert "canary" not in docker.output.read_text()


def test_it_exports_requested_labels(docker: Docker) -> None:
    docker.add(API, labels={**API_LABELS, "org.example/team": "storage"})
    docker.add(REDIS, labels=None)
    labels = docker.labels("--label", "org.example/team")
    assert labels[API]["__container_label_org_example_team"] == "storage"
    assert "__container_label_org_example_team" not in labels[REDIS]


@pytest.mark.parametrize(
    "labels", [None, {}, [], "text", {"com.docker.compose.project": None}]
)
def test_it_includes_a_container_without_compose(
    docker: Docker, labels: object
) -> None:
    docker.add(API, name="lonely", labels=labels)
    assert docker.labels() == {
        API: {"__path__": str(docker.log(API)), "__container_name": "lonely"}
    }


def test_it_follows_a_renamed_container(docker: Docker) -> None:
    directory = docker.add(API)
    docker.labels()
    (directory / "config.v2.json").write_text(json.dumps({"Name": "/renamed"}))
    assert docker.labels()[API]["__container_name"] == "renamed"


def test_it_includes_a_container_before_it_logs(docker: Docker) -> None:
    docker.add(API)
    docker.log(API).unlink()
    assert API in docker.labels()


@pytest.mark.parametrize("driver", ["local", "journald", "none", "syslog"])
def test_it_omits_containers_that_log_elsewhere(docker: Docker, driver: str) -> None:
    docker.add(API, driver=driver)
    assert docker.labels() == {}


def test_it_assumes_json_file_for_an_unknown_driver(docker: Docker) -> None:
    directory = docker.add(API)
    (directory / "hostconfig.json").unlink()
    assert API in docker.labels()


HALF_WRITTEN = [
    b"",
    b'{"Name": "/hippi',
    b"null",
    b"[1]",
    b"\xff\xfe\x00",
    b'{"Name":' * 3,
    b"[" * 100_000,
]


@pytest.mark.parametrize(
    "content", HALF_WRITTEN, ids=lambda content: repr(content[:12])
)
def test_it_waits_for_a_half_written_description(
    docker: Docker, content: bytes
) -> None:
    directory = docker.add(API)
    (directory / "config.v2.json").write_bytes(content)
    docker.add(REDIS, name="redis")
    assert list(docker.labels()) == [REDIS]


@pytest.mark.parametrize(
    "content", HALF_WRITTEN, ids=lambda content: repr(content[:12])
)
def test_it_keeps_the_previous_labels_while_the_log_exists(
    docker: Docker, content: bytes
) -> None:
    directory = docker.add(API, labels=API_LABELS)
    before = docker.labels()
    (directory / "config.v2.json").write_bytes(content)
    assert docker.labels() == before
    (directory / "config.v2.json").unlink()
    assert docker.labels() == before
    docker.log(API).unlink()
    assert docker.labels() == {}


def test_it_drops_a_removed_container(docker: Docker) -> None:
    directory = docker.add(API)
    docker.add(REDIS, name="redis")
    docker.labels()
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    assert list(docker.labels()) == [REDIS]


def test_it_survives_a_container_that_vanishes_during_the_scan(
    docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.add(REDIS, name="redis")
    monkeypatch.setattr(
        promtail_targets, "container_ids", lambda containers: [API, REDIS]
    )
    assert list(docker.labels()) == [REDIS]


def test_it_writes_an_empty_list_without_docker(docker: Docker) -> None:
    docker.containers.rmdir()
    assert docker.labels() == {}


def test_it_keeps_the_targets_when_the_directory_cannot_be_read(
    docker: Docker, capsys: pytest.CaptureFixture
) -> None:
    docker.add(API)
    before = docker.labels()
    docker.containers.rename(docker.containers.with_name("elsewhere"))
    docker.containers.write_text("no directory")
    assert docker.run() == 1
    assert "cannot be read" in capsys.readouterr().err
    assert [
        target["labels"] for target in json.loads(docker.output.read_text())
    ] == list(before.values())


@pytest.mark.parametrize(
    "name", ["tmp", "A1" * 32, "a1" * 31, "a1" * 32 + "\n", "..", "-" * 64]
)
def test_it_reads_only_directories_named_like_containers(
    docker: Docker, name: str
) -> None:
    assert not promtail_targets.CONTAINER_ID.match(name)
    if "/" not in name and name != "..":
        (docker.containers / name).mkdir()
    assert docker.labels() == {}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('a"b\\c', 'a"b\\c'),
        ("line\nbreak\ttab\0nul", "line_break_tab_nul"),
        ("{{ 7*7 }} ${HOME} $1", "{{ 7*7 }} ${HOME} $1"),
        ("\u202eright\u2028separator", "_right_separator"),
        ("Ünïcödé-日本", "Ünïcödé-日本"),
        ("\ud800", "_"),
        ("x" * 5000, "x" * 200),
    ],
)
def test_it_makes_any_label_value_safe(docker: Docker, name: str, written: str) -> None:
    docker.add(API, labels={"com.docker.compose.project": name})
    assert docker.labels()[API]["__compose_project"] == written


def test_it_reads_bytes_that_are_not_utf_8(docker: Docker) -> None:
    directory = docker.add(API)
    (directory / "config.v2.json").write_bytes(b'{"Name": "/caf\xe9"}')
    assert docker.labels()[API]["__container_name"] == "caf\ufffd"


@pytest.mark.parametrize("name", [None, 7, "", "/"])
def test_it_names_a_container_without_a_name_by_its_id(
    docker: Docker, name: object
) -> None:
    directory = docker.add(API)
    (directory / "config.v2.json").write_text(json.dumps({"Name": name}))
    assert docker.labels()[API]["__container_name"] == API[:12]


def test_it_writes_only_when_something_changes(docker: Docker) -> None:
    docker.add(API)
    docker.labels()
    before = docker.output.stat()
    docker.labels()
    assert (docker.output.stat().st_ino, docker.output.stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )
    docker.add(REDIS, name="redis")
    docker.labels()
    assert docker.output.stat().st_ino != before.st_ino, (
        "a reader of the old file must not see it change"
    )


def test_it_replaces_a_damaged_targets_file_and_leftovers_of_a_killed_run(
    docker: Docker,
) -> None:
    docker.add(API)
    docker.output.write_text('[{"labels": {}}, 7')
    (docker.output.parent / ".docker.json.new").write_text("rest")
    assert API in docker.labels()
    assert os.listdir(docker.output.parent) == ["docker.json"]


def test_it_leaves_the_mode_to_the_umask(docker: Docker) -> None:
    old = os.umask(0o027)
    try:
        docker.labels()
    finally:
        os.umask(old)
    assert stat.S_IMODE(docker.output.stat().st_mode) == 0o640


def test_it_tells_once_of_containers_with_another_log_driver(
    docker: Docker, capsys: pytest.CaptureFixture
) -> None:
    docker.add(API)
    docker.add(REDIS, name="redis", driver="journald")
    docker.add("c3" * 32, name="silent", driver="none")
    assert list(docker.labels()) == [API]
    line = "container redis: its log driver journald is not read; use json-file"
    assert capsys.readouterr().err == f"<4>{line}\n"
    notes = docker.output.with_name("diagnostics")
    assert notes.read_text() == f"{line}\n"
    docker.labels()
    assert capsys.readouterr().err == ""
    shutil.rmtree(docker.containers / REDIS)
    docker.labels()
    assert (notes.read_text(), capsys.readouterr().err) == ("", "")
