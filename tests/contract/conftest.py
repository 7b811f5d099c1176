# SPDX-License-Identifier: GPL-3.0-or-later
"""The judges' programs: Grafana's own client, compiled once, and a library in an environment of its own."""

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
    """What a program is cached by."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:12]


@pytest.fixture(scope="session")
def client_judge() -> Path:
    """The program of client/, which is compiled the first time."""
    sources = sorted((HERE / "client").iterdir())
    program = cache.directory("contract") / f"client-{key(*sources)}"
    with cache.locked("contract"):
        if not program.exists():
            console.progress(
                "compiling Grafana's own client, which takes some minutes the first time"
            )
            part = program.with_suffix(".part")
            command = [
                toolchain.go_command(),
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-o",
                str(part),
                ".",
            ]
            subprocess.run(command, cwd=HERE / "client", env=toolchain.environment(), check=True)
            part.replace(program)
    return program


@pytest.fixture(scope="session")
def library() -> dict[str, str]:
    """An environment in which requirements.txt can be imported. What it needs replaces urllib3, so it lives apart."""
    requirements = HERE / "requirements.txt"
    folder = (
        cache.directory("contract")
        / f"library-{key(requirements)}-{sys.version_info.major}.{sys.version_info.minor}"
    )
    with cache.locked("contract"):
        if not (folder / "complete").exists():
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "-q",
                "--no-deps",
            ]
            subprocess.run([*command, "--target", str(folder), "-r", str(requirements)], check=True)
            (folder / "complete").touch()
    return dict(os.environ) | {"PYTHONPATH": str(folder)}
