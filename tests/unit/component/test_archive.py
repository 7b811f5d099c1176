# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking archives, of friends and of foes."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import archive
from ansible_collections.hippius.monitoring.plugins.module_utils.component.archive import Member
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
    """Unpack an archive and tell what came out: for each path its content and mode, or where the link leads."""
    directory = tmp_path / "release"
    directory.mkdir()

    def unpack(path: Path) -> dict:
        before = everything(tmp_path, directory)
        try:
            archive.unpack(str(path), str(directory), "loki")
        finally:
            assert everything(tmp_path, directory) == before, "something was written outside"
        return {
            str(item.relative_to(directory)): os.readlink(item)
            if item.is_symlink()
            else (item.read_bytes(), oct(item.stat().st_mode & 0o7777))
            for item in directory.rglob("*")
            if item.is_symlink() or item.is_file()
        }

    return unpack


def everything(root: Path, but: Path) -> dict:
    """All paths below ``root`` outside ``but``, with their modes and sizes."""
    return {
        path: (path.lstat().st_mode, path.lstat().st_size, path.lstat().st_nlink)
        for path in root.rglob("*")
        if but != path and but not in path.parents
    }


def test_a_tar_with_one_directory_around_everything_is_flattened(
    tmp_path: Path, unpacked: Callable
) -> None:
    path = tar_of(
        tmp_path / "a",
        ("./", b"", {"type": tarfile.DIRTYPE, "mode": 0o777}),
        ("./loki-1.linux/", b"", {"type": tarfile.DIRTYPE, "mode": 0o700}),
        ("./loki-1.linux/loki", b"program", {"mode": 0o755, "uid": 1000, "uname": "builder"}),
        ("./loki-1.linux/conf/LICENSE", b"text", {"mode": 0o666}),
    )
    assert unpacked(path) == {"loki": (b"program", "0o555"), "conf/LICENSE": (b"text", "0o444")}
    owners = {
        (item.stat().st_uid, item.stat().st_gid) for item in (tmp_path / "release").rglob("*")
    }
    assert owners == {(0, 0)}


def test_a_flat_tar_stays_flat(tmp_path: Path, unpacked: Callable) -> None:
    path = tar_of(
        tmp_path / "a", ("otelcol-contrib", ELF, {"mode": 0o755}), ("README.md", b""), mode="w:xz"
    )
    assert unpacked(path) == {"otelcol-contrib": (ELF, "0o555"), "README.md": (b"", "0o444")}


def test_the_only_file_of_a_zip_gets_the_release_s_name_and_is_a_program(
    tmp_path: Path, unpacked: Callable
) -> None:
    assert unpacked(zip_of(tmp_path / "a", ("loki-linux-amd64", ELF))) == {"loki": (ELF, "0o555")}


def test_a_file_that_is_no_archive_gets_the_release_s_name(
    tmp_path: Path, unpacked: Callable
) -> None:
    # What stands at the end of a zip does not make one of it.
    zip_of(tmp_path / "tail", ("evil", b"x"))
    program = ELF + (tmp_path / "tail").read_bytes()
    (tmp_path / "a").write_bytes(program)
    assert unpacked(tmp_path / "a") == {"loki": (program, "0o555")}


def test_a_tar_that_ends_like_a_zip_is_a_tar(tmp_path: Path, unpacked: Callable) -> None:
    zip_of(tmp_path / "tail", ("evil", b"x"))
    path = tar_of(tmp_path / "a", ("good", b"1"), ("other", b"2"), mode="w")
    path.write_bytes(path.read_bytes() + (tmp_path / "tail").read_bytes())
    assert sorted(unpacked(path)) == ["good", "other"]


def test_links_inside_are_kept(tmp_path: Path, unpacked: Callable) -> None:
    path = tar_of(
        tmp_path / "a",
        ("top/lib/so.1", b"x"),
        ("top/lib/so", b"", link("so.1")),
        ("top/bin", b"", link("./lib/../lib")),
        ("top/twin", b"", link("top/lib/so.1", tarfile.LNKTYPE)),
    )
    found = unpacked(path)
    assert (found["lib/so"], found["bin"], found["twin"]) == (
        "so.1",
        "./lib/../lib",
        (b"x", "0o444"),
    )


