# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a message to the receivers of Grafana and Alertmanager, and learn whether it was taken.

Settings of receivers contain secrets, so they stay on the host.
"""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Callable

    # Path and document (None for a GET) -> status and body.
    Ask = Callable[[str, Any], tuple[int, str]]
    # Receiver -> error, empty for a message that was taken.
    Errors = dict[str, str]

POINTS = "/api/v1/provisioning/contact-points"
LEGACY = "/api/alertmanager/grafana/config/api/v1/receivers/test"
# Grafana 13 has the first only, 12.3 the second, and older ones the legacy address.
VERSIONS = ("v1beta1", "v0alpha1")
TEST = (
    "/apis/notifications.alerting.grafana.app/{}/namespaces/default/receivers/{}/test"
)
NOT_THERE = (404, 405, 410)
ALERTS, METRICS = "/api/v2/alerts", "/metrics"
COUNTER = re.compile(
    r"^alertmanager_notification_requests_(?P<kind>failed_total|total)"
    r'\{.*?integration="(?P<integration>\w+)".*\} (?P<value>\S+)$',
    re.MULTILINE,
)
# Longer than the delay of a group of critical alerts, and than an attempt.
ALERTMANAGER_SECONDS = 45
SUMMARY = "Test message of playbooks/verify.yml. Nothing is wrong."


def alert(environment: str, severity: str) -> dict[str, Any]:
    """Return labels and annotations of the message. Pure."""
    labels = {
        "alertname": "MonitoringVerify",
        "severity": severity,
        "env": environment,
    }
    return {"labels": labels, "annotations": {"summary": SUMMARY}}


def of_grafana(ask: Ask, environment: str) -> Errors:
    """Send a message to each contact point; return the error of each."""
    status, body = ask(POINTS, None)
    if status != 200:
        return {"contact points": f"{status or 'no answer'}: {body}"}
    errors = {}
    for point in json.loads(body):
        if point.get("uid"):
            name = f"{point['name']} ({point['type']})"
            errors[name] = _try_point(ask, point, alert(environment, "medium"))
    return errors


def _try_point(ask: Ask, point: dict[str, Any], message: dict[str, Any]) -> str:
    name = base64.urlsafe_b64encode(point["name"].encode()).decode().rstrip("=")
    document = {"integrationRef": {"uid": point["uid"]}, "alert": message}
    for version in VERSIONS:
        status, body = ask(TEST.format(version, name), document)
        if status not in NOT_THERE:
            return _error_of(status, body)
    keys = ("uid", "name", "type", "settings", "disableResolveMessage")
    config = {key: point[key] for key in keys if key in point}
    receiver = {
        "name": point["name"],
        "grafana_managed_receiver_configs": [config],
    }
    status, body = ask(LEGACY, {"receivers": [receiver], "alert": message})
    return _error_of(status, body)


def _error_of(status: int, body: str) -> str:
    """Return the error in an answer of any of the addresses. Pure."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return f"{status or 'no answer'}: {body}"
    if answer.get("status") == "failure":
        return str(answer.get("error") or "no reason is given")
    for receiver in answer.get("receivers") or ():
        for config in receiver.get("grafana_managed_receiver_configs") or ():
            if config.get("status") == "failed":
                return str(config.get("error") or "no reason is given")
    if 200 <= status < 300:
        return ""
    return f"{status}: {answer.get('message') or body}"


def of_alertmanager(ask: Ask, environment: str) -> Errors:
    """Send a critical alert, and wait until Alertmanager has sent it on."""
    before = _requests(ask)
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    message = {**alert(environment, "critical"), "endsAt": ends}
    status, body = ask(ALERTS, [message])
    if status != 200:
        return {"alerts": f"{status or 'no answer'}: {body}"}
    deadline = time.monotonic() + ALERTMANAGER_SECONDS
    while time.monotonic() < deadline:
        time.sleep(1)
        errors = sent(before, _requests(ask))
        if errors:
            return errors
    return {"alerts": "no receiver was notified; see the routes of critical alerts"}


def sent(
    before: dict[tuple[str, str], float], after: dict[tuple[str, str], float]
) -> Errors:
    """Return the receivers that were asked meanwhile, with the error of each. Pure."""
    errors = {}
    for (kind, integration), value in after.items():
        if kind == "total" and value > before.get((kind, integration), 0):
            failed = "failed_total", integration
            is_failed = after.get(failed, 0) > before.get(failed, 0)
            errors[integration] = (
                "it refuses messages; see the log of Alertmanager" if is_failed else ""
            )
    return errors


def _requests(ask: Ask) -> dict[tuple[str, str], float]:
    """Return the number of requests to each kind of receiver, all and failed ones."""
    _status, body = ask(METRICS, None)
    return {
        (match["kind"], match["integration"]): float(match["value"])
        for match in COUNTER.finditer(body)
    }
