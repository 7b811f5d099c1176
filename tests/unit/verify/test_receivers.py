# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages to the receivers of each Grafana and of Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from ansible_collections.hippius.monitoring.plugins.module_utils.verify import (
    flow_queries,
    receivers,
)
from tests.testbed.discord import FakeDiscord
from tests.testbed.grafana.server import FakeGrafana

PASSWORD = "grafana-pass"


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    with FakeDiscord() as running:
        yield running


def notify(grafana: FakeGrafana, password: str = PASSWORD) -> dict[str, str]:
    """Run the part of the module that sends messages; return the error of each receiver."""
    server = {
        "server": "grafana",
        "url": grafana.url,
        "tls": {},
        "environment": "dev",
    }
    login = {"Authorization": flow_queries.basic("admin", password)}
    return {
        message["receiver"]: message["error"]
        for message in flow_queries.notify(server, login)
    }


def add_point(grafana: FakeGrafana, name: str, url: str) -> None:
    point = {"uid": name, "name": name, "type": "discord", "settings": {"url": url}}
    requests.post(
        f"{grafana.url}/api/v1/provisioning/contact-points",
        json=point,
        auth=("admin", PASSWORD),
        timeout=10,
    ).raise_for_status()


@pytest.mark.parametrize("version", ["11.6.0", "12.1.0", "12.4.0", "13.2.3"])
def test_each_receiver_of_each_grafana_gets_a_message(
    discord: FakeDiscord, version: str
):
    with FakeGrafana(version=version, password=PASSWORD, rounds=1) as grafana:
        add_point(grafana, "chat", discord.webhook)
        add_point(grafana, "expired", f"{discord.webhook}-canary")
        errors = notify(grafana)
    assert errors["chat (discord)"] == ""
    assert "404" in errors["expired (discord)"]
    assert "canary" not in str(errors)
    assert [message["content"] for message in discord.messages] == [
        "[FIRING:1] alertname=MonitoringVerify instance=Grafana severity=medium env=dev"
    ]


def test_a_refused_login_is_no_silence():
    with FakeGrafana(version="13.2.3", password=PASSWORD, rounds=1) as grafana:
        errors = notify(grafana, "wrong")
    [error] = errors.values()
    assert "401" in error


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (200, {"status": "success"}, ""),
        (200, {"status": "failure", "error": "no"}, "no"),
        (200, {"alert": {}, "receivers": []}, ""),
        (403, {"message": "Access denied"}, "403: Access denied"),
        (502, "bad gateway", '502: "bad gateway"'),
    ],
)
def test_an_answer_tells_the_error(status: int, answer: Any, error: str):
    assert receivers._error_of(status, json.dumps(answer)) == error


PAGE = """
alertmanager_notification_requests_failed_total{{integration="discord"}} {failed}
alertmanager_notification_requests_failed_total{{integration="email"}} 0
alertmanager_notification_requests_total{{integration="discord"}} {total}
alertmanager_notification_requests_total{{integration="email"}} 7
"""


@pytest.mark.parametrize(
    ("after", "errors"),
    [
        ({"total": 3, "failed": 1}, {}),
        ({"total": 4, "failed": 1}, {"discord": ""}),
        (
            {"total": 4, "failed": 2},
            {"discord": "it refuses messages; see the log of Alertmanager"},
        ),
    ],
)
def test_alertmanager_is_asked_until_it_has_sent_the_alert(
    after: dict[str, int], errors: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(receivers, "ALERTMANAGER_SECONDS", 0.2)
    monkeypatch.setattr(receivers.time, "sleep", lambda _seconds: None)
    pages = [PAGE.format(total=3, failed=1)]
    documents = []

    def ask(path: str, document: Any) -> tuple[int, str]:
        if path == receivers.METRICS:
            return 200, pages.pop() if pages else PAGE.format(**after)
        documents.append(document)
        return 200, ""

    found = receivers.of_alertmanager(ask, "dev")
    expected = errors or {
        "alerts": "no receiver was notified; see the routes of critical alerts"
    }
    assert found == expected
    assert documents[0][0]["labels"]["severity"] == "critical"