def test_a_directory_named_like_the_helper_s_own_is_no_trouble(
    tmp_path: Path, unpacked: Callable
) -> None:
    path = tar_of(tmp_path / "a", ("top/.wrapper/x", b"1"), ("top/.wrapper_", b"2"))
    assert sorted(unpacked(path)) == [".wrapper/x", ".wrapper_"]


HOSTILE_TARS = [
    pytest.param([("../evil", b"x")], "'../evil' climbs out", id="climbs out"),
    pytest.param([("a/../../evil", b"x")], "climbs out", id="climbs out on the way"),
    pytest.param([("a/..", b"x")], "climbs out", id="is the parent"),
    pytest.param([("/etc/evil", b"x")], "'/etc/evil' has an absolute path", id="absolute"),
    pytest.param([(".//etc/evil", b"x")], "has an absolute path", id="absolute after a dot"),
    pytest.param([("a\\..\\b", b"x")], "no usable name", id="backslashes"),
    pytest.param([("./", b"x", {"type": tarfile.REGTYPE})], "no usable name", id="a file without a name"),
    pytest.param([("l", b"", link("/etc/passwd"))], "'l' links to '/etc/passwd', outside", id="absolute link"),
    pytest.param([("a/l", b"", link("../../x"))], "outside of the archive", id="link out"),
    pytest.param([("a/l", b"", link("b/../../../x"))], "outside of the archive", id="link out, disguised"),
    pytest.param([("l", b"", link(".."))], "outside of the archive", id="link to the parent"),
    pytest.param([("h", b"", link("../outside", tarfile.LNKTYPE))], "outside of the archive", id="hard link out"),
    pytest.param([("h", b"", link("/etc/passwd", tarfile.LNKTYPE))], "outside of the archive", id="absolute hard link"),
    pytest.param([("h", b"", link("absent", tarfile.LNKTYPE))], "not a file of it", id="hard link to nothing"),
    pytest.param([("d", b"", link("..")), ("d/x", b"x")], "outside of the archive", id="link out, file through it"),
    pytest.param([("e/x", b"x"), ("d", b"", link("e")), ("d/x", b"y")], "in the way", id="link and a file through it"),
    pytest.param([("a", b"", link(".")), ("b", b"", link("a/.."))], "chain of links", id="chain of links out"),
    pytest.param([("t/a", b"", link(".")), ("t/b", b"", link("a/../.."))], "outside of the archive|chain of links",
                 id="longer chain of links out"),
    pytest.param([("t/a", b"", link("../t/x"))], "chain of links", id="link that leads out once it is flattened"),
    pytest.param([("a", b"", link(".")), ("b", b"", link("a/..")), ("b/evil", b"", link("x"))], "goes through a link",
                 id="link through a chain of links"),
    pytest.param([("a", b"", link(".")), ("b", b"", link("a/..")), ("h", b"", link("b/outside", tarfile.LNKTYPE))],
                 "not a file of it", id="hard link through a chain of links"),
    pytest.param([("null", b"", {"type": tarfile.CHRTYPE})], "'null' is a device", id="device"),
    pytest.param([("disk", b"", {"type": tarfile.BLKTYPE})], "is a device", id="block device"),
    pytest.param([("pipe", b"", {"type": tarfile.FIFOTYPE})], "is a device or a pipe", id="pipe"),
    pytest.param([("su", b"x", {"mode": 0o4755})], "'su' has the setuid", id="setuid"),
    pytest.param([("sg", b"x", {"mode": 0o2755})], "setgid bit", id="setgid"),
    pytest.param([("sd", b"", {"type": tarfile.DIRTYPE, "mode": 0o2755})], "setgid bit", id="setgid directory"),
    pytest.param([("a", b"1"), ("b", b""), ("a", b"2")], "'a' is in the way", id="twice"),
    pytest.param([("a", b"1"), ("./a", b"2")], "'a' is in the way", id="twice by another name"),
    pytest.param([("a", b"1"), ("a/b", b"2")], "in the way", id="a file below a file"),
    pytest.param([("a/b", b"1"), ("a", b"2")], "in the way", id="a file in place of a directory"),
    pytest.param([("a", b"", link("x")), ("a", b"", link("y"))], "in the way", id="a link twice"),
]  # fmt: skip


