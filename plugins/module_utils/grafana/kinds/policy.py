# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of notification policies: one for each organization, always written as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import normalize, schedules
from ..api.client import path
from ..matchers import as_text
from ..model import Reference
from .base import (
    Kind,
    Live,
    Settings,
    Step,
    deletion_headers,
    provenance_headers,
    provenance_of,
)
from .names import CONTACT_POINT, MUTE_TIMING, POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..api.client import Client
    from ..model import Body

WHERE = path("v1", "provisioning", "policies")
# Grafana's first tree, also after a reset; since 12.4 the receiver without integrations.
FIRST_RECEIVERS = ("grafana-default-email", "empty")
FIRST_GROUP_BY = ("grafana_folder", "alertname")
OWN_FIELDS = ("provenance", "orgId")
MATCHER_FIELDS = ("matchers", "match", "match_re", "object_matchers")


class Policy(Kind):
    """The whole tree; a live one with routes that is not ours is replaced only with ``adopt``."""

    name = POLICY
    has_provenance = True
    provenance_is_compared = True
    lists_everything = True
    # There is one tree, and it is reset only when that is asked for.
    prunable = False
    refers_to = (CONTACT_POINT, MUTE_TIMING)

    def references(self, body: Body) -> list[Reference]:
        """Return the contact points and timings of all routes."""
        timings: set[str] = set()
        for key in normalize.TIMINGS:
            timings |= names(body, key)
        return [
            *(
                Reference(CONTACT_POINT, name)
                for name in sorted(names(body, "receiver"))
            ),
            *(Reference(MUTE_TIMING, name) for name in sorted(timings)),
        ]

    def unlisted_references(self, body: Body) -> list[Reference]:
        """Return the contact points: Grafana does not list one without integrations."""
        return [
            Reference(CONTACT_POINT, name) for name in sorted(names(body, "receiver"))
        ]

    def is_initial(self, live: Live) -> bool:
        """Return whether the tree is as Grafana begins with it, in every field.

        A tree without routes may have been given other times or labels all the same.
        """
        receiver = live.body.get("receiver")
        first = {"receiver": receiver, "group_by": FIRST_GROUP_BY}
        if live.provenance or receiver not in (*FIRST_RECEIVERS, "", None):
            return False
        return normalize.same(normalize.route(live.body), normalize.route(first))

    def prepared(self, body: Body, live: Live | None, settings: Settings) -> Body:
        """Return the tree with all matchers in the spelling that every server keeps."""
        return _sent(body)

    def comparable(self, body: Body, like: Body) -> Body:
        """Return all routes, with matchers sorted and durations in seconds."""
        return normalize.route(body)

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return what a server refuses, or accepts and then cannot load."""
        unloadable = normalize.unloadable(body)
        if unloadable:
            return unloadable
        if not body.get("receiver"):
            return "the root of the policy tree needs a receiver"
        if any(body.get(key) for key in (*MATCHER_FIELDS, *normalize.TIMINGS)):
            return (
                "the root of the policy tree takes neither matchers nor timings: "
                "it must match all that is left"
            )
        if body.get("continue"):
            return (
                "the root of the policy tree takes no continue, with which Grafana cannot load its"
                " configuration any more: leave it out"
            )
        return next(_problems(body), None)

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read the tree."""
        tree = client.find(WHERE)
        if tree is None:
            return {}
        body = {key: value for key, value in tree.items() if key not in OWN_FIELDS}
        return {"": Live(body, provenance_of(tree.get("provenance")))}

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Replace the tree."""
        headers = provenance_headers(settings.provenance)
        client.write("PUT", WHERE, step.about, step.body, headers)

    def delete(self, client: Client, step: Step) -> None:
        """Reset the tree to Grafana's first one."""
        client.write("DELETE", WHERE, step.about, headers=deletion_headers(step))


def _problems(route: Body) -> Iterator[str]:
    """Yield why Grafana refuses the durations and labels of routes."""
    yield from schedules.notification_problems(route)
    for child in route.get("routes") or []:
        yield from _problems(child)


def names(route: Body, key: str) -> set[str]:
    """Return the receivers or timings that a route and those below it use."""
    value = route.get(key) or []
    own = {value} if isinstance(value, str) else set(value)
    return own.union(*(names(child, key) for child in route.get("routes") or []))


def _sent(route: Body) -> Body:
    rewritten = (*MATCHER_FIELDS, "routes", *OWN_FIELDS)
    sent = {
        key: value
        for key, value in route.items()
        if key not in rewritten and value is not None
    }
    matchers = normalize.matchers(route)
    if any('"' in (value[:1], value[-1:]) for _label, _operator, value in matchers):
        # The other field loses a quote at either end of a value, each time that it is read.
        sent["matchers"] = [as_text(matcher) for matcher in matchers]
    elif matchers:
        sent["object_matchers"] = matchers
    if route.get("routes"):
        sent["routes"] = [_sent(child) for child in route["routes"]]
    return sent
