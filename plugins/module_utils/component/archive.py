# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unpack an archive that may be hostile, into a directory that is not in force yet."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
from dataclasses import dataclass
from typing import Any, Callable

from . import files
from .errors import ComponentError

# More than any release of the stack needs, and less than what fills a disk by surprise.
LARGEST_RELEASE = 8 * 1024**3


@dataclass(frozen=True)
class Member:
    """One entry of an archive, whatever its format is."""

    name: str
    kind: str
    mode: int
    size: int
    target: str
    open: Callable[[], Any]


def unpack(archive: str, directory: str, release_name: str) -> None:
    """Unpack ``archive`` into the empty ``directory``; raise ComponentError naming the member that is refused.

    One directory around everything is taken away; a file alone is named ``release_name``.
    """
    links: list = []
    total = 0
    for member in _members(archive, release_name):
        refusal = objection(member)
        if refusal:
            raise ComponentError(f"The archive is refused: member {member.name!r} {refusal}.")
        total += member.size
        if total > LARGEST_RELEASE:
            raise ComponentError(f"The archive is refused: it unpacks to more than {LARGEST_RELEASE} bytes.")
        if member.kind == "file":
            _write_member(member, directory)
        elif member.kind != "directory":
            links.append(member)
    for member in links:
        _link_member(member, directory)
    _flatten(directory, release_name)


def objection(member: Member) -> str:
    """Why a member is refused, or nothing. Pure."""
    parts = member.name.split("/")
    if member.name.startswith("/") or "\\" in member.name:
        return "has an absolute path"
    if ".." in parts:
        return "climbs out of its directory"
    if member.kind == "other":
        return "is a device or a pipe"
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        return "has the setuid or setgid bit"
    if member.kind in ("symlink", "hardlink") and _leaves(member):
        return f"links to {member.target!r}, outside of the archive"
    return ""


def _leaves(member: Member) -> bool:
    base = os.path.dirname(member.name) if member.kind == "symlink" else ""
    target = os.path.normpath(os.path.join(base, member.target))
    return member.target.startswith("/") or target == ".." or target.startswith("../")


def _members(archive: str, release_name: str) -> Any:
    if zipfile.is_zipfile(archive) and not _is_elf(archive):
        return _zip_members(archive)
    if _is_elf(archive):
        size = os.path.getsize(archive)
        return iter([Member(release_name, "file", 0o755, size, "", lambda: open(archive, "rb"))])
    return _tar_members(archive)


def _tar_members(archive: str) -> Any:
    try:
        with tarfile.open(archive, "r:*") as tar:
            for info in tar:
                yield Member(
                    name=_plain(info.name),
                    kind=_tar_kind(info),
                    mode=info.mode,
                    size=info.size,
                    target=info.linkname,
                    open=lambda info=info: tar.extractfile(info),
                )
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ComponentError(f"The archive cannot be unpacked: {error}.") from error


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isreg():
        return "file"
    if info.isdir():
        return "directory"
    if info.issym():
        return "symlink"
    return "hardlink" if info.islnk() else "other"


def _zip_members(archive: str) -> Any:
    try:
        with zipfile.ZipFile(archive) as bundle:
            for info in bundle.infolist():
                mode = info.external_attr >> 16
                yield Member(
                    name=_plain(info.filename.rstrip("/")),
                    kind=_zip_kind(info, mode),
                    mode=mode,
                    size=info.file_size,
                    target=bundle.read(info).decode("utf-8", "replace") if stat.S_ISLNK(mode) else "",
                    open=lambda info=info: bundle.open(info),
                )
    except zipfile.BadZipFile as error:
        raise ComponentError(f"The archive cannot be unpacked: {error}.") from error


def _zip_kind(info: zipfile.ZipInfo, mode: int) -> str:
    if info.is_dir():
        return "directory"
    if stat.S_ISLNK(mode):
        return "symlink"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "other"


def _plain(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return name


def _write_member(member: Member, directory: str) -> None:
    path = os.path.join(directory, member.name)
    files.make_directory(os.path.dirname(path))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ComponentError(f"The archive is refused: member {member.name!r} is there twice.") from None
    with os.fdopen(descriptor, "wb") as target, member.open() as source:
        shutil.copyfileobj(source, target, 1024 * 1024)
        os.fchown(target.fileno(), 0, 0)
    os.chmod(path, 0o555 if member.mode & 0o111 or _is_elf(path) else 0o444)


def _link_member(member: Member, directory: str) -> None:
    path = os.path.join(directory, member.name)
    files.make_directory(os.path.dirname(path))
    if os.path.lexists(path):
        raise ComponentError(f"The archive is refused: member {member.name!r} is there twice.")
    if member.kind == "symlink":
        os.symlink(member.target, path)
    else:
        os.link(os.path.join(directory, _plain(member.target)), path, follow_symlinks=False)


def _flatten(directory: str, release_name: str) -> None:
    names = files.listing(directory)
    if len(names) != 1:
        return
    only = os.path.join(directory, names[0])
    if os.path.isdir(only) and not os.path.islink(only):
        wrapper = os.path.join(directory, ".wrapper")
        os.rename(only, wrapper)
        for name in files.listing(wrapper):
            os.rename(os.path.join(wrapper, name), os.path.join(directory, name))
        os.rmdir(wrapper)
        names = files.listing(directory)
        only = os.path.join(directory, names[0]) if len(names) == 1 else ""
    if only and os.path.isfile(only) and not os.path.islink(only):
        os.rename(only, os.path.join(directory, release_name))


def _is_elf(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(4) == b"\x7fELF"
