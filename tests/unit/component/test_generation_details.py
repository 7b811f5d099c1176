# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that write, link, keep and prune generations, each on its own."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    accounts,
    files,
    generation,
    layout,
    observe,
    release_store,
    rollback,
    run_lock,
    systemd,
    uninstall,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
    Unit,
)
from tests.unit.component.factories import built, instance
from tests.unit.component.fake_host import GROUP, NOGROUP, FakeHost

OPTIONS: dict[str, Any] = {
    "config": [{"path": "loki-config.yml", "content": "a: 1\n"}],
    "secrets": {"key": "secret"},
    "scripts": [{"path": "tools/sweep", "content": "#!/bin/sh\n"}],
    "units": {
        "loki-sweep.timer": {
            "Timer": {"OnCalendar": "daily"},
            "Install": {"WantedBy": "timers.target"},
        }
    },
}
MANIFEST = built(instance(**OPTIONS))
MAIN = "loki.service"


@pytest.fixture(autouse=True)
def base(places: Path) -> Path:
    (places / "etc").mkdir()
    return places


def written(number: int = 0) -> str:
    """Write a generation and switch to it."""
    content = [{"path": "loki-config.yml", "content": f"a: {number}\n"}]
    desired = instance(**{**OPTIONS, "config": content})
    name = generation.write(desired, built(desired), GROUP)
    generation.switch("loki", name)
    return name


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


# Keys and users


def test_a_key_that_went_meanwhile_is_written_again_for_root_only() -> None:
    key = generation.fingerprint_key(create=True)
    os.unlink(layout.FINGERPRINT_KEY)
    generation.keep_fingerprint_key(key)
    assert files.read(layout.FINGERPRINT_KEY) == key
    assert mode(layout.FINGERPRINT_KEY) == 0o400


def test_a_group_is_known_with_its_user_only(host: FakeHost) -> None:
    assert accounts.group_of("loki") is None
    assert not uninstall.owns_user("loki")
    host.add_account("loki", pw_gid=NOGROUP)
    assert accounts.group_of("loki") is None
    assert not uninstall.owns_user("loki")
    host._groupadd(["loki"])
    assert accounts.group_of("loki") == GROUP
    host.add_account("loki", pw_gecos=accounts.OWNER)
    assert uninstall.owns_user("loki")


@pytest.mark.parametrize(
    ("is_link", "active", "directory", "refused"),
    [
        pytest.param(True, "inactive", "loki", True, id="a link"),
        pytest.param(True, "active", "loki", False, id="a link that works"),
        pytest.param(True, "inactive", None, False, id="a link that is not used"),
        pytest.param(True, "inactive", "other", False, id="another directory"),
        pytest.param(False, "inactive", "loki", False, id="a directory"),
    ],
)
def test_data_behind_a_link_is_refused_where_systemd_would_refuse_it(
    base: Path, is_link: bool, active: str, directory: str | None, refused: bool
) -> None:
    data = Path(layout.data("loki"))
    data.parent.mkdir(parents=True)
    data.symlink_to(base) if is_link else data.mkdir()
    desired = instance(unit={"Service": {"StateDirectory": directory}})
    observed = ObservedState(units={MAIN: Unit(active=active)})
    if refused:
        with pytest.raises(ComponentError, match=f"mount {base} there instead"):
            generation.refuse_linked_data(desired, observed)
    else:
        generation.refuse_linked_data(desired, observed)


# Writing