@pytest.mark.parametrize(("members", "told"), HOSTILE_TARS)
@pytest.mark.parametrize("first", [[], [("harmless", b"x")]], ids=["alone", "after another"])
def test_a_hostile_tar_is_refused(
    tmp_path: Path,
    unpacked: Callable,
    members: list,
    told: str,
    first: list,
    request: pytest.FixtureRequest,
) -> None:
    (tmp_path / "outside").write_bytes(b"not theirs")
    if first and "flattened" in request.node.name:
        # Nothing is flattened beside another file, and then the link stays inside.
        assert unpacked(tar_of(tmp_path / "a", *first, *members))["t/a"] == "../t/x"
        return
    with pytest.raises(ComponentError, match=told):
        unpacked(tar_of(tmp_path / "a", *first, *members))


@pytest.mark.parametrize(
    ("members", "told"),
    [
        pytest.param([("../evil", b"x")], "climbs out", id="climbs out"),
        pytest.param([("/evil", b"x")], "absolute", id="absolute"),
        pytest.param([("l", b"/etc/passwd", 0o120777)], "outside of the archive", id="link out"),
        pytest.param(
            [("l", b"x" * 5000, 0o120777)], "cannot be unpacked", id="a link longer than any path"
        ),
        pytest.param([("pipe", b"", 0o010644)], "is a device", id="pipe"),
        pytest.param([("su", b"x", 0o104755)], "setuid", id="setuid"),
    ],
)
def test_a_hostile_zip_is_refused(
    tmp_path: Path, unpacked: Callable, members: list, told: str
) -> None:
    with pytest.raises(ComponentError, match=told):
        unpacked(zip_of(tmp_path / "a", *members))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_a_member_twice_is_refused(tmp_path: Path, unpacked: Callable) -> None:
    with pytest.raises(ComponentError, match="in the way"):
        unpacked(zip_of(tmp_path / "a", ("x", b"1"), ("x", b"2")))


def sparse_bomb(path: Path) -> Path:
    """A tar of a few bytes whose header promises a sparse file of twenty megabytes."""
    info = tarfile.TarInfo("bomb")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    size = 20_000_000
    # GNU's old sparse header: four entries of offset and length at 386, the real size at 483 in base 256.
    header[386:410] = b"00000000000\x00" * 2
    header[483:495] = b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    path.write_bytes(bytes(header) + bytes(1024))
    return path


