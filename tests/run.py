# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests with pytest and print one line of counts at the end.

`python -m tests.run [STAGE...] [-- ARGUMENT...]`: stages are the folders of `STAGES`, by default
all of them; pytest gets the arguments after `--`. `experiments`, or a file of it such as
`experiments/test_interruptions.py`, are longer sweeps that only a command of their own runs; the
last complete run of each file is recorded with its commit. The run fails if a test or its set-up
failed, if nothing ran, if a skip has no reason, or if there are more skips than allowed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

# Fast ones first, so that simple errors show within seconds.
STAGES = ("unit", "contract", "checks", "system", "resilience")
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


def main(arguments: list[str]) -> int:
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    stages, options = arguments[:cut], arguments[cut + 1 :]
    folders = [TESTS / stage for stage in stages or STAGES]
    tally = Tally()
    arguments_of_pytest = ["-v", "-r", "fEsxX", "--continue-on-collection-errors"]
    arguments_of_pytest += [*map(str, folders), *options]
    status = int(pytest.main(arguments_of_pytest, plugins=[tally]))
    failures = tally.verdict()
    if (
        stages
        and not options
        and all(stage.split("/")[0] == EXPERIMENTS for stage in stages)
    ):
        record(tally)
    print(
        "; ".join(
            f"{stage} {seconds:.0f} s" for stage, seconds in tally.seconds.items()
        )
    )
    for message in failures:
        print(message)
    print(tally.closing_line(), flush=True)
    return status or int(bool(failures or tally.count("failed")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
