# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host sends to the controller about its components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    manifest,
    observation,
)
from tests.unit.component.fake_host import NONCE, FakeHost

# The same options as for rollouts.
from tests.unit.component.test_transaction import options  # noqa: F401

SECRET = "correct horse battery staple"


@pytest.fixture
def installed(host: FakeHost, options: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    """Return the options of a component that is on the host, with a secret."""
    options = {**options, "secrets": {"password": SECRET}}
    host.good(options)
    return options


def sent(nonce: bytes = NONCE) -> str:
    return json.dumps(observation.collect({"nonce": nonce.hex()}, False))


def test_an_empty_host_has_no_instance(host: FakeHost) -> None:
    assert observation.host(NONCE)["instances"] == {}


def test_secrets_are_sent_as_fingerprints_of_this_run(
    installed: dict[str, Any],
) -> None:
    stored = json.loads(Path(layout.current("loki"), "manifest.json").read_text())
    of_the_host = stored["files"]["etc/password"]["fingerprint"]

    text = sent()

    assert manifest.fingerprint(SECRET.encode(), NONCE) in text
    assert manifest.fingerprint(SECRET.encode(), b"x" * 32) in sent(b"x" * 32)
    assert SECRET not in text
    assert of_the_host not in text


def test_no_content_is_sent(host: FakeHost, installed: dict[str, Any]) -> None:
    config = [{"path": "loki.yml", "content": "a: in no observation\n"}]
    host.good(installed, config=config)
    assert "in no observation" not in sent()


def test_an_observation_writes_nothing(
    host: FakeHost, installed: dict[str, Any]
) -> None:
    before = host.tree(), host.marks()
    host.forget_commands()
    sent()
    assert ((host.tree(), host.marks()), host.commands()) == (before, [])


def test_a_removed_secret_is_no_secret(
    host: FakeHost, installed: dict[str, Any]
) -> None:
    Path(layout.current("loki"), "etc/password").unlink()
    state = observation.host(NONCE)["instances"]["loki"]["state"]
    assert state["manifest"]["files"]["etc/password"]["fingerprint"] == ""
    assert state["drift"] == ("etc/password",)