def test_a_bomb_is_refused_by_what_it_promises(
    tmp_path: Path, unpacked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Less than what is allowed in earnest, so that a regression fills nobody's disk.
    monkeypatch.setattr(archive, "LARGEST_RELEASE", 10_000_000)
    with pytest.raises(ComponentError, match="more than 10000000 bytes"):
        unpacked(sparse_bomb(tmp_path / "a"))
    assert list((tmp_path / "release").iterdir()) == []


def test_a_bomb_of_many_files_is_refused(
    tmp_path: Path, unpacked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LARGEST_RELEASE", 1000)
    with pytest.raises(ComponentError, match="more than 1000 bytes"):
        unpacked(zip_of(tmp_path / "a", *[(str(number), bytes(300)) for number in range(4)]))
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    shutil.rmtree(tmp_path / "release")
    (tmp_path / "release").mkdir()
    with pytest.raises(ComponentError, match="3 members"):
        unpacked(tar_of(tmp_path / "b", *[(str(number), b"") for number in range(4)]))


def test_a_zip_that_lies_about_a_size_writes_no_more_than_it_says(
    tmp_path: Path, unpacked: Callable
) -> None:
    path = zip_of(tmp_path / "a", ("a", bytes(100_000)), ("b", b""))
    data = path.read_bytes()
    real, lie = (100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert data.count(real) == 2
    path.write_bytes(data.replace(real, lie))
    with pytest.raises(ComponentError, match="cannot be unpacked"):
        unpacked(path)


@pytest.mark.parametrize("make", [
    pytest.param(lambda path: tar_of(path, ("a", os.urandom(50_000)), ("b", b"x")), id="tar.gz"),
    pytest.param(lambda path: tar_of(path, ("a", os.urandom(50_000)), ("b", b"x"), mode="w:xz"), id="tar.xz"),
    pytest.param(lambda path: tar_of(path, ("a", os.urandom(50_000)), ("b", b"x"), mode="w:bz2"), id="tar.bz2"),
    pytest.param(lambda path: tar_of(path, ("a", os.urandom(50_000)), ("b", b"x"), mode="w"), id="tar"),
    pytest.param(lambda path: zip_of(path, ("a", os.urandom(50_000)), ("b", b"x")), id="zip"),
])  # fmt: skip
def test_an_archive_that_is_cut_or_corrupt_is_refused(
    tmp_path: Path, unpacked: Callable, make: Callable, request: Any
) -> None:
    whole = make(tmp_path / "a").read_bytes()
    for length in (len(whole) // 2, 300, 3, 0):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(ComponentError, match="cannot be unpacked"):
            unpacked(tmp_path / "cut")
        shutil.rmtree(tmp_path / "release")
        (tmp_path / "release").mkdir()
    # A tar has no checksum over its content, and gzip's comes after the end; the SHA-256 is what holds there.
    if not request.node.name.endswith(("[tar]", "[tar.gz]")):
        middle = len(whole) // 2
        corrupt = bytes(byte ^ 255 for byte in whole[middle : middle + 9])
        (tmp_path / "corrupt").write_bytes(whole[:middle] + corrupt + whole[middle + 9 :])
        with pytest.raises(ComponentError, match="cannot be unpacked"):
            unpacked(tmp_path / "corrupt")


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>Sign in</html>" * 40, b"", b"PK", b"PK\x03\x04" + bytes(90)]
)
def test_what_is_no_archive_is_refused_in_one_line(
    tmp_path: Path, unpacked: Callable, content: bytes
) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ComponentError) as caught:
        unpacked(tmp_path / "a")
    assert str(caught.value).startswith("The archive cannot be unpacked: ")
    assert "\n" not in str(caught.value)


def test_an_encrypted_zip_is_refused(tmp_path: Path, unpacked: Callable) -> None:
    path = zip_of(tmp_path / "a", ("a", b"x"))
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ComponentError, match="encrypted"):
        unpacked(path)


def test_a_full_disk_is_called_so(
    tmp_path: Path, unpacked: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(ComponentError, match="release has no room left"):
        unpacked(tar_of(tmp_path / "a", ("a", b"x"), ("b", b"x")))


def test_the_umask_changes_nothing(tmp_path: Path, unpacked: Callable) -> None:
    before = os.umask(0o077)
    try:
        unpacked(tar_of(tmp_path / "a", ("d/a", b"x"), ("b", b"x")))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "release/d").stat().st_mode) == 0o755


def member(name: str, kind: str = "file", mode: int = 0o644, target: str = "") -> Member:
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
def test_nothing_is_said_against_a_harmless_member(harmless: Member) -> None:
    assert archive.objection(harmless) == ""


@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        (member("a\0b"), "no usable name"),
        (member(""), "no usable name"),
        (member("a/h", "hardlink", target="../b"), "outside"),
        (member("l", "symlink", target="a/../../b"), "outside"),
        (member("..", "directory"), "climbs out"),
    ],
)
def test_something_is_said_against_a_hostile_member(hostile: Member, told: str) -> None:
    assert told in archive.objection(hostile)
