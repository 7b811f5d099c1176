# SPDX-License-Identifier: GPL-3.0-or-later
"""Show on a model of a host that the plan finishes a killed run, whatever happened in between.

The model takes the transaction's steps in order and tracks what systemd and the program have read.
It has no real files: tests/resilience kills runs on real hosts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    rollout_plan as planning,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
    Unit,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
    INSTALL,
    NONE,
    RELOAD,
    RESTART,
    Plan,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.spec import (
    Instance,
)
from tests.unit.component.factories import RELOAD as RELOAD_OPTION
from tests.unit.component.factories import built, instance

if TYPE_CHECKING:
    from ansible_collections.hippius.monitoring.plugins.module_utils.component.manifest import (
        Manifest,
    )

STEPS = 8
UNIT = "loki.service"


manifests: dict[int, tuple[Instance, Manifest]] = {}


def manifest_of(desired: Instance) -> Manifest:
    """Return the manifest of an instance, built once, since planning leaves it as it is."""
    if id(desired) not in manifests:
        manifests[id(desired)] = desired, built(desired)
    return manifests[id(desired)][1]


class Killed(Exception):
    """The run was killed."""


@dataclass
class Process:
    """Files that the program has read, and the unit that systemd had loaded at its start."""

    unit: bytes
    files: dict


@dataclass
class Host:
    """State that lasts between runs."""

    generations: dict = field(default_factory=dict)
    current: str = ""
    last_known_good: str = ""
    running: str = ""
    pending: bool = False
    loaded: tuple = (b"", "")
    running_unit: str = ""
    process: Process | None = None
    starts: int = 0
    edited: dict = field(default_factory=dict)

    def manifest(self, name: str) -> Manifest | None:
        return manifest_of(self.generations[name]) if name in self.generations else None

    def content(self, path: str) -> bytes:
        """Return a file's content on disk, manual changes included."""
        return self.edited.get(
            (self.current, path), self.generations[self.current].files[path].content
        )

    def drift(self, name: str) -> tuple[str, ...]:
        return tuple(path for generation, path in self.edited if generation == name)

    def start(self) -> None:
        """Start the program as systemd does; the unit itself records the generation."""
        paths = [path for path in self.generations[self.current].files if path != UNIT]
        self.process = Process(
            self.loaded[0], {path: self.content(path) for path in paths}
        )
        self.running, self.running_unit, self.starts = (
            self.current,
            self.loaded[1],
            self.starts + 1,
        )

    def reload(self) -> None:
        for path, file in self.generations[self.current].files.items():
            if file.on_change == "reload":
                self.process.files[path] = self.content(path)

    def reload_manager(self) -> None:
        """Load the main unit, which carries its digest, as systemd does."""
        if self.current:
            self.loaded = self.content(UNIT), self.generations[self.current].unit_digest

    def record(self, name: str, unit_digest: str) -> None:
        self.running, self.running_unit = name, unit_digest

    def suffer(self, event: str) -> None:
        """Crash the program, which systemd starts again from the loaded unit, or boot the host."""
        if event == "reboot":
            self.pending = False
            self.reload_manager()
        if (event == "crash" and self.process) or (event == "reboot" and self.current):
            self.start()

    def observed(self) -> ObservedState:
        active = (
            Unit(active="active", main_pid=1, invocation="i")
            if self.process
            else Unit()
        )
        return ObservedState(
            current=self.current,
            manifest=self.manifest(self.current),
            last_known_good=self.last_known_good,
            last_known_good_manifest=self.manifest(self.last_known_good),
            running=self.running,
            running_unit=self.running_unit,
            running_manifest=self.manifest(self.running),
            running_drift=self.drift(self.running)
            if self.running != self.current
            else (),
            drift=self.drift(self.current),
            pending=self.pending,
            units={UNIT: active},
        )

    def roll_out(self, desired: Instance, die_before: int = 0) -> Plan:
        """Run the transaction until before the step ``die_before``."""
        manifest = manifest_of(desired)
        plan = planning.plan(desired, manifest, self.observed())
        if not plan.changed and not self.pending:
            return plan
        count = (
            max((int(name.split("-")[0]) for name in self.generations), default=0) + 1
        )
        name = f"{count}-{manifest['id']}" if plan.stage else self.current
        steps = [lambda: None] * 7
        if plan.changed:
            steps = [
                lambda: self.generations.setdefault(name, desired),
                lambda: setattr(self, "pending", True),
                lambda: setattr(self, "current", name),
                lambda: self.reload_manager() if plan.reload_manager else None,
                lambda: self.act(plan.action),
                lambda: self.record(name, manifest["unit"]),
                lambda: setattr(self, "last_known_good", name),
            ]
        for number, step in enumerate([*steps, self.finish], 1):
            if number == die_before:
                raise Killed
            step()
        return plan

    def act(self, action: str) -> None:
        if action in (INSTALL, RESTART):
            self.start()
        elif action == RELOAD:
            self.reload()

    def finish(self) -> None:
        self.pending = False
        for name in sorted(self.generations, key=lambda name: int(name.split("-")[0]))[
            :-2
        ]:
            if name not in (self.current, self.last_known_good):
                del self.generations[name]


