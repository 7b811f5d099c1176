# SPDX-License-Identifier: GPL-3.0-or-later
"""Send spans by OTLP and count them in Tempo.

`spans.py send RUN TRACES SECONDS | count RUN TRACES`. Each trace has 100 spans in two requests,
each repeated until it is acknowledged. A span counts once, however often it arrives.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

SPANS = 100
COLLECTOR, TEMPO = "http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:3200/api/traces"


def trace_id(run: str, number: int) -> str:
    """Return the id of one of the run's traces."""
    return f"{run}{number:0{32 - len(run)}x}"


def span(trace: str, number: int) -> dict[str, Any]:
    """Return a span in OTLP's form; the first one is the parent of all others."""
    now = time.time_ns()
    times = {"startTimeUnixNano": str(now - 10**7), "endTimeUnixNano": str(now)}
    ids = {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "parentSpanId": "" if number == 1 else f"{1:016x}",
    }
    return {**ids, **times, "name": "work", "kind": 1}


def send(run: str, traces: int, seconds: float) -> None:
    """Send all traces over some seconds, and print the number of acknowledged spans."""
    began, acknowledged, repeated = time.monotonic(), 0, 0
    service = {
        "attributes": [{"key": "service.name", "value": {"stringValue": "spans"}}]
    }
    for number in range(traces):
        for half in range(2):
            spans = [
                span(trace_id(run, number), 1 + half * SPANS // 2 + index)
                for index in range(SPANS // 2)
            ]
            body = json.dumps(
                {
                    "resourceSpans": [
                        {"resource": service, "scopeSpans": [{"spans": spans}]}
                    ]
                }
            ).encode()
            while not accepted(body):
                repeated += 1
                time.sleep(0.1)
            acknowledged += len(spans)
        time.sleep(max(0.0, began + seconds * (number + 1) / traces - time.monotonic()))
    print(acknowledged, repeated)


def accepted(body: bytes) -> bool:
    """Return whether the collector acknowledged a request."""
    try:
        request = urllib.request.Request(
            COLLECTOR, body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10):
            return True
    except OSError:
        return False


def count(run: str, traces: int) -> None:
    """Print the number of different spans in Tempo."""
    total = 0
    for number in range(traces):
        try:
            with urllib.request.urlopen(
                f"{TEMPO}/{trace_id(run, number)}", timeout=10
            ) as answer:
                batches = json.load(answer)["batches"]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            continue
        scopes = [
            scope for batch in batches for scope in batch["instrumentationLibrarySpans"]
        ]
        total += len(
            {stored["spanId"] for scope in scopes for stored in scope["spans"]}
        )
    print(total)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        count(sys.argv[2], int(sys.argv[3]))
