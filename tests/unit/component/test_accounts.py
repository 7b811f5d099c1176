# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, groups, data directories and the host's key; what is recovered of a damaged generation."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    accounts,
    generation,
    layout,
    observe,
    systemd,
    uninstall,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.unit.component.factories import built, instance
from tests.unit.component.fake_host import GROUP, FakeHost

OURS = "hippius.monitoring"


@pytest.mark.parametrize(
    ("gecos", "uid", "shell", "refused"),
    [
        pytest.param("Anna", 1000, "/bin/bash", True, id="a person"),
        pytest.param("", 65000, "/bin/sh", True, id="a person without a name"),
        pytest.param("Anna", 999, "/bin/bash", False, id="a user of the system"),
        pytest.param("", 1000, "/usr/sbin/nologin", False, id="nobody logs in"),
        pytest.param("", 1000, "/bin/false", False, id="nobody can log in"),
        pytest.param(OURS, 1000, "/bin/bash", False, id="ours"),
    ],
)
def test_only_the_account_of_a_person_is_refused(
    host: FakeHost, gecos: str, uid: int, shell: str, refused: bool
) -> None:
    host.add_account("loki", pw_gecos=gecos, pw_uid=uid, pw_shell=shell)
    if refused:
        with pytest.raises(ComponentError, match=f"uid {uid} with shell {shell}"):
            accounts.refuse_person("loki")
    else:
        accounts.refuse_person("loki")


def test_no_account_is_not_that_of_a_person(host: FakeHost) -> None:
    accounts.refuse_person("loki")


def test_only_a_user_that_this_collection_created_is_ours(host: FakeHost) -> None:
    assert not uninstall.owns_user("loki")
    host.add_account("loki", pw_gecos="Anna")
    assert not uninstall.owns_user("loki")
    host.add_account("tempo", pw_gecos=OURS)
    assert uninstall.owns_user("tempo")


@pytest.fixture
def commands(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which every command that runs is added."""
    ran: list[str] = []

    def run(
        command: list[str], timeout: float | None = 60
    ) -> subprocess.CompletedProcess[str]:
        ran.append(" ".join(command))
        return host._program(command, timeout)

    monkeypatch.setattr(systemd, "run", run)
    return ran


def useradd(group: str) -> str:
    home, shell = layout.data("loki"), "/usr/sbin/nologin"
    return (
        f"useradd --system --comment {OURS} --no-create-home --home-dir {home}"
        f" --shell {shell} {group} loki"
    )


def test_a_missing_user_is_created_with_its_group(commands: list[str]) -> None:
    assert accounts.ensure_user("loki") == GROUP
    assert accounts.ensure_user("loki") == GROUP
    assert commands == [useradd("--user-group")]


def test_a_missing_user_gets_the_group_of_its_name(
    host: FakeHost, commands: list[str]
) -> None:
    host._groupadd(["loki"])
    accounts.ensure_user("loki")
    assert commands == [useradd("--gid loki")]


def test_a_user_without_the_group_of_its_name_gets_one(
    host: FakeHost, commands: list[str]
) -> None:
    host.add_account("loki")
    assert accounts.group_of("loki") is None
    assert accounts.ensure_user("loki") == GROUP
    assert commands == ["groupadd --system loki"]
    assert accounts.group_of("loki") == GROUP


def test_a_group_without_a_user_is_not_the_group_of_an_instance(host: FakeHost) -> None:
    host._groupadd(["loki"])
    assert accounts.group_of("loki") is None


@pytest.mark.parametrize("tool", ["useradd", "groupadd"])
def test_a_tool_that_fails_is_named(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    if tool == "groupadd":
        host.add_account("loki")
    monkeypatch.setattr(
        host, f"_{tool}", lambda _words: (1, "cannot lock /etc/passwd\n")
    )
    message = f"user loki: {tool} failed: cannot lock /etc/passwd$"
    with pytest.raises(ComponentError, match=message):
        accounts.ensure_user("loki")


def test_data_belongs_to_the_user_and_is_left_alone_later(host: FakeHost) -> None:
    accounts.ensure_user("loki")
    data = Path(layout.data("loki"))
    status = data.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (
        0o750,
        GROUP,
        GROUP,
    )
    data.chmod(0o700)
    os.chown(data, 7, 8)
    accounts.ensure_user("loki")
    status = data.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o700, 7, 8)


def test_data_is_closed_to_others_before_it_has_its_owner(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    chown = os.chown

    def observed(path: str, *owner: int) -> None:
        modes.append(stat.S_IMODE(os.stat(path).st_mode))
        chown(path, *owner)

    monkeypatch.setattr(os, "chown", observed)
    accounts.ensure_user("loki")
    assert modes == [0o700]


def test_the_key_is_long_and_for_root_only(places: Path) -> None:
    key = generation.fingerprint_key(create=True)
    assert len(key) == 32
    assert stat.S_IMODE(os.stat(layout.FINGERPRINT_KEY).st_mode) == 0o400


def test_the_owner_of_an_instance_is_written_once(places: Path) -> None:
    desired = instance()
    generation.write(desired, built(desired), 0)
    owner = Path(layout.owner("loki"))
    first = owner.stat().st_ino
    generation.write(desired, built(desired), 0)
    assert (owner.stat().st_ino, owner.read_text()) == (first, "loki\n")
    owner.write_text("another\n")
    generation.write(desired, built(desired), 0)
    assert owner.read_text() == "loki\n"


def test_a_generation_without_configuration_has_its_directory(places: Path) -> None:
    desired = instance(config=[])
    name = generation.write(desired, built(desired), GROUP)
    status = (Path(layout.generation("loki", name)) / "etc").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o750, GROUP)


def test_units_are_recovered_by_the_name_of_their_instance(places: Path) -> None:
    directory = Path(layout.generation("loki", "1-a"))
    directory.mkdir(parents=True)
    for name in ("loki.service", "loki-tidy.timer", "lokis.service", "manifest.json"):
        (directory / name).write_text("[Install]\nWantedBy=a.target\n")
    recovered: Any = observe.read_manifest("loki", "1-a")
    assert sorted(recovered["units"]) == ["loki-tidy.timer", "loki.service"]
    assert recovered["release"] == ""
    os.symlink("/opt/monitoring/releases/loki-1", directory / "release")
    recovered = observe.read_manifest("loki", "1-a")
    assert recovered["release"] == "loki-1"


@pytest.mark.parametrize("kind", ["directory", "files", "link"])
def test_only_an_empty_directory_is_in_nobodys_way(places: Path, kind: str) -> None:
    etc = Path(layout.etc("loki"))
    empty = places / "empty"
    empty.mkdir()
    etc.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        etc.symlink_to(empty)
    else:
        etc.mkdir()
    if kind == "files":
        (etc / "theirs.yml").touch()
    expected = () if kind == "directory" else (str(etc),)
    assert observe.unmanaged("loki", [], {}) == expected
