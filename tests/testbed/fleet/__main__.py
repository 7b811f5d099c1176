# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the metrics and log lines of the fleet into files."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tests.testbed.fleet import lines, metrics, series

HOUR = 3600
WEEK = 7 * 24 * HOUR


def main() -> None:
    """Write both files."""
    options = argparse.ArgumentParser(
        prog="python3 -m tests.testbed.fleet", description=__doc__
    )
    options.add_argument("directory", type=Path)
    options.add_argument("--hours", type=float, default=6, help="default: %(default)s")
    options.add_argument(
        "--ahead",
        type=float,
        default=2,
        help="hours after now, so that the faults stay in view; default: %(default)s",
    )
    options.add_argument(
        "--step",
        type=int,
        default=30,
        help="seconds between samples; default: %(default)s",
    )
    chosen = options.parse_args()
    now = int(time.time()) // chosen.step * chosen.step
    start, end = now - int(chosen.hours * HOUR), now + int(chosen.ahead * HOUR)
    spans = [range(start, end, chosen.step)]
    if chosen.hours * HOUR < WEEK:
        # A dashboard compares with a week ago.
        spans.insert(0, range(start - WEEK, end - WEEK, chosen.step))
    chosen.directory.mkdir(parents=True, exist_ok=True)
    with (chosen.directory / "metrics.txt").open("w", encoding="utf-8") as file:
        file.writelines(series.exposition(metrics.fleet(), spans, now))
    with (chosen.directory / "lines.txt").open("w", encoding="utf-8") as file:
        file.writelines(f"{body}\n" for body in lines.pushed(now, end - now))


if __name__ == "__main__":
    main()
