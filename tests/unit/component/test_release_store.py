# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases on a host."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    files,
    layout,
    release_staging,
    release_store,
    run_lock,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.spec import (
    Release,
)
from tests.unit.component.conftest import Web
from tests.unit.component.test_archive import tar_of

HOST = release_store.host_architecture()


def program(architecture: str = HOST) -> bytes:
    """Return the beginning of a program that is built for an architecture."""
    machine = release_staging.ELF_MACHINES[architecture].to_bytes(2, "little")
    return b"\x7fELF" + bytes(14) + machine + bytes(100)


@pytest.fixture
def publish(places: Path, web: Web) -> Callable[..., Release]:
    """Return a function that publishes an archive of members and returns its release."""

    def publish(
        *members: tuple, version: str = "1", checksum: str = "", **more: object
    ) -> Release:
        path = tar_of(places / f"archive-{version}", *members)
        web.answers = [web.file(path.read_bytes())]
        sha256 = checksum or hashlib.sha256(path.read_bytes()).hexdigest()
        return Release(
            "loki",
            version,
            {HOST: {"urls": [web.url + "/loki"], "sha256": sha256}},
            **more,
        )

    return publish


def stored() -> list[str]:
    """Return the releases and the files of components, such as downloads.

    The mark of a release that is staged is left out.
    """
    paths = files.tree(layout.COMPONENTS)
    kept = [path for path in paths if path != "loki/downloads/release"]
    return [*files.listing(layout.RELEASES), *kept]


def test_a_release_is_downloaded_and_unpacked_once(publish: Callable, web: Web) -> None:
    desired = publish(
        ("loki-1/loki", program(), {"mode": 0o755}), ("loki-1/README", b"x")
    )
    directory = desired.directory(HOST)
    assert not release_store.intact(directory)
    assert release_staging.stage(desired, "loki", "loki")
    assert release_store.intact(directory)
    assert not release_staging.stage(desired, "loki", "loki")
    assert len(web.requests) == 1
    assert stored() == [directory]
    path = Path(release_store.path_of(directory))
    assert (path / "loki").read_bytes() == program()
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert not [
        item
        for item in path.rglob("*")
        if item.is_file() and item.stat().st_mode & 0o222
    ]


@pytest.mark.parametrize(
    ("machine", "architecture"), [("x86_64", "amd64"), ("aarch64", "arm64")]
)
def test_a_host_gets_the_archive_of_its_architecture(
    publish: Callable,
    web: Web,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    architecture: str,
) -> None:
    monkeypatch.setattr(release_store.platform, "machine", lambda: machine)
    archive = publish(("loki", program(architecture)), ("x", b"")).archives[HOST]
    other = {"urls": [web.url + "/other"], "sha256": "0" * 64}
    archives = {
        **dict.fromkeys(release_staging.ELF_MACHINES, other),
        architecture: archive,
    }
    desired = Release("loki", "1", archives)
    assert release_staging.stage(desired, "loki", "loki")
    assert stored() == [f"loki-1-{archive['sha256'][:8]}"]
    assert web.requests == [("/loki", None)]


def test_a_host_of_an_unknown_architecture_is_refused_in_one_line(
    publish: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    desired = publish(("loki", program()), ("x", b""))
    monkeypatch.setattr(release_store.platform, "machine", lambda: "riscv64")
    with pytest.raises(ComponentError) as refused:
        release_staging.stage(desired, "loki", "loki")
    assert (
        str(refused.value)
        == "Architecture 'riscv64': not supported; use aarch64, x86_64."
    )
    assert stored() == []


def test_an_archive_that_the_controller_lacks_is_not_downloaded(
    publish: Callable, web: Web
) -> None:
    desired = publish(("loki", program()), ("x", b""))
    desired.archives[HOST].update(urls=[], missing="/srv/bundle/loki")
    refused = r"/srv/bundle/loki: not on the controller, .*monitoring_archives_dir"
    with pytest.raises(ComponentError, match=refused):
        release_store.require_available(desired, "loki")
    with pytest.raises(ComponentError, match=refused):
        release_staging.stage(desired, "loki", "loki")
    assert (stored(), web.requests) == ([], [])


def test_an_available_release_is_accepted_without_a_request(
    publish: Callable, web: Web
) -> None:
    desired = publish(("loki", program()), ("x", b""))
    release_store.require_available(desired, "loki")
    assert (stored(), web.requests) == ([], [])
    release_staging.stage(desired, "loki", "loki")
    desired.archives[HOST].update(urls=[], missing="/srv/bundle/loki")
    release_store.require_available(desired, "loki")
    other = publish(("loki", program()), ("y", b""))
    other.archives[HOST].update(urls=[], missing="/srv/bundle/loki")
    release_store.require_available(replace(other, pushable=(HOST,)), "loki")


def damage_content(path: Path) -> None:
    os.chmod(path / "loki", 0o755)
    (path / "loki").write_bytes(program())
    os.chmod(path / "loki", 0o555)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: (path / "README").unlink(), id="a missing file"),
        pytest.param(
            lambda path: (path / "added").write_bytes(b""), id="an added file"
        ),
        pytest.param(lambda path: (path / "loki").chmod(0o755), id="another mode"),
        pytest.param(damage_content, id="a rewritten file"),
        pytest.param(
            lambda path: (path / ".release.json").write_text("{"), id="a damaged record"
        ),
        pytest.param(lambda path: (path / ".release.json").unlink(), id="no record"),
        pytest.param(shutil.rmtree, id="a missing release"),
    ],
)
def test_a_damaged_release_is_detected_and_unpacked_again(
    publish: Callable, damage: Callable
) -> None:
    desired = publish(("loki", program(), {"mode": 0o755}), ("README", b"x"))
    release_staging.stage(desired, "loki", "loki")
    time.sleep(0.01)
    damage(Path(release_store.path_of(desired.directory(HOST))))
    assert not release_store.intact(desired.directory(HOST))
    assert release_staging.stage(desired, "loki", "loki")
    assert release_store.intact(desired.directory(HOST))
    assert stored() == [desired.directory(HOST)]


