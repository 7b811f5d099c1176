# SPDX-License-Identifier: GPL-3.0-or-later
"""Mute timings: identified by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import normalize, schedules
from ..api.client import path
from .base import (
    Kind,
    Live,
    Settings,
    Step,
    address_problem,
    deletion_headers,
    provenance_headers,
    provenance_of,
)
from .names import MUTE_TIMING

if TYPE_CHECKING:
    from ..api.client import Client
    from ..model import Body


class MuteTiming(Kind):
    """A mute timing, to which routes and rules refer by its name."""

    name = MUTE_TIMING
    has_provenance = True
    provenance_is_compared = True
    lists_everything = True
    in_use_blocker = "routes or rules still use it"

    def comparable(self, body: Body, like: Body) -> Body:
        """Return the intervals, with months and ranges in one spelling."""
        return normalize.mute_timing(body)

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return why Grafana refuses an interval."""
        problem = normalize.unloadable(body) or address_problem(str(body.get("name")))
        return problem or next(schedules.timing_problems(body), None)

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read all by one list."""
        items = client.find(path("v1", "provisioning", "mute-timings")) or []
        return {item["name"]: _live(item) for item in items}

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Create or replace the mute timing."""
        headers = provenance_headers(settings.provenance)
        sent = {
            "name": step.identity,
            "time_intervals": step.body.get("time_intervals") or [],
        }
        if step.live is None:
            where = path("v1", "provisioning", "mute-timings")
            client.write("POST", where, step.about, sent, headers)
        else:
            client.write("PUT", _where(step), step.about, sent, headers)

    def delete(self, client: Client, step: Step) -> None:
        """Delete the mute timing."""
        client.write("DELETE", _where(step), step.about, headers=deletion_headers(step))


def _where(step: Step) -> str:
    return path("v1", "provisioning", "mute-timings", step.identity)


def _live(item: Body) -> Live:
    body = {"name": item["name"], "time_intervals": item.get("time_intervals") or []}
    return Live(body, provenance_of(item.get("provenance")))
