# SPDX-License-Identifier: GPL-3.0-or-later
"""Atomic and durable writing of files, links and directories."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import files

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(
    params=[0o022, 0o077, 0o000], ids=["umask 022", "umask 077", "umask 000"]
)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    assert os.umask(before) == request.param


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_file_has_its_mode_and_group_with_any_umask(
    tmp_path: Path, umask: int
) -> None:
    files.write(str(tmp_path / "a"), b"x", 0o644, 12)
    status = (tmp_path / "a").stat()
    assert (mode(tmp_path / "a"), status.st_uid, status.st_gid) == (0o644, 0, 12)


def test_a_write_neither_overwrites_nor_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            files.write(str(tmp_path / name), b"y", 0o644)
    assert not (tmp_path / "target").exists()


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    names = ("file", "link", "pipe", ".", "missing")
    contents = {name: files.read(str(tmp_path / name)) for name in names}
    assert contents == {
        "file": b"x",
        "link": None,
        "pipe": None,
        ".": None,
        "missing": None,
    }


def test_a_replacement_leaves_only_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "directory/a"
    for content in (b"1", b"2"):
        (tmp_path / "directory").mkdir(exist_ok=True)
        (tmp_path / "directory/a.new").write_bytes(b"left by a killed run")
        files.replace(str(path), content, 0o600)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["a"]
    assert mode(path) == 0o600


def test_a_replacement_does_not_write_to_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with open(tmp_path / "a", "rb") as reader:
        files.replace(str(tmp_path / "a"), b"new", 0o600)
        assert reader.read() == b"old"


def test_a_link_is_replaced_by_one_rename(tmp_path: Path) -> None:
    (tmp_path / "l.new").mkdir()
    for target in ("one", "two"):
        files.link(target, str(tmp_path / "l"))
        assert files.link_target(str(tmp_path / "l")) == target
    assert os.listdir(tmp_path) == ["l"]


def test_a_path_that_is_no_link_has_no_target(tmp_path: Path) -> None:
    assert files.link_target(str(tmp_path)) is None
    assert files.link_target(str(tmp_path / "missing")) is None


def test_directories_are_created_with_their_modes(tmp_path: Path, umask: int) -> None:
    files.make_directory(str(tmp_path / "a/b/c"), 0o750, 12)
    modes = [mode(tmp_path / path) for path in ("a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o755, 0o750]
    assert (tmp_path / "a/b/c").stat().st_gid == 12
    assert (tmp_path / "a/b").stat().st_gid == 0


def test_a_directory_that_another_run_creates_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def mkdir_twice(path: str, mode: int) -> None:
        mkdir(path, mode)
        raise FileExistsError(path)

    monkeypatch.setattr(os, "mkdir", mkdir_twice)
    files.make_directory(str(tmp_path / "a"))
    assert (tmp_path / "a").is_dir()


def test_a_file_at_the_path_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FileExistsError):
        files.make_directory(str(tmp_path / "a"))


def test_a_removal_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_bytes(b"x")
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("tree", "link", "missing"):
        files.remove(str(tmp_path / name))
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept/file").exists()


def test_a_tree_lists_everything_except_directories(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"")
    (tmp_path / "a/link").symlink_to("b")
    (tmp_path / "empty").mkdir()
    assert files.tree(str(tmp_path)) == ["a/b/file", "a/link"]
    assert files.listing(str(tmp_path)) == ["a", "empty"]
    assert files.listing(str(tmp_path / "missing")) == []


def test_a_failed_write_names_the_file(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        with pytest.raises(OSError, match="large") as caught:
            files.write(str(tmp_path / "file"), b"more than fits", 0o640)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(tmp_path / "file")