def test_leftovers_of_a_killed_run_do_not_conflict(publish: Callable) -> None:
    desired = publish(("loki", program(), {"mode": 0o755}), ("README", b"x"))
    for name in (".staging-", ".damaged-"):
        leftover = Path(release_store.path_of(name + desired.directory(HOST)))
        (leftover / "loki").mkdir(parents=True)
    release_staging.stage(desired, "loki", "loki")
    assert release_store.intact(desired.directory(HOST))


OTHER_ARCHITECTURE = "arm64" if HOST == "amd64" else "amd64"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param([("../evil", b"x")], "climbs out", id="a hostile archive"),
        pytest.param(
            [("tempo", program()), ("x", b"")],
            "does not contain 'loki', only tempo, x",
            id="another program",
        ),
        pytest.param(
            [("loki", program(OTHER_ARCHITECTURE)), ("x", b"")],
            f"not built for {HOST}",
            id="another architecture",
        ),
    ],
)
def test_a_refused_archive_leaves_nothing(
    publish: Callable, members: list, message: str
) -> None:
    with pytest.raises(ComponentError, match=message):
        release_staging.stage(publish(*members), "loki", "loki")
    assert stored() == []


def test_a_wrong_checksum_leaves_nothing(publish: Callable) -> None:
    with pytest.raises(ComponentError, match="SHA-256 is"):
        release_staging.stage(
            publish(("loki", program()), checksum="0" * 64), "loki", "loki"
        )
    assert stored() == []


def test_a_script_or_no_program_at_all_is_accepted(publish: Callable) -> None:
    assert release_staging.stage(
        publish(("loki", b"#!/bin/sh\n"), ("x", b"")), "loki", "loki"
    )
    assert release_staging.stage(
        publish(("data", b""), ("x", b""), version="2"), "loki", ""
    )


def test_an_archive_from_the_controller_is_used_when_its_checksum_matches(
    publish: Callable, places: Path, web: Web
) -> None:
    desired = publish(("loki", program()), ("x", b""), pushable=(HOST,))
    with pytest.raises(release_store.ReleaseRequired) as caught:
        release_store.require_staged(desired, "loki-main", "loki")
    assert caught.value.values == {
        "architecture": HOST,
        "name": "loki-main",
        "program": "loki",
    }
    pushed = Release(
        desired.name,
        desired.version,
        desired.archives,
        pushed=str(places / "archive-1"),
    )
    assert release_staging.stage(pushed, "loki", "loki")
    assert web.requests == []
    other = publish(
        ("loki", program()),
        ("x", b"y"),
        version="2",
        checksum="0" * 64,
        pushed=str(places / "archive-1"),
    )
    with pytest.raises(
        ComponentError,
        match=r"Archive of loki 2 for amd64: on the controller its SHA-256 is",
    ):
        release_staging.stage(other, "loki", "loki")


def test_releases_that_no_generation_links_to_are_unused(places: Path) -> None:
    for name in ("loki-1", "loki-2", "tempo-1", "old-1", ".staging-loki-3"):
        Path(release_store.path_of(name)).mkdir(parents=True)
    for component, generation, target in (
        ("loki", "1-a", "loki-1"),
        ("loki", "2-b", "loki-2"),
        ("tempo", ".staging-1-a", "tempo-1"),
    ):
        directory = Path(layout.generation(component, generation))
        directory.mkdir(parents=True)
        (directory / "release").symlink_to(release_store.path_of(target))
    Path(layout.generation("tempo", "2-c")).mkdir()
    assert [Path(path).name for path in release_store.unused()] == [
        ".staging-loki-3",
        "old-1",
    ]


def test_a_staged_release_is_left_until_the_rollout_begins(publish: Callable) -> None:
    desired = publish(("loki", program()), ("x", b""))
    release_staging.stage(desired, "loki", "loki")
    release_store.require_staged(desired, "loki", "loki")
    assert release_store.unused() == []
    Path(layout.staged_release("loki")).unlink()
    (unused,) = release_store.unused()
    assert unused == release_store.path_of(desired.directory(HOST))


@pytest.mark.parametrize("name", ["loki", "loki-main"])
def test_the_module_stages_under_the_lock_of_its_component(
    publish: Callable, name: str
) -> None:
    desired = publish(("loki", program()), ("x", b""))
    archives = {HOST: dict(desired.archives[HOST])}
    params = {
        "name": name,
        "component": "loki",
        "release": {
            "name": "loki",
            "version": "1",
            "archives": archives,
            "pushed": None,
        },
        "program": "loki",
        "lock_owner": None,
        "lock_timeout": 0,
    }
    with (
        run_lock.held("loki", "another run", 0),
        pytest.raises(ComponentError, match="another run holds its lock"),
    ):
        release_staging.run(params, False)
    assert release_staging.run(params, False) == {"changed": True}
    assert release_staging.run(params, False) == {"changed": False}
