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
Found = TypeVar("Found")


def on_host(host: Host) -> Fetch:
    """Return a function that fetches URLs from within a host, with its loopback addresses."""
    return lambda url: host.run(["python3", "-c", GET, url]).stdout


def directly(url: str) -> str:
    """Fetch a URL from this machine."""
    with urllib.request.urlopen(url, timeout=60) as response:
        return response.read().decode()


def settle(measure: Callable[[], Found], enough: Callable[[Found], bool], seconds: float) -> Found:
    """Measure until the result is enough or the time is over; return the last result."""
    deadline = time.monotonic() + seconds
    while True:
        found = measure()
        if enough(found) or time.monotonic() > deadline:
            return found
        time.sleep(1)


def series(
    fetch: Fetch, query: str, prometheus: str = PROMETHEUS
) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each series of an instant query."""
    answer = ask(fetch, f"{prometheus}/api/v1/query", query=query)
    return [(result["metric"], float(result["value"][1])) for result in answer["result"]]


def total(fetch: Fetch, query: str, instance: str, prometheus: str = PROMETHEUS) -> int:
    """Return the sum of a query's series of one process, 0 without any.

    `instance` is its service.instance.id, whatever the name of the label that it becomes.
    """
    return int(
        sum(
            value
            for labels, value in series(fetch, query, prometheus)
            if instance in labels.values()
        )
    )


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


def numbered_lines(fetch: Fetch, sent: dict, loki: str = LOKI) -> Lines:
    """Read back every line that a container of `log_lines` wrote."""
    labels: dict[str, dict[str, str]] = {}
    numbers: Counter[int] = Counter()
    pattern = re.compile(rf"run={sent['run']} line=(\d+) ")
    for stream, _, line in entries(
        fetch, f'{{container_name="{sent["container"]}"}} |= `run={sent["run"]} `', loki
    ):
        numbers[int(pattern.search(line)[1])] += 1
        labels[json.dumps(stream, sort_keys=True)] = stream
    missing = set(range(1, sent["lines"] + 1)) - set(numbers)
    return Lines(len(numbers), numbers.total() - len(numbers), len(missing), list(labels.values()))


def lines_stored(fetch: Fetch, query: str, loki: str = LOKI) -> int:
    """Return the number of lines of a LogQL query, counted one by one."""
    return sum(1 for _ in entries(fetch, query, loki))


def entries(
    fetch: Fetch, query: str, loki: str = LOKI, hours: float = 1
) -> Iterator[tuple[dict[str, str], int, str]]:
    """Yield all entries of a LogQL query: labels, nanoseconds, line; oldest first.

    Loki returns pages, and entries of one instant may be on both sides of a page's end. So each
    page starts with the last instant of the previous one, and entries that were there already are
    left out.
    """
    start, end = int((time.time() - hours * 3600) * 1e9), int((time.time() + 60) * 1e9)
    seen: set[tuple[str, int, str]] = set()
    while True:
        found = page(fetch, query, loki, start, end)
        fresh = [
            entry
            for entry in found
            if (json.dumps(entry[0], sort_keys=True), *entry[1:]) not in seen
        ]
        yield from fresh
        if len(found) < PAGE:
            return
        if not fresh:
            raise RuntimeError(f"more than {PAGE} lines of one instant: {query}")
        start = found[-1][1]
        seen = {
            (json.dumps(stream, sort_keys=True), at, line)
            for stream, at, line in found
            if at == start
        }


def page(
    fetch: Fetch, query: str, loki: str, start: int, end: int
) -> list[tuple[dict[str, str], int, str]]:
    """Return one page of entries, in the order of time."""
    answer = ask(
        fetch,
        f"{loki}/loki/api/v1/query_range",
        query=query,
        start=start,
        end=end,
        limit=PAGE,
        direction="forward",
    )
    return sorted(
        (
            (result["stream"], int(at), line)
            for result in answer["result"]
            for at, line in result["values"]
        ),
        key=lambda entry: entry[1],
    )


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
    found = []
    for batch in answer["batches"]:
        resource = {
            item["key"]: item["value"].get("stringValue")
            for item in batch["resource"]["attributes"]
        }
        for scoped in batch.get("scopeSpans") or batch["instrumentationLibrarySpans"]:
            scope = (scoped.get("scope") or scoped.get("instrumentationLibrary") or {}).get(
                "name", ""
            )
            found += [
                Span(
                    resource["service.name"], scope.rpartition(".")[2], span["name"],
                    span["spanId"], span.get("parentSpanId", ""), resource.get("env", ""),
                )
                for span in scoped["spans"]
            ]  # fmt: skip
    return found


def ask(fetch: Fetch, url: str, **parameters: Any) -> dict:
    """Return the data of an answer of Prometheus or Loki, which share a format."""
    answer = json.loads(fetch(f"{url}?{urllib.parse.urlencode(parameters)}"))
    if answer["status"] != "success":
        raise RuntimeError(f"{url}: {answer}")
    return answer["data"]
