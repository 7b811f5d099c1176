# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes of the test bed's releases: the data of one folder each beside this file.

`go.mod` and `go.sum` pin the sources. `recipe.toml` describes the archive:
  version    upstream's name of the release
  build      number of upstream's build, if the address contains it
  archive    published address of the archive
  checksums  name of the checksum file beside the archive, in the format of sha256sum
  module     the server's module, to which files and patches belong
  top        directory of all members; without it the archive is flat
  tags       build tags
  ldflags    linker flags in addition to the common ones, usually the program's version
  programs   member of the archive = its package, `.` for the Go files of the folder itself
  python     member of the archive = Python package that becomes one program; nothing is compiled
  others     further versions from the same sources = their builds
  files      member of the archive = file of the module, or with `./` of the folder itself
  patch      file = content, added to a copy of the module, for files that its zip lacks
Every string may contain `{version}` and `{build}`.

To change a version, edit go.mod and recipe.toml, run `GOFLAGS=-mod=mod go build PACKAGE` in the
folder with the Go release of toolchain.py, and commit the changed go.mod and go.sum. Modules that
Go's checksum database lacks go into GONOSUMDB for that run: redis_exporter, and pkg/stanza of the
collector's contrib modules.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.testbed.releases import toolchain

FOLDER = Path(__file__).parent
CHECKOUT = FOLDER.parents[2]
COMMON_FLAGS = ("-trimpath", "-buildvcs=false")
COMMON_LDFLAGS = ("-s", "-w")
# Increased whenever the format of the archives changes.
PACKING = 1


@dataclass(frozen=True)
class Recipe:
    """One release; the fields are described above."""

    folder: Path
    version: str
    archive: str
    checksums: str
    module: str = ""
    build: str = ""
    programs: dict[str, str] = field(default_factory=dict)
    python: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    patch: dict[str, str] = field(default_factory=dict)
    ldflags: tuple[str, ...] = ()
    tags: str = ""
    top: str = ""

    @property
    def name(self) -> str:
        """Return the name of the release in the lock file."""
        return self.folder.name

    @property
    def file_name(self) -> str:
        """Return the name of the archive."""
        return self.archive.rpartition("/")[2]

    def build_command(self, go: str, package: str, output: Path) -> list[str]:
        """Return the go command that builds a program."""
        ldflags = " ".join([*COMMON_LDFLAGS, *self.ldflags])
        return [
            go,
            "build",
            *COMMON_FLAGS,
            f"-tags={self.tags}",
            f"-ldflags={ldflags}",
            "-o",
            str(output),
            package,
        ]

    def digest(self) -> str:
        """Return a hash of everything that decides the archive's content."""
        state = hashlib.sha256()
        fixed = [
            toolchain.VERSION,
            toolchain.ENVIRONMENT,
            COMMON_FLAGS,
            COMMON_LDFLAGS,
            PACKING,
        ]
        state.update(json.dumps(fixed, sort_keys=True).encode())
        packages = [
            path for package in self.python.values() for path in package_files(package)
        ]
        for path in sorted([*self.folder.iterdir(), *packages]):
            state.update(f"\0{path.name}\0".encode() + path.read_bytes())
        return state.hexdigest()[:12]


def package_files(package: str) -> list[Path]:
    """Return the files of a Python package of the test bed."""
    return sorted((CHECKOUT / package.replace(".", "/")).glob("*.py"))


def read(folder: Path) -> Recipe:
    """Return the recipe of a folder, for its first version."""
    return read_versions(folder)[0]


def read_versions(folder: Path) -> list[Recipe]:
    """Return the recipes of a folder, one for each version."""
    data = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    builds = {data["version"]: data.get("build", "")} | data.pop("others", {})
    return [
        Recipe(folder=folder, **filled(data, version, build))
        for version, build in builds.items()
    ]


def filled(data: dict[str, Any], version: str, build: str) -> dict[str, Any]:
    """Return the data of a recipe for one of its versions."""

    def fill(template: str) -> str:
        return template.replace("{version}", version).replace("{build}", build)

    strings = {key: fill(data.get(key, "")) for key in ("archive", "checksums", "top")}
    ldflags = tuple(fill(flag) for flag in data.get("ldflags", ()))
    return data | strings | {"version": version, "build": build, "ldflags": ldflags}


def read_all() -> dict[str, Recipe]:
    """Return all recipes, by name and, for further versions, by name and version.

    For example `grafana` and `grafana 12.4.3`.
    """
    recipes = [
        recipe
        for path in sorted(FOLDER.glob("*/recipe.toml"))
        for recipe in read_versions(path.parent)
    ]
    named: dict[str, Recipe] = {}
    for recipe in recipes:
        is_further = recipe.name in named
        named[f"{recipe.name} {recipe.version}" if is_further else recipe.name] = recipe
    return named
