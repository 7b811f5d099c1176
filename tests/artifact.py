# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as it is published: a clean copy of the checkout, its archive, an installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COLLECTION = Path("ansible_collections/hippius/monitoring")


def tracked_and_new_files() -> list[str]:
    """Return the files that git tracks or would add, as paths relative to the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name]


def copy_checkout(folder: Path) -> Path:
    """Copy the checkout without ignored files into a search path of collections; return the copy.

    The link `collections/…`, which leads back to the checkout, is left out too.
    """
    copy = folder / COLLECTION
    for name in tracked_and_new_files():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


def build(tree: Path, folder: Path) -> Path:
    """Build the archive of a copied checkout in a directory; return its path."""
    galaxy("build", "--output-path", str(folder), cwd=tree)
    (built,) = folder.glob("*.tar.gz")
    return built


def install(archive: Path, folder: Path) -> Path:
    """Install an archive into an empty search path of collections; return the search path."""
    options = ["--offline", "--collections-path", str(folder)]
    galaxy("install", str(archive), *options, cwd=folder)
    return folder


def galaxy(*arguments: str, cwd: Path) -> None:
    """Run ansible-galaxy collection as a user who has configured nothing.

    Raises RuntimeError with its output if it fails.
    """
    environment = {
        name: value for name, value in os.environ.items() if "ANSIBLE" not in name
    }
    program = Path(sys.executable).with_name("ansible-galaxy")
    done = subprocess.run(
        [program, "collection", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"ansible-galaxy:\n{done.stdout}{done.stderr}")
