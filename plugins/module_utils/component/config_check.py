# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the new release's own checker on a configuration before anything is switched."""

from __future__ import annotations

import os
import re

from . import accounts, files, generation, layout, release_store, systemd
from .component_errors import ComponentError
from .spec import Instance

# systemd's exit code for a program that it could not execute.
EXIT_EXEC = 203
NOT_EXECUTED = (
    "systemd could not execute it; mount the file system of the release without noexec"
)


def check_staged(desired: Instance, release: str, generation_name: str) -> list[str]:
    """Check a generation that is written and not active yet; return notices."""
    directory = layout.generation(desired.name, generation_name)
    mount_point = layout.etc(desired.name)
    created = not os.path.lexists(mount_point)
    if created:
        files.make_directory(mount_point)
    try:
        return _check(desired, release, directory)
    finally:
        if created:
            os.rmdir(mount_point)


def check_copy(desired: Instance, release: str) -> list[str]:
    """Check a configuration from a temporary copy, as check mode must; return notices."""
    group = accounts.group_of(desired.name)
    missing = _missing(desired, release, group)
    if missing:
        reason = f"this host lacks {', '.join(missing)}"
        return [f"Configuration of {desired.name}: not checked, since {reason}."]
    directory = layout.private_check(desired.name, str(os.getpid()))
    had_run = os.path.isdir(layout.RUN)
    try:
        files.make_directory(directory)
        generation.write_files(desired, directory, group or 0)
        return _check(desired, release, directory)
    finally:
        files.remove(directory)
        if not had_run:
            # Another run may have created its lock there meanwhile.
            files.remove_empty(layout.RUN)


def _missing(desired: Instance, release: str, group: int | None) -> list[str]:
    missing = []
    if not release_store.intact(release):
        missing.append(f"release {desired.release.name} {desired.release.version}")
    if group is None:
        missing.append(f"user {desired.name}")
    if not os.path.exists(layout.etc(desired.name)):
        missing.append(layout.etc(desired.name))
    return missing


def is_needed(desired: Instance) -> bool:
    """Return whether an instance has a checker or prerequisites."""
    from . import prerequisites

    return bool(desired.check) or prerequisites.are_known(desired)


def _check(desired: Instance, release: str, directory: str) -> list[str]:
    from . import prerequisites

    etc = os.path.join(directory, "etc")
    notices = prerequisites.missing(desired, etc)
    if desired.check:
        notices += _run_checker(desired, release, directory, etc)
    return notices


def _run_checker(
    desired: Instance, release: str, directory: str, etc: str
) -> list[str]:
    values = {
        **layout.placeholders(desired.name),
        "{release}": release_store.path_of(release),
        "{bin}": os.path.join(directory, "bin"),
    }
    command = [layout.fill(word, values) for word in desired.check]
    environment = {
        key: layout.fill(value, values) for key, value in desired.environment.items()
    }
    settings = []
    if "etc/environment" in desired.files:
        settings.append(f"EnvironmentFile={etc}/environment")
    result = systemd.check(desired.name, etc, command, environment, settings)
    output = result.stdout.strip()
    if result.returncode == 0:
        return [f"{desired.name}: {line}" for line in systemd.notices(output)]
    if only_warned(output, desired.check_ignore_pattern):
        return [f"Configuration of {desired.name}: its checker warns: {output}"]
    silent = NOT_EXECUTED if result.returncode == EXIT_EXEC else "(no output)"
    details = "\n".join([output or silent, *quoted_lines(output, desired)])
    raise ComponentError(
        f"Configuration of {desired.name}: refused by its checker"
        f" ({' '.join(desired.check)}, exit code {result.returncode}):\n{details}"
    )


def only_warned(output: str, pattern: str) -> bool:
    """Return whether every line of a failed checker's output matches ``pattern``. Pure."""
    lines = [line for line in output.splitlines() if line.strip()]
    return bool(pattern and lines) and all(re.search(pattern, line) for line in lines)


def quoted_lines(output: str, desired: Instance) -> list[str]:
    """Return the lines that a checker reports by number, since its files are removed. Pure."""
    paths = [path[len("etc/") :] for path in desired.files if path.startswith("etc/")]
    if not paths:
        return []
    checked = [
        path
        for path in paths
        if any(f"{{etc}}/{path}" in word for word in desired.check)
    ]
    # A line without a path belongs to the only file that is checked.
    path = checked[0] if len(checked) == 1 else None
    names = "|".join(sorted(map(re.escape, paths), key=len, reverse=True))
    quoted: list[str] = []
    for named, suffix, line in re.findall(
        rf"/({names})(?::(\d+))?|\bline (\d+)", output
    ):
        path = named or path
        if path:
            quoted += _quoted_line(desired, path, int(suffix or line or 0))
    return list(dict.fromkeys(quoted))


def _quoted_line(desired: Instance, path: str, number: int) -> list[str]:
    file = desired.files["etc/" + path]
    if not number or file.secret:
        return []
    lines = file.content.decode("utf-8", "replace").splitlines()
    return [f"{path}, line {number}: {line}" for line in lines[number - 1 : number]]
