# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that all tests share: the test bed, and the search path of the collection."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from ansible.plugins.loader import init_plugin_loader

from tests.testbed import docker

ROOT = Path(__file__).parent.parent
# The checkout's collection, in addition to those of the Ansible package.
sys.path.insert(0, str(ROOT / "collections"))
# The same for Ansible's loader of plugins, before anything imports the collection.
init_plugin_loader([str(ROOT / "collections")])

# CI runs the same examples each time; a failure elsewhere prints its example. Slow machines pass.
hypothesis.settings.register_profile(
    "project", database=None, deadline=None, derandomize="CI" in os.environ
)
hypothesis.settings.load_profile("project")


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """Restore the umask; a program that runs as a function may change it."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


@pytest.fixture(scope="session")
def call_testbed(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run a command of the test bed; its progress is not captured."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def call(*command: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\ntestbed {' '.join(command)}", flush=True)
            program = [sys.executable, "-m", "tests.testbed", *command]
            subprocess.run(program, cwd=ROOT, stdin=subprocess.DEVNULL, check=True)

    return call


@pytest.fixture(scope="session")
def docker_daemon(call_testbed: Callable[..., None]) -> Iterator[None]:
    """Start the Docker daemon; unless it ran before, remove everything afterwards."""
    was_running = docker.KEEP in os.environ or docker.is_running()
    try:
        call_testbed("docker")
        yield
    finally:
        if not was_running:
            call_testbed("all-down")


@pytest.fixture(scope="session")
def testbed(docker_daemon: None, call_testbed: Callable[..., None]) -> None:
    """Provide the images of the hosts and a mirror with the servers, compiled the first time."""
    for step in ("images", "releases", "mirror", "lock"):
        call_testbed(step)
