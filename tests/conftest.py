# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests share: the test bed, and programs that run with their output in a log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.bed import engine

ROOT = Path(__file__).parent.parent

# The same examples on each run of CI; a failure elsewhere prints its example. Slow machines are no failure.
hypothesis.settings.register_profile("project", database=None, deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("project")


@pytest.fixture(scope="session")
def bed(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test bed with its servers built, which takes a quarter of an hour the first time.

    A bed whose engine ran before is left as it was found, else everything that was started is ended.
    """
    was_running = engine.answers()
    terminal = request.config.pluginmanager.getplugin("capturemanager")

    def call(*command: str) -> None:
        # Uncaptured, so that the progress of long steps is seen.
        with terminal.global_and_fixture_disabled():
            subprocess.run([sys.executable, "-m", "tests.bed", *command], cwd=ROOT, stdin=subprocess.DEVNULL, check=True)

    try:
        for step in ("engine", "images", "releases", "mirror"):
            call(step)
        call("lock", str(engine.cache("mirror") / "releases.lock.yml"))
        yield
    finally:
        if not was_running:
            call("all-down")
