# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain client for the tests of the fake."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any

from tests.testbed.grafana.server import FakeGrafana

VERSIONS = ("11.6.4", "12.4.3", "13.2.3")
RULES, POINTS = (
    "/api/v1/provisioning/alert-rules",
    "/api/v1/provisioning/contact-points",
)
POLICIES, TIMINGS = "/api/v1/provisioning/policies", "/api/v1/provisioning/mute-timings"
TEMPLATES = "/api/v1/provisioning/templates"
GROUP = "/api/v1/provisioning/folder/f/rule-groups/g"
HAND = {"X-Disable-Provenance": "true"}


def call(
    grafana: FakeGrafana,
    method: str,
    path: str,
    body: Any = None,
    login: str = "admin:admin",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Return status and body of an answer; a body that is not JSON remains bytes."""
    sent = (
        {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
        if login
        else {}
    )
    connection = http.client.HTTPConnection(
        grafana.url.removeprefix("http://"), timeout=10
    )
    try:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body)
        connection.request(method, path, content, sent | (headers or {}))
        with connection.getresponse() as response:
            answer = response.read()
    finally:
        connection.close()
    try:
        return response.status, json.loads(answer) if answer else None
    except ValueError:
        return response.status, answer


def rule(uid: str, **changes: Any) -> dict[str, Any]:
    """Return the body of a rule."""
    data = [
        {
            "refId": "A",
            "datasourceUid": "p",
            "relativeTimeRange": {"from": 600, "to": 0},
            "model": {"expr": "up"},
        },
        {
            "refId": "B",
            "datasourceUid": "__expr__",
            "model": {"type": "threshold", "expression": "A"},
        },
    ]
    states = {"noDataState": "NoData", "execErrState": "Error"}
    return {
        "uid": uid,
        "title": uid,
        "condition": "B",
        "data": data,
        "for": "5m",
        **states,
    } | changes


def group(*rules: dict[str, Any], interval: int = 60) -> dict[str, Any]:
    """Return the body of a group."""
    return {"title": "g", "folderUid": "f", "interval": interval, "rules": list(rules)}


def point(uid: str = "c", **changes: Any) -> dict[str, Any]:
    """Return the body of a contact point."""
    return {
        "uid": uid,
        "name": uid,
        "type": "discord",
        "settings": {"url": f"http://127.0.0.1/{uid}"},
    } | changes
