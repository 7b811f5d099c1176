# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity finds nothing in the published collection, with every available Python."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.checks.conftest import Run
from tests.conftest import ROOT
from tests.testbed import cache

PIP_INSTALLER = Path(__file__).parent / "install_pip.py"
COLLECTION = Path("ansible_collections") / "hippius" / "monitoring"


def search_path() -> str:
    """Return PATH with pyenv's Pythons, if there are any, in place of its shims.

    A shim fails for every version that is not active.
    """
    entries = [
        entry for entry in os.environ["PATH"].split(":") if not entry.endswith("/shims")
    ]
    versions = Path(os.environ.get("PYENV_ROOT", "/nonexistent"), "versions")
    return ":".join(
        [entries[0], *map(str, sorted(versions.glob("*/bin"))), *entries[1:]]
    )


def test_sanity(run: Run, installed: Path, tmp_path: Path) -> None:
    # Only published files are tested; no Ansible loads the others, which the linters check.
    collection = tmp_path / COLLECTION
    shutil.copytree(installed / COLLECTION, collection)
    (collection / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "config.yml", collection / "tests")
    # ansible-test keeps its virtual environments in the home directory, and would download this
    # file from a site of its own.
    home = cache.directory("ansible-test")
    installer = home / ".ansible" / "test" / "cache" / "get_pip_24_2.py"
    installer.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(PIP_INSTALLER, installer)
    environment = {"HOME": str(home), "PATH": search_path()}
    run(
        "ansible-test",
        "sanity",
        "--color",
        "no",
        cwd=collection,
        timeout=1200,
        **environment,
    )