def component(content: str = "1", **changes: Any) -> Instance:
    """Return a component of a file that is reloaded, one read at the start, and a watched one."""
    config = [
        {"path": "reloaded.yml", "content": changes.pop("reloaded", content)},
        {
            "path": "started.yml",
            "content": changes.pop("started", content),
            "on_change": "restart",
        },
        {
            "path": "watched.yml",
            "content": changes.pop("watched", content),
            "on_change": "none",
        },
    ]
    return instance(config=config, reload=RELOAD_OPTION, **changes)


OLD = component()
DESIRED = {
    "a reloaded file": component(reloaded="2"),
    "a file read at the start": component(started="2"),
    "a watched file": component(watched="2"),
    "the unit": component(environment={"A": "2"}),
    "the unit and a reloaded file": component(environment={"A": "2"}, reloaded="2"),
    "a secret": component(secrets={"key": "2"}),
    "nothing": OLD,
}


def installed(edit: str = "") -> Host:
    """Return a host that runs the old instance, maybe with an edited file that was read again."""
    host = Host()
    host.roll_out(OLD)
    if edit:
        host.edited[host.current, edit] = b"edited"
        host.suffer("crash")
    return host


def require_converged(host: Host, desired: Instance) -> None:
    for path, file in desired.files.items():
        if path == UNIT:
            assert host.process.unit == file.content
        elif file.on_change != "none":
            assert host.process.files[path] == file.content
    assert host.manifest(host.current) == manifest_of(desired)
    assert host.current == host.last_known_good == host.running
    assert not host.pending
    assert host.roll_out(desired).action == NONE


@pytest.mark.parametrize("desired", DESIRED.values(), ids=DESIRED)
@pytest.mark.parametrize("event", ["nothing", "crash", "reboot"])
@pytest.mark.parametrize("edit", ["", "etc/reloaded.yml", "etc/started.yml"])
def test_two_killed_runs_are_finished(desired: Instance, event: str, edit: str) -> None:
    for first, second, then in product(
        range(1, STEPS + 1),
        range(STEPS + 1),
        (desired, OLD, DESIRED["a reloaded file"]),
    ):
        host = installed(edit)
        for die, target in ((first, desired), (second, then)):
            try:
                host.roll_out(target, die)
            except Killed:
                host.suffer(event)
        host.roll_out(then)
        require_converged(host, then)


@pytest.mark.parametrize("event", ["nothing", "crash", "reboot"])
def test_a_killed_first_install_is_finished(event: str) -> None:
    for first, second in product(range(1, STEPS + 1), range(STEPS + 1)):
        host = Host()
        for die in (first, second):
            try:
                host.roll_out(OLD, die)
            except Killed:
                host.suffer(event)
        host.roll_out(OLD)
        require_converged(host, OLD)


@pytest.mark.parametrize(
    ("change", "starts"),
    [("a reloaded file", 0), ("a watched file", 0), ("the unit", 1)],
)
def test_a_killed_run_costs_no_needless_start(change: str, starts: int) -> None:
    for die in range(1, STEPS + 1):
        host = installed()
        before = host.starts
        with pytest.raises(Killed):
            host.roll_out(DESIRED[change], die)
        host.roll_out(DESIRED[change])
        assert host.starts == before + starts
