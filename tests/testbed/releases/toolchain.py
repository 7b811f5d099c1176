# SPDX-License-Identifier: GPL-3.0-or-later
"""The Go toolchain of the test bed: one pinned release, for reproducible programs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from tests.testbed import cache, console, debian

VERSION = "1.26.8"
# The hash of the toolchain's module, in the form of a go.sum.
SUM = "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM="
MODULE = "golang.org/toolchain"
MODULE_VERSION = f"v0.0.1-go{VERSION}.linux-amd64"

# A build depends on no setting of the machine except the source of modules (GOPROXY).
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
    """Return the environment of a go command, with modules and packages in the project's cache."""
    caches = {
        "GOMODCACHE": str(cache.directory("go", "modules")),
        "GOCACHE": str(cache.directory("go", "build")),
    }
    return dict(os.environ) | ENVIRONMENT | caches


def go_command() -> str:
    """Return the path of the pinned go; another go of the machine only downloads it."""
    downloaded = cache.directory("go") / VERSION
    if not downloaded.exists():
        debian.install({"go": "golang-go"})
        installed = shutil.which("go")
        if installed and release_of(installed) == f"go{VERSION}":
            return installed
        unpack(download(installed), downloaded)
    return str(downloaded / "bin" / "go")


def release_of(go: str) -> str:
    """Return the release of a go command, such as go1.19.8."""
    return subprocess.run(
        [go, "env", "GOVERSION"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def download(go: str) -> Path:
    """Download the toolchain's module with another go; return the zip with the pinned hash."""
    console.progress(
        f"downloading Go {VERSION} through the module proxy with {release_of(go)}"
    )
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
    """Unpack the toolchain as the go command does; the target appears when it is complete."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    prefix = f"{MODULE}@{MODULE_VERSION}/"
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            path = part / member.filename.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(members.read(member))
    # A module's zip has no modes, and must contain a go.mod under another name.
    for program in [*part.glob("bin/*"), *part.glob("pkg/tool/*/*")]:
        program.chmod(0o755)
    for renamed in part.rglob("_go.mod"):
        shutil.copyfile(renamed, renamed.with_name("go.mod"))
    part.rename(target)
