# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked, and a way to run the programs that check it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

Run = Callable[..., str]


def known_files() -> list[str]:
    """What git knows or would add, as paths from the root of the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout without what git ignores and without the link `collections/…`, which leads back to it."""
    copy = tmp_path_factory.mktemp("tree") / "ansible_collections" / "hippius" / "monitoring"
    for name in known_files():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture(scope="session")
def run(tree: Path) -> Run:
    """Run a program in the copied tree; its output is returned, or the message of the failed test."""

    # As a user has it who has set nothing.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
    }

    def run_program(*command: str, cwd: Path = tree, timeout: int = 300, **environment: str) -> str:
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
            pytest.fail(
                f"{' '.join(command)} exits with {done.returncode}:\n{done.stdout}", pytrace=False
            )
        return done.stdout

    return run_program


@pytest.fixture(scope="session")
def archive(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as it is published."""
    folder = tmp_path_factory.mktemp("archive")
    run("ansible-galaxy", "collection", "build", "--output-path", str(folder))
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="session")
def installed(run: Run, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which ansible-galaxy has installed the collection."""
    folder = tmp_path_factory.mktemp("installed")
    run(
        "ansible-galaxy",
        "collection",
        "install",
        str(archive),
        "--offline",
        "--collections-path",
        str(folder),
    )
    return folder
