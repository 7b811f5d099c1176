# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation's site: `python -m tests.documentation [DIRECTORY]`.

Pages are `docs/*.md`. The reference of modules, roles, lookups and filters is generated from their
own documentation by antsibull-docs. A warning of either program is an error. The programs have a
virtual environment of their own in the cache, keyed by `docs/requirements.txt`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.testbed import cache

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REQUIREMENTS = DOCS / "requirements.txt"
COLLECTION = "hippius.monitoring"


def programs() -> Path:
    """Return the directory of the programs, installed once for these requirements."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache.directory() / f"venv-docs-{key}"
    complete = folder / "complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run(
            [folder / "bin/pip", "install", "-q", "-r", REQUIREMENTS], check=True
        )
        # Written last: an environment without it was interrupted.
        complete.touch()
    return folder / "bin"


def run(program: str, *arguments: str | Path) -> None:
    """Run a program with nothing of the user's Ansible configuration.

    Raises RuntimeError with its output if it fails.
    """
    folder = programs()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANSIBLE_")
    }
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / "collections")
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    done = subprocess.run(
        [folder / program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program}:\n{done.stdout}{done.stderr}")


def add_contributing(source: Path) -> None:
    """Add CONTRIBUTING.md, which is not below docs/, and let links between both work."""
    for page in source.glob("*.md"):
        content = page.read_text(encoding="utf-8")
        content = content.replace("](../CONTRIBUTING.md", "](contributing.md")
        page.write_text(content, encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    # Other files of the checkout are not part of the site.
    contributing = re.sub(
        r"\[([^]]+)\]\((?!docs/|https?:|#)[^)]*\)", r"`\1`", contributing
    )
    (source / "contributing.md").write_text(
        contributing.replace("](docs/", "]("), encoding="utf-8"
    )


def build(target: Path) -> None:
    """Build the site into a directory, which is replaced."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "source"
        shutil.copytree(DOCS, source)
        add_contributing(source)
        reference = source / "reference"
        # antsibull-docs refuses a directory that others may write.
        reference.mkdir(mode=0o755)
        run(
            "antsibull-docs",
            *("collection", "--use-current", "--squash-hierarchy", "--fail-on-error"),
            *("--no-add-antsibull-docs-version", "--dest-dir", reference, COLLECTION),
        )
        output = Path(work) / "html"
        run("sphinx-build", "--quiet", "--fail-on-warning", source, output)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(output, target)


def main(arguments: list[str]) -> int:
    """Build the site and print its first page."""
    target = Path(*arguments) if arguments else ROOT / "build" / "docs"
    build(target.resolve())
    print(target.resolve() / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
