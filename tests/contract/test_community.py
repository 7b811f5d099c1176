# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of community.grafana work with the fake, and change nothing the second time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.testbed.grafana.server import FakeGrafana


def test_they_converge() -> None:
    # They write datasources by number, which 13 rejects; 12 is the newest that they support.
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", "community.yml"]
    with FakeGrafana(version="12.4.3") as grafana:
        done = subprocess.run(
            [*command, "-e", f"grafana={grafana.url}"],
            cwd=Path(__file__).parent,
            env=dict(os.environ) | {"ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert "first: [true, true, true, true]" in done.stdout
    assert "second: [false, false, false, false]" in done.stdout
