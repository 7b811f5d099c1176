# SPDX-License-Identifier: GPL-3.0-or-later
"""The library grafana-client works with the fake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import VERSIONS
from tests.testbed.grafana import notifications
from tests.testbed.grafana.server import FakeGrafana


@pytest.mark.parametrize("version", VERSIONS)
def test_it_manages_one_of_each_kind(library: dict[str, str], version: str) -> None:
    with FakeGrafana(version=version) as grafana:
        # An upgraded server, with the contact point by mail.
        grafana.store.put(1, "alertmanager", "", notifications.default())
        address = grafana.url.replace("//", f"//{grafana.username}:{grafana.password}@")
        program = [
            sys.executable,
            str(Path(__file__).parent / "use_library.py"),
            address,
        ]
        done = subprocess.run(
            program,
            env=library,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "org": "Main Org.",
        "edition": "Open Source",
        "datasource": {"httpMethod": "POST"},
        "datasources": 1,
        "folder": "F2",
        "dashboard": "f",
        "search": ["d"],
        "contact points": ["c", ""],
        "policy": "discord",
        "rule": "Changed",
        "rules": [],
        "missing": 404,
    }
