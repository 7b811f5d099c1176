# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases on a host: unpacked once, read-only, shared by all instances."""

from __future__ import annotations

import json
import os
import platform
from typing import TYPE_CHECKING

from . import files, layout
from .component_errors import ComponentError
from .spec import Release

if TYPE_CHECKING:
    from .spec import Archive

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
RECORD = ".release.json"


class ReleaseRequired(Exception):
    """A release that the action plugin must have staged before the rollout."""

    def __init__(self, architecture: str, name: str, program: str) -> None:
        super().__init__(architecture, name, program)
        self.values = {"architecture": architecture, "name": name, "program": program}


def host_architecture() -> str:
    """Return this host's architecture by its name in the lock file."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise ComponentError(
            f"Architecture {machine!r}: not supported; use {', '.join(sorted(ARCHITECTURES))}."
        )
    return ARCHITECTURES[machine]


def path_of(directory: str) -> str:
    """Return the path of an unpacked release."""
    return os.path.join(layout.RELEASES, directory)


def intact(directory: str) -> bool:
    """Return whether a release has the recorded files, and nobody but root can change them."""
    path = path_of(directory)
    record_path = os.path.join(path, RECORD)
    record = files.read(record_path)
    if record is None or not files.owned(record_path, 0o444):
        return False
    if not all(files.owned(parent, 0o755) for parent, _names, _files in os.walk(path)):
        return False
    try:
        return bool(json.loads(record)["members"] == members(path))
    except (ValueError, KeyError):
        return False


def staged() -> set[str]:
    """Return the releases that were unpacked for rollouts that have not begun yet."""
    marks = map(layout.staged_release, files.listing(layout.COMPONENTS))
    return {(files.read(mark) or b"").decode("utf-8", "replace") for mark in marks}


def claim(name: str, component: str) -> None:
    """Record the component of an instance, by which others find what is staged for it."""
    content = f"{component}\n".encode()
    if files.read(layout.owner(name)) != content:
        files.replace(layout.owner(name), content, 0o644)


def leave(name: str) -> None:
    """Remove the directory of an instance that has neither a generation nor a download."""
    files.remove_empty(layout.downloads(name))
    owner = layout.owner(name)
    if files.listing(layout.component(name)) == [os.path.basename(owner)]:
        files.remove(owner)
    files.remove_empty(layout.component(name))


def require_staged(release: Release, name: str, program: str) -> None:
    """Raise ReleaseRequired unless a release is unpacked and intact.

    ``program`` is the path of the main program of ``name`` in the release.
    """
    host = host_architecture()
    if not intact(release.directory(host)):
        raise ReleaseRequired(host, name, program)


def require_available(release: Release, name: str) -> None:
    """Raise when staging could not obtain the archive; do not try the download."""
    host = host_architecture()
    archive = release.archive(host)
    downloaded = os.path.join(layout.downloads(name), archive["sha256"])
    if os.path.exists(downloaded) or host in release.pushable:
        return
    if not intact(release.directory(host)):
        require_source(archive)


def require_source(archive: Archive) -> None:
    """Raise when an archive may come only from the controller, which lacks it."""
    if not archive["urls"] and archive.get("missing"):
        raise ComponentError(
            f"{archive['missing']}: not on the controller, and not downloaded, since"
            " monitoring_archives_dir is set without monitoring_mirrors; run the playbook bundle."
        )


def members(directory: str) -> dict[str, list[int]]:
    """Return size, mode and time of each file and link; raise ValueError for one not root's."""
    result = {}
    for path in files.tree(directory):
        if path != RECORD:
            status = os.lstat(os.path.join(directory, path))
            if status.st_uid or status.st_gid:
                raise ValueError(path)
            result[path] = [status.st_size, status.st_mode, status.st_mtime_ns]
    return result


def unused() -> list[str]:
    """Return the paths of releases that no generation uses, and of killed runs' leftovers."""
    used = staged()
    for name in files.listing(layout.COMPONENTS):
        # A leading dot marks what is being removed.
        generations = (
            [] if name.startswith(".") else files.listing(layout.generations(name))
        )
        for generation in generations:
            link = os.path.join(layout.generation(name, generation), "release")
            used.add(os.path.basename(files.link_target(link) or ""))
    return [
        path_of(name) for name in files.listing(layout.RELEASES) if name not in used
    ]
