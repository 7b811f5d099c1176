# SPDX-License-Identifier: GPL-3.0-or-later
"""Send OTLP to the collector as an application does, or act as a destination of it.

Usage: otlp.py traces FIRST NUMBER   send traces of two spans, the first also with a health check;
                                     every tenth has failed
       otlp.py metrics               send a histogram and a counter
       otlp.py kill TIMES            kill the collector, each time once it is ready
       otlp.py sink                  run the destination
       otlp.py got                   print a summary of the data that the destination received
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
from typing import Any

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


def attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    """Return attributes in OTLP's format."""
    return [
        {"key": key, "value": {"stringValue": value}} for key, value in values.items()
    ]


def post(signal: str, body: dict[str, Any]) -> None:
    """Send one request until it is acknowledged, as an SDK does."""
    request = urllib.request.Request(
        f"{COLLECTOR}/v1/{signal}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            time.sleep(0.2)


def send_traces(first: int, number: int) -> None:
    """Send numbered traces, one in each request, with reproducible pseudo-random ids."""
    for index in range(first, first + number):
        chance = random.Random(index)
        trace = chance.randbytes(16).hex()
        names = ["request", "query", *(["health"] if index == first else [])]
        spans = [
            span(trace, chance.randbytes(8).hex(), name, failed=index % 10 == 0)
            for name in names
        ]
        scopes = [{"scope": {"name": "shop"}, "spans": spans}]
        post(
            "traces",
            {
                "resourceSpans": [
                    {
                        "resource": {"attributes": attributes(RESOURCE)},
                        "scopeSpans": scopes,
                    }
                ]
            },
        )


def span(trace: str, own: str, name: str, failed: bool) -> dict[str, Any]:
    """Return a span in OTLP's format."""
    now = time.time_ns()
    return {
        "traceId": trace, "spanId": own, "name": name, "kind": 2,
        "startTimeUnixNano": str(now - 10**6), "endTimeUnixNano": str(now),
        "status": {"code": FAILED} if failed else {},
        "attributes": attributes({"old.name": "value"}),
    }  # fmt: skip


def send_metrics() -> None:
    """Send a histogram with the unit in its name, as the applications do, and a counter."""
    now = time.time_ns()
    common = {
        "startTimeUnixNano": str(now - 10**9),
        "timeUnixNano": str(now),
        "attributes": attributes({"route": "/"}),
    }
    buckets = {
        "count": "7",
        "sum": 3.5,
        "bucketCounts": ["4", "3"],
        "explicitBounds": [0.5],
    }
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
                {
                    "resource": {"attributes": attributes(RESOURCE)},
                    "scopeMetrics": scopes,
                }
            ]
        },
    )


def kill(times: int) -> None:
    """Kill the collector repeatedly, once it is ready: a killed start may lose batches."""
    for _ in range(times):
        subprocess.run(
            ["systemctl", "kill", "--signal=KILL", "otel-collector.service"], check=True
        )
        time.sleep(1)
        while not is_ready():
            time.sleep(0.1)


def is_ready() -> bool:
    """Return whether the collector is ready."""
    try:
        with urllib.request.urlopen(HEALTH, timeout=5):
            return True
    except OSError:
        return False


class Sink(BaseHTTPRequestHandler):
    """Append every body to a file before answering; refuse requests without the token."""

    def do_POST(self) -> None:
        """Receive one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_authorized = self.headers["Authorization"] == TOKEN
        if is_authorized:
            with KEPT.open("ab") as stream:
                stream.write(body + b"\n")
        self.send_response(200 if is_authorized else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def got() -> dict[str, Any]:
    """Return the number of spans and traces received, and the names in them."""
    trace_of_span: dict[str, str] = {}
    names: dict[str, set[str]] = {
        "names": set(),
        "attributes": set(),
        "resources": set(),
    }
    for line in KEPT.read_text(encoding="utf-8").splitlines() if KEPT.exists() else ():
        for item in json.loads(line).get("resourceSpans", ()):
            for attribute in item["resource"]["attributes"]:
                value = attribute["value"].get("stringValue")
                names["resources"].add(f"{attribute['key']}={value}")
            for scope in item["scopeSpans"]:
                for received in scope["spans"]:
                    trace_of_span[received["spanId"]] = received["traceId"]
                    names["names"].add(received["name"])
                    keys = {
                        attribute["key"] for attribute in received.get("attributes", ())
                    }
                    names["attributes"] |= keys
    traces = Counter(trace_of_span.values())
    counts = {
        "spans": len(trace_of_span),
        "traces": len(traces),
        "spans_a_trace": sorted(set(traces.values())),
    }
    return {**counts, **{key: sorted(values) for key, values in names.items()}}


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
