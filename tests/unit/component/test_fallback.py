# SPDX-License-Identifier: GPL-3.0-or-later
"""What brings a component back when its run dies by SIGKILL or a power cut, on a fake host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    fallback,
    fallback_script,
    generation,
    layout,
    manifest,
    status,
    systemd,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    Unit,
)
from tests.failpoints import FAILPOINTS
from tests.unit.component import factories
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
# Between the first change of what is active and the commit.
UNVERIFIED = FAILPOINTS[
    FAILPOINTS.index("after-switch") : FAILPOINTS.index("after-commit")
]


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Return options for a component that reloads."""
    return {
        "name": "loki",
        "release": release(tmp_path),
        "command": ["{release}/loki"],
        "config": config("a: 1\n"),
        "ready": {"url": "http://127.0.0.1/ready", "timeout": 1},
        "check": ["{release}/loki", "-verify"],
        "reload": {**METRICS, "timeout": 1},
    }


def config(content: str) -> list[dict[str, str]]:
    return [{"path": "loki.yml", "content": content}]


# What the run that is killed changes, from what.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "reload": ({}, {"config": config("a: 2\n")}),
    "restart": ({}, {"config": config("a: 2\n"), "environment": {"TZ": "UTC"}}),
    "new unit": ({}, {"config": config("a: 2\n"), "units": TIMER}),
    "gone unit": ({"units": TIMER}, {"config": config("a: 2\n")}),
}


@pytest.mark.parametrize("way", ["waiting", "boot"])
@pytest.mark.parametrize("point", UNVERIFIED)
@pytest.mark.parametrize("name", CHANGES)
def test_a_run_that_dies_unverified_ends_in_the_generation_before(
    host: FakeHost, options: dict[str, Any], name: str, point: str, way: str
) -> None:
    before, change = ({**options, **part} for part in CHANGES[name])
    host.good(before)
    good, units, etc = generation.current("loki"), host.units(), unit_files(host)
    assert host.run(change, die_at=point).killed_by
    assert host.waiting()
    host.fall_back() if way == "waiting" else host.reboot()
    assert generation.current("loki") == good
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    assert (host.units(), unit_files(host)) == (units, etc)
    assert not Path(layout.ORDERS).exists()
    assert "its last rollout was not finished" not in told()
    host.good(before)
    assert host.good(before).changed is False
    host.good(change)
    assert host.loaded() == {"loki.yml": "a: 2\n"}
    assert host.good(change).changed is False
    assert not Path(layout.ORDERS).exists()


def unit_files(host: FakeHost) -> dict[str, str]:
    tree = host.tree().items()
    return {path: text for path, text in tree if path.startswith("etc/systemd/")}


def told() -> list[str]:
    return list(status.status({}, False)["instances"]["loki"]["diagnostics"])


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_run_that_ends_or_dies_elsewhere_is_left_alone(
    host: FakeHost, options: dict[str, Any], point: str
) -> None:
    host.good(options)
    host.run(options, config=config("a: 2\n"), die_at=point)
    if point in UNVERIFIED:
        return
    current, started = generation.current("loki"), host.starts()
    if host.waiting():
        host.fall_back()
    assert (generation.current("loki"), host.starts()) == (current, started)


