# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the contract tests: Grafana's own client, and a Python library."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed import cache, console
from tests.testbed.releases import toolchain

HERE = Path(__file__).parent
VERSIONS = ("11.6.4", "12.4.3", "13.2.3")


def key(*paths: Path) -> str:
    """Return the cache key of a program."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[
        :12
    ]


@pytest.fixture(scope="session")
def client_program() -> Path:
    """Return the program of client/, compiled the first time."""
    sources = sorted((HERE / "client").iterdir())
    program = cache.directory("contract") / f"client-{key(*sources)}"
    with cache.locked("contract"):
        if not program.exists():
            console.progress(
                "compiling Grafana's own client, which takes some minutes the first time"
            )
            part = program.with_suffix(".part")
            command = [toolchain.go_command(), "build", "-trimpath", "-buildvcs=false"]
            command += ["-o", str(part), "."]
            subprocess.run(
                command, cwd=HERE / "client", env=toolchain.environment(), check=True
            )
            part.replace(program)
    return program


@pytest.fixture(scope="session")
def library() -> dict[str, str]:
    """Return an environment in which requirements.txt can be imported.

    One of them replaces urllib3, so they are installed apart.
    """
    requirements = HERE / "requirements.txt"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache.directory("contract") / f"library-{key(requirements)}-{python}"
    with cache.locked("contract"):
        if not (folder / "complete").exists():
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
            ]
            command += [
                "-q",
                "--no-deps",
                "--target",
                str(folder),
                "-r",
                str(requirements),
            ]
            subprocess.run(command, check=True)
            (folder / "complete").touch()
    return dict(os.environ) | {"PYTHONPATH": str(folder)}
