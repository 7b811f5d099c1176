# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the releases of the test bed into the tree that the mirror serves.

An archive is stored as `<cache>/releases/<name>-<version>-<digest>/`, where the digest covers
everything that decides its content, and is linked into `<cache>/mirror/<host>/<path>` with its
checksum file. An existing archive is not built again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tests.testbed import cache, console
from tests.testbed.releases import recipe as recipes
from tests.testbed.releases import toolchain
from tests.testbed.releases.pack import ZIP_TIME, pack
from tests.testbed.releases.recipe import Recipe

# The interval at which a silent step reports that it is still running.
HEARTBEAT_SECONDS = 30


class BuildError(Exception):
    """A release cannot be built."""


def build_all(names: Iterable[str] | None = None) -> dict[str, Path]:
    """Build and publish some releases in this order, by default all.

    The result is the path of each archive in the mirror's tree. Raises BuildError for an unknown
    name or a failed build.
    """
    every = recipes.read_all()
    requested = list(every) if names is None else list(names)
    unknown = [name for name in requested if name not in every]
    if unknown:
        raise BuildError(
            f"No recipe is called {', '.join(unknown)}; there are {', '.join(every)}."
        )
    archives: dict[str, Path] = {}
    for name in requested:
        for title, recipe in every.items():
            if name in (title, recipe.name) and title not in archives:
                archives[title] = publish(recipe, provide(recipe))
    return archives


def provide(recipe: Recipe) -> Path:
    """Return the cached directory of a release's archive and checksum file, built if missing."""
    directory = (
        cache.directory("releases")
        / f"{recipe.name}-{recipe.version}-{recipe.digest()}"
    )
    if not directory.exists():
        with cache.locked("releases"):
            if not directory.exists():
                build(recipe, directory)
    return directory


def publish(recipe: Recipe, directory: Path) -> Path:
    """Link a release's files into the mirror's tree at their published address."""
    address = recipe.archive.partition("://")[2]
    target = cache.directory("mirror") / address
    target.parent.mkdir(parents=True, exist_ok=True)
    for source in directory.iterdir():
        link = target.parent / source.name
        if not (link.exists() and link.samefile(source)):
            part = link.with_name(f"{link.name}.{os.getpid()}.part")
            part.unlink(missing_ok=True)
            part.hardlink_to(source)
            part.replace(link)
    return target


def build(recipe: Recipe, directory: Path) -> None:
    """Build and pack a release; the directory appears when it is complete.

    The caller holds the lock.
    """
    for leftover in directory.parent.glob(f"{recipe.name}-*.part"):
        shutil.rmtree(leftover, ignore_errors=True)
    work = directory.with_name(f"{directory.name}.part")
    (work / "done").mkdir(parents=True)
    started = time.monotonic()
    go = toolchain.go_command() if recipe.module else ""
    prepare_sources(recipe, go, work)
    members = (
        build_programs(recipe, go, work)
        | zip_programs(recipe, work)
        | plain_files(recipe, go, work)
    )
    console.progress(f"{recipe.name} {recipe.version}: packing {recipe.file_name}")
    archive = work / "done" / recipe.file_name
    pack(archive, members, recipe.top)
    line = sha256_of(archive)
    # A checksum file for one archive contains the checksum alone.
    if recipe.checksums != f"{archive.name}.sha256":
        line += f"  {archive.name}"
    (work / "done" / recipe.checksums).write_text(line + "\n", encoding="utf-8")
    (work / "done").rename(directory)
    shutil.rmtree(work)
    size = (directory / recipe.file_name).stat().st_size / 1e6
    seconds = time.monotonic() - started
    console.progress(
        f"{recipe.name} {recipe.version}: {recipe.file_name}, {size:.1f} MB, in {seconds:.0f} s"
    )


def prepare_sources(recipe: Recipe, go: str, work: Path) -> None:
    """Copy the recipe's Go files, and a patched copy of the server's module if it has a patch."""
    sources = work / "sources"
    sources.mkdir()
    for path in recipe.folder.iterdir():
        if path.suffix in (".go", ".mod", ".sum"):
            shutil.copy(path, sources)
    if not recipe.patch:
        return
    run(recipe, "downloading the module", [go, "mod", "download", recipe.module], work)
    patched = work / "patched"
    shutil.copytree(
        module_directory(recipe, go, work), patched, copy_function=shutil.copyfile
    )
    for name, content in recipe.patch.items():
        path = patched / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    with open(sources / "go.mod", "a", encoding="utf-8") as module_file:
        module_file.write(f"\nreplace {recipe.module} => ../patched\n")


def build_programs(recipe: Recipe, go: str, work: Path) -> dict[str, Path]:
    """Build the recipe's programs; return the file of each member."""
    members = {}
    for member, package in recipe.programs.items():
        members[member] = work / "programs" / member
        run(
            recipe,
            f"building {member}",
            recipe.build_command(go, package, members[member]),
            work,
        )
    return members


def zip_programs(recipe: Recipe, work: Path) -> dict[str, Path]:
    """Pack each of the recipe's Python packages as a zip that Python runs, with its version."""
    members = {}
    for member, package in recipe.python.items():
        members[member] = work / "programs" / member
        members[member].parent.mkdir(parents=True, exist_ok=True)
        folder = package.replace(".", "/")
        sources = {
            f"{folder}/{path.name}": path.read_text("utf-8")
            for path in recipes.package_files(package)
        }
        parents = {
            f"{parent}/__init__.py": ""
            for parent in Path(folder).parents
            if parent.name
        }
        own = {
            f"{folder}/packed.py": f'VERSION = "{recipe.version}"\n',
            "__main__.py": f"from {package}.program import main\n\nraise SystemExit(main())\n",
        }
        with open(members[member], "wb") as program:
            program.write(b"#!/usr/bin/python3\n")
            with zipfile.ZipFile(program, "a", zipfile.ZIP_DEFLATED) as archive:
                for name, content in sorted((sources | parents | own).items()):
                    archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), content)
        members[member].chmod(0o755)
    return members


def plain_files(recipe: Recipe, go: str, work: Path) -> dict[str, Path]:
    """Copy the recipe's other files, so that they get the modes of the archive."""
    members = {}
    for member, source in recipe.files.items():
        base = (
            recipe.folder
            if source.startswith("./")
            else module_directory(recipe, go, work)
        )
        members[member] = work / "files" / member
        members[member].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base / source, members[member])
    return members


def module_directory(recipe: Recipe, go: str, work: Path) -> Path:
    """Return the directory of the server's unpacked module."""
    listed = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", recipe.module],
        cwd=work / "sources",
        env=toolchain.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        raise BuildError(f"{recipe.name}: {listed.stderr.strip()}")
    return Path(listed.stdout.strip())


def run(recipe: Recipe, step: str, command: list[str], work: Path) -> None:
    """Run a go command and report its duration.

    Raises BuildError with the end of its output.
    """
    title = f"{recipe.name} {recipe.version}: {step}"
    console.progress(title)
    started = time.monotonic()
    log = cache.directory("releases") / f"{recipe.name}.log"
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=work / "sources",
            env=toolchain.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(HEARTBEAT_SECONDS)
                except subprocess.TimeoutExpired:
                    console.progress(f"{title}, {time.monotonic() - started:.0f} s")
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise BuildError(f"{title} failed:\n{console.tail(log)}")
    console.progress(f"{title} took {time.monotonic() - started:.0f} s")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
