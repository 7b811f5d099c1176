# SPDX-License-Identifier: GPL-3.0-or-later
"""Push numbered lines to Loki until it acknowledges them, or count those that it lacks.

Usage: lines.py push STREAM NUMBER [HOURS_AGO], or lines.py missing STREAM NUMBER
"""

from __future__ import annotations

import json
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter

API = "http://127.0.0.1:3100/loki/api/v1"
BATCH = 10
PAGE = 5000
HOUR = 3600 * 10**9


def push(stream: str, number: int, hours_ago: float = 0) -> None:
    """Send lines in batches, and each batch until it is acknowledged, as Promtail does."""
    for first in range(0, number, BATCH):
        now = time.time_ns() - int(hours_ago * HOUR)
        lines = [
            [str(now + index), f"line {index}"] for index in range(first, first + BATCH)
        ]
        body = json.dumps(
            {"streams": [{"stream": {"job": stream}, "values": lines}]}
        ).encode()
        while not accepted(body):
            time.sleep(0.1)
        time.sleep(0.02)


def accepted(body: bytes) -> bool:
    """Return whether Loki acknowledged a batch; raise if it refuses the batch permanently."""
    request = urllib.request.Request(
        f"{API}/push", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 400:
            raise
    except OSError:
        pass
    return False


def missing(stream: str, number: int) -> dict[str, int]:
    """Return how many of the lines Loki lacks, and how many it has more than once."""
    counts = Counter(line for _stamp, line in stored(stream))
    return {
        "missing": sum(f"line {index}" not in counts for index in range(number)),
        "twice": sum(count > 1 for count in counts.values()),
    }


def stored(stream: str) -> list[tuple[int, str]]:
    """Return all lines of a stream with their timestamps, read page by page."""
    lines: list[tuple[int, str]] = []
    start, end = time.time_ns() - 100 * HOUR, time.time_ns()
    while True:
        query = {
            "query": f'{{job="{stream}"}}',
            "limit": PAGE,
            "direction": "forward",
            "start": start,
            "end": end,
        }
        with urllib.request.urlopen(
            f"{API}/query_range?{urllib.parse.urlencode(query)}", timeout=60
        ) as answer:
            result = json.load(answer)["data"]["result"]
        page = sorted(
            (int(stamp), line) for item in result for stamp, line in item["values"]
        )
        lines += page
        if len(page) < PAGE:
            return lines
        start = page[-1][0] + 1


if __name__ == "__main__":
    if sys.argv[1] == "push":
        push(sys.argv[2], int(sys.argv[3]), *map(float, sys.argv[4:]))
    else:
        print(json.dumps(missing(sys.argv[2], int(sys.argv[3]))))
