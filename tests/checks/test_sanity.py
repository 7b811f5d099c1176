# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity finds nothing in the collection as it is published, with every Python that is there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.checks.conftest import Run
from tests.conftest import ROOT
from tests.testbed import cache

PIP_INSTALLER = Path(__file__).parent / "install_pip.py"


def pythons() -> str:
    """PATH with the Pythons that pyenv holds, where it does, in place of its shims, which fail for most versions."""
    entries = [entry for entry in os.environ["PATH"].split(":") if not entry.endswith("/shims")]
    versions = Path(os.environ.get("PYENV_ROOT", "/nonexistent"), "versions")
    return ":".join([entries[0], *map(str, sorted(versions.glob("*/bin"))), *entries[1:]])


def test_sanity(run: Run, installed: Path, tmp_path: Path) -> None:
    # What is published is judged; the rest of the tree, which no Ansible loads, is left to the linters.
    collection = tmp_path / "ansible_collections" / "hippius" / "monitoring"
    shutil.copytree(installed / "ansible_collections" / "hippius" / "monitoring", collection)
    (collection / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "config.yml", collection / "tests")
    # It keeps its virtual environments in the home directory, and would download this file from a site of its own.
    home = cache.directory("ansible-test")
    installer = home / ".ansible" / "test" / "cache" / "get_pip_24_2.py"
    installer.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(PIP_INSTALLER, installer)
    environment = {"HOME": str(home), "PATH": pythons()}
    run("ansible-test", "sanity", "--color", "no", cwd=collection, timeout=1200, **environment)
