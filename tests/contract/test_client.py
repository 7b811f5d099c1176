# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana's own generated client decodes the stand-in's answers and holds the bodies that it is sent."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.api.client import Client
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import KINDS
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import DesiredObject
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (
    Options,
    reconcile,
)
from tests.contract.conftest import VERSIONS
from tests.testbed.grafana import notifications
from tests.testbed.grafana.server import StandIn
from tests.unit.grafana.factories import CHANGES, changed, wanted

# What the objects refer to.
PLACE = {"uid": "place", "title": "Place", "parentUid": ""}
QUIET = {"name": "quiet", "time_intervals": [{"weekdays": ["sunday"]}]}


@pytest.mark.parametrize("version", VERSIONS)
def test_it_decodes_every_answer(client_judge: Path, version: str) -> None:
    with StandIn(version=version) as grafana:
        # One that has been upgraded, with the contact point by mail.
        grafana.store.put(1, "alertmanager", "", notifications.default())
        address = grafana.url.replace("//", f"//{grafana.username}:{grafana.password}@")
        done = subprocess.run(
            [client_judge, "drive", address],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("67 operations, 0 failed\n", "")
        assert judged(client_judge, grafana) == "22 bodies, 0 failed\n"


def judged(client_judge: Path, grafana: StandIn) -> str:
    """What the client says about the bodies of a request log."""
    lines = [
        json.dumps({"method": line.method, "path": line.path, "body": line.body})
        for line in grafana.requests
    ]
    command = [client_judge, "bodies"]
    return subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, timeout=60, check=False
    ).stdout


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        (
            "PUT",
            "/api/v1/provisioning/policies",
            {"receiver": "a", "groupBy": []},
            'unknown field "groupBy"',
        ),
        (
            "POST",
            "/api/v1/provisioning/contact-points",
            {"name": "a", "settings": {}},
            "type in body is required",
        ),
        (
            "POST",
            "/api/v1/provisioning/alert-rules",
            {"title": "a"},
            "condition in body is required",
        ),
        ("POST", "/api/v1/provisioning/alert-rules", {"title": 5}, "cannot unmarshal number"),
        ("POST", "/api/nothing", {}, "no model of the client holds it"),
    ],
)
def test_it_finds_a_wrong_body(
    client_judge: Path, method: str, path: str, body: dict, words: str
) -> None:
    line = json.dumps({"method": method, "path": path, "body": json.dumps(body)})
    done = subprocess.run(
        [client_judge, "bodies"], input=line, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and words in done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_it_holds_every_body_that_our_modules_send(client_judge: Path, version: str) -> None:
    with StandIn(version=version, password="secret") as grafana:
        grafana.store.put(1, "alertmanager", "", notifications.default())
        client = Client(grafana.url, username="admin", password="secret")
        around = [wanted("folder", PLACE), wanted("mute_timing", QUIET)]
        plain = [wanted(kind) for kind in KINDS]
        for items in (plain, [wanted(item.kind, every_change(item, version)) for item in plain]):
            reconcile(client, around + items, Options(owner="judged", adopt=True))
        said = judged(client_judge, grafana)
    found = re.fullmatch(r"(\d+) bodies, 0 failed\n", said)
    assert found, said
    assert int(found.group(1)) >= 2 * len(KINDS)


def every_change(item: DesiredObject, version: str) -> dict:
    """An object with each of its fields changed that the version knows."""
    body = item.body
    for where, value in CHANGES[item.kind]:
        if where[-1] != "keep_firing_for" or not version.startswith("11"):
            body = changed(body, where, value)
    return body
