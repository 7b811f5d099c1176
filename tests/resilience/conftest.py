# SPDX-License-Identifier: GPL-3.0-or-later
"""A host for experiments, and a rollout of the test daemon on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.resilience.rollout import Rollout
from tests.testbed import hosts

# pytest explains the shared assertions, too.
pytest.register_assert_rewrite("tests.resilience.assertions")


@pytest.fixture(scope="session")
def host(docker_engine: None) -> hosts.Host:
    """Return a systemd host without any rollout."""
    yield hosts.up("resilience")
    hosts.down("resilience")


@pytest.fixture
def rollout(host: hosts.Host, tmp_path: Path) -> Rollout:
    """Return the test daemon's playbook for a cleaned host."""
    prepared = Rollout(host, tmp_path)
    prepared.clean()
    return prepared
