# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that sends OTLP to the collector, and a destination that keeps what it gets from it.

Usage: otlp.py traces FIRST NUMBER   send traces of two spans, the first with a health check; every tenth has failed
       otlp.py metrics               send a histogram and a counter
       otlp.py kill TIMES            kill the collector, each time once it is ready
       otlp.py sink                  be the destination
       otlp.py got                   tell what the destination got
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COLLECTOR = "http://127.0.0.1:4318"
HEALTH = "http://127.0.0.1:13133/"
SINK_PORT = 14318
KEPT = Path("/root/sink.jsonl")
TOKEN = "Bearer of the destination"
FAILED = 2
RESOURCE = {
    "service.name": "shop",
    "service.instance.id": "shop-1",
    "env": "said by the application",
}


def attributes(values: dict) -> list:
    """Attributes as OTLP writes them."""
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def post(signal: str, body: dict) -> None:
    """Send one request, again and again until it is acknowledged, as an SDK does."""
    request = urllib.request.Request(
        f"{COLLECTOR}/v1/{signal}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            time.sleep(0.2)


def send_traces(first: int, number: int) -> None:
    """Send numbered traces, one a request. Their ids are as good as random, and the same each time."""
    for index in range(first, first + number):
        chance = random.Random(index)
        trace = chance.randbytes(16).hex()
        names = ["request", "query", *(["health"] if index == first else [])]
        spans = [
            span(trace, chance.randbytes(8).hex(), name, failed=index % 10 == 0) for name in names
        ]
        scopes = [{"scope": {"name": "shop"}, "spans": spans}]
        post(
            "traces",
            {
                "resourceSpans": [
                    {"resource": {"attributes": attributes(RESOURCE)}, "scopeSpans": scopes}
                ]
            },
        )


def span(trace: str, own: str, name: str, failed: bool) -> dict:
    """A span as OTLP writes it."""
    now = time.time_ns()
    return {
        "traceId": trace, "spanId": own, "name": name, "kind": 2,
        "startTimeUnixNano": str(now - 10**6), "endTimeUnixNano": str(now),
        "status": {"code": FAILED} if failed else {},
        "attributes": attributes({"old.name": "value"}),
    }  # fmt: skip


def send_metrics() -> None:
    """Send a histogram whose name has its unit already, as the architecture's applications do, and a counter."""
    now = time.time_ns()
    common = {
        "startTimeUnixNano": str(now - 10**9),
        "timeUnixNano": str(now),
        "attributes": attributes({"route": "/"}),
    }
    buckets = {"count": "7", "sum": 3.5, "bucketCounts": ["4", "3"], "explicitBounds": [0.5]}
    duration = {"aggregationTemporality": 2, "dataPoints": [{**common, **buckets}]}
    orders = {
        "aggregationTemporality": 2,
        "isMonotonic": True,
        "dataPoints": [{**common, "asInt": "42"}],
    }
    metrics = [
        {"name": "http_request_duration_seconds", "unit": "s", "histogram": duration},
        {"name": "orders", "unit": "1", "sum": orders},
    ]
    scopes = [{"scope": {"name": "shop"}, "metrics": metrics}]
    post(
        "metrics",
        {
            "resourceMetrics": [
                {"resource": {"attributes": attributes(RESOURCE)}, "scopeMetrics": scopes}
            ]
        },
    )


def kill(times: int) -> None:
    """Kill the collector and see it come back, again and again. A start that is killed can lose what was being sent."""
    for _ in range(times):
        subprocess.run(["systemctl", "kill", "--signal=KILL", "otel-collector.service"], check=True)
        time.sleep(1)
        while not is_ready():
            time.sleep(0.1)


def is_ready() -> bool:
    """Whether the collector says that it is ready."""
    try:
        with urllib.request.urlopen(HEALTH, timeout=5):
            return True
    except OSError:
        return False


class Sink(BaseHTTPRequestHandler):
    """Appends every body to a file before it answers, and refuses for good what has no token."""

    def do_POST(self) -> None:
        """Take one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.headers["Authorization"] == TOKEN
        if known:
            with KEPT.open("ab") as stream:
                stream.write(body + b"\n")
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def got() -> dict:
    """What the destination got: how much of it, and the names that occur."""
    spans: dict = {}
    found: dict = {"names": set(), "attributes": set(), "resources": set()}
    for line in KEPT.read_text(encoding="utf-8").splitlines() if KEPT.exists() else ():
        for item in json.loads(line).get("resourceSpans", ()):
            for attribute in item["resource"]["attributes"]:
                found["resources"].add(
                    f"{attribute['key']}={attribute['value'].get('stringValue')}"
                )
            for one in (one for scope in item["scopeSpans"] for one in scope["spans"]):
                spans[one["spanId"]] = one["traceId"]
                found["names"].add(one["name"])
                found["attributes"] |= {attribute["key"] for attribute in one.get("attributes", ())}
    traces = Counter(spans.values())
    counts = {
        "spans": len(spans),
        "traces": len(traces),
        "spans_a_trace": sorted(set(traces.values())),
    }
    return {**counts, **{key: sorted(values) for key, values in found.items()}}


if __name__ == "__main__":
    if sys.argv[1] == "traces":
        send_traces(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "metrics":
        send_metrics()
    elif sys.argv[1] == "kill":
        kill(int(sys.argv[2]))
    elif sys.argv[1] == "sink":
        ThreadingHTTPServer(("127.0.0.1", SINK_PORT), Sink).serve_forever()
    else:
        print(json.dumps(got()))
