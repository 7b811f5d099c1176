# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mute timings: identified by name."""

from __future__ import annotations

from typing import Any

from .. import normalize
from ..api.client import path
from .base import Kind, Live, Settings, of_value, stamp


class MuteTiming(Kind):
    """A mute timing, which routes and rules refer to by its name."""

    name = "mute_timing"
    stamped = True
    provenance_is_compared = True

    def comparable(self, body: dict, like: dict) -> dict:
        """Its intervals, with months and ranges spelled in one way."""
        return normalize.mute_timing(body)

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """By one list."""
        items = client.find(path("v1", "provisioning", "mute-timings")) or []
        return {
            item["name"]: Live(
                {"name": item["name"], "time_intervals": item.get("time_intervals") or []},
                of_value(item.get("provenance")),
            )
            for item in items
        }

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Create or replace it."""
        where, headers = path("v1", "provisioning", "mute-timings"), stamp(settings.provenance)
        sent = {"name": step.identity, "time_intervals": step.body.get("time_intervals") or []}
        if step.live is None:
            client.write("POST", where, step.about, sent, headers)
        else:
            client.write("PUT", f"{where}{path(step.identity)[4:]}", step.about, sent, headers)

    def delete(self, client: Any, step: Any) -> None:
        """Delete it."""
        where = path("v1", "provisioning", "mute-timings", step.identity)
        client.write("DELETE", where, step.about, headers=stamp(step.live.provenance))


MUTE_TIMING = MuteTiming()
