# SPDX-License-Identifier: GPL-3.0-or-later
"""Observations of hosts that the tasks of one run share."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible import constants

from ansible_collections.hippius.monitoring.plugins.action import component_prune
from ansible_collections.hippius.monitoring.plugins.plugin_utils import observations

STATE = {"leftovers": False, "instances": {}}


class Host:
    """A host that counts how often it is observed."""

    def __init__(self, result: dict[str, Any] | None = None) -> None:
        self.result = {"observation": STATE} if result is None else result
        self.nonces: list[str] = []

    def observe(self, nonce: str) -> dict[str, Any]:
        self.nonces.append(nonce)
        return self.result


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory that Ansible makes for a run."""
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    return tmp_path


@pytest.fixture
def enabled(directory: Path) -> Path:
    """Return the directory of a run whose tasks observe hosts."""
    observations.enable()
    return directory


def test_a_run_that_does_not_ask_for_it_observes_nothing(directory: Path) -> None:
    host = Host()
    assert observations.of_host("a", "loki", host.observe) is None
    observations.mark("a", "loki")
    assert (host.nonces, list(directory.iterdir())) == ([], [])


def test_a_host_is_observed_once_for_all_components(enabled: Path) -> None:
    host = Host()
    first = observations.of_host("a", "loki", host.observe)
    second = observations.of_host("a", "tempo", host.observe)
    assert first == second == (STATE, bytes.fromhex(host.nonces[0]))
    assert (len(host.nonces), len(host.nonces[0])) == (1, 64)


def test_each_host_has_its_own_key(enabled: Path) -> None:
    first, second = Host(), Host()
    observations.of_host("a", "loki", first.observe)
    observations.of_host("b/../a", "loki", second.observe)
    assert first.nonces != second.nonces


def test_the_observation_of_a_component_is_not_used_after_a_run_of_the_module(
    enabled: Path,
) -> None:
    host = Host()
    observations.of_host("a", "loki", host.observe)
    observations.mark("a", "loki")
    assert observations.of_host("a", "loki", host.observe) is None
    assert observations.of_host("a", "tempo", host.observe) is not None
    assert observations.of_host("b", "loki", host.observe) is not None


def test_a_host_that_cannot_be_observed_is_not_asked_again(enabled: Path) -> None:
    host = Host({})
    for component in ("loki", "tempo"):
        observation = observations.of_host("a", component, host.observe)
        assert observation is not None
        assert observation.state is None
    assert len(host.nonces) == 1


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        pytest.param(observations.LONGEST_USE - 1, 1, id="recent"),
        pytest.param(observations.LONGEST_USE, 2, id="too old"),
        pytest.param(-5, 2, id="from the future, since the clock was set back"),
    ],
)
def test_an_old_observation_is_made_anew(
    enabled: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, count: int
) -> None:
    host = Host()
    observations.of_host("a", "loki", host.observe)
    now = observations.time.time()
    monkeypatch.setattr(observations.time, "time", lambda: now + seconds)
    observations.of_host("a", "tempo", host.observe)
    assert len(host.nonces) == count


@pytest.mark.parametrize(
    ("seconds", "is_used"),
    [(0, True), (observations.LONGEST_USE, False), (-1, False)],
)
def test_the_age_of_an_observation_counts_from_its_start(
    enabled: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, is_used: bool
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(observations.time, "time", lambda: clock[0])

    def slow(_nonce: str) -> dict[str, Any]:
        clock[0] += 90
        return {"observation": STATE}

    observations.of_host("a", "loki", slow)
    clock[0] = 1000.0 + seconds
    assert (observations.known("a") == STATE) is is_used
    assert observations.known("b") is None


def test_what_is_not_to_be_done_is_as_old_as_the_observation(
    enabled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(observations.time, "time", lambda: clock[0])
    observations.of_host("a", "", Host().observe)
    clock[0] += observations.LONGEST_USE - 1
    observations.save_unchanged("a", ["loki", "prune"])
    assert observations.unchanged("a") == ["loki", "prune"]
    assert observations.unchanged("b") == []
    clock[0] += 1
    assert observations.unchanged("a") == []


def test_a_run_is_marked_for_its_host_and_component_only(enabled: Path) -> None:
    # A second play of the run enables it again.
    observations.mark("a", "loki")
    observations.enable()
    pairs = [(host, name) for host in "ab" for name in ("loki", "tempo")]
    host = Host()
    unused = [
        observations.of_host(name, component, host.observe) is None
        for name, component in pairs
    ]
    assert unused == [True, False, False, False]


def test_an_observation_appears_at_once_or_not_at_all(
    enabled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_paths: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            observations.of_host("a", "loki", Host().observe)
    assert observations.known("a") is None
    observations.of_host("a", "loki", Host().observe)
    assert observations.known("a") == STATE


def test_nobody_else_reads_observations(enabled: Path) -> None:
    mask = os.umask(0)
    try:
        observations.of_host("a", "loki", Host().observe)
    finally:
        os.umask(mask)
    (shared,) = enabled.iterdir()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("leftovers", "installed", "expected"),
    [
        pytest.param(False, ["loki"], False, id="only what it should have"),
        pytest.param(False, ["loki", "tempo"], True, id="what it should not have"),
        pytest.param(True, [], True, id="what a killed run left"),
    ],
)
def test_a_host_is_asked_to_remove_components_only_if_it_has_any(
    leftovers: bool, installed: list[str], expected: bool
) -> None:
    instances = {name: {"component": name} for name in installed}
    observed: Any = {"leftovers": leftovers, "instances": instances}
    assert component_prune.has_leftovers(observed, {"tempo"}) is expected
