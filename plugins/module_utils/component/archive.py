# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack an archive that may be hostile into a directory that is not active yet."""

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
from functools import partial
from typing import Any, Callable

from . import files
from .component_errors import ComponentError

# More than any release of the stack needs, and less than what fills a disk by surprise.
LARGEST_RELEASE = 8 * 1024**3
MOST_MEMBERS = 200_000
LONGEST_TARGET = 4096
# Kinds of headers that precede a member, and more than their names and times need.
EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
LONGEST_EXTENSION = 256 * 1024
ELF_MAGIC = b"\x7fELF"
# Python's readers raise these on input that is cut, corrupt, encrypted or of an unknown kind.
UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    ValueError,
)


class TarMember(tarfile.TarInfo):
    """A member of a tar archive whose long name or attributes are read into memory."""

    def _proc_member(self, *arguments: Any) -> Any:
        if self.type in EXTENSIONS and self.size > LONGEST_EXTENSION:
            raise ComponentError(
                f"Archive: refused, as it has a header of {self.size} bytes."
            )
        return super()._proc_member(*arguments)  # type: ignore[misc]


@dataclass(frozen=True)
class Member:
    """One entry of an archive; ``kind`` is file, directory, symlink, hardlink or special."""

    name: str
    kind: str
    mode: int
    size: int
    target: str
    open: Callable[[], Any]


def unpack(archive: str, directory: str, release_name: str) -> None:
    """Unpack ``archive`` into the empty ``directory``; raise naming the member that is refused.

    A single directory around all members is removed; a single file is named ``release_name``.
    """
    try:
        links = _write_files(_members(archive, release_name), directory)
        # Hard links precede symbolic ones, so that no path to their target contains a link.
        for member in sorted(links, key=lambda link: link.kind):
            _write(member, directory)
        _flatten(directory, release_name)
        _refuse_escaping_links(directory)
    except UNREADABLE as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise _not_unpacked(release_name, lines[0].rstrip(":.")) from error
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cause = f"no space left in {directory}" if is_full else str(error)
        raise _not_unpacked(release_name, cause) from error


def _not_unpacked(release_name: str, cause: str) -> ComponentError:
    return ComponentError(
        f"Archive of {release_name}: it cannot be unpacked ({cause})."
    )


def blocker(member: Member) -> str | None:
    """Return the reason to refuse a member, or None. Pure."""
    if member.name.startswith("/"):
        return "absolute path"
    if ".." in member.name.split("/"):
        return "path climbs out of the archive"
    unnamed = not member.name.strip("/.") and member.kind != "directory"
    if unnamed or "\0" in member.name or "\\" in member.name:
        return "unusable name"
    if member.kind == "special":
        return "device or pipe"
    if member.mode & (stat.S_ISUID | stat.S_ISGID):
        return "setuid or setgid bit"
    if member.kind in ("symlink", "hardlink") and _points_outside(member):
        return f"link to {member.target!r}, outside of the archive"
    return None


def _points_outside(member: Member) -> bool:
    """Return whether a link's target is outside by its path alone."""
    base = os.path.dirname(member.name) if member.kind == "symlink" else ""
    target = os.path.normpath(os.path.join(base, member.target))
    return member.target.startswith("/") or target == ".." or target.startswith("../")


def _refused(name: str, reason: str) -> ComponentError:
    return ComponentError(f"Archive member {name!r}: {reason}; the archive is refused.")


def _write_files(members: Iterator[Member], directory: str) -> list[Member]:
    """Write the files; return the links, which come last so that no file goes through one."""
    links: list[Member] = []
    total = 0
    for count, member in enumerate(members, 1):
        reason = blocker(member)
        if reason:
            raise _refused(member.name, reason)
        total += member.size
        if total > LARGEST_RELEASE or count > MOST_MEMBERS:
            raise ComponentError(
                f"Archive: refused, as it has more than {LARGEST_RELEASE} bytes"
                f" or {MOST_MEMBERS} members."
            )
        if member.kind == "file":
            _write(member, directory)
        elif member.kind != "directory":
            links.append(member)
    return links


def _members(archive: str, release_name: str) -> Iterator[Member]:
    start = _first_bytes(archive)
    if start == ELF_MAGIC:
        size = os.path.getsize(archive)
        stream = partial(open, archive, "rb")
        return iter([Member(release_name, "file", 0o755, size, "", stream)])
    if start.startswith(b"PK"):
        return _zip_members(archive)
    return _tar_members(archive)


