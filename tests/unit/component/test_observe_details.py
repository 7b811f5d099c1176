# SPDX-License-Identifier: GPL-3.0-or-later
"""Observations of one path, link or file at a time, by the functions that make them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    files,
    generation,
    layout,
    observe,
    release_store,
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    Unit,
)
from tests.unit.component.factories import KEY, built, instance

GROUP = 12345
INVOCATION = "0123"
OPTIONS = {
    "config": [{"path": "loki-config.yml", "content": "a: 1\n"}],
    "secrets": {"key": "secret"},
    "scripts": [{"path": "write-targets", "content": "#!/bin/sh\n"}],
    "units": {
        "loki-sweep.timer": {
            "Timer": {"OnCalendar": "daily"},
            "Install": {"WantedBy": "timers.target"},
        }
    },
}
MAIN, TIMER = "loki.service", "loki-sweep.timer"


@pytest.fixture(autouse=True)
def base(places: Path) -> Path:
    for path in (layout.UNITS, layout.UNIT_FILES, layout.RUN):
        Path(path).mkdir(parents=True)
    (places / "var/lib").mkdir(parents=True)
    return places


def written(**changes: Any) -> str:
    """Write a generation and install it as the current one."""
    desired = instance(**{**OPTIONS, **changes})
    name = generation.write(desired, built(desired), GROUP)
    generation.switch("loki", name)
    generation.set_links("loki", built(desired))
    return name


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> dict[str, Unit]:
    """Return what systemd says of units; fill it."""
    found: dict[str, Unit] = {}

    def show(names: list[str]) -> dict[str, Unit]:
        return {name: found[name] for name in names if name in found}

    monkeypatch.setattr(systemd, "show", show)
    return found


def observed(gid: int | None = GROUP, names: tuple[str, ...] = (MAIN,)) -> Any:
    return observe.observe("loki", names, KEY, gid)


# All at once


def test_nothing_is_observed_on_an_empty_host(states: dict[str, Unit]) -> None:
    found = observed(gid=None, names=())
    assert (found.current, found.manifest, found.last_known_good) == ("", None, "")
    assert (found.running, found.running_unit, found.running_drop_ins) == ("", "", "")
    assert found.drop_ins == systemd.drop_ins_digest(())
    assert found.release_intact
    assert not found.account_exists
    assert not found.pending
    assert (found.drift, found.links, found.leftovers) == ((), (), ())


def test_generations_that_something_leads_to_are_no_leftovers(
    states: dict[str, Unit],
) -> None:
    names = [written() for _count in range(6)]
    good, previous, back, running, unused, current = names
    for link, name in (
        (layout.last_known_good("loki"), good),
        (layout.previous("loki"), previous),
        (layout.rolled_back_from("loki"), back),
    ):
        files.link(f"generations/{name}", link)
    states[MAIN] = Unit(main_pid=7, invocation=INVOCATION)
    systemd.record_running("loki", INVOCATION, running, "digest")
    Path(layout.pending("loki")).touch()
    found = observed()
    assert (found.current, found.last_known_good) == (current, good)
    assert (found.previous, found.rolled_back_from) == (previous, back)
    assert (found.running, found.running_unit) == (running, "digest")
    assert found.leftovers == (layout.generation("loki", unused),)
    assert found.pending
    assert found.account_exists
    assert not found.release_intact
    # Without a process nothing runs, whatever its record says.
    states[MAIN] = Unit(main_pid=0, invocation=INVOCATION)
    assert (observed().running, observed().running_unit) == ("", "")


def test_units_of_the_options_and_of_the_manifest_are_observed(
    states: dict[str, Unit],
) -> None:
    written()
    states.update({name: Unit() for name in (MAIN, TIMER, "loki-new.timer")})
    assert set(observed(names=("loki-new.timer",)).units) == set(states)


def test_drop_ins_are_those_of_the_main_unit(
    states: dict[str, Unit], base: Path
) -> None:
    drop_in = base / "override.conf"
    drop_in.write_text("[Service]\nUser=root\n")
    states[MAIN] = Unit(drop_ins=(str(drop_in),))
    assert observed().drop_ins == systemd.drop_ins_digest((str(drop_in),))
    assert observed().drop_ins != systemd.drop_ins_digest(())


def test_drift_is_told_once_for_the_generation_that_runs(
    states: dict[str, Unit],
) -> None:
    old = written()
    states[MAIN] = Unit(main_pid=7, invocation=INVOCATION)
    systemd.record_running("loki", INVOCATION, old, "digest")
    path = "etc/loki-config.yml"
    (Path(layout.generation("loki", old)) / path).write_text("a: manual\n")
    found = observed()
    assert (found.drift, found.running_drift) == ((path,), ())
    assert found.contents[path] == b"a: manual\n"
    written()
    found = observed()
    assert (found.drift, found.running_drift) == ((), (path,))


def test_a_unit_that_was_edited_is_drift_and_no_wrong_link(
    states: dict[str, Unit],
) -> None:
    written()
    Path(layout.unit(TIMER)).write_text("[Timer]\nOnCalendar=weekly\n")
    found = observed()
    assert (found.drift, found.links) == ((TIMER,), ())
    assert found.contents[TIMER] == b"[Timer]\nOnCalendar=weekly\n"
    Path(layout.unit(MAIN)).unlink()
    assert observed().links == (layout.unit(MAIN),)


# Manifests and components


def test_a_manifest_is_read_recovered_or_none() -> None:
    name = written()
    directory = Path(layout.generation("loki", name))
    assert observe.read_manifest("loki", name) == built(instance(**OPTIONS))
    assert observe.read_manifest("loki", "") is None
    assert observe.read_manifest("loki", "9-gone") is None
    (directory / "manifest.json").write_text("{")
    (directory / "other.service").touch()
    (directory / "loki-directory").mkdir()
    recovered = observe.read_manifest("loki", name)
    assert recovered is not None
    assert (recovered["id"], recovered["release"]) == ("", "loki-3.7.8-01234567")
    assert set(recovered["units"]) == {MAIN, TIMER}
    (directory / "release").unlink()
    recovered = observe.read_manifest("loki", name)
    assert recovered is not None
    assert recovered["release"] == ""


@pytest.mark.parametrize(
    ("owner", "component"),
    [
        (b"loki\n", "loki"),
        (b"\n", "loki-a"),
        (None, "loki-a"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_an_instance_belongs_to_the_component_in_its_file(
    owner: bytes | None, component: str
) -> None:
    Path(layout.component("loki-a")).mkdir(parents=True)
    Path(layout.pending_removals("loki-b")).mkdir()
    if owner is not None:
        Path(layout.owner("loki-a")).write_bytes(owner)
    assert observe.components() == {component: ["loki-a"]}
    assert observe.pending_removals() == [layout.pending_removals("loki-b")]
    assert observe.instances_of(component) == ["loki-a"]
    assert observe.instances_of("none") == []


def test_the_generation_that_was_verified_has_its_name_first() -> None:
    assert observe.verified_generation("loki") == ""
    files.link("generations/1-a", layout.proven("loki"))
    assert observe.verified_generation("loki") == "1-a"
    files.link("generations/2-b", layout.last_known_good("loki"))
    assert observe.verified_generation("loki") == "2-b"


def test_generations_have_a_number() -> None:
    for name in ("1-a", "12-b-c", "x-1", ".staging-1-a"):
        Path(layout.generation("loki", name)).mkdir(parents=True)
    assert sorted(observe.generations("loki")) == ["1-a", "12-b-c"]


# What is ours


def header(name: str = "loki") -> str:
    return layout.fill(layout.UNIT_HEADER, {"{name}": name}) + "\n"


@pytest.mark.parametrize(
    ("path", "content", "is_ours"),
    [
        pytest.param("UNIT_FILES/loki.service", "x", True, id="edited"),
        pytest.param("UNIT_FILES/loki.service", "", True, id="emptied"),
        pytest.param("UNITS/loki.service", "x", True, id="a full edit"),
        pytest.param("UNITS/loki.service", "", False, id="a mask"),
        pytest.param("UNIT_FILES/loki-gone.service", header(), True, id="by header"),
        pytest.param("UNIT_FILES/loki-x.service", "x", False, id="not by its name"),
        pytest.param(
            "UNIT_FILES/loki-x.service", header("loki-x"), False, id="another's header"
        ),
        pytest.param("UNIT_FILES/loki.service.new", header(), True, id="half written"),
        pytest.param("UNITS/x.service", "current/x.service", True, id="a link"),
        pytest.param("UNITS/x.service", "-/x.service", False, id="another's link"),
    ],
)
def test_paths_are_ours_by_content_or_target(
    path: str, content: str, is_ours: bool
) -> None:
    written()
    directory, _, name = path.partition("/")
    full = Path(getattr(layout, directory)) / name
    full.unlink(missing_ok=True)
    if content.endswith("/x.service"):
        target = content.replace("current", layout.current("loki"))
        full.symlink_to(target.replace("-/", layout.current("loki-x") + "/"))
    else:
        full.write_text(content)
    assert (str(full) in observe.our_paths("loki")) is is_ours


def test_a_directory_is_not_ours() -> None:
    written()
    for directory in (layout.unit("loki-sweep.d"), layout.override("loki.service.d")):
        Path(directory).mkdir()
        assert directory not in observe.our_paths("loki")


def test_a_link_that_is_not_renamed_yet_is_ours() -> None:
    written()
    new = Path(layout.etc("loki") + ".new")
    new.symlink_to(layout.current("loki") + "/etc")
    assert str(new) in observe.our_paths("loki")


@pytest.mark.parametrize("directory", ["UNITS", "UNIT_FILES"])
def test_links_that_enable_ours_are_ours(directory: str) -> None:
    written()
    ours = Path(layout.wants("graphical.target", MAIN))
    other = Path(layout.wants("graphical.target", "other.service"))
    ours.parent.mkdir()
    ours.symlink_to(os.path.join(getattr(layout, directory), MAIN))
    other.symlink_to(os.path.join(getattr(layout, directory), "other.service"))
    paths = observe.our_paths("loki")
    assert str(ours) in paths
    assert str(other) not in paths


def test_an_enabling_link_without_its_unit_is_ours() -> None:
    written()
    link = layout.wants("timers.target", TIMER)
    os.unlink(layout.unit(TIMER))
    assert observe.wrong_links("loki", built(instance(**OPTIONS))) == (
        layout.unit(TIMER),
    )
    without = {**OPTIONS, "units": {}}
    assert observe.wrong_links("loki", built(instance(**without))) == (link,)


def test_a_removal_that_is_killed_anywhere_leaves_nothing_that_nobody_knows() -> None:
    written()
    desired = instance(**{**OPTIONS, "units": {}})
    new = generation.write(desired, built(desired), GROUP)
    # The one before was never verified, so that no link leads to a generation with the timer.
    generation.switch("loki", new)
    unknown = {layout.unit(TIMER), layout.wants("timers.target", TIMER)}
    while extra := observe.wrong_links("loki", built(desired)):
        assert set(extra) == {path for path in unknown if os.path.lexists(path)}
        files.remove(extra[0])
    assert not any(map(os.path.lexists, unknown))


def test_units_are_installed_by_links_and_not_by_staging() -> None:
    name = written()
    (Path(layout.generation("loki", name)) / "other.service").touch()
    assert observe.installed_units("loki") == {MAIN, TIMER}
    files.link(f"generations/{name}", layout.last_known_good("loki"))
    os.unlink(layout.current("loki"))
    assert observe.installed_units("loki") == {MAIN, TIMER}
    os.unlink(layout.last_known_good("loki"))
    assert observe.installed_units("loki") == set()


@pytest.mark.parametrize(
    ("make", "masked"),
    [
        pytest.param(lambda path: path.symlink_to("/dev/null"), True, id="a link"),
        pytest.param(lambda path: path.touch(), True, id="an empty file"),
        pytest.param(lambda path: path.write_text("x"), False, id="an edit"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), False, id="elsewhere"),
        pytest.param(lambda path: None, False, id="nothing"),
    ],
)
def test_a_unit_is_masked_as_systemd_says(
    make: Callable[[Path], None], masked: bool
) -> None:
    make(Path(layout.override(MAIN)))
    assert observe.is_masked(MAIN) is masked


def test_units_that_were_changed_by_hand_are_edited() -> None:
    old = written(units={})
    written()
    names = [MAIN, TIMER]
    assert observe.edited_units("loki", names) == {}
    Path(layout.unit(TIMER)).unlink()
    assert observe.edited_units("loki", names) == {}
    # As a killed run leaves it.
    changed = Path(layout.generation("loki", old)) / MAIN
    changed.write_text("[Unit]\nDescription=older\n")
    Path(layout.unit(MAIN)).write_text("[Unit]\nDescription=older\n")
    assert observe.edited_units("loki", names) == {}
    Path(layout.unit(MAIN)).write_text("[Unit]\nDescription=mine\n")
    assert list(observe.edited_units("loki", names)) == [MAIN]
    Path(layout.override(MAIN)).write_text("[Unit]\nDescription=full\n")
    edited = observe.edited_units("loki", names)
    assert edited == {MAIN: b"[Unit]\nDescription=full\n"}


@pytest.mark.parametrize("mode", [0o600, 0o645, 0o666])
def test_a_unit_file_with_another_mode_is_wrong(mode: int) -> None:
    written()
    os.chmod(layout.unit(MAIN), mode)
    assert observe.wrong_links("loki", built(instance(**OPTIONS))) == (
        layout.unit(MAIN),
    )


# Modes


def test_only_existing_paths_have_wrong_modes() -> None:
    written()
    os.chmod(layout.BASE, 0o755)
    assert observe.wrong_modes("loki") == {}
    assert observe.wrong_modes("none") == {}
    os.chmod(layout.generations("loki"), 0o700)
    assert observe.wrong_modes("loki") == {layout.generations("loki"): 0o755}


@pytest.mark.parametrize(
    ("mode", "wanted"), [(0o1757, 0o1755), (0o772, 0o770), (0o770, None)]
)
def test_only_what_everybody_may_write_is_closed(mode: int, wanted: int | None) -> None:
    data = Path(layout.data("loki"))
    data.mkdir()
    data.chmod(mode)
    expected = {} if wanted is None else {str(data): wanted}
    assert observe.wrong_modes("loki") == expected


def test_data_behind_a_link_and_a_file_keep_their_mode(base: Path) -> None:
    data = Path(layout.data("loki"))
    data.touch()
    data.chmod(0o777)
    assert observe.wrong_modes("loki") == {}
    data.unlink()
    (base / "disk").mkdir()
    (base / "disk").chmod(0o777)
    data.symlink_to(base / "disk")
    assert stat.S_IMODE(os.stat(data).st_mode) == 0o777
    assert observe.wrong_modes("loki") == {}


# What is in the way


def in_the_way(fragment: str = "", names: tuple[str, ...] = (MAIN,)) -> tuple[str, ...]:
    states = {MAIN: Unit(fragment=fragment)}
    return observe.unmanaged("loki", list(names), states)


def test_our_own_paths_are_not_in_the_way() -> None:
    assert in_the_way() == ()
    written()
    assert in_the_way() == ()
    assert in_the_way(layout.unit(MAIN), (MAIN, TIMER)) == ()
    # An older release had links to its generation, which systemd shows resolved.
    os.unlink(layout.unit(MAIN))
    fragment = os.path.realpath(os.path.join(layout.current("loki"), MAIN))
    assert in_the_way(fragment) == ()


def test_a_vendor_s_unit_is_in_the_way_until_ours_precedes_it(base: Path) -> None:
    vendor = base / "loki.service"
    vendor.touch()
    assert in_the_way(str(vendor)) == (str(vendor),)
    written()
    assert in_the_way(str(vendor)) == ()
    vendor.unlink()
    os.unlink(layout.unit(MAIN))
    assert in_the_way(str(vendor)) == ()


@pytest.mark.parametrize("directory", ["UNITS", "UNIT_FILES"])
def test_a_unit_of_somebody_else_is_in_the_way(directory: str) -> None:
    path = Path(getattr(layout, directory)) / MAIN
    path.write_text("[Service]\n")
    assert in_the_way() == (str(path),)
    if directory == "UNITS":
        path.write_text("")
        assert in_the_way() == ()


@pytest.mark.parametrize(
    ("make", "is_free"),
    [
        pytest.param(lambda path: path.mkdir(), True, id="an empty directory"),
        pytest.param(
            lambda path: (path / "x").mkdir(parents=True), False, id="a directory"
        ),
        pytest.param(lambda path: path.touch(), False, id="a file"),
        pytest.param(lambda path: path.symlink_to("."), False, id="a link"),
    ],
)
def test_a_configuration_of_somebody_else_is_in_the_way(
    make: Callable[[Path], None], is_free: bool
) -> None:
    etc = Path(layout.etc("loki"))
    make(etc)
    assert in_the_way() == (() if is_free else (str(etc),))


def test_a_link_to_an_empty_directory_is_in_the_way(base: Path) -> None:
    (base / "empty").mkdir()
    Path(layout.etc("loki")).symlink_to(base / "empty")
    assert in_the_way() == (layout.etc("loki"),)


def test_leftovers_are_of_this_instance_and_of_no_living_process() -> None:
    staged = Path(layout.component("loki")) / ".staging-x"
    half = Path(layout.generations("loki")) / "1-a.new"
    for path in (staged, half):
        path.mkdir(parents=True)
    Path(layout.private_check("loki", "none")).mkdir()
    (Path(layout.RUN) / "other-99999999").mkdir()
    found = observe.leftovers("loki", {"1-a.new"})
    assert sorted(found) == sorted([str(staged), str(half)])


# Files of a generation


def test_nothing_is_compared_without_a_manifest() -> None:
    name = written()
    (Path(layout.generation("loki", name)) / "etc/added").touch()
    assert observe.compare("loki", name, None, KEY, GROUP) == observe.Comparison()
    recovered = {**built(instance(**OPTIONS)), "id": ""}
    found = observe.compare("loki", name, recovered, KEY, GROUP)  # type: ignore[arg-type]
    assert found == observe.Comparison()


def test_contents_are_those_of_existing_files_without_secrets() -> None:
    name = written()
    expected = built(instance(**OPTIONS))
    directory = Path(layout.generation("loki", name))
    (directory / "bin/write-targets").unlink()
    found = observe.compare("loki", name, expected, KEY, GROUP)
    assert set(found.contents) == {"etc/loki-config.yml", MAIN, TIMER}
    assert found.drift == ("bin/write-targets",)


@pytest.mark.parametrize("gid", [GROUP, None])
def test_a_group_that_does_not_exist_any_more_is_no_drift(gid: int | None) -> None:
    name = written()
    expected = built(instance(**OPTIONS))
    assert observe.compare("loki", name, expected, KEY, gid) == observe.compare(
        "loki", name, expected, KEY, GROUP
    )
    other = observe.compare("loki", name, expected, KEY, GROUP + 1)
    assert set(other.drift) == {"etc/loki-config.yml", "etc/key", "etc/"}


def test_the_release_of_a_generation_is_compared() -> None:
    name = written()
    expected = built(instance(**OPTIONS))
    link = os.path.join(layout.generation("loki", name), "release")
    assert observe.changed_files("loki", name, expected, KEY, GROUP) == ()
    files.link(release_store.path_of("loki-9-01234567"), link)
    assert observe.changed_files("loki", name, expected, KEY, GROUP) == ("release",)
    os.unlink(link)
    assert observe.changed_files("loki", name, expected, KEY, GROUP) == ("release",)
