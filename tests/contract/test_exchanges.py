# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake answers as a real Grafana did, except where 11 to 13 differ.

`exchanges.jsonl` was recorded from a snapshot of Grafana 9.0, without rules and the Alertmanager's
own API, which changed completely. Every other difference between it and 11 to 13 is in
differences.toml with its reason.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import VERSIONS
from tests.testbed.grafana import notifications
from tests.testbed.grafana.server import FakeGrafana

HERE = Path(__file__).parent
# A line may contain characters at which str.splitlines splits.
EXCHANGES = [
    json.loads(line)
    for line in (HERE / "exchanges.jsonl").read_text("utf-8").split("\n")
    if line
]
DIFFERENCES = tomllib.loads((HERE / "differences.toml").read_text(encoding="utf-8"))[
    "difference"
]
# Fields that differ between any two servers: numbers, times, pictures and error messages.
IGNORED = {
    "id",
    "created",
    "updated",
    "createdAt",
    "updatedAt",
    "typeLogoUrl",
    "typeName",
}
IGNORED |= {
    "avatarUrl",
    "theme",
    "message",
    "traceID",
    "accessErrorId",
    "commit",
    "folderId",
}
IGNORED |= {"isPublic", "publicDashboardUid"}
# A uid by the server.
MADE = re.compile(r"(/d/)?(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{9}(/[\w-]+)?")


def differences(recorded: Any, answered: Any, where: str = "") -> Iterator[str]:
    """Yield the recorded values that the answer lacks; newer keys are no difference."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        for key in recorded.keys() - IGNORED:
            if key in answered:
                yield from differences(recorded[key], answered[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}: missing"
    elif (
        isinstance(recorded, list)
        and isinstance(answered, list)
        and len(recorded) == len(answered)
    ):
        pairs = zip(by_name(recorded), by_name(answered), strict=True)
        for position, (expected, actual) in enumerate(pairs):
            yield from differences(expected, actual, f"{where}[{position}]")
    # Since 10 the answer hides secrets of contact points.
    elif (
        recorded != answered
        and answered != "[REDACTED]"
        and not (isinstance(recorded, str) and MADE.fullmatch(recorded))
    ):
        yield f"{where}: {recorded!r} was recorded, {answered!r} is answered"


def by_name(objects: list[Any]) -> list[Any]:
    """Return objects with names in order; mute timings and templates have no order in 9."""
    if not all(
        isinstance(body, dict) and "name" in body and "uid" not in body
        for body in objects
    ):
        return objects
    return sorted(objects, key=lambda body: body["name"])


def ask(grafana: FakeGrafana, exchange: dict[str, Any]) -> tuple[int, Any]:
    """Send a recorded request."""
    headers = {"Content-Type": "application/json"} | (
        exchange.get("request_headers") or {}
    )
    login = exchange.get("auth", ["admin", "admin"])
    if login:
        headers["Authorization"] = (
            f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
        )
    body = exchange.get("request_body")
    connection = http.client.HTTPConnection(
        grafana.url.removeprefix("http://"), timeout=10
    )
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
    connection.request(exchange["method"], exchange["path"], body, headers)
    with connection.getresponse() as response:
        answer = response.read()
    connection.close()
    return response.status, json.loads(answer) if answer else None


@pytest.mark.parametrize("version", VERSIONS)
def test_it_answers_as_recorded(version: str) -> None:
    major = int(version.partition(".")[0])
    explained = {
        difference["step"]: difference
        for difference in DIFFERENCES
        if difference.get("since", 11) <= major <= difference.get("until", 13)
    }
    unexplained: list[str] = []
    for fresh in (False, True):
        with FakeGrafana(version=version) as grafana:
            # An upgraded server, with the contact point by mail.
            grafana.store.put(1, "alertmanager", "", notifications.default())
            for exchange in EXCHANGES:
                if exchange["step"].startswith("run4") == fresh:
                    answer = ask(grafana, exchange)
                    unexplained += errors_of(
                        exchange, answer, explained.get(exchange["step"])
                    )
    assert unexplained == []


def errors_of(
    exchange: dict[str, Any], answer: tuple[int, Any], explained: dict[str, Any] | None
) -> list[str]:
    """Return the errors of an answer; an explained difference must exist."""
    status, body = answer
    step = exchange["step"]
    errors = []
    if status != exchange["status"]:
        errors = [f"{exchange['status']} was recorded, {status} is answered: {body}"]
    elif exchange.get("response_body"):
        errors = list(differences(exchange["response_body"], body))
    if explained is None:
        return [f"{step}: {error}" for error in errors]
    if not errors:
        return [f"{step}: no difference; remove it from differences.toml"]
    if status != explained.get("status", exchange["status"]):
        return [f"{step}: {status}, but differences.toml has {explained.get('status')}"]
    return []


def test_every_difference_has_a_reason() -> None:
    steps = [exchange["step"] for exchange in EXCHANGES]
    for difference in DIFFERENCES:
        assert difference["step"] in steps
        assert difference["reason"]
