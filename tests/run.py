# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests with pytest and print one line of counts at the end.

`python -m tests.run [STAGE...] [-- ARGUMENT...]`: stages are the folders of `STAGES`, by default
all of them, in two lanes at once; pytest gets the arguments after `--`. `experiments`, or a file of
it such as `experiments/test_interruptions.py`, are longer sweeps that only a command of their own
runs; the last complete run of each file is recorded with its commit. The run fails if a test or its
set-up failed, if nothing ran, if a skip has no reason, or if there are more skips than allowed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.testbed import docker

# Fast ones first, so that simple errors show within seconds.
STAGES = ("unit", "contract", "checks", "system", "resilience")
# Two lanes, since most tests of either wait, and the machine has two cores. The tests of the first
# use one host at most, which no other test uses. Those of the second share sites and the sample
# application.
ALONE, SITES = "alone", "sites"
ON_ONE_HOST = (
    "unit",
    "contract",
    "checks",
    "resilience/test_component.py",
    "resilience/test_bundle.py",
)
COMMAND = (sys.executable, "-u", "-m", "tests.run")
NO_TESTS = 5
LANE, RESULT = "lane=", "TESTS_RESULT"
# Sweeps that take longer than a change should wait.
EXPERIMENTS = "experiments"
# Increase it only together with the reason of the new skip.
ALLOWED_SKIPS = 0

TESTS = Path(__file__).parent
OUTCOMES = ("passed", "failed", "skipped")
RECORD = TESTS / "experiments.json"


class Tally:
    """A pytest plugin that records one outcome for each test, over set-up, call and tear-down."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.unexplained: list[str] = []
        self.seconds: Counter[str] = Counter()
        self.seconds_of_files: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid.removeprefix("tests/").split("/")[0]] += (
            report.duration
        )
        self.seconds_of_files[report.nodeid.split("::")[0]] += report.duration
        self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self.note(report)

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Record the worst outcome; a file that cannot be collected counts as a test."""
        rank = ("passed", "skipped", "failed")  # from best to worst
        self.outcomes[report.nodeid] = max(
            self.outcomes.get(report.nodeid, "passed"), report.outcome, key=rank.index
        )
        if report.skipped and not reason(report):
            self.unexplained.append(report.nodeid)

    def count(self, outcome: str) -> int:
        return sum(kept == outcome for kept in self.outcomes.values())

    def verdict(self) -> list[str]:
        """Return the failures of the run other than failed tests."""
        failures = [
            f"skipped without a reason: {nodeid}" for nodeid in self.unexplained
        ]
        skipped = self.count("skipped")
        if skipped > ALLOWED_SKIPS:
            failures.append(
                f"{skipped} skipped, where tests/run.py allows {ALLOWED_SKIPS}"
            )
        return failures

    def closing_line(self) -> str:
        return ", ".join(f"{self.count(outcome)} {outcome}" for outcome in OUTCOMES)


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the author's reason for a skip or an expected failure."""
    if hasattr(report, "wasxfail"):
        return report.wasxfail.removeprefix("reason: ")
    message = (
        report.longrepr[2]
        if isinstance(report.longrepr, tuple)
        else str(report.longrepr)
    )
    return (
        message.removeprefix("Skipped")
        .removeprefix(": ")
        .replace("unconditional skip", "")
    )


def git(*words: str) -> str:
    """Return the output of git in this checkout."""
    done = subprocess.run(
        ["git", *words], cwd=TESTS, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def record(tally: Tally) -> None:
    """Write the result of each file of experiments that ran, with the commit that it tested.

    The files share nothing, and all of them take longer than a night's window allows.
    """
    results = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    tested = {
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain")),
        "date": datetime.now(UTC).date().isoformat(),
    }
    for file in sorted({nodeid.split("::")[0] for nodeid in tally.outcomes}):
        counts = Counter(
            outcome
            for nodeid, outcome in tally.outcomes.items()
            if nodeid.startswith(f"{file}::")
        )
        results[Path(file).stem] = {
            **tested,
            "seconds": round(tally.seconds_of_files[file]),
            **{outcome: counts[outcome] for outcome in OUTCOMES},
        }
    RECORD.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def run_pytest(paths: Sequence[str], options: Sequence[str]) -> tuple[Tally, int]:
    """Run tests; return what became of them, and the exit status."""
    tally = Tally()
    arguments = ["-v", "-r", "fEsxX", "--continue-on-collection-errors"]
    status = int(pytest.main([*arguments, *paths, *options], plugins=[tally]))
    failures = tally.verdict()
    print(
        "; ".join(
            f"{stage} {seconds:.0f} s" for stage, seconds in tally.seconds.items()
        )
    )
    for message in failures:
        print(message)
    return tally, status or int(bool(failures or tally.count("failed")))


def run_lane(name: str, options: Sequence[str]) -> int:
    """Run the tests of a lane, and write what became of them where `run_lanes` reads it."""
    tally, status = run_pytest(paths_of(name), options)
    Path(os.environ[RESULT]).write_text(json.dumps(tally.outcomes), encoding="utf-8")
    return status


def paths_of(lane: str) -> list[str]:
    """Return the tests of a lane, in order."""
    if lane == ALONE:
        return [str(TESTS / path) for path in ON_ONE_HOST]
    folders = [str(TESTS / stage) for stage in STAGES if stage not in ON_ONE_HOST]
    return [*folders, *(f"--ignore={TESTS / path}" for path in ON_ONE_HOST)]


def run_lanes(options: Sequence[str]) -> int:
    """Run all stages, those that share the sites and those that do not at the same time."""
    was_running = docker.is_running()
    try:
        with TemporaryDirectory() as folder, ThreadPoolExecutor() as lanes:
            results = {name: Path(folder, name) for name in (ALONE, SITES)}
            statuses = list(
                lanes.map(
                    partial(follow_lane, options=options), results, results.values()
                )
            )
            outcomes = [read_outcomes(path) for path in results.values()]
    finally:
        if not was_running and docker.is_running():
            command = [sys.executable, "-m", "tests.testbed", "all-down"]
            subprocess.run(command, check=False)
    tally = Tally()
    for lane in outcomes:
        tally.outcomes.update(lane)
    print(tally.closing_line(), flush=True)
    # With a selection of tests, one of the lanes may have none.
    accepted = {0, NO_TESTS} if tally.outcomes else {0}
    return next((status for status in statuses if status not in accepted), 0)


def follow_lane(name: str, result: Path, options: Sequence[str]) -> int:
    """Run a lane in a process of its own, and print its lines; return its exit status."""
    command = [*COMMAND, f"{LANE}{name}", "--", *options]
    environment = {**os.environ, RESULT: str(result), docker.KEEP: "1"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        for line in process.stdout or ():
            print(f"{name}: {line}", end="", flush=True)
    # A lane that dies without a result is no success.
    return process.returncode or int(not result.is_file())


def read_outcomes(result: Path) -> dict[str, str]:
    """Return the outcome of each test of a lane; none if the lane died."""
    return json.loads(result.read_text("utf-8")) if result.is_file() else {}


def main(arguments: list[str]) -> int:
    """Run the stages that the arguments name."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    stages, options = arguments[:cut], arguments[cut + 1 :]
    if not stages:
        return run_lanes(options)
    if stages[0].startswith(LANE):
        return run_lane(stages[0].removeprefix(LANE), options)
    tally, status = run_pytest([str(TESTS / stage) for stage in stages], options)
    if not options and all(stage.split("/")[0] == EXPERIMENTS for stage in stages):
        record(tally)
    print(tally.closing_line(), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