def _tar_members(archive: str) -> Iterator[Member]:
    with tarfile.open(archive, "r:*", tarinfo=TarMember) as tar:
        for info in tar:
            yield Member(
                name=_without_dot(info.name),
                kind=_tar_kind(info),
                mode=info.mode,
                size=info.size,
                target=info.linkname,
                open=partial(tar.extractfile, info),
            )


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isreg():
        return "file"
    if info.isdir():
        return "directory"
    if info.issym():
        return "symlink"
    return "hardlink" if info.islnk() else "special"


def _zip_members(archive: str) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as bundle:
        for info in bundle.infolist():
            mode = info.external_attr >> 16
            kind = _zip_kind(info, mode)
            yield Member(
                name=_without_dot(info.filename.rstrip("/")),
                kind=kind,
                mode=mode,
                size=info.file_size,
                target=_zip_target(bundle, info) if kind == "symlink" else "",
                open=partial(bundle.open, info),
            )


def _zip_kind(info: zipfile.ZipInfo, mode: int) -> str:
    if info.is_dir():
        return "directory"
    if stat.S_ISLNK(mode):
        return "symlink"
    return "file" if stat.S_IFMT(mode) in (0, stat.S_IFREG) else "special"


def _zip_target(bundle: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    with bundle.open(info) as stream:
        return stream.read(LONGEST_TARGET).decode("utf-8", "surrogateescape")


def _without_dot(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return name


def _write(member: Member, directory: str) -> None:
    try:
        if member.kind == "file":
            _write_file(member, os.path.join(directory, member.name))
        else:
            _write_link(member, directory)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _refused(member.name, "path conflicts with another member") from None


def _write_file(member: Member, path: str) -> None:
    files.make_directory(os.path.dirname(path))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    with os.fdopen(descriptor, "wb") as target, member.open() as source:
        shutil.copyfileobj(source, target, 1024 * 1024)
        os.fchown(target.fileno(), 0, 0)
    executable = member.mode & 0o111 or _first_bytes(path) == ELF_MAGIC
    os.chmod(path, 0o555 if executable else 0o444)


def _write_link(member: Member, directory: str) -> None:
    path = os.path.normpath(os.path.join(os.path.realpath(directory), member.name))
    parent = os.path.dirname(path)
    if os.path.realpath(parent) != parent:
        raise _refused(member.name, "path goes through a link")
    target = os.path.join(directory, _without_dot(member.target))
    is_file = os.path.isfile(target) and not os.path.islink(target)
    if member.kind == "hardlink" and not is_file:
        raise _refused(
            member.name, f"link to {member.target!r}, not a file of the archive"
        )
    files.make_directory(parent)
    if member.kind == "hardlink":
        os.link(target, path, follow_symlinks=False)
    else:
        os.symlink(member.target, path)


def _refuse_escaping_links(directory: str) -> None:
    """Refuse a link that leads out over other links, such as ``a -> .`` and ``b -> a/..``."""
    root = os.path.realpath(directory)
    for path in files.tree(directory):
        link = os.path.join(directory, path)
        if (
            os.path.islink(link)
            and os.path.commonpath([root, os.path.realpath(link)]) != root
        ):
            raise _refused(path, "chain of links out of the archive")


def _flatten(directory: str, release_name: str) -> None:
    member = _only_member(directory)
    if member and os.path.isdir(member):
        _unwrap(directory, member)
        member = _only_member(directory)
    if member and os.path.isfile(member):
        os.rename(member, os.path.join(directory, release_name))


def _only_member(directory: str) -> str | None:
    names = files.listing(directory)
    if len(names) != 1:
        return None
    path = os.path.join(directory, names[0])
    return None if os.path.islink(path) else path


def _unwrap(directory: str, inner: str) -> None:
    """Replace ``inner`` by its content, one entry of which may have the same name."""
    names = files.listing(inner)
    wrapper_name = ".wrapper"
    while wrapper_name in names:
        wrapper_name += "_"
    wrapper = os.path.join(directory, wrapper_name)
    os.rename(inner, wrapper)
    for name in names:
        os.rename(os.path.join(wrapper, name), os.path.join(directory, name))
    os.rmdir(wrapper)


def _first_bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(4)
