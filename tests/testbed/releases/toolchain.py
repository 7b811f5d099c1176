# SPDX-License-Identifier: GPL-3.0-or-later
"""The Go toolchain of the bed: one pinned release, so that the same sources give the same programs everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from tests.testbed import cache, console, debian

VERSION = "1.26.8"
# What Go itself calls the hash of the toolchain's module, as in a go.sum.
SUM = "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM="
MODULE = "golang.org/toolchain"
MODULE_VERSION = f"v0.0.1-go{VERSION}.linux-amd64"

# A build reads no setting of the machine's but where modules come from (GOPROXY).
ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GO111MODULE": "on",
    "GOAMD64": "v1",
    "GOARCH": "amd64",
    "GOFLAGS": "-mod=readonly",
    "GOOS": "linux",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}


def environment() -> dict[str, str]:
    """The environment of a go command; modules and compiled packages are kept in the project's cache."""
    caches = {
        "GOMODCACHE": str(cache.directory("go", "modules")),
        "GOCACHE": str(cache.directory("go", "build")),
    }
    return dict(os.environ) | ENVIRONMENT | caches


def go_command() -> str:
    """Path of the pinned release's go; any older or newer go of the machine is only used to download it."""
    downloaded = cache.directory("go") / VERSION
    if not downloaded.exists():
        debian.install({"go": "golang-go"})
        found = shutil.which("go")
        if found and release_of(found) == f"go{VERSION}":
            return found
        unpack(download(found), downloaded)
    return str(downloaded / "bin" / "go")


def release_of(go: str) -> str:
    """Which release a go command is, such as go1.19.8."""
    return subprocess.run(
        [go, "env", "GOVERSION"], env=environment(), capture_output=True, text=True, check=True
    ).stdout.strip()


def download(go: str) -> Path:
    """Fetch the toolchain's module with another go; returns the module's zip, whose hash is the pinned one."""
    console.progress(f"downloading Go {VERSION} through the module proxy with {release_of(go)}")
    # The hash pinned above takes the place of the checksum database.
    done = subprocess.run(
        [go, "mod", "download", "-json", f"{MODULE}@{MODULE_VERSION}"],
        cwd=cache.directory("go"),
        env=environment() | {"GOFLAGS": "-mod=mod", "GONOSUMDB": MODULE},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"Go {VERSION} could not be downloaded: {done.stdout.strip()} {done.stderr.strip()}"
        )
    module = json.loads(done.stdout)
    if module["Sum"] != SUM:
        raise RuntimeError(f"Go {VERSION} has the hash {module['Sum']}, expected {SUM}")
    return Path(module["Zip"])


def unpack(archive: Path, target: Path) -> None:
    """Unpack the toolchain as the go command itself does; nothing stands at the target until all of it is there."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    prefix = f"{MODULE}@{MODULE_VERSION}/"
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            path = part / member.filename.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(members.read(member))
    # A module's zip has no modes, and a go.mod inside one has to be called otherwise.
    for program in [*part.glob("bin/*"), *part.glob("pkg/tool/*/*")]:
        program.chmod(0o755)
    for renamed in part.rglob("_go.mod"):
        shutil.copyfile(renamed, renamed.with_name("go.mod"))
    part.rename(target)
