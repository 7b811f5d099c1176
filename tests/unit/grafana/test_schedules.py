# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and time intervals are read as the server reads them, and refused where it does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana import (
    schedules,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.grafana_errors import (
    GrafanaError,
    Refused,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from tests.unit.grafana.conftest import Apply, connect
from tests.unit.grafana.test_provisioning_files import read


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("0", 0),
        ("10s", 10_000),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
        ("1w2d", 777_600_000),
        ("500ms", 500),
        ("007s", 7000),
        ("292y", 9_208_512_000_000),
        ("293y", None),
        ("9999999999999999999999y", None),
        ("1.5h", None),
        ("m", None),
        ("", None),
        ("5", None),
        ("00", None),
        ("1m1h", None),
        ("1m1m", None),
        ("-1m", None),
        (" 1m", None),
        ("٣s", None),
    ],
)
def test_duration_is_read_as_the_server_reads_it(
    duration: str, expected: int | None
) -> None:
    assert schedules.milliseconds(duration) == expected


# Sent to Grafana 12.4.0: what it stored, None for the answer 400.
INTERVALS: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({"days_of_month": ["01:07"]}, {"days_of_month": ["1:7"]}),
    ({"days_of_month": ["+5"]}, {"days_of_month": ["5"]}),
    ({"days_of_month": ["-3:-1"]}, {"days_of_month": ["-3:-1"]}),
    ({"days_of_month": ["5:-20"]}, {"days_of_month": ["5:-20"]}),
    ({"days_of_month": [1]}, {"days_of_month": ["1"]}),
    ({"days_of_month": ["-1:-3"]}, None),
    ({"days_of_month": ["-5:5"]}, None),
    ({"days_of_month": ["9:-20"]}, None),
    ({"days_of_month": ["0"]}, None),
    ({"days_of_month": ["32"]}, None),
    ({"days_of_month": ["1 : 5"]}, None),
    ({"days_of_month": ["1:5:6"]}, None),
    ({"days_of_month": ["1_0"]}, None),
    ({"days_of_month": ["٣"]}, None),
    ({"months": ["01:3"]}, {"months": ["1:3"]}),
    ({"months": ["13"]}, {"months": ["13"]}),
    ({"months": ["JANUARY:march"]}, {"months": ["1:3"]}),
    ({"months": ["march:january"]}, None),
    ({"months": ["january:march "]}, None),
    ({"years": ["02020:2022"]}, {"years": ["2020:2022"]}),
    ({"years": ["-5"]}, {"years": ["-5"]}),
    ({"years": [2020]}, {"years": ["2020"]}),
    ({"years": ["2022:2020"]}, None),
    ({"years": ["99999999999999999999"]}, None),
    ({"weekdays": ["Monday:FRIDAY"]}, {"weekdays": ["monday:friday"]}),
    ({"weekdays": ["monday:monday"]}, {"weekdays": ["monday"]}),
    ({"weekdays": []}, {}),
    ({"weekdays": None}, {}),
    ({"weekdays": ["saturday:sunday"]}, None),
    ({"weekdays": ["mon"]}, None),
    ({"weekdays": [""]}, None),
    (
        {"times": [{"start_time": "09:00", "end_time": "24:00"}]},
        {"times": [{"start_time": "09:00", "end_time": "24:00"}]},
    ),
    ({"times": []}, {}),
    ({"times": [{"start_time": "9:00", "end_time": "10:00"}]}, None),
    ({"times": [{"start_time": "09:00", "end_time": "09:00"}]}, None),
    ({"times": [{"start_time": "22:00", "end_time": "06:00"}]}, None),
    ({"times": [{"start_time": "09:00"}]}, None),
    ({"times": [{"start_time": "09:00", "end_time": "10:00\n"}]}, None),
    ({"location": ""}, {"location": "UTC"}),
    ({"location": "Local"}, {"location": "Local"}),
    ({"location": "Europe/Berlin"}, {"location": "Europe/Berlin"}),
    ({"location": None}, {}),
    ({"location": " UTC"}, None),
    ({"location": "../x"}, None),
    ({"location": "é"}, None),
]


def timing(interval: dict[str, Any]) -> DesiredObject:
    body = {"name": "quiet", "time_intervals": [interval]}
    return DesiredObject("mute_timing", "quiet", body, "inline")


@pytest.mark.parametrize(
    ("interval", "stored"), INTERVALS, ids=[json.dumps(sent) for sent, _ in INTERVALS]
)
def test_time_interval_is_stored_as_computed(
    interval: dict[str, Any], stored: dict[str, Any] | None
) -> None:
    problems = list(schedules.timing_problems({"time_intervals": [interval]}))
    if stored is None:
        assert len(problems) == 1
        return
    assert problems == []
    computed = schedules.time_interval(interval)
    assert {key: value for key, value in computed.items() if value} == stored


