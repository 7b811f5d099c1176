# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana accepts the content of the roles, and the next run changes nothing."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.api.client import (
    Client,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.files import (
    prometheus_rules,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (
    Options,
    reconcile,
)
from tests import content
from tests.testbed.grafana.server import FakeGrafana

FOLDER = "hippius"


def role_content() -> list[DesiredObject]:
    """Return all dashboards and Grafana's share of all alerts, with the objects they refer to."""
    objects = [
        DesiredObject("folder", FOLDER, {"uid": FOLDER, "title": "Hippius"}, "inline")
    ]
    for kind in ("prometheus", "loki"):
        body = {
            "uid": kind,
            "name": kind,
            "type": kind,
            "url": "http://127.0.0.1",
            "access": "proxy",
        }
        objects.append(DesiredObject("datasource", kind, body, "inline"))
    for path in content.dashboard_files():
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        objects.append(
            DesiredObject(
                "dashboard",
                dashboard["uid"],
                {"dashboard": dashboard, "folderUid": FOLDER},
                path.name,
            )
        )
    for path in content.alert_files().values():
        objects += prometheus_rules.rule_groups(
            yaml.safe_load(path.read_text(encoding="utf-8")), str(path), FOLDER
        )
    return objects


@pytest.mark.parametrize("version", ["11.6.4", "12.4.3", "13.2.3"])
def test_content_is_created_once_and_then_unchanged(version):
    with FakeGrafana(version=version) as grafana:
        client = Client(
            grafana.url, username=grafana.username, password=grafana.password
        )
        first = reconcile(client, role_content(), Options(fingerprint_key="key"))
        assert len(first.changes) == len(role_content())
        written = len(grafana.writes)
        again = reconcile(client, role_content(), Options(fingerprint_key="key"))
        assert (again.changes, len(grafana.writes)) == ([], written)


@pytest.mark.parametrize("path", content.dashboard_files(), ids=lambda path: path.stem)
def test_dashboard_shows_when_something_was_rolled_out(path):
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    shown = [
        query
        for query in dashboard["annotations"]["list"]
        if query["datasource"]["uid"] == "-- Grafana --"
        and query["target"]["type"] == "tags"
    ]
    # The tag of the annotation that each run of site.yml leaves.
    assert [query["target"]["tags"] for query in shown] == [["rollout"]]
