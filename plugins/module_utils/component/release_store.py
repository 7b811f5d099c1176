# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases on a host: unpacked once, read-only, shared by all instances."""

from __future__ import annotations

import ctypes
import json
import os
import platform

from . import files, layout
from .component_errors import ComponentError
from .failpoints import failpoint
from .spec import Release

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# ELF's e_machine for each of them.
ELF_MACHINES = {"amd64": 62, "arm64": 183}
RECORD = ".release.json"


class ArchiveWanted(Exception):
    """The archive must be brought from the controller before the module can go on."""

    def __init__(self, architecture: str) -> None:
        super().__init__(architecture)
        self.architecture = architecture


def architecture() -> str:
    """This host's architecture in the lock file's words."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise ComponentError(
            f"Architecture {machine} is not supported: only {', '.join(sorted(ARCHITECTURES))}."
        )
    return ARCHITECTURES[machine]


def path_of(directory: str) -> str:
    """Where a release is unpacked."""
    return os.path.join(layout.RELEASES, directory)


def intact(directory: str) -> bool:
    """Whether a release is there with every file as it was unpacked, told by size, mode and time."""
    record = files.read(os.path.join(path_of(directory), RECORD))
    if record is None:
        return False
    try:
        return json.loads(record)["members"] == _members(path_of(directory))
    except (ValueError, KeyError):
        return False


def stage(release: Release, name: str, program: str) -> bool:
    """Have the release unpacked; return whether that had to be done.

    ``program`` is the path of the main program in the release; it must be made for this host.
    """
    host = architecture()
    directory = release.directory(host)
    if intact(directory):
        return False
    # Loaded only where there is something to unpack, as most runs find nothing.
    from . import archive

    fetched = _archive(release, name, host)
    failpoint("after-download")
    staging = path_of(".staging-" + directory)
    files.remove(staging)
    try:
        files.make_directory(staging)
        archive.unpack(fetched, staging, release.name)
        _require_machine(os.path.join(staging, program), program, host)
        _seal(staging)
    except BaseException:
        files.remove(staging)
        files.remove(layout.downloads(name))
        raise
    failpoint("after-unpack")
    _put_in_place(staging, path_of(directory))
    files.remove(layout.downloads(name))
    return True


def foresee(release: Release, name: str) -> None:
    """Refuse what cannot be had, as staging would, without having it brought; what a download finds is not foreseen."""
    host = architecture()
    desired = release.archive(host)
    there = os.path.exists(os.path.join(layout.downloads(name), desired["sha256"]))
    if not there and host not in release.pushable and not intact(release.directory(host)):
        _refuse_missing(desired)


def _refuse_missing(desired: dict) -> None:
    if not desired["urls"] and desired.get("missing"):
        raise ComponentError(
            f"{desired['missing']} is not on the controller, and nothing is downloaded where monitoring_archives_dir is"
            " set without monitoring_mirrors. The playbook bundle collects what is missing."
        )


def _archive(release: Release, name: str, host: str) -> str:
    from . import download

    desired = release.archive(host)
    if release.pushed:
        got = download.sha256_of(release.pushed)
        if got != desired["sha256"]:
            raise ComponentError(
                f"The archive of {release.name} {release.version} for {host} from the controller has SHA-256 {got},"
                f" expected {desired['sha256']}."
            )
        return release.pushed
    path = os.path.join(layout.downloads(name), desired["sha256"])
    if os.path.exists(path) and download.sha256_of(path) == desired["sha256"]:
        return path
    if host in release.pushable:
        raise ArchiveWanted(host)
    _refuse_missing(desired)
    download.fetch(desired["urls"], desired["sha256"], path)
    return path


def _require_machine(path: str, program: str, host: str) -> None:
    if not program:
        return
    if not os.path.isfile(path):
        raise ComponentError(
            f"The archive does not contain {program!r}: {', '.join(files.listing(os.path.dirname(path)))}."
        )
    with open(path, "rb") as stream:
        header = stream.read(20)
    if header[:4] == b"\x7fELF" and int.from_bytes(header[18:20], "little") != ELF_MACHINES[host]:
        raise ComponentError(f"{program!r} in the archive is not made for {host}.")


def _seal(staging: str) -> None:
    """Record what was unpacked, and have it on disk before it can be in force."""
    for directory, _names, _files in os.walk(staging):
        os.chmod(directory, 0o755)
    record = json.dumps({"members": _members(staging)}, sort_keys=True)
    files.write(os.path.join(staging, RECORD), record.encode(), 0o444)
    _sync_filesystem(staging)


def _put_in_place(staging: str, path: str) -> None:
    damaged = path_of(".damaged-" + os.path.basename(path))
    files.remove(damaged)
    if os.path.lexists(path):
        os.rename(path, damaged)
    os.rename(staging, path)
    files.sync_directory(layout.RELEASES)
    files.remove(damaged)


def _members(directory: str) -> dict:
    result = {}
    for path in files.tree(directory):
        if path != RECORD:
            status = os.lstat(os.path.join(directory, path))
            result[path] = [status.st_size, status.st_mode, status.st_mtime_ns]
    return result


def _sync_filesystem(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)


def unused() -> list:
    """Releases that no generation of any component links to, and what killed runs left of them."""
    used = set()
    for name in files.listing(layout.COMPONENTS):
        # What is leaving needs nothing any more.
        for generation in [] if name.startswith(".") else files.listing(layout.generations(name)):
            target = files.link_target(os.path.join(layout.generation(name, generation), "release"))
            used.add(os.path.basename(target or ""))
    return [path_of(item) for item in files.listing(layout.RELEASES) if item not in used]
