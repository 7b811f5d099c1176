# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of the test bed: recipes, archives and the cache."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.testbed.releases import build, recipe
from tests.testbed.releases.pack import pack

RECIPES = recipe.read_all()
COMPILED = [name for name, made in RECIPES.items() if made.module]


@pytest.fixture
def members(tmp_path):
    program, licence = tmp_path / "a", tmp_path / "b"
    program.write_bytes(b"\x7fELF" + bytes(5000))
    program.chmod(0o700)
    licence.write_text("licence")
    return {"tool": program, "LICENSE": licence}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_depends_on_nothing_but_its_members(tmp_path, members, name):
    first, second = tmp_path / "1" / name, tmp_path / "2" / name
    for archive, time in [(first, 1_000_000_000), (second, 1_700_000_000)]:
        archive.parent.mkdir()
        for path in members.values():
            os.utime(path, (time, time))
        pack(archive, members)
    assert first.read_bytes() == second.read_bytes()


def test_a_zip_is_flat_and_keeps_what_is_a_program(tmp_path, members):
    pack(tmp_path / "a.zip", members)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        modes = {
            entry.filename: oct(entry.external_attr >> 16)
            for entry in archive.infolist()
        }
        assert modes == {"tool": "0o100755", "LICENSE": "0o100644"}
        assert archive.read("tool") == members["tool"].read_bytes()


def test_a_tar_has_one_top_directory(tmp_path, members):
    pack(tmp_path / "a.tar.gz", members, "tool-1.0")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        entries = {
            entry.name: (entry.isdir(), oct(entry.mode), entry.uid) for entry in archive
        }
        assert entries == {
            "tool-1.0": (True, "0o755", 0),
            "tool-1.0/tool": (False, "0o755", 0),
            "tool-1.0/LICENSE": (False, "0o644", 0),
        }
        assert (
            archive.extractfile("tool-1.0/tool").read() == members["tool"].read_bytes()
        )


@pytest.mark.parametrize("name", COMPILED)
def test_a_recipe_pins_its_sources(name):
    sums = (RECIPES[name].folder / "go.sum").read_text()
    required = re.findall(
        rf"^\s*(?:require )?({re.escape(RECIPES[name].module)}) (v\S+)",
        go_mod(name),
        re.MULTILINE,
    )
    assert len(required) == 1
    module, version = required[0]
    assert f"{module} {version} h1:" in sums
    assert f"{module} {version}/go.mod h1:" in sums


@pytest.mark.parametrize("name", COMPILED)
def test_a_recipe_builds_from_nothing_of_this_machine(name):
    replacements = re.findall(r"=>\s*(\S+)", go_mod(name))
    assert [path for path in replacements if path.startswith((".", "/"))] == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_its_version_wherever_upstream_does(name):
    assert re.search(rf"/v?{re.escape(RECIPES[name].version)}/", RECIPES[name].archive)
    assert "{" not in RECIPES[name].archive + RECIPES[name].top + "".join(
        RECIPES[name].ldflags
    )


def go_mod(name: str) -> str:
    return (RECIPES[name].folder / "go.mod").read_text()


@pytest.fixture
def tool(tmp_path):
    folder = tmp_path / "tool"
    folder.mkdir()
    (folder / "recipe.toml").write_text(
        'version = "1.0"\narchive = "https://example.org/v{version}/tool-{version}.tar.gz"\n'
        'checksums = "SHA256SUMS"\nmodule = "example.org/tool"\n[programs]\ntool = "."\n'
    )
    (folder / "main.go").write_text("package main\n\nfunc main() {}\n")
    return folder


def test_a_digest_stays_while_nothing_changes(tool):
    assert recipe.read(tool).digest() == recipe.read(tool).digest()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("main.go", "package main\n\nfunc main() { println() }\n"),
        ("go.sum", "example.org/tool v1.0.0 h1:x\n"),
    ],
)
def test_a_digest_changes_with_each_file_of_the_recipe(tool, file, content):
    before = recipe.read(tool).digest()
    (tool / file).write_text(content)
    assert recipe.read(tool).digest() != before


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HIPPIUS_MONITORING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def programs_are_copied(monkeypatch):
    """Replace the compiler by a copy; everything else is real."""
    built = []

    def copy_program(made, _go, work):
        built.append(made.name)
        path = work / "programs" / "tool"
        path.parent.mkdir()
        path.write_bytes((made.folder / "main.go").read_bytes())
        path.chmod(0o755)
        return {"tool": path}

    monkeypatch.setattr(build, "build_programs", copy_program)
    monkeypatch.setattr(build.toolchain, "go_command", lambda: "go")
    return built


def test_a_release_is_built_once_and_published_with_its_checksum(
    cache, tool, programs_are_copied
):
    made = recipe.read(tool)
    for _again in range(2):
        archive = build.publish(made, build.provide(made))
    assert programs_are_copied == ["tool"]
    assert archive == cache / "mirror/example.org/v1.0/tool-1.0.tar.gz"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert archive.with_name("SHA256SUMS").read_text() == f"{digest}  tool-1.0.tar.gz\n"
    assert [
        path.name for path in archive.parent.iterdir() if path.name.endswith(".part")
    ] == []


def test_a_changed_release_takes_the_place_of_the_published_one(
    cache, tool, programs_are_copied
):
    made = recipe.read(tool)
    before = build.publish(made, build.provide(made)).read_bytes()
    (tool / "main.go").write_text("package main // changed\n")
    made = recipe.read(tool)
    assert build.publish(made, build.provide(made)).read_bytes() != before
    assert programs_are_copied == ["tool", "tool"]


def test_an_interrupted_build_leaves_nothing_that_counts(
    cache, tool, programs_are_copied, monkeypatch
):
    made = recipe.read(tool)

    def interrupted(archive: Path, *_rest):
        archive.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(build, "pack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build.provide(made)
    assert [path.suffix for path in cache.glob("releases/tool-1.0-*")] == [".part"]
    assert (build.provide(made) / "tool-1.0.tar.gz").stat().st_size > len("half")
    assert [path.name for path in (cache / "releases").iterdir()] == [
        f"tool-1.0-{made.digest()}"
    ]


def test_an_unknown_name_is_refused(cache):
    with pytest.raises(build.BuildError, match="No recipe is called nothing"):
        build.build_all(["nothing"])
