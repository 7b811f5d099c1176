# SPDX-License-Identifier: GPL-3.0-or-later
"""The counts of data in Loki and Prometheus, and the mix of sent requests."""

from __future__ import annotations

import json
import urllib.parse
from collections import Counter

import pytest

from tests.testbed import app
from tests.testbed.app import flows

STREAM = {"container_name": "hippius-s3-printer-1", "job": "hippius-s3"}
SENT = {"run": "abc", "lines": 30, "container": "hippius-s3-printer-1"}
NOW = 1_800_000_000_000_000_000


def line(number: int) -> str:
    return f"run=abc line={number} of=30"


class Loki:
    """Answers range queries like Loki: from the start, up to the limit, streams apart."""

    def __init__(self, entries):
        self.entries = sorted(entries, key=lambda entry: entry[1])
        self.requests = 0

    def fetch(self, url: str) -> str:
        self.requests += 1
        parameters = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
        start, end, limit = (
            int(parameters[name][0]) for name in ("start", "end", "limit")
        )
        assert parameters["direction"] == ["forward"]
        chosen = [entry for entry in self.entries if start <= entry[1] < end][:limit]
        streams = {}
        for labels, at, line in chosen:
            streams.setdefault(json.dumps(labels), []).append([str(at), line])
        result = [
            {"stream": json.loads(labels), "values": values}
            for labels, values in streams.items()
        ]
        return json.dumps(
            {"status": "success", "data": {"resultType": "streams", "result": result}}
        )


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(flows, "PAGE", 7)
    monkeypatch.setattr(flows.time, "time", lambda: NOW / 1e9)


@pytest.mark.parametrize(
    "instants", [1, 4, 10], ids=["each its own", "shared", "more than half a page"]
)
def test_lines_of_one_instant_on_both_sides_of_a_page_are_each_counted_once(instants):
    count = 30 if instants < 7 else 6
    loki = Loki(
        [
            (STREAM, NOW - 10**9 + number // instants, line(number))
            for number in range(1, count + 1)
        ]
    )
    lines = flows.numbered_lines(loki.fetch, SENT | {"lines": count})
    assert lines == flows.Lines(distinct=count, repeated=0, missing=0, labels=[STREAM])
    assert loki.requests >= count / 7


def test_a_line_that_is_there_twice_is_found_in_one_stream_and_across_streams():
    stderr = STREAM | {"stream": "stderr"}
    entries = [(STREAM, NOW - 10**9 + number, line(number)) for number in range(1, 29)]
    entries += [(stderr, NOW - 10**9 + 5, line(5)), (STREAM, NOW - 10**6, line(9))]
    lines = flows.numbered_lines(Loki(entries).fetch, SENT)
    assert (lines.distinct, lines.repeated, lines.missing) == (28, 2, 2)
    assert lines.labels == [STREAM, stderr]


def test_more_lines_of_one_instant_than_a_page_holds_are_refused():
    loki = Loki([(STREAM, NOW - 10**9, line(number)) for number in range(1, 16)])
    with pytest.raises(RuntimeError, match="one instant"):
        flows.numbered_lines(loki.fetch, SENT)


def test_series_of_one_process_are_summed_and_none_is_zero():
    def fetch(url):
        values = (
            [("a", "40"), ("b", "5"), ("a", "2")]
            if "http_request_duration_seconds_count" in url
            else []
        )
        result = [
            {"metric": {"exported_instance": name}, "value": [0, value]}
            for name, value in values
        ]
        return json.dumps(
            {"status": "success", "data": {"resultType": "vector", "result": result}}
        )

    assert flows.requests_counted(fetch, "a") == 42
    assert flows.requests_counted(fetch, "c") == 0
    assert flows.total(fetch, "uploader_requests_total", "a") == 0


def test_settle_measures_until_it_is_enough(monkeypatch):
    monkeypatch.setattr(flows.time, "sleep", lambda _: None)
    measured = iter([1, 2, 3, 4])
    assert (
        flows.settle(lambda: next(measured), lambda value: value == 3, seconds=60) == 3
    )
    assert flows.settle(lambda: 0, bool, seconds=0) == 0


@pytest.mark.parametrize("count", [1, 10, 57])
def test_the_mix_reads_only_what_it_stored(count):
    requests = list(app.mix(count, bucket="b"))
    assert len(requests) == count
    stored = set()
    for method, path, _ in requests:
        if method == "PUT":
            stored.add(path)
        elif "object" in path:
            assert path in stored
    assert Counter(method for method, _, _ in requests)["PUT"] >= count * 0.6
