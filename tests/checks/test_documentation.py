# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation builds without a warning, and names what exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests import documentation
from tests.conftest import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# Variables that stand for others in an example.
PLACEHOLDERS = {"<role>_version"}
COMMAND = re.compile(r"ansible-playbook[^`#|\\\n]*(?:\\\n[^`#|\\\n]*)*")


def commands() -> Iterator[tuple[str, str]]:
    """Yield each ansible-playbook command of a page, with the page's name."""
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        # An inline command may continue on the next line.
        content = re.sub(
            r"`[^`\n]+\n[^`\n]+`", lambda m: m[0].replace("\n", " "), content
        )
        for match in COMMAND.finditer(content):
            yield page.name, match[0].replace("\\\n", " ").strip()


def variables() -> set[str]:
    """Return the variables of the roles and of the playbooks."""
    names: set[str] = set()
    for defaults in ROOT.glob("roles/*/defaults/main.yml"):
        names |= set(yaml.safe_load(defaults.read_text(encoding="utf-8")))
    sources = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("plugins/**/*.py")]
    for source in sources:
        names |= set(re.findall(r"\b[a-z][a-z_]+\b", source.read_text("utf-8")))
    return names


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    documentation.build(tmp_path / "html")
    for page in ("index", "operations", "contributing", "reference/component_module"):
        assert (tmp_path / "html" / f"{page}.html").is_file()
    pages = list((tmp_path / "html").rglob("*.html"))
    assert len(pages) > 80
    # Of the theme, which shows its complaints to the readers.
    assert [page for page in pages if "ERROR: " in page.read_text("utf-8")] == []


def test_commands_name_playbooks_and_variables_that_exist() -> None:
    known = variables() | PLACEHOLDERS
    found = list(commands())
    assert len(found) > 20
    for page, command in found:
        words = shlex.split(command)
        for word in words[1:]:
            if re.fullmatch(r"(playbooks/\w+|site)\.yml", word):
                assert (ROOT / word).is_file(), f"{page}: {command}"
        for option, value in pairwise(words):
            name = value.partition("=")[0]
            if option in ("-e", "--extra-vars") and "=" in value:
                assert name in known, f"{page}: {command}"


@pytest.mark.parametrize(
    "defaults",
    sorted(ROOT.glob("roles/*/defaults/main.yml")),
    ids=lambda p: p.parts[-3],
)
def test_every_listen_address_is_in_the_table_of_ports(defaults: Path) -> None:
    table = (ROOT / "docs/ports.md").read_text(encoding="utf-8")
    values = yaml.safe_load(defaults.read_text(encoding="utf-8"))
    for name, value in values.items():
        match = re.fullmatch(r"127\.0\.0\.1:(\d+)", str(value))
        if match and "address" in name:
            row = next(line for line in table.splitlines() if f"`{name}`" in line)
            assert match[1] in row


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs").with_suffix(""))
        if name != "index":
            assert re.search(rf"^{re.escape(name)}$", index, re.MULTILINE), name
