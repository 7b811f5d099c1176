# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tree of notification policies: one for each organization, always written as a whole."""

from __future__ import annotations

from typing import Any

from .. import normalize
from ..api.client import path
from .base import Kind, Live, Settings, of_value, stamp

WHERE = path("v1", "provisioning", "policies")
# What Grafana begins with, and returns to when the tree is reset; since 12.4 the one without integrations.
FIRST_RECEIVERS = ("grafana-default-email", "empty")
OWN = ("provenance", "orgId")


class Policy(Kind):
    """The whole tree. A live one that has routes and is not ours is only replaced when the user says so."""

    name = "policy"
    stamped = True
    provenance_is_compared = True

    def prepared(self, body: dict, live: Live | None, settings: Settings) -> dict:
        """With all matchers in the one spelling that each server keeps."""
        return _sent(body)

    def expected(self, body: dict) -> dict:
        """With the quotes gone that the server takes off a matcher's value."""
        matchers = [
            [*entry[:2], normalize.without_quotes(entry[2])]
            for entry in body.get("object_matchers") or []
        ]
        routes = [self.expected(route) for route in body.get("routes") or []]
        return {**body, "object_matchers": matchers, "routes": routes}

    def comparable(self, body: dict, like: dict) -> dict:
        """All routes, with matchers sorted and durations in seconds."""
        return normalize.route(body)

    def problem(self, body: dict, live: Live | None) -> str:
        """What a server refuses, or accepts and then cannot load."""
        if not body.get("receiver"):
            return "the root of the policy tree needs a receiver"
        if body.get("object_matchers") or any(body.get(key) for key in normalize.TIMINGS):
            return "the root of the policy tree takes neither matchers nor timings: it must match all that is left"
        return ""

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """The tree."""
        tree = client.find(WHERE)
        if tree is None:
            return {}
        body = {key: value for key, value in tree.items() if key not in OWN}
        return {"": Live(body, of_value(tree.get("provenance")))}

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Replace the tree."""
        client.write("PUT", WHERE, step.about, step.body, stamp(settings.provenance))

    def delete(self, client: Any, step: Any) -> None:
        """Reset the tree to the one that Grafana begins with."""
        client.write("DELETE", WHERE, step.about, headers=stamp(step.live.provenance))


def is_first(body: dict) -> bool:
    """Whether a tree is as Grafana made it, so that nobody loses anything with it."""
    return not body.get("routes") and body.get("receiver") in (*FIRST_RECEIVERS, "", None)


def names(body: dict, key: str) -> set:
    """The receivers, or the timings, that a tree uses."""
    own = body.get(key) or []
    found = {own} if isinstance(own, str) else set(own)
    return found.union(*(names(route, key) for route in body.get("routes") or []))


def _sent(route: dict) -> dict:
    spellings = ("matchers", "match", "match_re", "object_matchers", "routes", *OWN)
    result = {
        key: value for key, value in route.items() if key not in spellings and value is not None
    }
    found = normalize.matchers(route)
    if found:
        result["object_matchers"] = found
    if route.get("routes"):
        result["routes"] = [_sent(inner) for inner in route["routes"]]
    return result


POLICY = Policy()
