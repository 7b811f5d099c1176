# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release of the bed is: the data in one folder beside this file.

`go.mod` and `go.sum` pin the sources. `recipe.toml` says what becomes of them:
  version    as upstream names the release
  archive    published address of the archive; `{version}` may stand in every text
  checksums  name of the checksum file beside the archive, with lines as sha256sum writes them
  module     the server's module, which files and patches belong to
  top        directory that everything in the archive lies in; without it the archive is flat
  tags       build tags
  ldflags    linker flags beside the common ones, usually the version that the program tells
  programs   member of the archive = package that it is built from, `.` for the Go files of the folder itself
  files      member of the archive = file of the module, or of the folder itself where it begins with `./`
  patch      file = text, put into a copy of the module before it is built, for what its zip lacks

To change a version, edit go.mod and recipe.toml, run `GOFLAGS=-mod=mod go build PACKAGE` in the folder with the Go
release of toolchain.py, and commit the go.mod and go.sum that it leaves. For modules that Go's checksum database lacks,
GONOSUMDB names them in that one run: redis_exporter, and pkg/stanza of the collector's contrib modules.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from tests.bed.releases import toolchain

FOLDER = Path(__file__).parent
COMMON_FLAGS = ("-trimpath", "-buildvcs=false")
COMMON_LDFLAGS = ("-s", "-w")
# Counted up whenever the same recipe is to be packed differently.
PACKING = 1


@dataclass(frozen=True)
class Recipe:
    """One release; the fields are described above."""

    folder: Path
    version: str
    archive: str
    checksums: str
    module: str
    programs: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    patch: dict[str, str] = field(default_factory=dict)
    ldflags: tuple[str, ...] = ()
    tags: str = ""
    top: str = ""

    @property
    def name(self) -> str:
        """Name of the release in the lock file."""
        return self.folder.name

    @property
    def file_name(self) -> str:
        """Name of the archive."""
        return self.archive.rpartition("/")[2]

    def build_command(self, go: str, package: str, output: Path) -> list[str]:
        """The go command that builds one of the programs."""
        ldflags = " ".join([*COMMON_LDFLAGS, *self.ldflags])
        return [go, "build", *COMMON_FLAGS, f"-tags={self.tags}", f"-ldflags={ldflags}", "-o", str(output), package]

    def digest(self) -> str:
        """Hash of everything that decides what the archive contains."""
        state = hashlib.sha256()
        fixed = [toolchain.VERSION, toolchain.ENVIRONMENT, COMMON_FLAGS, COMMON_LDFLAGS, PACKING]
        state.update(json.dumps(fixed, sort_keys=True).encode())
        for path in sorted(self.folder.iterdir()):
            state.update(f"\0{path.name}\0".encode() + path.read_bytes())
        return state.hexdigest()[:12]


def read(folder: Path) -> Recipe:
    """The recipe of a folder."""
    data = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    version = data["version"]
    data["ldflags"] = tuple(flag.replace("{version}", version) for flag in data.get("ldflags", ()))
    for key in ("archive", "top"):
        data[key] = data.get(key, "").replace("{version}", version)
    return Recipe(folder=folder, **data)


def read_all() -> dict[str, Recipe]:
    """All recipes by name."""
    return {path.parent.name: read(path.parent) for path in sorted(FOLDER.glob("*/recipe.toml"))}
