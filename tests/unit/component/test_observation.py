# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host sends to the controller about its components."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    accounts,
    layout,
    manifest,
    observation,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
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
    values = observation.collect({"nonce": NONCE.hex()}, False)
    assert values == {"changed": False, "observation": observation.host(NONCE)}


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


def test_the_rest_of_the_manifest_is_sent_as_it_is(installed: dict[str, Any]) -> None:
    stored = json.loads(Path(layout.current("loki"), "manifest.json").read_text())
    del stored["checksum"]
    sent_manifest = observed_state()["manifest"]
    for described in (stored, sent_manifest):
        del described["files"]["etc/password"]["fingerprint"]
    assert sent_manifest == stored


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


@pytest.mark.parametrize(
    "path", ["adoption", "downloads", "fallback_script", "orders", "nothing"]
)
def test_what_an_unfinished_run_left_is_for_the_engine(
    host: FakeHost, installed: dict[str, Any], path: str
) -> None:
    if path != "nothing":
        # A link that leads nowhere counts as well.
        left = Path(getattr(layout, path)("loki"))
        left.parent.mkdir(parents=True, exist_ok=True)
        left.symlink_to("/nowhere")
    assert observation.host(NONCE)["instances"]["loki"]["blocked"] is (
        path != "nothing"
    )


def test_the_account_of_a_person_is_for_the_engine(
    installed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise ComponentError(f"user {name}: is a person's account.")

    monkeypatch.setattr(accounts, "refuse_person", refuse)
    assert observation.host(NONCE)["instances"]["loki"]["blocked"]


def test_the_component_of_each_instance_is_told(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
) -> None:
    host.good(options, instances=[{"name": "main"}, {"name": "side"}])
    instances = observation.host(NONCE)["instances"]
    assert {name: one["component"] for name, one in instances.items()} == {
        "loki-main": "loki",
        "loki-side": "loki",
    }


def test_only_fields_of_a_plan_are_sent(installed: dict[str, Any]) -> None:
    state = observation.host(NONCE)["instances"]["loki"]["state"]
    names = {field.name for field in fields(ObservedState)}
    assert set(state) == names - {
        "contents",
        "last_known_good_manifest",
        "running_manifest",
    }
    assert (state["drift"], state["account_exists"]) == ((), True)


def test_an_unreadable_manifest_and_a_host_without_a_key_are_told(
    installed: dict[str, Any],
) -> None:
    os.unlink(layout.FINGERPRINT_KEY)
    assert "etc/password" in observed_state()["drift"]
    os.unlink(layout.current("loki"))
    assert observed_state()["manifest"] is None


def observed_state() -> dict[str, Any]:
    return observation.host(NONCE)["instances"]["loki"]["state"]
