# SPDX-License-Identifier: GPL-3.0-or-later
"""A log as Docker writes it, of a container that never was, for Promtail to find.

Docker itself never takes the directory for a container: its description lacks an id, so that a
start of Docker leaves it alone.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import time

CONTAINER = "monitoring-verify"
# The beginning of each directory's name, so that a later run finds those of a killed one. The rest
# is new in each run: Promtail would continue a known file where it was.
PREFIX = "6d6f6e69746f72696e672d766572696679"
LENGTH = 64
# Another run may be at work.
KILLED_SECONDS = 3600


def write(directory: str, token: str, seconds: float) -> None:
    """Write a container's directory with one line, the token."""
    name = identifier(token)
    path = os.path.join(directory, name)
    os.makedirs(path, mode=0o710)
    container_config = {"Name": f"/{CONTAINER}", "Config": {"Labels": {}}}
    _write(os.path.join(path, "config.v2.json"), container_config)
    host_config = {"LogConfig": {"Type": "json-file"}}
    _write(os.path.join(path, "hostconfig.json"), host_config)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    line = {"log": f"{token}\n", "stream": "stdout", "time": f"{moment}.000000000Z"}
    _write(os.path.join(path, f"{name}-json.log"), line)


def _write(path: str, content: object) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(content) + "\n")


def remove(directory: str, token: str) -> None:
    """Remove the directory of a run, and those of runs that were killed long ago."""
    for path in glob.glob(os.path.join(glob.escape(directory), PREFIX + "*")):
        is_own = bool(token) and os.path.basename(path) == identifier(token)
        if is_own or _age(path) > KILLED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def identifier(token: str) -> str:
    """Return the name of the directory with a token. Pure."""
    return (PREFIX + token + "0" * LENGTH)[:LENGTH]


def _age(path: str) -> float:
    try:
        return time.time() - os.lstat(path).st_mtime
    except OSError:
        return 0
