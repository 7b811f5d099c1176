# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking of good and of hostile archives."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    archive,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.archive import (
    Member,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)

ELF = b"\x7fELF" + bytes(60)


def tar_of(path: Path, *members: tuple, mode: str = "w:gz") -> Path:
    """Write a tar of (name, content, changes of its header)."""
    with tarfile.open(path, mode) as tar:
        for name, content, *changes in members:
            info = tarfile.TarInfo(name)
            info.mode = 0o644
            info.size = len(content)
            for key, value in (changes[0] if changes else {}).items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


def zip_of(path: Path, *members: tuple) -> Path:
    """Write a zip of (name, content, Unix mode)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content, *mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode[0] if mode else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(info, content)
    return path


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> dict:
    return {"type": kind, "linkname": target}


@pytest.fixture
def unpacked(root: None, tmp_path: Path) -> Callable[[Path], dict]:
    """Return a function that unpacks an archive and returns its members by path.

    A member is its content and mode, or the target of a link.
    """
    directory = tmp_path / "release"
    directory.mkdir()

    def unpack(path: Path) -> dict:
        before = paths_outside(directory)
        try:
            archive.unpack(str(path), str(directory), "loki")
        finally:
            assert paths_outside(directory) == before, "something was written outside"
        members: dict = {}
        for member in directory.rglob("*"):
            name = str(member.relative_to(directory))
            if member.is_symlink():
                members[name] = os.readlink(member)
            elif member.is_file():
                members[name] = (
                    member.read_bytes(),
                    oct(member.stat().st_mode & 0o7777),
                )
        return members

    return unpack


def paths_outside(directory: Path) -> dict:
    """Return mode, size and links of each path beside ``directory``."""
    return {
        path: (path.lstat().st_mode, path.lstat().st_size, path.lstat().st_nlink)
        for path in directory.parent.rglob("*")
        if directory != path and directory not in path.parents
    }


def test_a_tar_with_one_directory_around_everything_is_flattened(
    tmp_path: Path, unpacked: Callable
) -> None:
    path = tar_of(
        tmp_path / "a",
        ("./", b"", {"type": tarfile.DIRTYPE, "mode": 0o777}),
        ("./loki-1.linux/", b"", {"type": tarfile.DIRTYPE, "mode": 0o700}),
        (
            "./loki-1.linux/loki",
            b"program",
            {"mode": 0o755, "uid": 1000, "uname": "builder"},
        ),
        ("./loki-1.linux/conf/LICENSE", b"text", {"mode": 0o666}),
    )
    assert unpacked(path) == {
        "loki": (b"program", "0o555"),
        "conf/LICENSE": (b"text", "0o444"),
    }
    owners = {
        (member.stat().st_uid, member.stat().st_gid)
        for member in (tmp_path / "release").rglob("*")
    }
    assert owners == {(0, 0)}


def test_a_flat_tar_stays_flat(tmp_path: Path, unpacked: Callable) -> None:
    path = tar_of(
        tmp_path / "a",
        ("otelcol-contrib", ELF, {"mode": 0o755}),
        ("README.md", b""),
        mode="w:xz",
    )
    assert unpacked(path) == {
        "otelcol-contrib": (ELF, "0o555"),
        "README.md": (b"", "0o444"),
    }


def test_the_only_file_of_a_zip_is_named_after_the_release_and_executable(
    tmp_path: Path, unpacked: Callable
) -> None:
    assert unpacked(zip_of(tmp_path / "a", ("loki-linux-amd64", ELF))) == {
        "loki": (ELF, "0o555")
    }


def test_a_program_without_an_archive_is_named_after_the_release(
    tmp_path: Path, unpacked: Callable
) -> None:
    # A zip is recognized by its end, which must not decide here.
    zip_of(tmp_path / "tail", ("evil", b"x"))
    program = ELF + (tmp_path / "tail").read_bytes()
    (tmp_path / "a").write_bytes(program)
    assert unpacked(tmp_path / "a") == {"loki": (program, "0o555")}


def test_a_tar_with_the_end_of_a_zip_is_read_as_a_tar(
    tmp_path: Path, unpacked: Callable
) -> None:
    zip_of(tmp_path / "tail", ("evil", b"x"))
    path = tar_of(tmp_path / "a", ("first", b"1"), ("second", b"2"), mode="w")
    path.write_bytes(path.read_bytes() + (tmp_path / "tail").read_bytes())
    assert sorted(unpacked(path)) == ["first", "second"]


def test_links_inside_are_kept(tmp_path: Path, unpacked: Callable) -> None:
    path = tar_of(
        tmp_path / "a",
        ("top/lib/so.1", b"x"),
        ("top/lib/so", b"", link("so.1")),
        ("top/bin", b"", link("./lib/../lib")),
        ("top/twin", b"", link("top/lib/so.1", tarfile.LNKTYPE)),
    )
    members = unpacked(path)
    assert members["lib/so"] == "so.1"
    assert members["bin"] == "./lib/../lib"
    assert members["twin"] == (b"x", "0o444")


def test_a_directory_with_the_name_of_the_temporary_one_is_kept(
    tmp_path: Path, unpacked: Callable
) -> None:
    path = tar_of(tmp_path / "a", ("top/.wrapper/x", b"1"), ("top/.wrapper_", b"2"))
    assert sorted(unpacked(path)) == [".wrapper/x", ".wrapper_"]


HOSTILE_TARS = {
    "climbs out": ([("../evil", b"x")], "'../evil': path climbs out"),
    "climbs out on the way": ([("a/../../evil", b"x")], "climbs out"),
    "is the parent": ([("a/..", b"x")], "climbs out"),
    "absolute": ([("/etc/evil", b"x")], "'/etc/evil': absolute path"),
    "absolute after a dot": ([(".//etc/evil", b"x")], "absolute path"),
    "backslashes": ([("a\\..\\b", b"x")], "unusable name"),
    "a file without a name": (
        [("./", b"x", {"type": tarfile.REGTYPE})],
        "unusable name",
    ),
    "absolute link": (
        [("l", b"", link("/etc/passwd"))],
        "'l': link to '/etc/passwd', outside",
    ),
    "link out": ([("a/l", b"", link("../../x"))], "outside of the archive"),
    "link out, disguised": (
        [("a/l", b"", link("b/../../../x"))],
        "outside of the archive",
    ),
    "link to the parent": ([("l", b"", link(".."))], "outside of the archive"),
    "hard link out": (
        [("h", b"", link("../outside", tarfile.LNKTYPE))],
        "outside of the archive",
    ),
    "absolute hard link": (
        [("h", b"", link("/etc/passwd", tarfile.LNKTYPE))],
        "outside of the archive",
    ),
    "hard link to nothing": (
        [("h", b"", link("absent", tarfile.LNKTYPE))],
        "not a file of the archive",
    ),
    "link out, file through it": (
        [("d", b"", link("..")), ("d/x", b"x")],
        "outside of the archive",
    ),
    "link and a file through it": (
        [("e/x", b"x"), ("d", b"", link("e")), ("d/x", b"y")],
        "conflicts with another",
    ),
    "chain of links out": (
        [("a", b"", link(".")), ("b", b"", link("a/.."))],
        "chain of links",
    ),
    "longer chain of links out": (
        [("t/a", b"", link(".")), ("t/b", b"", link("a/../.."))],
        "outside of the archive|chain of links",
    ),
    "link that leads out once it is flattened": (
        [("t/a", b"", link("../t/x"))],
        "chain of links",
    ),
    "link through a chain of links": (
        [("a", b"", link(".")), ("b", b"", link("a/..")), ("b/evil", b"", link("x"))],
        "goes through a link",
    ),
    "hard link through a chain of links": (
        [
            ("a", b"", link(".")),
            ("b", b"", link("a/..")),
            ("h", b"", link("b/outside", tarfile.LNKTYPE)),
        ],
        "not a file of the archive",
    ),
    "device": ([("null", b"", {"type": tarfile.CHRTYPE})], "'null': device"),
    "block device": ([("disk", b"", {"type": tarfile.BLKTYPE})], "device or pipe"),
    "pipe": ([("pipe", b"", {"type": tarfile.FIFOTYPE})], "'pipe': device or pipe"),
    "setuid": ([("su", b"x", {"mode": 0o4755})], "'su': setuid"),
    "setgid": ([("sg", b"x", {"mode": 0o2755})], "setgid bit"),
    "setgid directory": (
        [("sd", b"", {"type": tarfile.DIRTYPE, "mode": 0o2755})],
        "setgid bit",
    ),
    "twice": ([("a", b"1"), ("b", b""), ("a", b"2")], "'a': path conflicts"),
    "twice by another name": ([("a", b"1"), ("./a", b"2")], "'a': path conflicts"),
    "a file below a file": ([("a", b"1"), ("a/b", b"2")], "conflicts with another"),
    "a file in place of a directory": (
        [("a/b", b"1"), ("a", b"2")],
        "conflicts with another",
    ),
    "a link twice": (
        [("a", b"", link("x")), ("a", b"", link("y"))],
        "conflicts with another",
    ),
}


@pytest.mark.parametrize(
    ("members", "message"), HOSTILE_TARS.values(), ids=HOSTILE_TARS
)
@pytest.mark.parametrize(
    "first", [[], [("harmless", b"x")]], ids=["alone", "after another"]
)
def test_a_hostile_tar_is_refused(
    tmp_path: Path,
    unpacked: Callable,
    members: list,
    message: str,
    first: list,
    request: pytest.FixtureRequest,
) -> None:
    (tmp_path / "outside").write_bytes(b"not of the archive")
    if first and "flattened" in request.node.name:
        # Beside another file nothing is flattened, so the link stays inside.
        assert unpacked(tar_of(tmp_path / "a", *first, *members))["t/a"] == "../t/x"
        return
    with pytest.raises(ComponentError, match=message):
        unpacked(tar_of(tmp_path / "a", *first, *members))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param([("../evil", b"x")], "climbs out", id="climbs out"),
        pytest.param([("/evil", b"x")], "absolute path", id="absolute"),
        pytest.param(
            [("l", b"/etc/passwd", 0o120777)], "outside of the archive", id="link out"
        ),
        pytest.param(
            [("l", b"x" * 5000, 0o120777)],
            "cannot be unpacked",
            id="a link longer than any path",
        ),
        pytest.param([("pipe", b"", 0o010644)], "device or pipe", id="pipe"),
        pytest.param([("su", b"x", 0o104755)], "setuid", id="setuid"),
    ],
)
def test_a_hostile_zip_is_refused(
    tmp_path: Path, unpacked: Callable, members: list, message: str
) -> None:
    with pytest.raises(ComponentError, match=message):
        unpacked(zip_of(tmp_path / "a", *members))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_a_member_twice_is_refused(
    tmp_path: Path, unpacked: Callable
) -> None:
    with pytest.raises(ComponentError, match="conflicts with another"):
        unpacked(zip_of(tmp_path / "a", ("x", b"1"), ("x", b"2")))


def sparse_bomb(path: Path) -> Path:
    """Write a tar of a few bytes whose header declares a sparse file of twenty megabytes."""
    info = tarfile.TarInfo("bomb")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    size = 20_000_000
    # GNU's old sparse header: four entries of offset and length at 386, the real size at 483 in
    # base 256.
    header[386:410] = b"00000000000\x00" * 2
    header[483:495] = b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    path.write_bytes(bytes(header) + bytes(1024))
    return path


def test_a_bomb_is_refused_by_its_declared_size(
    tmp_path: Path, unpacked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Below the real limit, so that a regression does not fill the disk.
    monkeypatch.setattr(archive, "LARGEST_RELEASE", 10_000_000)
    with pytest.raises(ComponentError, match="more than 10000000 bytes"):
        unpacked(sparse_bomb(tmp_path / "a"))
    assert list((tmp_path / "release").iterdir()) == []


def test_a_bomb_of_many_files_is_refused(
    tmp_path: Path, unpacked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LARGEST_RELEASE", 1000)
    with pytest.raises(ComponentError, match="more than 1000 bytes"):
        unpacked(
            zip_of(tmp_path / "a", *[(str(number), bytes(300)) for number in range(4)])
        )
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    shutil.rmtree(tmp_path / "release")
    (tmp_path / "release").mkdir()
    with pytest.raises(ComponentError, match="3 members"):
        unpacked(tar_of(tmp_path / "b", *[(str(number), b"") for number in range(4)]))


def test_a_zip_that_declares_a_wrong_size_is_refused(
    tmp_path: Path, unpacked: Callable
) -> None:
    path = zip_of(tmp_path / "a", ("a", bytes(100_000)), ("b", b""))
    data = path.read_bytes()
    size, wrong_size = (100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, wrong_size))
    with pytest.raises(ComponentError, match="cannot be unpacked"):
        unpacked(path)


CONTENTS = (("a", os.urandom(50_000)), ("b", b"x"))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(partial(tar_of, mode="w:gz"), id="tar.gz"),
        pytest.param(partial(tar_of, mode="w:xz"), id="tar.xz"),
        pytest.param(partial(tar_of, mode="w:bz2"), id="tar.bz2"),
        pytest.param(partial(tar_of, mode="w"), id="tar"),
        pytest.param(zip_of, id="zip"),
    ],
)
def test_an_archive_that_is_cut_or_corrupt_is_refused(
    tmp_path: Path, unpacked: Callable, make: Callable, request: Any
) -> None:
    whole = make(tmp_path / "a", *CONTENTS).read_bytes()
    for length in (len(whole) // 2, 300, 3, 0):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(ComponentError, match="cannot be unpacked"):
            unpacked(tmp_path / "cut")
        shutil.rmtree(tmp_path / "release")
        (tmp_path / "release").mkdir()
    # A tar has no checksum over its content, and gzip's comes after the end; there only the
    # SHA-256 of the archive protects.
    if not request.node.name.endswith(("[tar]", "[tar.gz]")):
        middle = len(whole) // 2
        corrupt = bytes(byte ^ 255 for byte in whole[middle : middle + 9])
        (tmp_path / "corrupt").write_bytes(
            whole[:middle] + corrupt + whole[middle + 9 :]
        )
        with pytest.raises(ComponentError, match="cannot be unpacked"):
            unpacked(tmp_path / "corrupt")


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><html>Sign in</html>" * 40,
        b"",
        b"PK",
        b"PK\x03\x04" + bytes(90),
    ],
)
def test_a_file_that_is_no_archive_is_refused_in_one_line(
    tmp_path: Path, unpacked: Callable, content: bytes
) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ComponentError) as caught:
        unpacked(tmp_path / "a")
    assert str(caught.value).startswith("Archive of loki: it cannot be unpacked (")
    assert "\n" not in str(caught.value)


def test_an_encrypted_zip_is_refused(tmp_path: Path, unpacked: Callable) -> None:
    path = zip_of(tmp_path / "a", ("a", b"x"))
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ComponentError, match="encrypted"):
        unpacked(path)


def test_a_full_disk_is_reported(
    tmp_path: Path, unpacked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(ComponentError, match=r"no space left in .*/release"):
        unpacked(tar_of(tmp_path / "a", ("a", b"x"), ("b", b"x")))


def test_the_umask_does_not_change_the_modes(
    tmp_path: Path, unpacked: Callable
) -> None:
    before = os.umask(0o077)
    try:
        unpacked(tar_of(tmp_path / "a", ("d/a", b"x"), ("b", b"x")))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "release/d").stat().st_mode) == 0o755


def member(
    name: str, kind: str = "file", mode: int = 0o644, target: str = ""
) -> Member:
    return Member(name, kind, mode, 0, target, io.BytesIO)


@pytest.mark.parametrize(
    "harmless",
    [
        member("a"),
        member("a/b..c/..d"),
        member(".hidden"),
        member("", "directory"),
        member("a", mode=0o1777),
        member("a/l", "symlink", target="../b"),
        member("a/l", "symlink", target=".."),
        member("a/h", "hardlink", target="b"),
    ],
)
def test_a_harmless_member_has_no_blocker(harmless: Member) -> None:
    assert archive.blocker(harmless) is None


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (member("a\0b"), "unusable name"),
        (member(""), "unusable name"),
        (member("a/h", "hardlink", target="../b"), "outside"),
        (member("l", "symlink", target="a/../../b"), "outside"),
        (member("..", "directory"), "climbs out"),
    ],
)
def test_a_hostile_member_has_a_blocker(hostile: Member, reason: str) -> None:
    assert reason in archive.blocker(hostile)


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME]
)
def test_a_header_that_fills_the_memory_is_refused(
    tmp_path: Path, unpacked: Callable[[Path], dict], kind: bytes
) -> None:
    path = tmp_path / "archive.tar.gz"
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 300 * 2**20
    with gzip.open(path, "wb") as stream:
        stream.write(header.tobuf())
    with pytest.raises(
        ComponentError, match="refused, as it has a header of 314572800 bytes"
    ):
        unpacked(path)


def test_a_long_name_is_unpacked(
    tmp_path: Path, unpacked: Callable[[Path], dict]
) -> None:
    name = "/".join(["directory" * 20] * 5)
    path = tar_of(tmp_path / "a.tar.gz", ("loki", ELF), (name, b"content"))
    assert any(key.endswith(name) for key in unpacked(path))
