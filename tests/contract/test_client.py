# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana's own generated client decodes the fake's answers and accepts our bodies."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.api.client import (
    Client,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.kinds.registry import (
    KINDS,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (
    Options,
    reconcile,
)
from tests.contract.conftest import VERSIONS
from tests.testbed.grafana import notifications
from tests.testbed.grafana.server import FakeGrafana
from tests.unit.grafana.factories import CHANGES, changed, desired

# Referenced objects.
FOLDER = {"uid": "place", "title": "Place", "parentUid": ""}
MUTE_TIMING = {"name": "quiet", "time_intervals": [{"weekdays": ["sunday"]}]}


@pytest.mark.parametrize("version", VERSIONS)
def test_it_decodes_every_answer(client_program: Path, version: str) -> None:
    with FakeGrafana(version=version) as grafana:
        # An upgraded server, with the contact point by mail.
        grafana.store.put(1, "alertmanager", "", notifications.default())
        address = grafana.url.replace("//", f"//{grafana.username}:{grafana.password}@")
        done = subprocess.run(
            [client_program, "drive", address],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("67 operations, 0 failed\n", "")
        assert report_on_bodies(client_program, grafana) == "22 bodies, 0 failed\n"


def report_on_bodies(client_program: Path, grafana: FakeGrafana) -> str:
    """Return the client's report on the bodies of a request log.

    The client has no model of a template's test, and a uid that no object can have is meant so.
    """
    lines = [
        json.dumps({"method": line.method, "path": line.path, "body": line.body})
        for line in grafana.requests
        if not line.is_trial
    ]
    command = [client_program, "bodies"]
    return subprocess.run(
        command,
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
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
        (
            "POST",
            "/api/v1/provisioning/alert-rules",
            {"title": 5},
            "cannot unmarshal number",
        ),
        ("POST", "/api/nothing", {}, "no model of the client for it"),
    ],
)
def test_it_finds_a_wrong_body(
    client_program: Path, method: str, path: str, body: dict, words: str
) -> None:
    line = json.dumps({"method": method, "path": path, "body": json.dumps(body)})
    done = subprocess.run(
        [client_program, "bodies"],
        input=line,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and words in done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_it_accepts_every_body_of_our_modules(
    client_program: Path, version: str
) -> None:
    with FakeGrafana(version=version, password="secret") as grafana:
        grafana.store.put(1, "alertmanager", "", notifications.default())
        client = Client(grafana.url, username="admin", password="secret")
        referenced = [desired("folder", FOLDER), desired("mute_timing", MUTE_TIMING)]
        plain = [desired(kind) for kind in KINDS]
        for items in (
            plain,
            [desired(item.kind, every_change(item, version)) for item in plain],
        ):
            reconcile(client, referenced + items, Options(owner="contract", adopt=True))
        report = report_on_bodies(client_program, grafana)
    match = re.fullmatch(r"(\d+) bodies, 0 failed\n", report)
    assert match, report
    assert int(match.group(1)) >= 2 * len(KINDS)


def every_change(item: DesiredObject, version: str) -> dict[str, Any]:
    """Return an object with each field changed that the version supports."""
    body = item.body
    for where, value in CHANGES[item.kind]:
        if where[-1] != "keep_firing_for" or not version.startswith("11"):
            body = changed(body, where, value)
    return body
