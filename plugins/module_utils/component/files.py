# SPDX-License-Identifier: GPL-3.0-or-later
"""Atomic and durable writing of files, links and directories."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat
import subprocess

SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


def read(path: str) -> bytes | None:
    """Return the content of a regular file, or None; links are not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | SAFE)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def write(path: str, content: bytes, mode: int, gid: int = 0) -> None:
    """Write a new file durably in a directory that is not active, owned by root and ``gid``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFE, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchown(stream.fileno(), 0, gid)
            os.fchmod(stream.fileno(), mode)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        # The error of a full disk does not name the file.
        error.filename = path
        raise


def replace(path: str, content: bytes, mode: int) -> None:
    """Replace a file by one rename."""
    make_directory(os.path.dirname(path))
    temporary = path + ".new"
    remove(temporary)
    write(temporary, content, mode)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


def owned(path: str, mode: int, gid: int = 0) -> bool:
    """Return whether a path, not a link, has this mode and belongs to root and ``gid``."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    # Below a directory with the set-group-ID bit, directories have it too.
    bits = 0o777 if stat.S_ISDIR(status.st_mode) else 0o7777
    is_link = stat.S_ISLNK(status.st_mode)
    owners = (status.st_uid, status.st_gid)
    return not is_link and owners == (0, gid) and status.st_mode & bits == mode


def link(target: str, path: str) -> None:
    """Make ``path`` a link to ``target`` by one rename."""
    make_directory(os.path.dirname(path))
    temporary = path + ".new"
    remove(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


def copy_link(source: str, path: str) -> None:
    """Make ``path`` the same link as ``source``, which needs no room on a full disk."""
    temporary = path + ".new"
    remove(temporary)
    try:
        os.link(source, temporary, follow_symlinks=False)
    except OSError:
        # Not every file system has hard links to links.
        os.symlink(os.readlink(source), temporary)
    os.rename(temporary, path)
    # Both may have been the same link before, and then the rename does nothing.
    remove(temporary)
    sync_directory(os.path.dirname(path))


def create(path: str, content: bytes, mode: int) -> None:
    """Create a file by one link unless it exists."""
    make_directory(os.path.dirname(path))
    temporary = f"{path}.{os.getpid()}.new"
    remove(temporary)
    write(temporary, content, mode)
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    remove(temporary)
    sync_directory(os.path.dirname(path))


def link_target(path: str) -> str | None:
    """Return the target of a link, or None when there is no link."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def make_directory(path: str, mode: int = 0o755, gid: int = 0) -> None:
    """Create a directory and its parents, with these modes regardless of the umask."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        make_directory(parent)
    # In one call, since a directory that a killed run left with another mode would keep it.
    mask = os.umask(0)
    try:
        os.mkdir(path, mode)
        os.chown(path, 0, gid)
    except FileExistsError:
        # Another component's run may have created it.
        if not os.path.isdir(path):
            raise
    finally:
        os.umask(mask)


def remove(path: str) -> None:
    """Remove a file, link or directory tree, if there is one."""
    if os.path.isdir(path) and not os.path.islink(path):
        _remove_tree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _remove_tree(path: str) -> None:
    try:
        shutil.rmtree(path)
    except RecursionError:
        # A service can nest directories deeper than Python recurses; rm(1) does not recurse.
        command = ["rm", "-rf", "--", path]
        subprocess.run(command, check=False)  # pylint: disable=ansible-bad-function
        if os.path.lexists(path):
            raise OSError(f"{path}: rm could not remove it") from None


def remove_empty(path: str) -> None:
    """Remove a directory if it is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(path)


def sync_directory(path: str) -> None:
    """Make renames inside a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(path: str) -> None:
    """Write everything on the file system of a directory to disk; raise when that failed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "not written to disk", path)
    finally:
        os.close(descriptor)


def listing(path: str) -> list[str]:
    """Return the sorted names in a directory, which may be missing."""
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def tree(path: str) -> list[str]:
    """Return the sorted relative paths of all files and links below a directory."""
    paths: list[str] = []
    for parent, directories, names in os.walk(path):
        links = [
            name for name in directories if os.path.islink(os.path.join(parent, name))
        ]
        paths += [
            os.path.relpath(os.path.join(parent, name), path) for name in names + links
        ]
    return sorted(paths)
