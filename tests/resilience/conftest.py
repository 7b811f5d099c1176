# SPDX-License-Identifier: GPL-3.0-or-later
"""A host for experiments, and a rollout of the test daemon on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.resilience.rollout import Rollout
from tests.testbed import hosts

# The assertions of what several modules prove are explained, too.
pytest.register_assert_rewrite("tests.resilience.assertions")


@pytest.fixture(scope="session")
def host(docker_engine: None) -> hosts.Host:
    """A systemd host that no rollout has touched."""
    yield hosts.up("resilience")
    hosts.down("resilience")


@pytest.fixture
def rollout(host: hosts.Host, tmp_path: Path) -> Rollout:
    """The test daemon's playbook for a host that is bare again."""
    prepared = Rollout(host, tmp_path)
    prepared.clean()
    return prepared
