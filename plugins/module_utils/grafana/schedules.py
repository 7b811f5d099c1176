# SPDX-License-Identifier: GPL-3.0-or-later
"""Read durations and time intervals as Grafana's server does. Pure.

The grammars are those of model.ParseDuration in prometheus/common and of the package timeinterval
in Alertmanager.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .model import Body

_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?",
    re.ASCII,
)
_UNITS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
# Go counts nanoseconds in 63 bits.
_LONGEST = (2**63 - 1) // 10**6
DURATION_FORM = "write a duration such as 30s or 1h30m"
ROUTE_TIMES = ("group_wait", "group_interval", "repeat_interval")
# A route that never waits between two notifications is refused.
_POSITIVE = ROUTE_TIMES[1:]
# The label that stands for all labels.
ALL_LABELS = "..."
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
WEEKDAYS = (
    *("sunday", "monday", "tuesday", "wednesday"),
    *("thursday", "friday", "saturday"),
)
RANGES = ("days_of_month", "months", "weekdays", "years")
_INTERVAL_FIELDS = (*RANGES, "times", "location")
_TIME_FIELDS = ("start_time", "end_time")
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)
_LAST_DAY = 31
# February's days decide whether a day that counts from the end can follow another one.
_SHORTEST_MONTH = 28
UTC = "UTC"


def milliseconds(duration: str) -> int | None:
    """Return the length of a duration; None for anything else."""
    if duration == "0":
        return 0
    match = _DURATION.fullmatch(duration)
    if not match or not duration:
        return None
    counts = [int(count or 0) for count in match.groups()]
    length = sum(count * unit for count, unit in zip(counts, _UNITS))
    return length if length <= _LONGEST else None


def duration_problem(key: str, value: Any) -> str:
    """Return why Grafana refuses the duration of a route or rule, "" if it takes it."""
    length = milliseconds(value) if isinstance(value, str) else None
    if length is None:
        return f"{key} is {value!r}; {DURATION_FORM}"
    if length == 0 and key in _POSITIVE:
        return f"{key} is {value!r}, which Grafana refuses; write a longer one, or leave it out"
    return ""


def duration_problems(body: Body, keys: Iterable[str]) -> Iterator[str]:
    """Yield the problems of the durations that are set."""
    for key in keys:
        value = body.get(key)
        problem = "" if value is None else duration_problem(key, value)
        if problem:
            yield problem


def notification_problems(body: Body) -> Iterator[str]:
    """Yield why Grafana refuses a route, or the notification settings of a rule."""
    yield from duration_problems(body, ROUTE_TIMES)
    yield from grouping_problems(body.get("group_by") or [])


def grouping_problems(labels: list[Any]) -> Iterator[str]:
    """Yield why Grafana refuses the labels of ``group_by``."""
    if ALL_LABELS in labels and len(labels) > 1:
        yield f"group_by has {ALL_LABELS} beside other labels; leave the others out"
    for label in dict.fromkeys(map(str, labels)):
        if labels.count(label) > 1:
            yield f"group_by has {label} twice; write it once"


def time_interval(interval: Body) -> Body:
    """Return a time interval as Grafana stores it; raises ValueError for one that it refuses."""
    problems = list(interval_problems(interval))
    if problems:
        raise ValueError(problems[0])
    stored: Body = {key: _ranges(key, interval) for key in RANGES}
    stored["times"] = [_times(span) for span in interval.get("times") or []]
    stored["location"] = _location(interval.get("location"))
    return stored


def timing_problems(body: Body) -> Iterator[str]:
    """Yield why Grafana refuses time intervals of a mute timing."""
    for interval in body.get("time_intervals") or []:
        yield from interval_problems(interval)


def interval_problems(interval: Any) -> Iterator[str]:
    """Yield why Grafana refuses a time interval, each reason once."""
    if not isinstance(interval, dict):
        yield f"{interval!r} is no time interval; write a dict"
        return
    readings: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
    for key, value in interval.items():
        if key == "location":
            readings.append((_location, (value,)))
        elif key not in _INTERVAL_FIELDS:
            fields = ", ".join(_INTERVAL_FIELDS)
            yield f"a time interval has no field {key}; use one of {fields}"
        elif not isinstance(value, (list, type(None))):
            yield f"{key} is {value!r}; write a list"
        elif key == "times":
            readings += [(_times, (span,)) for span in value or []]
        else:
            readings += [(_range, (key, str(entry))) for entry in value or []]
    for read, arguments in readings:
        try:
            read(*arguments)
        except ValueError as error:
            yield str(error)


def _ranges(key: str, interval: Body) -> list[str]:
    return [_range(key, str(entry)) for entry in interval.get(key) or []]


def _range(key: str, entry: str) -> str:
    """Return a range in the spelling of the server, months and days of the month as numbers."""
    ends = entry.lower().split(":")
    numbers = [_number(key, end) for end in ends]
    if len(ends) > 2 or None in numbers:
        raise ValueError(f"{key} has {entry!r}; write {_FORMS[key]}")
    first, last = int(numbers[0] or 0), int(numbers[-1] or 0)
    _check_order(key, entry, first, last)
    names = ends if key == "weekdays" else [str(first), str(last)]
    return names[0] if first == last else ":".join(names)


_FORMS = {
    "days_of_month": "a day from 1 to 31, or from -1 to -31 from the end, or a range such as 1:7",
    "months": "a month such as january or 1, or a range such as january:march",
    "weekdays": "a day such as monday, or a range such as monday:friday",
    "years": "a year such as 2030, or a range such as 2030:2032",
}


def _number(key: str, end: str) -> int | None:
    """Return the number of one end of a range; None for anything that is not in the grammar."""
    if key == "weekdays":
        return WEEKDAYS.index(end) if end in WEEKDAYS else None
    if key == "months" and end in MONTHS:
        return MONTHS.index(end) + 1
    if not _INTEGER.fullmatch(end):
        return None
    number = int(end)
    if key == "days_of_month" and not 1 <= abs(number) <= _LAST_DAY:
        return None
    return number if abs(number) < 2**63 else None


def _check_order(key: str, entry: str, first: int, last: int) -> None:
    """Raise ValueError for a range that ends before it begins."""
    if key == "days_of_month":
        if first < 0 < last:
            raise ValueError(
                f"{key} has {entry!r}; a range from the month's end has to end there, as in -7:-1"
            )
        first, last = (
            end + _SHORTEST_MONTH if end < 0 else end for end in (first, last)
        )
    if first > last:
        raise ValueError(
            f"{key} has {entry!r}, which ends before it begins; write two entries"
        )


def _times(span: Any) -> Body:
    given = span if isinstance(span, dict) else {}
    start, end = (str(given.get(key)) for key in _TIME_FIELDS)
    is_clock = all(_CLOCK.fullmatch(clock) for clock in (start, end))
    if not is_clock or len(given) > len(_TIME_FIELDS):
        raise ValueError(
            f"times has {span!r}; write start_time and end_time as quoted HH:MM"
        )
    if start >= end:
        advice = "write two times, until 24:00 and from 00:00"
        raise ValueError(
            f"times has {start} to {end}, which ends before it begins; {advice}"
        )
    return {"start_time": start, "end_time": end}


def _location(name: Any) -> str | None:
    """Return a time zone; Go takes an empty name for UTC, and no path out of its directory."""
    if name is None:
        return None
    is_name = isinstance(name, str) and name.isascii() and name == name.strip()
    if not is_name or name[:1] in ("/", "\\") or ".." in name.split("/"):
        raise ValueError(f"location is {name!r}; write a time zone as Europe/Berlin")
    return str(name) or UTC
