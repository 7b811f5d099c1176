# SPDX-License-Identifier: GPL-3.0-or-later
"""Push numbered lines to Loki, each until it is acknowledged, or tell which of them Loki has.

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
    """Send lines in batches and try each again for as long as it takes, as Promtail does."""
    for first in range(0, number, BATCH):
        now = time.time_ns() - int(hours_ago * HOUR)
        lines = [[str(now + index), f"line {index}"] for index in range(first, first + BATCH)]
        body = json.dumps({"streams": [{"stream": {"job": stream}, "values": lines}]}).encode()
        while not accepted(body):
            time.sleep(0.1)
        time.sleep(0.02)


def accepted(body: bytes) -> bool:
    """Whether Loki acknowledged a batch; one that it refuses for good ends the program."""
    request = urllib.request.Request(f"{API}/push", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 400:
            raise
    except OSError:
        pass
    return False


def missing(stream: str, number: int) -> dict:
    """How many of the numbered lines Loki lacks, and how many it has more than once."""
    seen = Counter(line for _stamp, line in stored(stream))
    return {
        "missing": sum(f"line {index}" not in seen for index in range(number)),
        "twice": sum(count > 1 for count in seen.values()),
    }


def stored(stream: str) -> list:
    """All lines of a stream, page by page."""
    found: list = []
    start, end = time.time_ns() - 100 * HOUR, time.time_ns()
    while True:
        question = {
            "query": f'{{job="{stream}"}}',
            "limit": PAGE,
            "direction": "forward",
            "start": start,
            "end": end,
        }
        with urllib.request.urlopen(
            f"{API}/query_range?{urllib.parse.urlencode(question)}", timeout=60
        ) as answer:
            result = json.load(answer)["data"]["result"]
        page = sorted((int(stamp), line) for item in result for stamp, line in item["values"])
        found += page
        if len(page) < PAGE:
            return found
        start = page[-1][0] + 1


if __name__ == "__main__":
    if sys.argv[1] == "push":
        push(sys.argv[2], int(sys.argv[3]), *map(float, sys.argv[4:]))
    else:
        print(json.dumps(missing(sys.argv[2], int(sys.argv[3]))))
