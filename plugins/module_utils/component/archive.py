# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unpack an archive that may be hostile, into a directory that is not in force yet."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable

from . import files
from .component_errors import ComponentError

# More than any release of the stack needs, and less than what fills a disk by surprise.
LARGEST_RELEASE = 8 * 1024**3
MOST_MEMBERS = 200_000
LONGEST_TARGET = 4096
# What Python's readers raise on input that is cut, corrupt, encrypted or of an unknown kind.
UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    ValueError,
)


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
    try:
        links = _write_files(_members(archive, release_name), directory)
        for member in sorted(links, key=lambda link: link.kind):
            # Hard links come before symbolic ones, so that no path on the way to their target is a link.
            _link_member(member, directory)
        _flatten(directory, release_name)
        _refuse_leaving_links(directory)
    except UNREADABLE as error:
        told = str(error).splitlines() or [type(error).__name__]
        raise ComponentError(f"The archive cannot be unpacked: {told[0].rstrip(':.')}.") from error
    except OSError as error:
        raise ComponentError(
            f"The archive cannot be unpacked: {_told(error, directory)}."
        ) from error


def objection(member: Member) -> str:
    """Why a member is refused, or nothing. Pure."""
    parts = member.name.split("/")
    if member.name.startswith("/"):
        return "has an absolute path"
    if ".." in parts:
        return "climbs out of its directory"
    if (
        "\0" in member.name
        or "\\" in member.name
        or (not member.name.strip("/.") and member.kind != "directory")
    ):
        return "has no usable name"
    if member.kind == "other":
        return "is a device or a pipe"
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        return "has the setuid or setgid bit"
    if member.kind in ("symlink", "hardlink") and _leaves(member):
        return f"links to {member.target!r}, outside of the archive"
    return ""


def _leaves(member: Member) -> bool:
    """Whether a link's target is outside by its words; what chains of links do is judged when they are there."""
    base = os.path.dirname(member.name) if member.kind == "symlink" else ""
    target = os.path.normpath(os.path.join(base, member.target))
    return member.target.startswith("/") or target == ".." or target.startswith("../")


def _write_files(members: Iterator[Member], directory: str) -> list:
    """Write every regular file, and return the links, which come last so that nothing is written through one."""
    links: list = []
    total = 0
    for count, member in enumerate(members, 1):
        refusal = objection(member)
        if refusal:
            raise ComponentError(f"The archive is refused: member {member.name!r} {refusal}.")
        total += member.size
        if total > LARGEST_RELEASE or count > MOST_MEMBERS:
            raise ComponentError(
                f"The archive is refused: it unpacks to more than {LARGEST_RELEASE} bytes or {MOST_MEMBERS} members."
            )
        if member.kind == "file":
            _write_member(member, directory)
        elif member.kind != "directory":
            links.append(member)
    return links


def _members(archive: str, release_name: str) -> Iterator[Member]:
    start = _start(archive)
    if start == b"\x7fELF":
        size = os.path.getsize(archive)
        return iter([Member(release_name, "file", 0o755, size, "", lambda: open(archive, "rb"))])
    return _zip_members(archive) if start.startswith(b"PK") else _tar_members(archive)


def _tar_members(archive: str) -> Iterator[Member]:
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


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isreg():
        return "file"
    if info.isdir():
        return "directory"
    if info.issym():
        return "symlink"
    return "hardlink" if info.islnk() else "other"


def _zip_members(archive: str) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as bundle:
        for info in bundle.infolist():
            mode = info.external_attr >> 16
            kind = _zip_kind(info, mode)
            yield Member(
                name=_plain(info.filename.rstrip("/")),
                kind=kind,
                mode=mode,
                size=info.file_size,
                target=_zip_target(bundle, info) if kind == "symlink" else "",
                open=lambda info=info: bundle.open(info),
            )


def _zip_kind(info: zipfile.ZipInfo, mode: int) -> str:
    if info.is_dir():
        return "directory"
    if stat.S_ISLNK(mode):
        return "symlink"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "other"


def _zip_target(bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    with bundle.open(info) as stream:
        return stream.read(LONGEST_TARGET).decode("utf-8", "surrogateescape")


def _plain(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return name


def _write_member(member: Member, directory: str) -> None:
    path = os.path.join(directory, member.name)
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = _create(member, path, lambda: os.open(path, new, 0o600))
    with os.fdopen(descriptor, "wb") as target, member.open() as source:
        shutil.copyfileobj(source, target, 1024 * 1024)
        os.fchown(target.fileno(), 0, 0)
    os.chmod(path, 0o555 if member.mode & 0o111 or _start(path) == b"\x7fELF" else 0o444)


def _link_member(member: Member, directory: str) -> None:
    path = os.path.normpath(os.path.join(os.path.realpath(directory), member.name))
    if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path):
        raise ComponentError(f"The archive is refused: member {member.name!r} goes through a link.")
    if member.kind == "symlink":
        _create(member, path, lambda: os.symlink(member.target, path))
        return
    target = os.path.join(directory, _plain(member.target))
    if not os.path.isfile(target) or os.path.islink(target):
        raise ComponentError(
            f"The archive is refused: member {member.name!r} links to {member.target!r}, not a file of it."
        )
    _create(member, path, lambda: os.link(target, path, follow_symlinks=False))


def _create(member: Member, path: str, create: Callable[[], Any]) -> Any:
    try:
        files.make_directory(os.path.dirname(path))
        return create()
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ComponentError(
            f"The archive is refused: member {member.name!r} is in the way of another one."
        ) from None


def _refuse_leaving_links(directory: str) -> None:
    """Refuse a link that leads out over other links, such as ``a -> .`` and ``b -> a/..``."""
    root = os.path.realpath(directory)
    for path in files.tree(directory):
        link = os.path.join(directory, path)
        if os.path.islink(link) and os.path.commonpath([root, os.path.realpath(link)]) != root:
            raise ComponentError(
                f"The archive is refused: member {path!r} leads out of it by a chain of links."
            )


def _flatten(directory: str, release_name: str) -> None:
    names = files.listing(directory)
    if len(names) != 1:
        return
    only = os.path.join(directory, names[0])
    if os.path.isdir(only) and not os.path.islink(only):
        wrapper = os.path.join(directory, _other_name(files.listing(only)))
        os.rename(only, wrapper)
        for name in files.listing(wrapper):
            os.rename(os.path.join(wrapper, name), os.path.join(directory, name))
        os.rmdir(wrapper)
        names = files.listing(directory)
        only = os.path.join(directory, names[0]) if len(names) == 1 else ""
    if only and os.path.isfile(only) and not os.path.islink(only):
        os.rename(only, os.path.join(directory, release_name))


def _other_name(names: list) -> str:
    name = ".wrapper"
    while name in names:
        name += "_"
    return name


def _start(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(4)


def _told(error: OSError, directory: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{directory} has no room left"
    return str(error)
