# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake answers what a real Grafana answered, as far as 11 to 13 still answer so.

`exchanges.jsonl` was recorded from a snapshot of Grafana 9.0. Rules and the alertmanager's own API are left out of it:
they changed altogether. Every other difference between that and 11 to 13 stands in differences.toml with its reason.
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
# A line may contain what Python takes for the end of one.
EXCHANGES = [
    json.loads(line) for line in (HERE / "exchanges.jsonl").read_text("utf-8").split("\n") if line
]
DIFFERENCES = tomllib.loads((HERE / "differences.toml").read_text(encoding="utf-8"))["difference"]
# What no two servers agree about: numbers, times, pictures and the words of errors.
IGNORED = {
    "id",
    "created",
    "updated",
    "createdAt",
    "updatedAt",
    "typeLogoUrl",
    "typeName",
    "avatarUrl",
    "theme",
}
IGNORED |= {
    "message",
    "traceID",
    "accessErrorId",
    "commit",
    "folderId",
    "isPublic",
    "publicDashboardUid",
}
# A uid that the server made.
MADE = re.compile(r"(/d/)?(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{9}(/[\w-]+)?")


def differences(recorded: Any, answered: Any, where: str = "") -> Iterator[str]:
    """What was recorded and is not answered; keys that came later are no difference."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        for key in recorded.keys() - IGNORED:
            if key in answered:
                yield from differences(recorded[key], answered[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}: missing"
    elif (
        isinstance(recorded, list) and isinstance(answered, list) and len(recorded) == len(answered)
    ):
        for position, (one, other) in enumerate(
            zip(by_name(recorded), by_name(answered), strict=True)
        ):
            yield from differences(one, other, f"{where}[{position}]")
    # Since 10 secrets of contact points are not shown.
    elif (
        recorded != answered
        and answered != "[REDACTED]"
        and not (isinstance(recorded, str) and MADE.fullmatch(recorded))
    ):
        yield f"{where}: {recorded!r} was recorded, {answered!r} is answered"


def by_name(items: list[Any]) -> list[Any]:
    """Items with names in their order; mute timings and templates had none in 9."""
    named = all(isinstance(item, dict) and "name" in item and "uid" not in item for item in items)
    return sorted(items, key=lambda item: item["name"]) if named else items


def ask(grafana: FakeGrafana, exchange: dict[str, Any]) -> tuple[int, Any]:
    """Send a recorded request."""
    headers = {"Content-Type": "application/json"} | (exchange.get("request_headers") or {})
    login = exchange.get("auth", ["admin", "admin"])
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"
    body = exchange.get("request_body")
    connection = http.client.HTTPConnection(grafana.url.removeprefix("http://"), timeout=10)
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    connection.request(exchange["method"], exchange["path"], text, headers)
    with connection.getresponse() as response:
        answer = response.read()
    connection.close()
    return response.status, json.loads(answer) if answer else None


@pytest.mark.parametrize("version", VERSIONS)
def test_it_answers_as_was_recorded(version: str) -> None:
    major = int(version.partition(".")[0])
    explained = {
        one["step"]: one
        for one in DIFFERENCES
        if one.get("since", 11) <= major <= one.get("until", 13)
    }
    wrong: list[str] = []
    for fresh in (False, True):
        with FakeGrafana(version=version) as grafana:
            # One that has been upgraded, with the contact point by mail.
            grafana.store.put(1, "alertmanager", "", notifications.default())
            for exchange in EXCHANGES:
                if exchange["step"].startswith("run4") == fresh:
                    wrong += judged(
                        exchange, ask(grafana, exchange), explained.get(exchange["step"])
                    )
    assert wrong == []


def judged(
    exchange: dict[str, Any], answer: tuple[int, Any], explained: dict[str, Any] | None
) -> list[str]:
    """What is wrong about an answer; an explained difference has to be one."""
    status, body = answer
    found = []
    if status != exchange["status"]:
        found = [f"{exchange['status']} was recorded, {status} is answered: {body}"]
    elif exchange.get("response_body"):
        found = list(differences(exchange["response_body"], body))
    if explained is None:
        return [f"{exchange['step']}: {one}" for one in found]
    if not found:
        return [f"{exchange['step']}: stands in differences.toml, and there is none"]
    if status != explained.get("status", exchange["status"]):
        return [
            f"{exchange['step']}: {status}, and differences.toml says {explained.get('status')}"
        ]
    return []


def test_every_difference_has_a_reason() -> None:
    steps = [one["step"] for one in EXCHANGES]
    assert [one for one in DIFFERENCES if one["step"] not in steps or not one["reason"]] == []
