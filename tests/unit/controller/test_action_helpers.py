# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers of several action plugins."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.plugin_utils import action_helpers

MODULE = "component_rollout"


class MarkedString(str):
    """A string whose str() keeps its class, as Ansible's unsafe strings do."""

    def __str__(self) -> str:
        return self


class OwnDict(dict):
    """A dict of another class, as Ansible has them."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(MarkedString("a"), "a", id="a string"),
        pytest.param(
            OwnDict({MarkedString("a"): (1, 2.5)}), {"a": [1, 2.5]}, id="containers"
        ),
        pytest.param([True, None], [True, None], id="scalars"),
    ],
)
def test_a_value_becomes_plain(value: Any, expected: Any) -> None:
    plain = action_helpers.plain(value)
    assert plain == expected
    assert json.loads(json.dumps(plain)) == expected
    assert yaml.safe_load(yaml.safe_dump(plain)) == expected


def test_a_string_loses_its_own_class() -> None:
    assert type(action_helpers.plain(MarkedString("a"))) is str


def test_another_object_becomes_its_string() -> None:
    assert action_helpers.plain(1 + 2j) == "(1+2j)"


def test_the_lock_owner_names_the_process() -> None:
    assert action_helpers.lock_owner().endswith(f", process {os.getpid()}")


class FakeAction:
    """Return prepared results of the module in turn, and keep how it was called."""

    class _task:  # noqa: N801 — the name of Ansible's own attribute
        async_val = 0

    def __init__(self, *results: dict[str, Any]) -> None:
        self.results = list(results)
        self.timeouts: list[int] = []

    def _execute_module(self, **call: Any) -> dict[str, Any]:
        self.timeouts.append(call["module_args"]["lock_timeout"])
        return dict(self.results.pop(0) if len(self.results) > 1 else self.results[0])


LOCKED = {"failed": True, "locked": True, "msg": "another run holds its lock"}
DONE = {"changed": True}


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action_helpers, "LOCK_PAUSE", 0)


def test_tries_again_while_another_run_holds_the_lock(no_pause: None) -> None:
    action = FakeAction(LOCKED, LOCKED, DONE)
    assert action_helpers.run_component(action, {"name": "loki"}, {}, MODULE) == DONE
    # It never waits long on the host, where it would outlive its controller.
    assert action.timeouts == [2, 2, 2]


def test_gives_up_when_the_lock_is_not_free_in_time(no_pause: None) -> None:
    action = FakeAction(LOCKED)
    result = action_helpers.run_component(action, {"lock_timeout": 0}, {}, MODULE)
    assert (result["failed"], "locked" in result, action.timeouts) == (True, False, [0])


def test_tries_no_more_once_its_controller_is_gone(
    no_pause: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_helpers, "controller_is_alive", lambda: False)
    action = FakeAction(LOCKED, DONE)
    assert action_helpers.run_component(action, {}, {}, MODULE)["failed"]


def test_another_failure_is_returned_at_once() -> None:
    action = FakeAction({"failed": True, "msg": "refused"}, DONE)
    assert action_helpers.run_component(action, {}, {}, MODULE)["msg"] == "refused"


def test_waits_for_as_long_as_it_is_told(no_pause: None) -> None:
    action = FakeAction(LOCKED, DONE)
    assert action_helpers.run_component(action, {"lock_timeout": 1}, {}, MODULE) == DONE
    assert action.timeouts == [1, 1]
