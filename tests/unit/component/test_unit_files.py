# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit files on a fake host: on PID 1's own file system, and open to what systemctl does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    status,
)
from tests.failpoints import FAILPOINTS
from tests.unit.component.fake_host import METRICS, release

if TYPE_CHECKING:
    from tests.unit.component.fake_host import FakeHost

TIMER = {
    "loki-tidy.service": {"Service": {"ExecStart": "/bin/true"}},
    "loki-tidy.timer": {
        "Timer": {"OnCalendar": "daily"},
        "Install": {"WantedBy": "timers.target"},
    },
}
UNIT_NAMES = ("loki.service", "loki-tidy.service", "loki-tidy.timer")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Return options for a component with a service and a timer."""
    return {
        "name": "loki",
        "release": release(tmp_path),
        "command": ["{release}/loki"],
        "config": config("a: 1\n"),
        "ready": {"url": "http://127.0.0.1/ready", "timeout": 1},
        "reload": {**METRICS, "timeout": 1},
        "units": TIMER,
    }


def config(content: str) -> list[dict[str, str]]:
    return [{"path": "loki.yml", "content": content}]


def drift(name: str = "loki") -> list[str]:
    """Return the drift that the status shows."""
    return status.status({}, False)["instances"][name]["drift"]


def reasons(outcome: Any) -> list[str]:
    return list(outcome.values["instances"]["loki"]["reasons"])


def test_units_are_files_outside_of_the_directory_of_the_component(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    for unit_name in UNIT_NAMES:
        path = Path(layout.unit(unit_name))
        assert path.is_file()
        assert not path.is_symlink()
        assert not os.path.lexists(layout.override(unit_name))
    assert drift() == []


def test_a_mask_is_drift_and_refuses_the_rollout_until_it_is_gone(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    mask = Path(layout.override("loki.service"))
    mask.symlink_to("/dev/null")
    assert drift() == ["loki.service is masked"]
    before = host.tree()
    for changes in ({}, {"config": config("a: 2\n")}, {"check": True}, {"adopt": True}):
        refused = host.run(options, **changes)
        assert "loki.service: masked on this host" in refused.error
        assert "systemctl unmask loki.service" in refused.error
    assert host.tree() == before
    mask.unlink()
    assert host.good(options).changed is False


def test_a_masked_first_install_is_refused(
    host: FakeHost, options: dict[str, Any]
) -> None:
    Path(layout.override("loki.service")).symlink_to("/dev/null")
    before = host.tree()
    assert "systemctl unmask loki.service" in host.run(options).error
    assert host.tree() == before


def test_a_masked_component_is_removed_and_its_mask_stays(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    mask = Path(layout.override("loki.service"))
    mask.symlink_to("/dev/null")
    host.good({"name": "loki", "state": "absent"})
    assert mask.is_symlink()
    assert not Path(layout.UNIT_FILES).exists()


def test_a_disabled_unit_is_drift_and_is_enabled_again(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    started = host.starts()
    enabling = Path(layout.wants("multi-user.target", "loki.service"))
    enabling.unlink()
    assert drift() == [f"{enabling} is missing or points elsewhere"]
    assert host.good(options).action == "switch"
    assert enabling.is_symlink()
    assert host.starts() == started
    assert host.good(options).changed is False


def edit_in_place(unit_name: str) -> Path:
    """Change our own file."""
    path = Path(layout.unit(unit_name))
    path.write_text(path.read_text() + "# edited\n")
    return path


def edit_in_full(unit_name: str) -> Path:
    """Change a copy, as `systemctl edit --full` does."""
    path = Path(layout.override(unit_name))
    path.write_text(Path(layout.unit(unit_name)).read_text() + "# edited\n")
    return path


def write_anew(unit_name: str) -> Path:
    """Replace our own file by another text."""
    path = Path(layout.unit(unit_name))
    path.write_text("[Service]\nExecStart=/bin/true\n# edited\n")
    return path


@pytest.mark.parametrize("edit", [edit_in_place, edit_in_full, write_anew])
@pytest.mark.parametrize("unit_name", UNIT_NAMES)
def test_an_edited_unit_is_drift_and_is_kept_and_replaced(
    host: FakeHost, options: dict[str, Any], edit: Any, unit_name: str
) -> None:
    host.good(options)
    before = host.tree()
    edited = edit(unit_name)
    host._systemctl(["daemon-reload"])
    assert drift() == [f"{layout.unit(unit_name)} was changed manually"]
    text = edited.read_text()
    planned = host.good(options, check=True)
    repaired = host.good(options)
    assert (repaired.action, reasons(repaired)) == (planned.action, reasons(planned))
    assert repaired.action == ("restart" if unit_name == "loki.service" else "switch")
    (notice,) = repaired.values["notices"]
    kept = Path(notice.split()[-1].rstrip("."))
    assert (kept.name, kept.read_text()) == (unit_name, text)
    assert drift() == []
    assert host.good(options).changed is False
    after = host.tree()
    assert {name: after[name] for name in before} == before


def test_the_mode_of_a_unit_file_is_drift(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    os.chmod(layout.unit("loki.service"), 0o666)
    assert drift() == [f"{layout.unit('loki.service')} was changed manually"]
    host.good(options)
    assert os.stat(layout.unit("loki.service")).st_mode & 0o777 == 0o644


def test_a_deleted_unit_file_is_written_again_without_a_restart(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    started, path = host.starts(), layout.unit("loki.service")
    os.unlink(path)
    assert f"{path} is missing or of another generation" in drift()
    assert host.good(options).action == "switch"
    assert (host.starts(), drift()) == (started, [])
    assert host.good(options).changed is False


def test_a_manager_that_has_not_loaded_a_unit_loads_it(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    started = host.starts()
    host.set_loaded({"loki.service": "[Service]\n# as it was once\n"})
    message = "systemd has not loaded the current loki.service"
    assert drift() == [message]
    assert reasons(host.good(options, check=True)) == [message]
    host.forget_commands()
    assert reasons(host.good(options)) == [message]
    assert "daemon-reload" in host.commands()
    assert (host.starts(), drift()) == (started, [])
    assert host.good(options).changed is False


def test_a_unit_that_the_manager_refuses_to_load_is_rolled_back(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    started = host.starts()
    bad = {"loki-tidy.service": {"Service": {"ExecStart": "bad-setting"}}}
    failed = host.run(options, units={**TIMER, **bad})
    assert "loki-tidy.service: systemd does not load it (bad-setting)" in failed.error
    assert list(failed.rolled_back) == ["loki"]
    assert (host.starts(), drift()) == (started, [])
    assert host.good(options).changed is False


@pytest.mark.parametrize("directory", ["UNITS", "UNIT_FILES"])
def test_a_unit_of_somebody_else_is_refused_unless_it_is_adopted(
    host: FakeHost, options: dict[str, Any], directory: str
) -> None:
    theirs = Path(getattr(layout, directory)) / "loki.service"
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("[Service]\nExecStart=/usr/bin/loki\n")
    before = host.tree()
    refused = host.run(options)
    assert f"{theirs}: not made by this collection" in refused.error
    assert host.tree() == before
    host.good(options, adopt=True)
    assert drift() == []
    assert host.good(options).changed is False


@pytest.mark.parametrize("point", ["after-generation", "after-check"])
def test_a_killed_first_rollout_does_not_make_a_unit_of_somebody_else_ours(
    host: FakeHost, options: dict[str, Any], point: str
) -> None:
    assert host.run(options, die_at=point).killed_by
    theirs = Path(layout.override("loki.service"))
    theirs.write_text("[Service]\nExecStart=/usr/bin/loki\n")
    assert f"{theirs}: not made by this collection" in host.run(options).error
    assert theirs.exists()


def test_a_link_of_somebody_else_over_our_unit_is_refused(
    host: FakeHost, options: dict[str, Any], tmp_path: Path
) -> None:
    host.good(options)
    link = Path(layout.override("loki.service"))
    link.symlink_to(tmp_path / "elsewhere.service")
    assert f"{link}: not made by this collection" in host.run(options).error
    assert link.is_symlink()


def as_an_older_release(options: dict[str, Any]) -> None:
    """Turn unit files into links to the current generation, and the texts into older ones."""
    for unit_name in UNIT_NAMES:
        Path(layout.unit(unit_name)).unlink()
        link = Path(layout.override(unit_name))
        link.symlink_to(f"{layout.current('loki')}/{unit_name}")
        for wants in Path(layout.UNITS).glob(f"*.wants/{unit_name}"):
            wants.unlink()
            wants.symlink_to(link)
    Path(layout.UNIT_FILES).rmdir()
    os.rename(layout.last_known_good("loki"), layout.proven("loki"))


@pytest.mark.parametrize("content", ["start: refuse\n", "ready: never\n"])
def test_links_of_an_older_release_are_replaced_and_a_refused_rollout_keeps_the_service(
    host: FakeHost, options: dict[str, Any], content: str
) -> None:
    del options["reload"]
    host.good(options)
    expected = host.tree()
    as_an_older_release(options)
    failed = host.run(options, config=config(content))
    assert list(failed.rolled_back) == ["loki"]
    assert (host.loaded(), host.unit("loki.service")["active"]) == (
        {"loki.yml": "a: 1\n"},
        "active",
    )
    assert host.good(options).changed is False
    # The next commit would do the same.
    os.rename(layout.proven("loki"), layout.last_known_good("loki"))
    assert (host.tree(), drift()) == (expected, [])


@pytest.mark.parametrize(
    "point", ["after-switch", "after-links", "after-manager-reload", "after-verify"]
)
def test_a_killed_upgrade_from_links_is_finished(
    host: FakeHost, options: dict[str, Any], point: str
) -> None:
    assert point in FAILPOINTS
    host.good(options)
    as_an_older_release(options)
    changed = {**options, "config": config("a: 2\n")}
    assert host.run(changed, die_at=point).killed_by
    host.good(changed)
    assert host.loaded() == {"loki.yml": "a: 2\n"}
    assert not [path for path in Path(layout.UNITS).iterdir() if path.is_symlink()]
    assert host.good(changed).changed is False
    assert drift() == []


def test_a_removal_takes_the_links_of_an_older_release(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    as_an_older_release(options)
    host.good({"name": "loki", "state": "absent"})
    left = [path for path in Path(layout.UNITS).rglob("*") if not path.is_dir()]
    assert (left, Path(layout.UNIT_FILES).exists()) == ([], False)


def test_unit_files_without_their_component_are_ours(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    os.rename(layout.BASE, layout.BASE + ".gone")
    assert host.good(options).action == "install"
    assert host.good(options).changed is False
