# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are either wholly there or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat


def read(path: str) -> bytes | None:
    """Content of a regular file, without following a link; None when there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def write(path: str, content: bytes, mode: int, gid: int = 0) -> None:
    """Write a new file durably, owned by root and ``gid``; the caller's directory is not in force yet."""
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            os.fchown(stream.fileno(), 0, gid)
            os.fchmod(stream.fileno(), mode)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        # A disk that is full does not say which one it is.
        error.filename = path
        raise


def replace(path: str, content: bytes, mode: int) -> None:
    """Put a file in place by rename, so that a reader sees the old one or the new one."""
    make_directory(os.path.dirname(path))
    temporary = path + ".new"
    remove(temporary)
    write(temporary, content, mode)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


def link(target: str, path: str) -> None:
    """Make ``path`` a link to ``target`` by one rename."""
    make_directory(os.path.dirname(path))
    temporary = path + ".new"
    remove(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


def link_target(path: str) -> str | None:
    """Where a link points, or None when it is no link."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def make_directory(path: str, mode: int = 0o755, gid: int = 0) -> None:
    """Create a directory and its parents with just these modes, whatever the umask is."""
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
        # Another component's run made it just now.
        if not os.path.isdir(path):
            raise
    finally:
        os.umask(mask)


def remove(path: str) -> None:
    """Remove a file, link or whole directory; nothing there is fine."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def remove_empty(path: str) -> None:
    """Remove a directory in which there is nothing."""
    with contextlib.suppress(OSError):
        os.rmdir(path)


def sync_directory(path: str) -> None:
    """Make renames inside a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def listing(path: str) -> list:
    """Sorted names in a directory; none when it is not there."""
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def tree(path: str) -> list:
    """Relative paths of everything below a directory that is not a directory."""
    found = []
    for directory, names, files in os.walk(path):
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        found += [os.path.relpath(os.path.join(directory, name), path) for name in files + links]
    return sorted(found)
