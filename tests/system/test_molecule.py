# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Molecule scenario converges, does so again without a change, and verifies."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.conftest import ROOT

MINUTES = 20
# The engine before what is built on it, and the site last.
SCENARIOS = sorted(
    (path.parent.name for path in ROOT.glob("molecule/*/molecule.yml") if path.parent.name != "shared"),
    key=lambda name: (name != "component", name == "site", name),
)


@pytest.mark.usefixtures("bed")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str) -> None:
    log = ROOT / "tests" / "output" / f"molecule-{scenario}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            ["molecule", "test", "--scenario-name", scenario],
            cwd=ROOT,
            env=os.environ | {"NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status: int | str = process.wait(timeout=MINUTES * 60)
        except subprocess.TimeoutExpired:
            status = f"nothing after {MINUTES} minutes"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join([line for line in lines if not line.startswith("FAILED - RETRYING")][-80:])
        pytest.fail(f"molecule exits with {status}; the end of {log.relative_to(ROOT)}:\n{tail}", pytrace=False)
