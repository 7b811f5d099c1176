# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of systemd hosts, built by debootstrap from `packages` and set up by `configure`.

An image is named after the hash of its recipe and stored twice: in Docker, and as a file in the
cache, because Docker's store may be lost. It contains neither keys nor identities.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.testbed import cache, console, docker

NAME = "hippius-monitoring-host"
SUITES = ("bookworm", "trixie")
RECIPE = Path(__file__).parent
# First words of debootstrap's messages that become a line of progress, once each: it prints most
# of them for every package.
STAGES = ("Retrieving", "Extracting", "Unpacking", "Configuring")


def tag(suite: str) -> str:
    """Return the image's name, which changes with every part of the recipe."""
    digest = hashlib.sha256()
    for part in ("packages", "configure"):
        digest.update((RECIPE / part).read_bytes())
    return f"{NAME}:{suite}-{digest.hexdigest()[:12]}"


def ensure(suite: str) -> str:
    """Return the name of a suite's image, imported from the cache or built if missing."""
    name = tag(suite)
    with cache.locked(f"image-{suite}"):
        if docker.run("image", "ls", "--quiet", name):
            return name
        archive = cache.directory("images") / f"{name.partition(':')[2]}.tar"
        if not archive.exists():
            build(suite, archive)
        console.progress(f"importing {name}")
        docker.run(
            "import", "--change", 'CMD ["/lib/systemd/systemd"]', str(archive), name
        )
        remove_older(suite, archive)
    return name


def build(suite: str, archive: Path) -> None:
    """Write the suite's root file system as a tar file, in about a minute and a half."""
    started = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix=f"{suite}-", dir=cache.directory("images")))
    partial = archive.with_suffix(".partial")
    try:
        packages = ",".join((RECIPE / "packages").read_text(encoding="utf-8").split())
        console.progress(
            f"building the {suite} image by debootstrap, 1 to 2 minutes and 0.3 GB"
        )
        execute(
            [
                "debootstrap",
                "--variant=minbase",
                f"--include={packages}",
                suite,
                str(root),
            ]
        )
        console.progress(f"configuring the {suite} image")
        shutil.copy(RECIPE / "configure", root / "configure")
        execute(["chroot", str(root), "/configure"])
        (root / "configure").unlink()
        execute(
            [
                "tar",
                "--numeric-owner",
                "--xattrs",
                "-C",
                str(root),
                "-cf",
                str(partial),
                ".",
            ]
        )
        partial.rename(archive)
    finally:
        partial.unlink(missing_ok=True)
        shutil.rmtree(root, ignore_errors=True)
    console.progress(f"built the {suite} image in {time.monotonic() - started:.0f} s")


def execute(command: list[str]) -> None:
    """Run a step of the build and report its stages, with a log in the cache."""
    log = cache.directory("images") / f"{Path(command[0]).name}.log"
    environment = os.environ | {
        "LC_ALL": "C",
        # An image that a power cut interrupts is built again, so dpkg need not sync each file.
        "DPKG_FORCE": "unsafe-io",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    shown = set()
    with open(log, "w", encoding="utf-8") as output:
        running = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        for line in running.stdout:
            output.write(line)
            stage = line.removeprefix("I: ").split(" ")[0]
            if stage in STAGES and stage not in shown:
                shown.add(stage)
                console.progress(f"  {stage.lower()} packages")
    if running.wait() != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{console.tail(log)}")


def remove_older(suite: str, current: Path) -> None:
    """Remove this suite's files of earlier recipes from the cache."""
    for archive in cache.directory("images").glob(f"{suite}-*.tar"):
        if archive != current:
            archive.unlink()
