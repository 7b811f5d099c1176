# SPDX-License-Identifier: GPL-3.0-or-later
"""Every Molecule scenario converges, converges again without a change, and verifies."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.conftest import ROOT

MINUTES = 20
# A scenario mostly waits for its services.
AT_ONCE = 2
# The rollout module first, since the others use it, and the site last.
SCENARIOS = sorted(
    (
        path.parent.name
        for path in ROOT.glob("molecule/*/molecule.yml")
        if path.parent.name != "shared"
    ),
    key=lambda name: (name != "component", name == "site", name),
)


class Scenarios:
    """Scenarios that run ahead of the tests for their outcome, each with its own hosts."""

    def __init__(self, names: list[str]) -> None:
        self.stopping = threading.Event()
        self.pool = ThreadPoolExecutor(AT_ONCE)
        self.outcomes: dict[str, Future] = {
            name: self.pool.submit(self._run, name) for name in names
        }

    def close(self) -> None:
        """Stop the running scenarios, for example when the tests are interrupted."""
        self.stopping.set()
        self.pool.shutdown(cancel_futures=True)

    def _run(self, name: str) -> str:
        """Run a scenario and return its error, or the empty string."""
        log = ROOT / "tests" / "output" / f"molecule-{name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                ["molecule", "test", "--scenario-name", name],
                cwd=ROOT,
                env=os.environ | {"NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            status = self._wait(process)
        if status == 0:
            return ""
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(
            [line for line in lines if not line.startswith("FAILED - RETRYING")][-80:]
        )
        return (
            f"molecule exits with {status}; the end of {log.relative_to(ROOT)}:\n{tail}"
        )

    def _wait(self, process: subprocess.Popen) -> int | str:
        for _second in range(MINUTES * 60):
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if self.stopping.is_set():
                    break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"nothing after {MINUTES} minutes"


@pytest.fixture(scope="module")
def outcome(
    request: pytest.FixtureRequest, testbed: None
) -> Iterator[Callable[[str], str]]:
    """Return the outcome of a scenario.

    All scenarios of this pytest run start now, in its order.
    """
    asked = [
        item.callspec.params["scenario"]
        for item in request.session.items
        if item.path == request.path
    ]
    scenarios = Scenarios(asked)
    yield lambda name: scenarios.outcomes[name].result()
    scenarios.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, outcome: Callable[[str], str]) -> None:
    wrong = outcome(scenario)
    if wrong:
        pytest.fail(wrong, pytrace=False)
