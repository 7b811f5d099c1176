# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a trace of two services by OTLP: send.py PORT TRACE ENVIRONMENT."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from typing import Any

SERVER, CLIENT = 2, 3
# Service -> span id, its parent's, name and kind. The worker is called by the shop.
SPANS = {
    "shop": [
        (1, 0, "PutObject", SERVER),
        (2, 1, "INSERT", CLIENT),
        (3, 1, "enqueue", CLIENT),
    ],
    "worker": [(4, 3, "pin", SERVER)],
}


def span(trace: str, own: int, parent: int, name: str, kind: int) -> dict[str, Any]:
    """Return a span in OTLP's format."""
    now = time.time_ns()
    times = {"startTimeUnixNano": str(now - 10**7), "endTimeUnixNano": str(now)}
    ids = {
        "traceId": trace,
        "spanId": f"{own:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
    }
    return {**ids, **times, "name": name, "kind": kind}


def resource(service: str, environment: str) -> dict[str, Any]:
    """Return a resource in OTLP's format."""
    values = {"service.name": service, "env": environment}
    return {
        "attributes": [
            {"key": key, "value": {"stringValue": value}}
            for key, value in values.items()
        ]
    }


def send(port: str, trace: str, environment: str) -> None:
    """Send the trace in one request."""
    groups = [
        {
            "resource": resource(service, environment),
            "scopeSpans": [{"spans": [span(trace, *item) for item in items]}],
        }
        for service, items in SPANS.items()
    ]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/traces",
        json.dumps({"resourceSpans": groups}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


if __name__ == "__main__":
    send(*sys.argv[1:])
