# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations: written, switched, linked."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    files,
    generation,
    layout,
    observe,
    release_store,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
)
from tests.unit.component.factories import KEY, built, instance

GROUP = 12345
TIMER = {
    "loki-sweep.timer": {
        "Timer": {"OnCalendar": "daily"},
        "Install": {"WantedBy": "timers.target"},
    }
}
OPTIONS = {
    "config": [
        {"path": "loki-config.yml", "content": "a: 1\n"},
        {"path": "rules/own/a.yml", "content": "r"},
    ],
    "secrets": {"key": "secret"},
    "scripts": [{"path": "write-targets", "content": "#!/bin/sh\n"}],
    "units": TIMER,
}


@pytest.fixture(autouse=True)
def base(places: Path) -> Path:
    (places / "etc").mkdir()
    return places


def written(**changes: Any) -> str:
    """Write a generation and switch to it."""
    desired = instance(**{**OPTIONS, **changes})
    name = generation.write(desired, built(desired), GROUP)
    generation.switch("loki", name)
    return name


def compared(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return drift and untracked files of a generation."""
    manifest = observe.read_manifest("loki", name)
    comparison = observe.compare("loki", name, manifest, KEY, GROUP)
    return comparison.drift, comparison.untracked


def test_a_generation_is_written_with_owners_and_modes() -> None:
    name = written()
    directory = Path(layout.generation("loki", name))
    attributes = {}
    for path in directory.rglob("*"):
        status = path.lstat()
        mode = oct(stat.S_IMODE(status.st_mode))
        attributes[str(path.relative_to(directory))] = (
            mode,
            status.st_uid,
            status.st_gid,
        )
    assert attributes == {
        "etc": ("0o750", 0, GROUP),
        "etc/loki-config.yml": ("0o640", 0, GROUP),
        "etc/rules": ("0o750", 0, GROUP),
        "etc/rules/own": ("0o750", 0, GROUP),
        "etc/rules/own/a.yml": ("0o640", 0, GROUP),
        "etc/key": ("0o640", 0, GROUP),
        "bin": ("0o755", 0, 0),
        "bin/write-targets": ("0o755", 0, 0),
        "loki.service": ("0o644", 0, 0),
        "loki-sweep.timer": ("0o644", 0, 0),
        "manifest.json": ("0o644", 0, 0),
        "release": ("0o777", 0, 0),
    }
    assert os.readlink(directory / "release") == release_store.path_of(
        "loki-3.7.8-01234567"
    )
    assert observe.read_manifest("loki", name) == built(instance(**OPTIONS))
    assert compared(name) == ((), ())


def test_a_secret_is_in_no_manifest() -> None:
    name = written(secrets={"key": "PLANTED"})
    manifest = Path(layout.generation("loki", name), "manifest.json").read_text()
    assert "etc/key" in manifest
    assert "PLANTED" not in manifest


def test_a_component_is_named_by_a_manifest_or_else_by_its_directory() -> None:
    name = written()
    assert observe.components() == {"loki": ["loki"]}
    Path(layout.generation("loki", name), "manifest.json").write_text("{}")
    assert observe.components() == {"loki": ["loki"]}
    # A pending removal is not a component.
    Path(layout.component("loki")).rename(layout.pending_removals("loki"))
    assert observe.components() == {}


def test_generation_numbers_count_up_and_are_never_used_twice() -> None:
    first = written()
    second = written(config=[])
    assert (first.split("-")[0], second.split("-")[0]) == ("1", "2")
    # After a rollback the count goes on, even when the content is the same as before.
    generation.switch("loki", first)
    assert written(config=[]).split("-") == ["3", second.split("-")[1]]


def test_a_half_written_generation_is_replaced() -> None:
    manifest = built(instance(**OPTIONS))
    staging = Path(layout.generations("loki")) / f".staging-1-{manifest['id']}"
    staging.mkdir(parents=True)
    (staging / "half").write_bytes(b"")
    name = written()
    assert files.listing(layout.generations("loki")) == [name]
    assert compared(name) == ((), ())


def test_drift_is_observed_in_content_mode_owner_and_type() -> None:
    name = written()
    directory = Path(layout.generation("loki", name))
    (directory / "etc/loki-config.yml").write_text("a: 2\n")
    (directory / "etc/key").write_text("other")
    (directory / "loki.service").chmod(0o600)
    os.chown(directory / "etc/rules/own/a.yml", 0, 1)
    (directory / "bin/write-targets").unlink()
    (directory / "bin/write-targets").mkdir()
    (directory / "loki-sweep.timer").unlink()
    (directory / "loki-sweep.timer").symlink_to("/etc/passwd")
    (directory / "release").unlink()
    (directory / "release").symlink_to("/opt/other")
    (directory / "etc/added").write_text("")
    drift, untracked = compared(name)
    assert sorted(drift) == [
        "bin/write-targets",
        "etc/key",
        "etc/loki-config.yml",
        "etc/rules/own/a.yml",
        "loki-sweep.timer",
        "loki.service",
        "release",
    ]
    assert untracked == ("etc/added",)


def test_manual_changes_are_kept_for_root_only_and_secrets_are_not() -> None:
    name = written()
    directory = Path(layout.generation("loki", name))
    (directory / "etc/loki-config.yml").write_text("a: 2\n")
    (directory / "etc/key").write_text("PLANTED")
    (directory / "etc/rules/more.yml").write_text("more")
    (directory / "bin/write-targets").unlink()
    drift, untracked = compared(name)
    observed = ObservedState(
        current=name,
        manifest=observe.read_manifest("loki", name),
        drift=drift,
        untracked=untracked,
    )
    copies = generation.keep_edited("loki", observed)
    base = Path(layout.edited("loki"))
    assert sorted(copies) == [
        str(base / name / path)
        for path in ("etc/loki-config.yml", "etc/rules/more.yml")
    ]
    assert [Path(path).read_text() for path in sorted(copies)] == ["a: 2\n", "more"]
    assert stat.S_IMODE(base.stat().st_mode) == 0o700
    assert {stat.S_IMODE(Path(path).stat().st_mode) for path in copies} == {0o600}
    assert "PLANTED" not in "".join(
        path.read_text() for path in base.rglob("*") if path.is_file()
    )
    assert generation.keep_edited("loki", observed) == copies


def links() -> dict[str, str | None]:
    """Return every link below the directory of units and the one in /etc, by their short names."""
    paths = {
        os.path.relpath(path, layout.UNITS): path
        for path in map(str, Path(layout.UNITS).rglob("*"))
        if os.path.islink(path)
    }
    paths["etc"] = layout.etc("loki")
    return {name: files.link_target(path) for name, path in paths.items()}


def expected() -> dict[str, str]:
    return {
        "etc": layout.current("loki") + "/etc",
        "multi-user.target.wants/loki.service": layout.unit("loki.service"),
    }


def test_units_are_files_that_the_links_enable() -> None:
    name = written()
    generation.set_links("loki", built(instance(**OPTIONS)))
    wants = {"timers.target.wants/loki-sweep.timer": layout.unit("loki-sweep.timer")}
    assert links() == {**expected(), **wants}
    units = [layout.unit(unit) for unit in ("loki-sweep.timer", "loki.service")]
    for path in units:
        copy = os.path.join(layout.generation("loki", name), os.path.basename(path))
        assert files.read(path) == files.read(copy)
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o644
    assert observe.wrong_links("loki", built(instance(**OPTIONS))) == ()
    enabling = [os.path.join(layout.UNITS, name) for name in links() if name != "etc"]
    assert sorted(observe.our_paths("loki")) == sorted(
        [layout.etc("loki"), *units, *enabling]
    )


def test_an_unchanged_unit_file_is_not_written_again() -> None:
    written()
    generation.set_links("loki", built(instance(**OPTIONS)))
    os.utime(layout.unit("loki.service"), ns=(1, 1_000_000_000))
    written(config=[])
    generation.set_links("loki", built(instance(**OPTIONS)))
    assert os.stat(layout.unit("loki.service")).st_mtime_ns == 1_000_000_000


def test_links_of_removed_units_are_removed_even_after_a_killed_run() -> None:
    written()
    generation.set_links("loki", built(instance(**OPTIONS)))
    # The next generation became current, and the run was killed before it set the links.
    written(units={})
    unfinished = Path(layout.unit("loki.service") + ".new")
    unfinished.write_bytes(Path(layout.unit("loki.service")).read_bytes())
    manifest = built(instance(**{**OPTIONS, "units": {}}))
    assert {
        os.path.basename(path) for path in observe.wrong_links("loki", manifest)
    } == {
        "loki-sweep.timer",
        "loki.service.new",
    }
    generation.set_links("loki", manifest)
    assert links() == expected()
    assert os.listdir(layout.UNIT_FILES) == ["loki.service"]


def test_links_of_another_component_stay() -> None:
    written()
    link = Path(layout.UNITS) / "loki-canary.service"
    target = layout.current("loki-canary") + "/loki-canary.service"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    generation.set_links("loki", built(instance(**OPTIONS)))
    generation.set_links("loki", built(instance()))
    assert files.link_target(str(link)) == target


def test_an_empty_directory_in_place_of_the_link_is_replaced() -> None:
    written()
    os.mkdir(layout.etc("loki"))
    generation.set_links("loki", built(instance(**OPTIONS)))
    assert files.link_target(layout.etc("loki")) == layout.current("loki") + "/etc"


def test_a_commit_records_the_verified_generation_and_the_one_before() -> None:
    first = written()
    generation.commit("loki", first, set())
    assert generation.last_known_good("loki") == generation.current("loki") == first
    assert generation.previous("loki") == ""
    second = written(config=[])
    generation.commit("loki", second, {""})
    assert (generation.last_known_good("loki"), generation.previous("loki")) == (
        second,
        first,
    )


def test_a_commit_records_no_unfit_generation_as_previous() -> None:
    first, second, third = written(), written(config=[]), written()
    generation.commit("loki", first, set())
    generation.commit("loki", second, set())
    generation.commit("loki", third, {second})
    assert (generation.last_known_good("loki"), generation.previous("loki")) == (
        third,
        first,
    )


def test_the_host_s_key_is_created_once_and_not_in_check_mode() -> None:
    assert generation.fingerprint_key(create=False) == b""
    key = generation.fingerprint_key(create=True)
    assert len(key) == 32
    assert (
        generation.fingerprint_key(create=True)
        == generation.fingerprint_key(create=False)
        == key
    )
    assert stat.S_IMODE(os.stat(layout.FINGERPRINT_KEY).st_mode) == 0o400


def test_shared_paths_are_removed_with_the_last_component(base: Path) -> None:
    generation.fingerprint_key(create=True)
    written()
    os.makedirs(layout.RELEASES)
    generation.tidy()
    assert generation.fingerprint_key(create=False)
    files.remove(layout.component("loki"))
    generation.tidy()
    assert not os.path.exists(layout.BASE)


def test_saved_manual_changes_outlive_the_last_component(base: Path) -> None:
    generation.fingerprint_key(create=True)
    os.makedirs(layout.edited("loki"))
    os.makedirs(layout.COMPONENTS)
    generation.tidy()
    assert files.tree(layout.BASE) == []
    assert os.path.isdir(layout.edited("loki"))
    # Nothing is left to do, so not even a lock is taken.
    files.remove(layout.RUN)
    generation.tidy()
    assert not os.path.exists(layout.RUN)
