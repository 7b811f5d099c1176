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
from collections.abc import Mapping
from pathlib import Path

from tests.testbed import cache

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REQUIREMENTS = DOCS / "requirements.txt"
COLLECTION = "hippius.monitoring"
# The directive of a table of contents, with its options.
CONTENTS = re.compile(r"^\.\. contents::.*\n(?:[ ]+:.*\n)*", re.MULTILINE)
# Sections of the README that are pages of the site.
SECTIONS = ("Quick start", "Requirements", "Variables")


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


def add_pages(source: Path) -> None:
    """Add the pages that are not below docs/, and let links between all of them work."""
    pages = {"CONTRIBUTING.md": "contributing.md", "examples/README.md": "examples.md"}
    for example in sorted(ROOT.glob("examples/*/README.md")):
        pages[str(example.relative_to(ROOT))] = f"example-{example.parent.name}.md"
    contents = {name: (ROOT / page).read_text("utf-8") for page, name in pages.items()}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for section in SECTIONS:
        (content,) = re.findall(
            rf"^#(# {section}\n.*?)(?=^## |\Z)", readme, re.M | re.S
        )
        contents[f"{section.lower().replace(' ', '-')}.md"] = content
    contents |= {page.name: page.read_text("utf-8") for page in DOCS.glob("*.md")}
    for name, content in contents.items():
        (source / name).write_text(with_links(content, pages, contents), "utf-8")


def with_links(
    content: str, pages: Mapping[str, str], contents: Mapping[str, str]
) -> str:
    """Return a page whose links lead to pages of the site; other targets become plain text.

    A link is relative to the checkout, to docs/ or to an example.
    """

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match.groups("")
        target = re.sub(r"^(\.\./)*(docs/)?", "", target)
        target = pages.get(target, pages.get(f"examples/{target}", target))
        others = ("http", "runbooks/", "reference/")
        is_page = target in contents or target.startswith(others)
        if re.fullmatch(r"[\w/-]+\.md", text) and target in contents:
            # On a Git server the name of a file says most, here the title of its page.
            text = contents[target].partition("\n")[0].lstrip("# ")
        return f"[{text}]({target}{anchor})" if is_page or not target else f"`{text}`"

    return re.sub(r"(?<!!)\[([^]]+)\]\(([^)#]*)(#[^)]*)?\)", link, content)


def build(target: Path) -> None:
    """Build the site into a directory, which is replaced."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "source"
        shutil.copytree(DOCS, source)
        add_pages(source)
        reference = source / "reference"
        # antsibull-docs refuses a directory that others may write.
        reference.mkdir(mode=0o755)
        run(
            "antsibull-docs",
            *("collection", "--use-current", "--squash-hierarchy", "--fail-on-error"),
            *("--no-add-antsibull-docs-version", "--dest-dir", reference, COLLECTION),
        )
        for page in reference.glob("*.rst"):
            # The theme has a table of contents beside each page, and refuses another one.
            without = CONTENTS.sub("", page.read_text(encoding="utf-8"))
            page.write_text(without, encoding="utf-8")
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
