# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives whose bytes depend only on their members, not on times, owners or machine names."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

# 2000-01-01, the same for every member.
ZIP_TIME = (2000, 1, 1, 0, 0, 0)
TAR_TIME = 946684800


def pack(archive: Path, members: dict[str, Path], top: str = "") -> None:
    """Write a .zip or .tar.gz of files, below a directory `top` if given.

    Programs stay executable.
    """
    if archive.suffix == ".zip":
        pack_zip(archive, members)
    else:
        pack_tar(archive, members, top)


def pack_zip(archive: Path, members: dict[str, Path]) -> None:
    """Write a zip."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as output:
        for name, path in sorted(members.items()):
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | mode(path)) << 16
            entry.file_size = path.stat().st_size
            with output.open(entry, "w") as target, open(path, "rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)


def pack_tar(archive: Path, members: dict[str, Path], top: str) -> None:
    """Write a gzipped tar."""
    with (
        open(archive, "wb") as raw,
        gzip.GzipFile(
            filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6
        ) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as output,
    ):
        if top:
            directory = tar_entry(top, 0o755)
            directory.type = tarfile.DIRTYPE
            output.addfile(directory, io.BytesIO())
        for name, path in sorted(members.items()):
            entry = tar_entry(f"{top}/{name}" if top else name, mode(path))
            entry.size = path.stat().st_size
            with open(path, "rb") as source:
                output.addfile(entry, source)


def tar_entry(name: str, permissions: int) -> tarfile.TarInfo:
    """Return a member that belongs to root."""
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = permissions, TAR_TIME
    entry.uname = entry.gname = "root"
    return entry


def mode(path: Path) -> int:
    """Return 0755 for a program, 0644 for any other file."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644
