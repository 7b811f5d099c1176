# SPDX-License-Identifier: GPL-3.0-or-later
"""A clean copy of the checkout, and a way to run the programs that check it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import artifact

Run = Callable[..., str]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout without ignored files."""
    return artifact.copy_checkout(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def run(tree: Path) -> Run:
    """Run a program in the copied tree; return its output, or fail the test with it."""
    # The environment of a user who has configured nothing.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANSIBLE_")
    }

    def run_program(
        *command: str, cwd: Path = tree, timeout: int = 300, **environment: str
    ) -> str:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=inherited | {"NO_COLOR": "1"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            message = (
                f"{' '.join(command)} exits with {done.returncode}:\n{done.stdout}"
            )
            pytest.fail(message, pytrace=False)
        return done.stdout

    return run_program


@pytest.fixture(scope="session")
def archive(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the archive of the collection as it is published."""
    return artifact.build(tree, tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which ansible-galaxy has installed the collection."""
    return artifact.install(archive, tmp_path_factory.mktemp("installed"))