def test_a_run_that_ends_leaves_neither_orders_nor_units(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    for outcome in (
        host.run(options, config=config("a: 2\n")),
        host.run(options, config=config("reload: refuse\n")),
        host.run({"name": "loki", "state": "previous"}),
    ):
        assert not outcome.killed_by
        assert not host.waiting()
        left = [path for path in host.tree() if "monitoring-" in path]
        assert (left, Path(layout.ORDERS).exists()) == ([], False)


def test_neither_a_first_install_nor_check_mode_nor_an_idle_run_orders_anything(
    host: FakeHost, options: dict[str, Any]
) -> None:
    assert host.run(options, die_at="after-links").killed_by
    assert not host.waiting()
    assert not Path(layout.ORDERS).exists()
    host.good(options)
    host.forget_commands()
    host.good(options)
    host.good(options, config=config("a: 2\n"), check=True)
    assert host.commands() == []
    assert not Path(layout.ORDERS).exists()


@pytest.mark.parametrize("point", UNVERIFIED)
def test_a_later_run_finishes_what_the_dead_one_began(
    host: FakeHost, options: dict[str, Any], point: str
) -> None:
    host.good(options)
    changed = {**options, "config": config("a: 2\n")}
    host.run(changed, die_at=point)
    host.good(changed)
    assert not host.waiting()
    assert host.loaded() == {"loki.yml": "a: 2\n"}


@pytest.mark.parametrize("point", UNVERIFIED)
def test_a_later_run_that_is_refused_leaves_the_way_back(
    host: FakeHost, options: dict[str, Any], point: str
) -> None:
    host.good(options)
    host.run(options, config=config("a: 2\n"), die_at=point)
    refused = host.run(options, config=config("check: refuse\n"))
    assert refused.error
    assert host.waiting()
    host.fall_back()
    assert host.loaded() == {"loki.yml": "a: 1\n"}


def test_a_second_run_that_dies_ends_in_the_generation_that_was_verified(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    for number in (2, 3):
        host.run(
            options, config=config(f"a: {number}\n"), die_at="after-process-action"
        )
    host.fall_back()
    assert host.loaded() == {"loki.yml": "a: 1\n"}


def test_all_instances_go_back_together(
    host: FakeHost, options: dict[str, Any]
) -> None:
    instances = [{"name": "main"}, {"name": "side"}]
    host.good(options, instances=instances)
    changed = [{**own, "config": config("a: 2\n")} for own in instances]
    assert host.run(options, instances=changed, die_at="after-verify").killed_by
    host.fall_back()
    for name in ("loki-main", "loki-side"):
        assert host.loaded(name) == {"loki.yml": "a: 1\n"}
    assert host.good(options, instances=instances).changed is False


def test_an_instance_that_cannot_start_keeps_no_other_from_it(
    host: FakeHost, options: dict[str, Any]
) -> None:
    instances = [{"name": "main"}, {"name": "side"}]
    host.good(options, instances=instances)
    changed = [{**own, "config": config("a: 2\n")} for own in instances]
    assert host.run(options, instances=changed, die_at="after-verify").killed_by
    Path(layout.override("loki-main.service")).symlink_to("/dev/null")
    with pytest.raises(subprocess.CalledProcessError):
        host.fall_back()
    assert host.loaded("loki-side") == {"loki.yml": "a: 1\n"}
    # systemd runs it again until it succeeds.
    assert Path(layout.orders("loki")).exists()


def test_a_run_replaces_a_unit_that_fails_again_and_again(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    host.run(options, config=config("a: 2\n"), die_at="after-verify")
    state = host._load()
    state["units"][layout.fallback_unit("loki")].update(active="activating", pid=0)
    host._save(state)
    host.good(options, config=config("a: 3\n"))
    assert host.loaded() == {"loki.yml": "a: 3\n"}
    assert not host.waiting()


def test_a_removal_takes_the_orders_back(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options)
    host.run(options, config=config("a: 2\n"), die_at="after-links")
    host.good({"name": "loki", "state": "absent"})
    assert not host.waiting()
    assert not Path(layout.BASE).exists()
    host.reboot()
    assert host.unit("loki.service")["active"] == "inactive"


def test_what_could_not_be_restored_is_tried_again(
    host: FakeHost, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    host.good(options)
    switch = generation.switch

    def refuse(name: str, generation_name: str) -> None:
        if generation_name.startswith("1-"):
            raise OSError(28, "No space left on device", layout.current(name))
        switch(name, generation_name)

    monkeypatch.setattr(generation, "switch", refuse)
    failed = host.run(options, config=config("reload: refuse\n"))
    assert "restore failed" in failed.error
    assert host.waiting()
    host.fall_back()
    assert generation.current("loki").startswith("1-")
    assert host.loaded() == {"loki.yml": "a: 1\n"}


def test_the_orders_contain_no_secret_and_are_for_root_only(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options, secrets={"password": "S3CRET-canary"})
    host.run(options, secrets={"password": "S3CRET-other"}, die_at="after-verify")
    found = sorted(Path(layout.ORDERS).iterdir())
    assert [path.name for path in found] == ["loki.json", "loki.py"]
    for path in found:
        assert "S3CRET" not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_unit_at_boot_waits_for_its_file_systems_and_is_ordered_before_services(
    host: FakeHost, options: dict[str, Any]
) -> None:
    host.good(options, units=TIMER)
    host.run(options, die_at="after-links")
    unit = Path(layout.unit(layout.boot_unit("loki"))).read_text()
    # Timers start before the targets that this unit follows.
    (services,) = re.findall("^Before=(.*)$", unit, re.MULTILINE)
    assert sorted(services.split()) == ["loki-tidy.service", "loki.service"]
    assert f"RequiresMountsFor={layout.COMPONENTS}" in unit
    assert f"ConditionPathExists={layout.orders('loki')}" in unit
    # A run that has the lock may wait for a service, which waits for this unit.
    assert "TimeoutStartSec=60" in unit.splitlines()
    enabling = Path(layout.wants("multi-user.target", layout.boot_unit("loki")))
    assert os.readlink(enabling) == layout.unit(layout.boot_unit("loki"))


def test_the_program_waits_for_the_run_and_for_every_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, lock = tmp_path / "loki.json", tmp_path / "run/loki.lock"
    orders.write_text(json.dumps({"instances": [], "finally": []}))
    lock.parent.mkdir()
    lock.touch()
    free = iter([False, False, True])
    waits: list[float] = []
    monkeypatch.setattr(fallback_script, "_is_free", lambda _lock: next(free))
    monkeypatch.setattr(fallback_script.time, "sleep", waits.append)
    monkeypatch.setattr(fallback_script, "_run", lambda _command: None)
    fallback_script.main(str(orders), str(lock))
    assert waits == [fallback_script.GRACE_SECONDS] * 3
    assert not orders.exists()


def test_the_program_does_nothing_once_the_orders_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, lock = tmp_path / "loki.json", tmp_path / "loki.lock"
    orders.write_text("{}")
    lock.touch()
    monkeypatch.setattr(fallback_script.time, "sleep", lambda _s: orders.unlink())
    fallback_script.main(str(orders), str(lock))


# The start of the unit that waits


class Systemd:
    """Systemd that starts the waiting unit or not, and notes commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code, self.main_pid = 0, 0
        self.commands: list[list[str]] = []
        monkeypatch.setattr(systemd, "run", self.run)
        monkeypatch.setattr(systemd, "show", self.show)

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        self.commands.append(words)
        code = self.code if words[0] == "systemd-run" else 0
        return subprocess.CompletedProcess(words, code, "no room\n")

    def show(self, names: list[str]) -> dict[str, Unit]:
        return {name: Unit(main_pid=self.main_pid) for name in names}


@pytest.fixture
def fake_systemd(places: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    Path(layout.UNITS).mkdir(parents=True)
    Path(layout.UNIT_FILES).mkdir(parents=True)
    return Systemd(monkeypatch)


def orders() -> list[Any]:
    """Return orders from a generation with a timer back to one without."""
    before, after = (
        manifest.build(factories.instance(units=units), "loki-1", b"key")
        for units in ({}, TIMER)
    )
    return [fallback.order("loki", "1-abc", before, after)]


def test_orders_name_all_that_differs_but_the_link_that_the_switch_moves(
    places: Path,
) -> None:
    (order,) = orders()
    service = "loki.service"
    assert order == {
        "current": layout.current("loki"),
        "target": "generations/1-abc",
        "running": layout.running("loki"),
        "pending": layout.pending("loki"),
        "stop": ["loki-tidy.service", "loki-tidy.timer"],
        "start": [service],
        "files": {
            layout.unit(service): f"{layout.generation('loki', '1-abc')}/{service}"
        },
        "links": {layout.wants("multi-user.target", service): layout.unit(service)},
        "remove": sorted(
            [
                layout.unit("loki-tidy.service"),
                layout.unit("loki-tidy.timer"),
                layout.wants("timers.target", "loki-tidy.timer"),
            ]
        ),
    }


def test_the_unit_at_boot_precedes_services_of_both_generations(
    fake_systemd: Systemd,
) -> None:
    fallback.arm("loki", orders())
    unit = Path(layout.unit(layout.boot_unit("loki"))).read_text()
    assert "\nBefore=loki.service loki-tidy.service\n" in unit


def test_the_waiting_unit_tries_again_what_fails(fake_systemd: Systemd) -> None:
    fallback.arm("loki", orders())
    (command,) = fake_systemd.commands
    assert command[0] == "systemd-run"
    expected = {
        "--quiet",
        "--collect",
        f"--unit={layout.fallback_unit('loki')}",
        "--property=Restart=on-failure",
        "--property=RestartSec=10",
    }
    program = command.index(sys.executable)
    assert set(command[1:program]) == expected
    assert command[program + 1 :] == [
        "-I",
        layout.fallback_script("loki"),
        layout.orders("loki"),
        layout.lock("loki"),
    ]


@pytest.mark.parametrize(
    ("code", "main_pid", "of_dead_run", "refused", "armed"),
    [
        pytest.param(0, 0, False, False, True, id="started"),
        pytest.param(0, 7, True, False, True, id="started after a dead run"),
        pytest.param(1, 7, True, False, True, id="that of the dead run still waits"),
        pytest.param(1, 0, False, True, False, id="not started"),
        pytest.param(1, 0, True, True, True, id="not started after a dead run"),
    ],
)
def test_a_rollout_is_refused_unless_something_waits_for_its_end(
    fake_systemd: Systemd,
    code: int,
    main_pid: int,
    of_dead_run: bool,
    refused: bool,
    armed: bool,
) -> None:
    if of_dead_run:
        fallback.arm("loki", orders())
        fake_systemd.commands.clear()
    fake_systemd.code, fake_systemd.main_pid = code, main_pid
    unit = layout.fallback_unit("loki")
    if refused:
        with pytest.raises(
            ComponentError, match=re.escape(f"{unit}: cannot start: no room")
        ):
            fallback.arm("loki", orders())
    else:
        fallback.arm("loki", orders())
    # The orders of a dead run stay, since they are its way back.
    assert Path(layout.orders("loki")).exists() is armed
    stopped = ["systemctl", "stop", unit] in fake_systemd.commands[:1]
    assert stopped is of_dead_run


def test_no_instance_needs_no_unit(fake_systemd: Systemd) -> None:
    fallback.arm("loki", [])
    assert not Path(layout.ORDERS).exists()
    fallback.disarm("loki")
    assert fake_systemd.commands == []


@pytest.mark.parametrize("left", ["fallback_script", "orders"])
def test_what_a_killed_run_left_of_its_orders_is_removed(
    fake_systemd: Systemd, left: str
) -> None:
    fallback.arm("loki", orders())
    for name in {"fallback_script", "orders"} - {left}:
        os.unlink(getattr(layout, name)("loki"))
    fallback.disarm("loki")
    assert ["systemctl", "stop", layout.fallback_unit("loki")] in fake_systemd.commands
    boot_unit = layout.boot_unit("loki")
    for path in (
        layout.ORDERS,
        layout.unit(boot_unit),
        layout.wants("multi-user.target", boot_unit),
    ):
        assert not os.path.lexists(path)
