# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses belong to the transaction: its instances hand them over to each other."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    probe,
    spec,
)
from tests.unit.component.fake_host import FakeHost

# The same host and options as for undisturbed rollouts.
from tests.unit.component.test_transaction import options  # noqa: F401

A, B, C = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"


def instance(name: str, address: str, more: str = "") -> dict[str, Any]:
    """Return an instance that listens on an address, or fails as its file says."""
    content = f"listen: {address}\n{more}"
    return {
        "name": name,
        "config": [{"path": "loki.yml", "content": content, "on_change": "restart"}],
        "listen_addresses": [address],
    }


def active(host: FakeHost) -> dict[str, list[str]]:
    """Return the addresses of each unit that runs."""
    units = {name: host.unit(f"loki-{name}.service") for name in "abc"}
    return {
        name: unit["listens"]
        for name, unit in units.items()
        if unit["active"] == "active"
    }


BEFORE = {"a": [A], "b": [B]}
HANDOVERS = {
    "swap": [("a", B), ("b", A)],
    "rename": [("a", A), ("c", B)],
    "move up": [("a", B), ("b", C)],
    "move down": [("a", C), ("b", A)],
    "take and leave": [("c", A)],
    "take and move": [("a", C), ("b", B), ("c", A)],
}


@pytest.fixture
def installed(host: FakeHost, options: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    """Return the options with which two instances run."""
    first = {**options, "instances": [instance("a", A), instance("b", B)]}
    host.good(first)
    assert active(host) == BEFORE
    return first


@pytest.mark.parametrize("name", HANDOVERS)
def test_instances_hand_their_addresses_over(
    host: FakeHost,
    installed: dict[str, Any],
    name: str,
) -> None:
    change = {"instances": [instance(*words) for words in HANDOVERS[name]]}
    assert not host.run(installed, **change, check=True).error
    assert active(host) == BEFORE
    host.good(installed, **change)
    assert active(host) == {key: [address] for key, address in HANDOVERS[name]}
    assert host.good(installed, **change).changed is False


@pytest.mark.parametrize("name", HANDOVERS)
@pytest.mark.parametrize("failing", [0, 1])
def test_a_failed_handover_is_undone(
    host: FakeHost,
    installed: dict[str, Any],
    name: str,
    failing: int,
) -> None:
    words = HANDOVERS[name]
    instances = [
        instance(*word, "ready: never\n" * (index == failing % len(words)))
        for index, word in enumerate(words)
    ]
    assert "restore failed" not in host.run(installed, instances=instances).error
    assert active(host) == BEFORE
    assert host.good(installed).changed is False


@pytest.mark.parametrize("name", HANDOVERS)
@pytest.mark.parametrize(
    "point", ["after-links", "after-process-action", "after-commit"]
)
def test_a_killed_handover_is_finished_or_undone_by_the_next_run(
    host: FakeHost,
    installed: dict[str, Any],
    name: str,
    point: str,
) -> None:
    change = {"instances": [instance(*words) for words in HANDOVERS[name]]}
    assert host.run(installed, **change, die_at=point).killed_by == signal.SIGKILL
    host.good(installed, **change)
    assert active(host) == {key: [address] for key, address in HANDOVERS[name]}
    host.good(installed)
    assert host.run(installed, **change, die_at=point).killed_by == signal.SIGKILL
    host.good(installed)
    assert active(host) == BEFORE


@pytest.mark.parametrize("name", ["rename", "take and leave", "take and move"])
@pytest.mark.parametrize("way", ["waiting", "boot"])
def test_a_dead_handover_to_a_new_instance_is_undone_without_another_run(
    host: FakeHost,
    installed: dict[str, Any],
    name: str,
    way: str,
) -> None:
    change = {"instances": [instance(*words) for words in HANDOVERS[name]]}
    assert host.run(installed, **change, die_at="after-verify").killed_by
    host.fall_back() if way == "waiting" else host.reboot()
    assert active(host) == BEFORE
    host.reboot()
    assert active(host) == BEFORE
    host.good(installed, **change)
    assert active(host) == {key: [address] for key, address in HANDOVERS[name]}
    assert host.good(installed, **change).changed is False


def test_an_address_of_an_instance_that_keeps_it_is_refused(
    host: FakeHost,
    installed: dict[str, Any],
) -> None:
    both = [instance("a", A), instance("b", B), instance("c", "0.0.0.0:2")]
    for check in (True, False):
        refused = host.run(installed, instances=both, check=check)
        assert "0.0.0.0:2 of loki-c is required by loki-b as well" in refused.error
    assert active(host) == BEFORE


@pytest.mark.parametrize("check", [True, False])
def test_an_address_of_another_component_is_refused_with_its_name(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    installed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    check: bool,
) -> None:
    unit = "loki-b.service"
    monkeypatch.setattr(probe, "unit_of", lambda _pid: unit)
    other = {**options, **instance("other", B), "name": "other"}
    refused = host.run(other, check=check)
    assert f"{B}: in use by" in refused.error
    assert (
        "roll loki out or remove it first, or choose another address" in refused.error
    )
    unit = "nginx.service"
    assert "stop that process or choose" in host.run(other, check=check).error
    assert not Path(layout.component("other")).exists()


def test_the_manager_holds_the_address_of_an_own_socket(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    socket = {
        "loki-in.socket": {"Socket": {"ListenStream": A, "Service": "loki.service"}}
    }
    activated = {**options, "units": socket, "reload": None}
    host.good(activated)
    monkeypatch.setattr(
        probe, "listening_processes", lambda _a: {1, host.unit("loki.service")["pid"]}
    )
    changed = {**activated, "listen_addresses": [A]}
    assert host.good(changed, environment={"TZ": "UTC"}).action == "restart"
    host.good({**options, "reload": None})
    foreign = host.run({**changed, "units": None}, environment={"TZ": "CET"})
    assert f"{A}: in use by" in foreign.error


@pytest.mark.parametrize(
    ("address", "other", "expected"),
    [
        (A, A, True),
        (A, B, False),
        (A, "127.0.0.2:1", False),
        (A, "0.0.0.0:1", True),
        ("[::]:1", A, True),
        ("[::1]:1", "[::]:1", True),
        ("[::1]:1", A, False),
    ],
)
def test_addresses_overlap(address: str, other: str, expected: bool) -> None:
    assert spec.overlap(address, other) is spec.overlap(other, address) is expected
