# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run has changed so far, for its last task.

Each task runs in a process of its own. All of them share a directory that Ansible creates for the
run and removes after it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

from ansible import constants

from .rollout_table import NONE, Change, changes_of

NAME = "hippius-monitoring-changes"
# More hosts than these are counted rather than named.
MAX_HOSTS = 3


def path() -> str:
    """Return the path of this run's journal."""
    return os.path.join(constants.DEFAULT_LOCAL_TMP, NAME)


def add(host: str, result: dict[str, Any]) -> None:
    """Add what a component module has changed on a host; without the reasons, which have names."""
    changes = changes_of(host, result, None, check_mode=False)
    lines = [
        json.dumps([change.host, change.component, change.action, change.version])
        for change in changes
        if change.action != NONE
    ]
    if lines and not result.get("failed"):
        # One write, which the writes of other tasks cannot divide.
        with open(path(), "a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))


def read() -> list[Change]:
    """Return everything that this run has changed, in order."""
    try:
        with open(path(), encoding="utf-8") as stream:
            return [Change(*json.loads(line)) for line in stream]
    except FileNotFoundError:
        return []


def text_of(changes: Iterable[Change], person: str) -> str:
    """Return the text of an annotation, with a line for the same change of all hosts. Pure."""
    hosts: dict[str, list[str]] = {}
    for change in changes:
        words = f"{change.component} {change.version} {change.action}"
        hosts.setdefault(" ".join(words.split()), []).append(change.host)
    lines = [f"Rollout by {person}"]
    for words, names in hosts.items():
        where = ", ".join(names) if len(names) <= MAX_HOSTS else f"{len(names)} hosts"
        lines.append(f"{words} on {where}")
    return "\n".join(lines)


def tags_of(changes: Iterable[Change]) -> list[str]:
    """Return the tags of an annotation: rollout, by which dashboards find it, and components."""
    return ["rollout", *sorted({change.component for change in changes})]