def test_a_generation_takes_its_name_last(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    rename = os.rename

    def renamed(source: str, target: str) -> None:
        steps.append("rename " + os.path.basename(target))
        rename(source, target)

    desired = instance(**OPTIONS)
    generation.write(desired, MANIFEST, GROUP)
    staging = f".staging-2-{MANIFEST['id']}"
    # A killed run has left a part of the next one.
    half = Path(layout.generations("loki")) / staging
    half.mkdir()
    (half / "half").touch()
    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(
        systemd, "relabel", lambda path: steps.append("relabel " + path)
    )
    monkeypatch.setattr(
        files,
        "sync_directory",
        lambda path: steps.append("sync " + path),
    )
    name = generation.write(desired, MANIFEST, GROUP)
    final, parent = layout.generation("loki", name), layout.generations("loki")
    assert name == f"2-{MANIFEST['id']}"
    assert sorted(steps[:4]) == sorted(
        f"sync {half}{path}" for path in ("", "/etc", "/bin", "/bin/tools")
    )
    # Inner ones first.
    assert steps[3:] == [
        f"sync {half}",
        f"rename {name}",
        f"sync {parent}",
        f"relabel {final}",
    ]
    assert not os.path.exists(os.path.join(final, "half"))


def test_an_instance_is_marked_as_its_component_s() -> None:
    desired = instance(instances=[{"name": "a"}])
    generation.write(desired, built(desired), GROUP)
    owner = layout.owner("loki-a")
    assert (files.read(owner), mode(owner)) == (b"loki\n", 0o644)


def test_directories_of_a_generation_have_their_groups() -> None:
    desired = instance(
        **{**OPTIONS, "config": [{"path": "rules/own/a.yml", "content": "r"}]}
    )
    name = generation.write(desired, built(desired), GROUP)
    directory = layout.generation("loki", name)
    found = {}
    for path in ("", "etc", "etc/rules", "etc/rules/own", "bin", "bin/tools"):
        status = os.stat(os.path.join(directory, path))
        found[path] = (stat.S_IMODE(status.st_mode), status.st_gid)
    private, public = (0o750, GROUP), (0o755, 0)
    assert found == {
        "": public,
        "etc": private,
        "etc/rules": private,
        "etc/rules/own": private,
        "bin": public,
        "bin/tools": public,
    }
    for path in ("manifest.json", MAIN):
        assert mode(os.path.join(directory, path)) == 0o644


# Manual changes


def test_edited_units_are_kept_as_they_were_observed() -> None:
    name = written()
    observed = ObservedState(
        current=name,
        manifest=MANIFEST,
        drift=(MAIN, "loki-sweep.timer", "gone"),
        untracked=(),
        contents={MAIN: b"[Service]\n# mine\n"},
    )
    (copy,) = generation.keep_edited("loki", observed)
    assert copy == os.path.join(layout.edited("loki"), name, MAIN)
    assert (files.read(copy), mode(copy)) == (b"[Service]\n# mine\n", 0o600)
    assert mode(layout.edited("loki")) == 0o700
    first = os.stat(copy).st_ino
    assert generation.keep_edited("loki", observed) == [copy]
    assert os.stat(copy).st_ino == first


def test_manual_changes_without_a_manifest_are_kept() -> None:
    name = written()
    (Path(layout.generation("loki", name)) / "etc/added.yml").write_text("b: 1\n")
    observed = ObservedState(current=name, untracked=("etc/added.yml", "etc/gone"))
    (copy,) = generation.keep_edited("loki", observed)
    assert files.read(copy) == b"b: 1\n"


def test_modes_are_given_back_with_their_owner_except_the_data_s() -> None:
    written()
    data = Path(layout.data("loki"))
    data.mkdir(parents=True)
    for path in (str(data), layout.generations("loki")):
        os.chown(path, 7, 8)
        os.chmod(path, 0o777)
    generation.restore_modes("loki")
    found = {}
    for path in (str(data), layout.generations("loki")):
        status = os.stat(path)
        found[path] = (mode(path), status.st_uid, status.st_gid)
    assert found == {
        str(data): (0o775, 7, 8),
        layout.generations("loki"): (0o755, 0, 0),
    }


# Links


def test_a_switch_back_to_a_good_generation_copies_its_link() -> None:
    first = written()
    generation.commit("loki", first, set())
    second = written(2)
    current, good = layout.current("loki"), layout.last_known_good("loki")
    assert os.readlink(current) == f"generations/{second}"
    generation.switch("loki", first)
    assert os.readlink(current) == f"generations/{first}"
    assert os.lstat(current).st_ino == os.lstat(good).st_ino


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_a_link_in_etc_replaces_what_is_empty(base: Path, kind: str) -> None:
    written()
    etc = Path(layout.etc("loki"))
    (base / "empty").mkdir()
    if kind == "directory":
        etc.mkdir()
    elif kind == "link":
        etc.symlink_to(base / "empty")
    else:
        etc.touch()
    generation.set_links("loki", MANIFEST)
    assert os.readlink(etc) == layout.current("loki") + "/etc"
    assert (base / "empty").is_dir()


def test_unit_files_are_readable_and_go_with_their_empty_directories() -> None:
    written()
    generation.set_links("loki", MANIFEST)
    assert mode(layout.unit(MAIN)) == 0o644
    wants = layout.wants("timers.target", "loki-sweep.timer")
    old = Path(layout.override("loki-old.service"))
    old.symlink_to(layout.current("loki") + "/loki-old.service")
    generation.set_links("loki", built(instance()))
    assert not os.path.exists(os.path.dirname(wants))
    assert not os.path.lexists(layout.unit("loki-sweep.timer"))
    assert not os.path.lexists(old)
    assert os.path.isdir(layout.UNIT_FILES)


def test_a_unit_that_the_generation_lacks_is_left_alone() -> None:
    name = written()
    generation.set_links("loki", MANIFEST)
    os.unlink(os.path.join(layout.generation("loki", name), MAIN))
    before = files.read(layout.unit(MAIN))
    generation.set_links("loki", MANIFEST)
    assert files.read(layout.unit(MAIN)) == before


def test_a_commit_replaces_an_older_release_s_link_and_no_right_one() -> None:
    first = written()
    files.link(f"generations/{first}", layout.proven("loki"))
    second = written(2)
    generation.commit("loki", second, set())
    assert not os.path.lexists(layout.proven("loki"))
    assert generation.previous("loki") == first
    inodes = os.lstat(layout.last_known_good("loki")).st_ino
    generation.commit("loki", second, {second})
    assert os.lstat(layout.last_known_good("loki")).st_ino == inodes
    assert generation.previous("loki") == first


def test_a_first_commit_has_no_previous_generation() -> None:
    generation.commit("loki", written(), set())
    assert not os.path.lexists(layout.previous("loki"))


# Pruning


@pytest.mark.parametrize("left", ["removal", "release", "key", "empty directory"])
def test_what_killed_runs_leave_is_tidied(left: str) -> None:
    path = {
        "removal": layout.pending_removals("loki"),
        "release": release_store.path_of("loki-9-01234567"),
        "key": layout.FINGERPRINT_KEY,
        "empty directory": layout.ORDERS,
    }[left]
    if left == "key":
        generation.fingerprint_key(create=True)
    elif left != "empty directory":
        written()
    Path(path).mkdir(parents=True, exist_ok=True) if left != "key" else None
    with run_lock.releases(exclusive=False):
        generation.tidy()
        assert os.path.lexists(path)
    generation.tidy()
    assert not os.path.lexists(path)
    assert os.path.isdir(layout.COMPONENTS) is (left in ("removal", "release"))


@pytest.mark.parametrize("is_installed", [True, False])
def test_shared_paths_stay_with_a_component(is_installed: bool) -> None:
    generation.fingerprint_key(create=True)
    os.makedirs(layout.ORDERS)
    os.makedirs(release_store.path_of(".staging-x"))
    if is_installed:
        os.makedirs(layout.component("loki"))
    generation.tidy()
    assert os.path.exists(layout.FINGERPRINT_KEY) is is_installed
    assert os.path.isdir(layout.ORDERS) is is_installed


def test_shared_paths_that_are_in_use_are_nothing_to_tidy(base: Path) -> None:
    (Path(layout.UNIT_FILES)).mkdir(parents=True)
    (Path(layout.UNIT_FILES) / "other.service").touch()
    assert not observe.has_only_shared_paths()
    generation.tidy()
    assert not os.path.exists(layout.RUN)


def test_releases_are_locked_alone_while_they_are_pruned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unused = release_store.path_of("loki-9-01234567")
    os.makedirs(unused)
    written()
    free = []

    def remove(path: str) -> None:
        with run_lock.releases(exclusive=True) as locked:
            free.append((path, locked))

    monkeypatch.setattr(files, "remove", remove)
    points: list[str] = []
    monkeypatch.setattr(generation, "failpoint", points.append)
    generation.prune_releases()
    assert free == [(unused, False)]
    assert points == ["after-prune"]
    assert observe.pending_removals() == []


def test_the_generation_that_is_rolled_back_from_is_marked() -> None:
    name = written()
    rollback.mark("loki", name)
    assert os.readlink(layout.rolled_back_from("loki")) == f"generations/{name}"


def test_another_key_ends_the_run() -> None:
    generation.fingerprint_key(create=True)
    with pytest.raises(ComponentError, match="was replaced by another run"):
        generation.keep_fingerprint_key(b"another")
