# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases on a host: unpacked once, read-only, shared by all instances."""

from __future__ import annotations

import json
import os
import platform
from typing import TYPE_CHECKING

from . import files, layout
from .component_errors import ComponentError
from .failpoints import failpoint
from .spec import Release

if TYPE_CHECKING:
    from .spec import Archive

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# ELF's e_machine of each architecture.
ELF_MACHINES = {"amd64": 62, "arm64": 183}
RECORD = ".release.json"


class ArchiveRequired(Exception):
    """An archive that the action plugin must copy from the controller."""

    def __init__(self, architecture: str) -> None:
        super().__init__(architecture)
        self.architecture = architecture


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
        return bool(json.loads(record)["members"] == _members(path))
    except (ValueError, KeyError):
        return False


def stage(release: Release, name: str, program: str) -> bool:
    """Unpack a release unless it is intact; return whether it was unpacked.

    ``program`` is the main program's path in the release; it must be built for this host.
    """
    host = host_architecture()
    directory = release.directory(host)
    if intact(directory):
        return False
    # Most runs unpack nothing, so they need not load it.
    from . import archive

    archive_path = _obtain_archive(release, name, host)
    failpoint("after-download")
    # Components of one release may stage it at the same time.
    staging = path_of(f".staging-{directory}-{os.getpid()}")
    files.remove(staging)
    try:
        files.make_directory(staging)
        archive.unpack(archive_path, staging, release.name)
        _require_program(staging, program, host)
        _seal(staging)
    except BaseException:
        files.remove(staging)
        files.remove(layout.downloads(name))
        raise
    failpoint("after-unpack")
    if intact(directory):
        files.remove(staging)
    else:
        _install(staging, path_of(directory))
    files.remove(layout.downloads(name))
    return True


def require_available(release: Release, name: str) -> None:
    """Raise when staging could not obtain the archive; do not try the download."""
    host = host_architecture()
    archive = release.archive(host)
    downloaded = os.path.join(layout.downloads(name), archive["sha256"])
    if os.path.exists(downloaded) or host in release.pushable:
        return
    if not intact(release.directory(host)):
        _require_source(archive)


def _require_source(archive: Archive) -> None:
    if not archive["urls"] and archive.get("missing"):
        raise ComponentError(
            f"{archive['missing']}: not on the controller, and not downloaded, since"
            " monitoring_archives_dir is set without monitoring_mirrors; run the playbook bundle."
        )


def _obtain_archive(release: Release, name: str, host: str) -> str:
    from . import download

    archive = release.archive(host)
    sha256 = archive["sha256"]
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
    if host in release.pushable:
        raise ArchiveRequired(host)
    _require_source(archive)
    download.fetch(archive["urls"], sha256, path, archive.get("size"))
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
    record = json.dumps({"members": _members(staging)}, sort_keys=True)
    files.write(os.path.join(staging, RECORD), record.encode(), 0o444)
    files.sync_filesystem(staging)


def _install(staging: str, path: str) -> None:
    damaged = path_of(".damaged-" + os.path.basename(path))
    files.remove(damaged)
    if os.path.lexists(path):
        os.rename(path, damaged)
    os.rename(staging, path)
    files.sync_directory(layout.RELEASES)
    files.remove(damaged)


def _members(directory: str) -> dict[str, list[int]]:
    """Return size, mode and time of each file and link; raise ValueError for one not root's."""
    members = {}
    for path in files.tree(directory):
        if path != RECORD:
            status = os.lstat(os.path.join(directory, path))
            if status.st_uid or status.st_gid:
                raise ValueError(path)
            members[path] = [status.st_size, status.st_mode, status.st_mtime_ns]
    return members


def unused() -> list[str]:
    """Return the paths of releases that no generation uses, and of killed runs' leftovers."""
    used = set()
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