def test_server_stores_intervals_as_computed(grafana: Any) -> None:
    client, where = connect(grafana), "/api/v1/provisioning/mute-timings"
    client.probe()
    for interval, stored in INTERVALS:
        body = {"name": "quiet", "time_intervals": [interval]}
        if stored is None:
            with pytest.raises(Refused):
                client.write("POST", where, "quiet", body)
            continue
        client.write("POST", where, "quiet", body)
        (timing,) = [
            one for one in client.get(where) or [] if one["name"] == body["name"]
        ]
        assert timing["time_intervals"] == [stored]
        client.write("DELETE", f"{where}/quiet", "quiet")


EDGES = st.sampled_from(
    (
        *("01", "1", "+7", "-3", "0", "31", "32", "13", "", " 1", "1:2:3", "monday"),
        *(
            "sunday",
            "saturday",
            "january",
            "MAY",
            "2030",
            "x",
            "٣",
            "-28",
            "1_0",
            "0x1",
        ),
    )
)
ENTRIES = EDGES | st.tuples(EDGES, EDGES).map(":".join) | st.integers(-40, 3000)
CLOCKS = st.sampled_from(["00:00", "09:00", "9:00", "24:00", "24:01", "23:59", ""])
TIMES = st.fixed_dictionaries({"start_time": CLOCKS}, optional={"end_time": CLOCKS})
LOCATIONS = st.sampled_from(["", "UTC", "Local", "Europe/Berlin", None, "../x", " "])
WHOLE_INTERVALS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(schedules.RANGES, st.lists(ENTRIES, max_size=2)),
        "times": st.lists(TIMES, max_size=2),
        "location": LOCATIONS,
    },
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(interval=WHOLE_INTERVALS)
def test_time_interval_is_refused_before_a_write_or_holds(
    apply: Apply, grafana: Any, interval: dict[str, Any]
) -> None:
    refusal = "Nothing was changed. "
    try:
        apply(timing(interval))
    except GrafanaError as error:
        refusal = str(error)
    else:
        assert apply(timing(interval)).values()["changed"] is False
    assert refusal.startswith("Nothing was changed. ")


ZERO_EVERYWHERE = """
apiVersion: 1
contactPoints:
  - {name: ops, receivers: [{uid: ops, type: webhook, settings: {url: "http://x"}}]}
policies:
  - receiver: ops
    group_wait: "0"
    routes: [{receiver: ops, group_wait: 0s}, {receiver: ops}]
groups:
  - name: g
    folder: F
    interval: 1m
    rules:
      - uid: down
        title: Down
        condition: A
        for: 0
        keepFiringFor: 0
        notification_settings: {receiver: ops, group_wait: 0, group_interval: ""}
        data: [{refId: A, datasourceUid: __expr__, model: {type: math, expression: 1}}]
"""


def test_zero_durations_hold_in_every_place(apply: Apply) -> None:
    desired, diagnostics = read(ZERO_EVERYWHERE)
    assert diagnostics.errors == []
    folder = {"uid": desired[-1].body["folderUid"], "title": "F", "parentUid": ""}
    content = [DesiredObject("folder", folder["uid"], folder, "f"), *desired]
    try:
        assert apply(*content, adopt=True).values()["changed"]
        assert not apply(*content, adopt=True).values()["changed"]
    finally:
        absent = [
            DesiredObject(item.kind, item.identity, {}, "f", "absent")
            for item in content
        ]
        apply(*absent, adopt=True)


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        ("group_interval: 0s", "group_interval is '0s', which Grafana refuses"),
        ("repeat_interval: '0'", "repeat_interval is '0', which Grafana refuses"),
        ("group_wait: 293y", "group_wait is '293y'; write a duration"),
        ("group_by: [a, b, a]", "group_by has a twice"),
        ("group_by: ['...', b]", "group_by has ... beside other labels"),
    ],
)
def test_refused_values_of_routes_are_told_with_their_line(
    route: str, problem: str
) -> None:
    for form in (
        f"policies:\n- receiver: a\n  {route}",
        f"policies:\n- receiver: a\n  routes:\n  - {route}",
    ):
        text = f"apiVersion: 1\n{form}\n"
        line = text.count("\n")
        (error,) = read(text)[1].errors
        assert error.startswith(f"f.yml:{line}: {problem}")


def test_refused_mute_timings_are_told_with_their_line() -> None:
    text = """
        apiVersion: 1
        muteTimes:
        - name: q
          time_intervals:
          - {weekdays: ["saturday:sunday"]}
          - {times: [{start_time: 9:00, end_time: 10:00}]}
          - {location: Europe/Berln}
    """
    diagnostics = read(text)[1]
    told = diagnostics.errors + diagnostics.warnings
    assert [line.split(":")[1] for line in told] == ["6", "7", "8"]
