# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Times at which alerts of a severity are muted, for both programs that notify. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..module_utils.grafana.schedules import interval_problems
from .severities import SEVERITIES

if TYPE_CHECKING:
    from .catalog import Inventory

VARIABLE = "monitoring_mute_timings"
KEYS = ("name", "severities", "time_intervals")
NAMES = "mute_time_intervals"
Route = dict[str, Any]


class MuteTimings(NamedTuple):
    """Named time intervals, and the fields of routes by severity.

    Both are in the format that Alertmanager and Grafana share.
    """

    timings: list[dict[str, Any]]
    routes: dict[str, Route]


def mute_timings(
    declared: list[dict[str, Any]], routes: dict[str, Route]
) -> MuteTimings:
    """Return the timings and the routes with their names; raise ValueError with every problem."""
    found = problems(declared)
    if found:
        raise ValueError("\n".join(f"{VARIABLE}: {problem}" for problem in found))
    timings = [
        {"name": timing["name"], "time_intervals": timing["time_intervals"]}
        for timing in declared
    ]
    muted = {
        severity: _muted(severity, route, declared)
        for severity, route in routes.items()
    }
    return MuteTimings(timings, muted)


def blockers(hosts: list[str], inventory: Inventory) -> list[str]:
    """Return the problems of the timings of some hosts."""
    found = []
    for host in hosts:
        declared = inventory.variable(host, VARIABLE)
        own = [] if declared is None else problems(declared)
        found += [f"{VARIABLE} of {host}: {problem}" for problem in own]
    return found


def _muted(severity: str, route: Route, declared: list[dict[str, Any]]) -> Route:
    names = [timing["name"] for timing in declared if severity in timing["severities"]]
    return {**route, NAMES: [*route.get(NAMES, []), *names]} if names else route


def problems(declared: Any) -> list[str]:
    """Return why declared timings cannot work, as ``<element>: <what>; <what to do>.``"""
    if not isinstance(declared, list):
        return ["must be a list; write a list of timings."]
    found: list[str] = []
    names: list[Any] = []
    for index, timing in enumerate(declared):
        name = timing.get("name") if isinstance(timing, dict) else None
        where = f"element {index + 1} ({name or 'no name'})"
        found += [f"{where}: {problem}." for problem in _problems_of(timing)]
        if name and name in names:
            found.append(f"{where}: the name is used twice; rename one of them.")
        names.append(name)
    return found


def _problems_of(timing: Any) -> Iterator[str]:
    if not isinstance(timing, dict):
        yield "is no dict; write a dict"
        return
    unknown = sorted(set(map(str, timing)) - set(KEYS))
    if unknown:
        yield f"{', '.join(unknown)} is unknown; use {', '.join(KEYS)}"
    name, severities, intervals = (timing.get(key) for key in KEYS)
    if not isinstance(name, str) or not name:
        yield "name is missing; write a name"
    yield from _problems_of_severities(severities)
    if not isinstance(intervals, list) or not intervals:
        yield "time_intervals is missing; list time intervals"
        return
    for interval in intervals:
        yield from interval_problems(interval)


def _problems_of_severities(severities: Any) -> Iterator[str]:
    known = ", ".join(SEVERITIES)
    if not isinstance(severities, list) or not severities:
        yield f"severities is missing; list some of {known}"
        return
    others = [str(each) for each in severities if each not in SEVERITIES]
    if others:
        yield f"{', '.join(others)} is no severity; use {known}"
