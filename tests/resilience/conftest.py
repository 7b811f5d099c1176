# SPDX-License-Identifier: GPL-3.0-or-later
"""A host for experiments, and a rollout of the test daemon on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.resilience.rollout import SCENARIOS, Rollout, good
from tests.testbed import hosts

# pytest explains the shared assertions, too.
pytest.register_assert_rewrite("tests.resilience.assertions")


@pytest.fixture(scope="session")
def host(docker_daemon: None) -> hosts.Host:
    """Return a systemd host without any rollout."""
    yield hosts.up("resilience")
    hosts.down("resilience")


@pytest.fixture
def rollout(host: hosts.Host, tmp_path: Path) -> Rollout:
    """Return the test daemon's playbook for a cleaned host."""
    prepared = Rollout(host, tmp_path)
    prepared.clean()
    return prepared


@pytest.fixture(scope="session")
def undisturbed() -> Callable[[Rollout, str], str]:
    """Return the end state of each undisturbed scenario, computed once."""
    states: dict[str, str] = {}

    def state(rollout: Rollout, scenario: str) -> str:
        if scenario not in states:
            rollout.clean()
            installed, change = SCENARIOS[scenario]
            if installed:
                good(rollout.run(rollout.task()))
            good(rollout.run(rollout.task(**change)))
            states[scenario] = rollout.state()
        return states[scenario]

    return state
