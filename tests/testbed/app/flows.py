# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the data that arrived, by the query APIs of the servers.

    fetch = on_host(host)  # the servers listen on the host's loopback address
    sent = log_lines(10_000)
    lines = settle(lambda: numbered_lines(fetch, sent), lambda lines: not lines.missing, 60)
    assert lines.repeated == 0

Counters of the sender are not trusted: requests and lines are counted in the servers' storage.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.testbed.hosts import Host

PROMETHEUS = "http://127.0.0.1:9090"
LOKI = "http://127.0.0.1:3100"
TEMPO = "http://127.0.0.1:3200"
# Loki answers a query with at most this many lines (its limits_config.max_entries_limit_per_query).
PAGE = 5000
GET = (
    "import sys, urllib.request;"
    " sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"
)

Fetch = Callable[[str], str]
# The labels of the stream, nanoseconds, the line.
Entry = tuple[dict[str, str], int, str]
Value = TypeVar("Value")


def on_host(host: Host) -> Fetch:
    """Return a function that fetches URLs from within a host, with its loopback addresses."""
    return lambda url: host.run(["python3", "-c", GET, url]).stdout


def directly(url: str) -> str:
    """Fetch a URL from this machine."""
    with urllib.request.urlopen(url, timeout=60) as response:
        return response.read().decode()


def settle(
    measure: Callable[[], Value], enough: Callable[[Value], bool], seconds: float
) -> Value:
    """Measure until the value is enough or the time is over; return the last value."""
    deadline = time.monotonic() + seconds
    while True:
        value = measure()
        if enough(value) or time.monotonic() > deadline:
            return value
        time.sleep(1)


def series(
    fetch: Fetch, query: str, prometheus: str = PROMETHEUS
) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each series of an instant query."""
    answer = ask(fetch, f"{prometheus}/api/v1/query", query=query)
    return [
        (result["metric"], float(result["value"][1])) for result in answer["result"]
    ]


def total(fetch: Fetch, query: str, instance: str, prometheus: str = PROMETHEUS) -> int:
    """Return the sum of a query's series of one process, 0 without any.

    `instance` is its service.instance.id, whatever the name of the label that it becomes.
    """
    every = series(fetch, query, prometheus)
    return int(sum(value for labels, value in every if instance in labels.values()))


def requests_counted(fetch: Fetch, instance: str, prometheus: str = PROMETHEUS) -> int:
    """Return the number of requests to a process of the API, according to Prometheus."""
    return total(fetch, "http_request_duration_seconds_count", instance, prometheus)


@dataclass(frozen=True)
class Lines:
    """Numbered lines of one run in Loki."""

    distinct: int  # different numbers that are there
    repeated: int  # entries beyond the first of each number
    missing: int  # numbers of the run that are not there
    labels: list[dict[str, str]]  # labels of the streams that hold them


def numbered_lines(fetch: Fetch, sent: dict[str, Any], loki: str = LOKI) -> Lines:
    """Read back every line that a container of `log_lines` wrote."""
    labels: dict[str, dict[str, str]] = {}
    numbers: Counter[int] = Counter()
    pattern = re.compile(rf"run={sent['run']} line=(\d+) ")
    query = f'{{container_name="{sent["container"]}"}} |= `run={sent["run"]} `'
    for stream, _nanoseconds, line in entries(fetch, query, loki):
        numbers[int(pattern.search(line)[1])] += 1
        labels[json.dumps(stream, sort_keys=True)] = stream
    missing = set(range(1, sent["lines"] + 1)) - set(numbers)
    return Lines(
        len(numbers),
        numbers.total() - len(numbers),
        len(missing),
        list(labels.values()),
    )


def lines_stored(fetch: Fetch, query: str, loki: str = LOKI) -> int:
    """Return the number of lines of a LogQL query, counted one by one."""
    return sum(1 for _ in entries(fetch, query, loki))


def entries(
    fetch: Fetch, query: str, loki: str = LOKI, hours: float = 1
) -> Iterator[Entry]:
    """Yield all entries of a LogQL query: labels, nanoseconds, line; oldest first.

    Loki returns pages, and entries of one instant may be on both sides of a page's end. So each
    page starts with the last instant of the previous one, and entries that were there already are
    left out.
    """
    start, end = int((time.time() - hours * 3600) * 1e9), int((time.time() + 60) * 1e9)
    returned: set[tuple[str, int, str]] = set()
    while True:
        current = page(fetch, query, loki, start, end)
        fresh = [entry for entry in current if identity(entry) not in returned]
        yield from fresh
        if len(current) < PAGE:
            return
        if not fresh:
            raise RuntimeError(f"more than {PAGE} lines of one instant: {query}")
        start = current[-1][1]
        returned = {identity(entry) for entry in current if entry[1] == start}


def identity(entry: Entry) -> tuple[str, int, str]:
    """Return a hashable form of an entry."""
    labels, at, line = entry
    return json.dumps(labels, sort_keys=True), at, line


def page(fetch: Fetch, query: str, loki: str, start: int, end: int) -> list[Entry]:
    """Return one page of entries, in the order of time."""
    span = {"start": start, "end": end, "limit": PAGE, "direction": "forward"}
    answer = ask(fetch, f"{loki}/loki/api/v1/query_range", query=query, **span)
    unsorted = [
        (result["stream"], int(at), line)
        for result in answer["result"]
        for at, line in result["values"]
    ]
    return sorted(unsorted, key=lambda entry: entry[1])


@dataclass(frozen=True)
class Span:
    """A span as Tempo stores it."""

    service: str
    scope: str  # the last word of the library that made it
    name: str
    id: str
    parent: str
    env: str  # of its resource


def spans(fetch: Fetch, trace_id: str, tempo: str = TEMPO) -> list[Span]:
    """Return all spans of a trace; none while Tempo does not have it."""
    try:
        answer = json.loads(fetch(f"{tempo}/api/traces/{trace_id}"))
    except (RuntimeError, OSError) as error:
        if "HTTP Error 404" not in str(error):
            raise
        return []
    trace: list[Span] = []
    for batch in answer["batches"]:
        resource = {
            attribute["key"]: attribute["value"].get("stringValue")
            for attribute in batch["resource"]["attributes"]
        }
        for scoped in batch.get("scopeSpans") or batch["instrumentationLibrarySpans"]:
            library = scoped.get("scope") or scoped.get("instrumentationLibrary") or {}
            trace += [
                Span(
                    service=resource["service.name"],
                    scope=library.get("name", "").rpartition(".")[2],
                    name=span["name"],
                    id=span["spanId"],
                    parent=span.get("parentSpanId", ""),
                    env=resource.get("env", ""),
                )
                for span in scoped["spans"]
            ]
    return trace


def ask(fetch: Fetch, url: str, **parameters: Any) -> dict[str, Any]:
    """Return the data of an answer of Prometheus or Loki, which share a format."""
    answer = json.loads(fetch(f"{url}?{urllib.parse.urlencode(parameters)}"))
    if answer["status"] != "success":
        raise RuntimeError(f"{url}: {answer}")
    return answer["data"]
