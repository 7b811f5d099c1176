# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain and unpack a release before a rollout uses it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from . import (
    archive,
    download,
    files,
    layout,
    release_store,
    run_lock,
    systemd,
)
from .component_errors import ComponentError
from .failpoints import failpoint
from .spec import Release

if TYPE_CHECKING:
    from typing import Any

# ELF's e_machine of each architecture.
ELF_MACHINES = {"amd64": 62, "arm64": 183}


def run(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    """Stage the release of the module's options; return the module's values."""
    release = Release(**params["release"])
    name = params["name"]
    component = params["component"] or name
    lock_owner, seconds = params["lock_owner"] or "", params["lock_timeout"]
    with run_lock.held(component, lock_owner, seconds), run_lock.releases(False):
        release_store.claim(name, component)
        try:
            return {"changed": stage(release, name, params["program"])}
        finally:
            release_store.leave(name)


def stage(release: Release, name: str, program: str) -> bool:
    """Unpack a release unless it is intact; return whether it was unpacked.

    ``program`` is the main program's path in the release; it must be built for this host.
    """
    host = release_store.host_architecture()
    directory = release.directory(host)
    if release_store.intact(directory):
        return False
    archive_path = _obtain_archive(release, name, host)
    failpoint("after-download")
    # Components of one release may stage it at the same time.
    staging = release_store.path_of(f".staging-{directory}-{os.getpid()}")
    files.remove(staging)
    try:
        files.make_directory(staging)
        archive.unpack(archive_path, staging, release.name)
        _require_program(staging, program, host)
        systemd.relabel(staging)
        _seal(staging)
    except BaseException:
        files.remove(staging)
        files.remove(layout.downloads(name))
        raise
    failpoint("after-unpack")
    if release_store.intact(directory):
        files.remove(staging)
    else:
        _install(staging, release_store.path_of(directory))
        # Rules of an administrator may name the final place.
        systemd.relabel(release_store.path_of(directory))
    files.remove(layout.downloads(name))
    # Until the rollout uses it, other runs leave it.
    files.replace(layout.staged_release(name), directory.encode(), 0o600)
    return True


def _obtain_archive(release: Release, name: str, host: str) -> str:
    entry = release.archive(host)
    sha256 = entry["sha256"]
    if release.pushed:
        actual = download.sha256_of(release.pushed)
        if actual != sha256:
            raise ComponentError(
                f"Archive of {release.name} {release.version} for {host}: on the controller its"
                f" SHA-256 is {actual}, expected {sha256}; replace it."
            )
        return release.pushed
    path = os.path.join(layout.downloads(name), sha256)
    if os.path.exists(path) and download.sha256_of(path) == sha256:
        return path
    release_store.require_source(entry)
    download.fetch(entry["urls"], sha256, path, entry.get("size"))
    return path


def _require_program(staging: str, program: str, host: str) -> None:
    if not program:
        return
    path = os.path.join(staging, program)
    if not os.path.isfile(path):
        names = ", ".join(files.listing(os.path.dirname(path)))
        raise ComponentError(f"Archive: it does not contain {program!r}, only {names}.")
    with open(path, "rb") as stream:
        header = stream.read(20)
    machine = int.from_bytes(header[18:20], "little")
    if header[:4] == b"\x7fELF" and machine != ELF_MACHINES[host]:
        raise ComponentError(f"Archive: its {program!r} is not built for {host}.")


def _seal(staging: str) -> None:
    """Record the members and sync all to disk before the release can be active."""
    for directory, _names, members in os.walk(staging):
        os.chmod(directory, 0o755)
        for path in (directory, *(os.path.join(directory, name) for name in members)):
            os.lchown(path, 0, 0)
    record = json.dumps({"members": release_store.members(staging)}, sort_keys=True)
    files.write(os.path.join(staging, release_store.RECORD), record.encode(), 0o444)
    files.sync_filesystem(staging)


def _install(staging: str, path: str) -> None:
    damaged = release_store.path_of(".damaged-" + os.path.basename(path))
    files.remove(damaged)
    if os.path.lexists(path):
        os.rename(path, damaged)
    os.rename(staging, path)
    files.sync_directory(layout.RELEASES)
    files.remove(damaged)
