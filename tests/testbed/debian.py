# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages that the test bed needs on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from tests.testbed import cache, console

INSTALL = ("apt-get", "install", "-y", "-q", "--no-install-recommends")


def install(programs: Mapping[str, str]) -> None:
    """Install the packages of missing programs; `programs` maps a command to its package."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = {
        package
        for program, package in programs.items()
        if not shutil.which(program, path=search)
    }
    if not missing:
        return
    packages = sorted(missing)
    console.progress(f"installing {', '.join(packages)}")
    if apt([*INSTALL, *packages], check=False):
        return
    # The package lists are missing or old. A third party's repository in the machine's sources may
    # fail; only the installation counts.
    apt(["apt-get", "update", "-q"], check=False)
    apt([*INSTALL, *packages], check=True)


def apt(command: Sequence[str], *, check: bool) -> bool:
    """Run apt-get with a log in the cache, and return whether it succeeded.

    With ``check`` a failure raises RuntimeError with the end of that log.
    """
    log = cache.directory("daemons") / "apt.log"
    with open(log, "w", encoding="utf-8") as stream:
        done = subprocess.run(
            command,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{console.tail(log)}")
    return done.returncode == 0
