# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated data answers every query of the dashboards, on many hosts and with faults."""

from __future__ import annotations

import json
import re

import pytest

from tests import content
from tests.testbed.fleet import lines, metrics
from tests.testbed.fleet.series import MINUTE, Series, exposition, samples

NOW = 1_800_000_000
FLEET = list(metrics.fleet())
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:\\.|[^"\\])*)"')


def selected(selector: str) -> list[Series]:
    """Return the series that a selector of PromQL finds."""
    matchers = MATCHER.findall(selector)
    name = content.metric(selector)
    return [one for one in FLEET if one.name == name and matches(one.labels, matchers)]


def matches(labels: dict[str, str], matchers: list[tuple[str, str, str]]) -> bool:
    """Return whether labels fulfil all matchers."""
    for label, operator, pattern in matchers:
        value = labels.get(label, "")
        found = re.fullmatch(pattern, value) if "~" in operator else value == pattern
        if bool(found) == operator.startswith("!"):
            return False
    return True


def panel_selectors() -> list[str]:
    """Return each selector of the dashboards' Prometheus queries, for all hosts."""
    dashboards = [path.stem for path in content.dashboard_files()]
    found = {
        re.sub(r"\$\w+", ".*", selector)
        for query in content.queries()
        if query.datasource == "prometheus" and query.where.split(", ")[0] in dashboards
        for selector in content.selectors(query.expression)
    }
    return sorted(found)


@pytest.mark.parametrize("selector", panel_selectors())
def test_selector_of_a_panel_finds_a_series(selector):
    assert selected(selector)


def test_series_are_unique_and_of_six_hosts_in_two_environments():
    texts = [one.text for one in FLEET]
    assert len(texts) == len(set(texts))
    assert len({one.labels["host"] for one in FLEET}) == 6
    assert {one.labels["env"] for one in FLEET} == {"prod", "staging"}


def value(selector: str, minutes: float) -> float:
    """Return the value of the only series of a selector some minutes from now."""
    [one] = selected(selector)
    return one.curve(minutes * MINUTE)


def test_one_host_is_down():
    of_host = [one for one in FLEET if one.labels["host"] == metrics.DOWN]
    up = [one for one in of_host if one.name == "up"]
    assert up and {one.curve(0) for one in up} == {0}
    assert {one.curve(-60 * MINUTE) for one in up} == {1}
    [load] = [one for one in of_host if one.name == "node_load1"]
    span = range(NOW - 3600, NOW, 60)
    last, _value = list(samples(load, [span], NOW))[-1]
    assert last < NOW + metrics.DOWN_SINCE <= last + 60


def test_one_redis_is_full():
    of_queue = '{env="prod", redis="queue"}'
    used = value(f"redis_memory_used_bytes{of_queue}", 0)
    assert used / value(f"redis_memory_max_bytes{of_queue}", 0) > 0.95
    assert value(f"redis_evicted_keys_total{of_queue}", 0) > 0
    assert value('redis_evicted_keys_total{env="staging", redis="queue"}', 0) == 0


@pytest.mark.parametrize(("minutes", "is_slow"), [(-90, False), (-30, True)])
def test_one_route_is_slow_for_a_while(minutes, is_slow):
    of_route = (
        'host="api-1", exported_job="hippius-s3-api", method="GET",'
        ' handler="/{bucket}", status_code="200"'
    )
    bucket = "http_request_duration_seconds_bucket"
    below = value(f'{bucket}{{{of_route}, le="1"}}', minutes)
    whole = value(f'{bucket}{{{of_route}, le="+Inf"}}', minutes)
    assert (below / whole < 0.95) == is_slow


@pytest.mark.parametrize("env", ["prod", "staging"])
def test_buckets_of_a_histogram_are_cumulative(env):
    of_route = (
        f'env="{env}", host=~"api-1|stage-app", exported_job="hippius-s3-api", method="GET",'
        ' handler="/{bucket}", status_code="200"'
    )
    buckets = selected(f"http_request_duration_seconds_bucket{{{of_route}}}")
    buckets.sort(key=lambda one: float(one.labels["le"]))
    assert len(buckets) > 10
    for minutes in (-90, -30, 0):
        values = [one.curve(minutes * MINUTE) for one in buckets]
        assert values == sorted(values)


def test_counters_only_rise_and_gauges_follow_their_curve():
    spans = [range(0, 90, 30), range(900, 990, 30)]
    counter = Series("a_total", {"x": "y"}, lambda _seconds: 2, is_counter=True)
    assert [value for _time, value in samples(counter, spans, 990)] == [
        60, 120, 180, 240, 300, 360,
    ]  # fmt: skip
    clock = Series("b", {}, lambda seconds: seconds, is_time=True)
    assert list(samples(clock, [range(900, 990, 30)], 990)) == [
        (900, 900), (930, 930), (960, 960),
    ]  # fmt: skip
    text = list(exposition([counter], [range(0, 60, 30)], 60))
    assert text == ['a_total{x="y"} 60 0\n', 'a_total{x="y"} 120 30\n', "# EOF\n"]


def test_log_lines_are_of_all_levels_and_of_each_environment():
    streams = [json.loads(body)["streams"][0] for body in lines.pushed(NOW, 60)]
    texts = [text for stream in streams for _time, text in stream["values"]]
    levels = {re.match(r"level=(\w+)", text)[1] for text in texts}
    assert levels == set(lines.SHARES)
    assert {stream["stream"]["env"] for stream in streams} == {"prod", "staging"}
    times = [int(time) for time, _text in streams[0]["values"]]
    assert times == sorted(times) and max(times) <= (NOW + 60) * 10**9
