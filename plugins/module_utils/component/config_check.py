# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Have the new release's own checker judge a configuration before anything is switched."""

from __future__ import annotations

import contextlib
import os
import re

from . import files, generation, layout, release_store, systemd
from .component_errors import ComponentError
from .spec import Instance


def staged(desired: Instance, release_directory: str, generation_name: str) -> list:
    """Judge a generation that is written and not in force yet; return notices for people."""
    directory = layout.generation(desired.name, generation_name)
    mount_point = layout.etc(desired.name)
    made = not os.path.lexists(mount_point)
    if made:
        files.make_directory(mount_point)
    try:
        return _judge(desired, release_directory, directory)
    finally:
        if made:
            os.rmdir(mount_point)


def privately(desired: Instance, release_directory: str) -> list:
    """Judge a configuration from a copy below /run that is gone afterwards, as check mode must; return notices."""
    group = generation.group_of(desired.name)
    missing = [what for what, there in (
        (f"release {desired.release.name} {desired.release.version}", release_store.intact(release_directory)),
        (f"user {desired.name}", group is not None),
        (layout.etc(desired.name), os.path.exists(layout.etc(desired.name))),
    ) if not there]  # fmt: skip
    if missing:
        return [
            f"The configuration of {desired.name} was not checked: {', '.join(missing)} is not on this host yet."
        ]
    directory = layout.private_check(desired.name, str(os.getpid()))
    had_run = os.path.isdir(layout.RUN)
    try:
        files.make_directory(directory)
        generation.write_files(desired, directory, group or 0)
        return _judge(desired, release_directory, directory)
    finally:
        files.remove(directory)
        if not had_run:
            # Another run may have made its lock there meanwhile.
            with contextlib.suppress(OSError):
                os.rmdir(layout.RUN)


def _judge(desired: Instance, release_directory: str, directory: str) -> list:
    staged_paths = {
        "{release}": release_store.path_of(release_directory),
        "{bin}": os.path.join(directory, "bin"),
    }
    values = {**layout.placeholders(desired.name), **staged_paths}
    command = [layout.fill(word, values) for word in desired.check]
    environment = {key: layout.fill(value, values) for key, value in desired.environment.items()}
    exit_code, told = systemd.check(
        desired.name, os.path.join(directory, "etc"), command, environment
    )
    if exit_code == 0:
        return []
    if accepted(told, desired.check_ignore_pattern):
        return [f"The checker of {desired.name} warns: {told}"]
    raise ComponentError(
        f"The configuration of {desired.name} is refused by its own checker"
        f" ({' '.join(desired.check)}, exit code {exit_code}):\n{told or 'it said nothing'}{quoted(told, desired)}"
    )


def accepted(told: str, pattern: str) -> bool:
    """Whether a checker that failed only warned: every line it wrote matches ``pattern``. Pure."""
    lines = [line for line in told.splitlines() if line.strip()]
    return bool(pattern and lines) and all(re.search(pattern, line) for line in lines)


def quoted(told: str, desired: Instance) -> str:
    """The lines that a checker names by their numbers, since its file is gone when somebody reads that. Pure."""
    entries = {
        path.removeprefix("etc/"): entry
        for path, entry in desired.files.items()
        if path.startswith("etc/")
    }
    asked = [path for path in entries if any(f"{{etc}}/{path}" in word for word in desired.check)]
    # Where none is named it is the one that the checker was asked about.
    path = asked[0] if len(asked) == 1 else ""
    found: dict = {}
    names = "|".join(sorted(map(re.escape, entries), key=len, reverse=True))
    for named, after, line in (
        re.findall(rf"/({names})(?::(\d+))?|\bline (\d+)", told) if entries else ()
    ):
        path = named or path
        number = int(after or line or 0)
        if path and number and not entries[path].secret:
            lines = entries[path].content.decode("utf-8", "replace").splitlines()
            found.update(
                {f"{path}, line {number}: {text}": True for text in lines[number - 1 : number]}
            )
    return "".join(f"\n{line}" for line in found)
