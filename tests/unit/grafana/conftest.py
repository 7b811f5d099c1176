# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana of each version in memory, or the real one at GRAFANA_URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
    Result,
    reconcile,
)
from tests.testbed.grafana import notifications
from tests.testbed.grafana.server import FakeGrafana
from tests.unit.grafana.factories import IDENTITIES, absent

VERSIONS = ("11.6.4", "12.4.3", "13.2.3")
REAL = os.environ.get("GRAFANA_URL", "")
Apply = Callable[..., Result]


class RealGrafana:
    """A real server, which neither counts requests nor injects faults."""

    url = REAL
    username = os.environ.get("GRAFANA_USER", "admin")
    password = os.environ.get("GRAFANA_PASSWORD", "admin")

    def clear(self) -> None:
        """Do nothing, since a real server has no log."""


def ensure_mail_contact_point() -> None:
    """Create the contact point that only servers before 12.4 begin with; the tests refer to it."""
    client = connect(RealGrafana())
    client.probe()
    path = "/api/v1/provisioning/contact-points"
    name = "grafana-default-email"
    if not client.get(path, name, name=name):
        body = {
            "name": name,
            "type": "email",
            "settings": {"addresses": "<example@email.com>"},
        }
        client.write("POST", path, name, body, {"X-Disable-Provenance": "true"})


def connect(grafana: Any, **changes: Any) -> Client:
    """Return a client that does not wait between retries."""
    login = {"username": grafana.username, "password": grafana.password}
    return Client(grafana.url, **{**login, "sleep": lambda _seconds: None, **changes})


@pytest.fixture(params=["real"] if REAL else VERSIONS)
def grafana(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Yield an empty Grafana of each version."""
    if request.param == "real":
        reconcile(connect(RealGrafana()), leftovers(), Options(adopt=True))
        ensure_mail_contact_point()
        yield RealGrafana()
        reconcile(connect(RealGrafana()), leftovers(), Options(adopt=True))
        return
    with FakeGrafana(version=request.param) as server:
        # One that has been upgraded has the contact point by mail, which these tests refer to.
        server.store.put(1, "alertmanager", "", notifications.default())
        yield server


@pytest.fixture
def fake_grafana(grafana: Any) -> FakeGrafana:
    """Return a fake Grafana, which counts requests and injects faults."""
    if REAL:
        pytest.skip("a real server neither counts requests nor injects faults")
    return grafana


@pytest.fixture
def apply(grafana: Any) -> Apply:
    """Return a function that brings Grafana to a desired state."""

    def call(*desired: DesiredObject, **options: Any) -> Result:
        grafana.clear()
        return reconcile(
            connect(grafana),
            list(desired),
            Options(**{"fingerprint_key": "key", **options}),
        )

    return call


def leftovers() -> list[DesiredObject]:
    """Return all objects that these tests create, as absent."""
    more = {
        "folder": ["place", "below"],
        "mute_timing": ["quiet"],
        "contact_point": ["discord"],
        "datasource": ["loki"],
        "template": ["tests.owned"],
        "rule_group": ["ops/renamed", "ops/zz"],
    }
    return [
        absent(kind, identity)
        for kind in KINDS
        for identity in [IDENTITIES[kind], *more.get(kind, [])]
    ]


def writes(grafana: Any) -> list[str]:
    """Return the writes since the log was cleared, none for a real server."""
    return [] if REAL else [f"{line.method} {line.path}" for line in grafana.writes]
