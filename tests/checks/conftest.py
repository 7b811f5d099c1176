# SPDX-License-Identifier: GPL-3.0-or-later
"""A clean copy of the checkout, and a way to run the programs that check it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

Run = Callable[..., str]


def tracked_and_new_files() -> list[str]:
    """Return the files that git tracks or would add, as paths relative to the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the checkout without ignored files.

    The link `collections/…`, which leads back to the checkout, is left out too.
    """
    copy = (
        tmp_path_factory.mktemp("tree")
        / "ansible_collections"
        / "hippius"
        / "monitoring"
    )
    for name in tracked_and_new_files():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


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
def archive(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the archive of the collection as it is published."""
    folder = tmp_path_factory.mktemp("archive")
    run("ansible-galaxy", "collection", "build", "--output-path", str(folder))
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="session")
def installed(
    run: Run, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder into which ansible-galaxy has installed the collection."""
    folder = tmp_path_factory.mktemp("installed")
    install = ["ansible-galaxy", "collection", "install", "--offline"]
    run(*install, str(archive), "--collections-path", str(folder))
    return folder
