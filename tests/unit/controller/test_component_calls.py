# SPDX-License-Identifier: GPL-3.0-or-later
"""The module of the engine that the controller runs for a component, and its options."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    component_calls,
    desired_instances,
)
from tests.unit.component import factories

COMMON = {"name": "loki", "lock_owner": "anna", "lock_timeout": 7, "masked": []}


def call(**changes: Any) -> component_calls.Call:
    """Return what the controller runs for a component with these options."""
    given = {"lock_owner": "anna", "lock_timeout": 7, **changes}
    params = component_calls.validated(factories.options(**given))
    is_present = params["state"] == "present"
    desired = desired_instances.instances(params) if is_present else []
    return component_calls.call_of(params, desired)


@pytest.mark.parametrize(
    ("changes", "module", "options"),
    [
        pytest.param(
            {"state": "absent"},
            "component_removal",
            {"instances": [], "purge": False},
            id="absent",
        ),
        pytest.param(
            {"state": "absent", "purge": True, "instances": [{"name": "a"}]},
            "component_removal",
            {"instances": ["loki-a"], "purge": True},
            id="purged with its instances",
        ),
        pytest.param(
            {"state": "previous"},
            "component_rollback",
            {"adopt": False, "without_peers": False},
            id="previous",
        ),
        pytest.param(
            {"state": "previous", "adopt": True, "without_peers": True},
            "component_rollback",
            {"adopt": True, "without_peers": True},
            id="previous with its switches",
        ),
    ],
)
def test_a_state_has_a_module_with_the_options_that_it_needs(
    changes: dict[str, Any], module: str, options: dict[str, Any]
) -> None:
    assert call(**changes) == (module, {**COMMON, **options})


def test_a_rollout_gets_its_instances_and_their_secrets_apart() -> None:
    secrets = {"password": "s3cret-77"}
    module, options = call(secrets=secrets, adopt=True, instances=[{"name": "a"}])
    (sent,) = options["instances"]
    assert module == "component_rollout"
    assert (options["adopt"], options["without_peers"]) == (True, False)
    assert options["secrets"] == {"loki-a": {"etc/password": "s3cret-77"}}
    assert sent["name"] == "loki-a"
    assert sent["files"]["etc/password"]["content"] == ""
    assert sent["files"]["etc/loki-config.yml"]["content"] == "a: 1\n"
    assert "s3cret-77" in options["masked"]
    assert options["masked"] == sorted(options["masked"])


def test_options_are_completed_as_the_module_documents_them() -> None:
    params = component_calls.validated(factories.options(environment={1: 2}))
    assert (params["state"], params["lock_timeout"]) == ("present", 60)
    assert params["environment"] == {"1": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nmae": "x"}, r"component: nmae\. Supported parameters"),
        ({"state": "gone"}, "component: value of state must be one of"),
        ({"lock_timeout": "long"}, "component: .*lock_timeout"),
    ],
)
def test_a_wrong_option_is_told_with_its_name(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ComponentError, match=message):
        component_calls.validated(factories.options(**changes))


def test_an_option_that_has_no_end_is_told() -> None:
    # By an anchor of YAML, and by nesting deeper than Python goes.
    loop: list[Any] = []
    loop.append(loop)
    nested: list[Any] = []
    for _level in range(100_000):
        nested = [nested]
    for endless in (loop, nested):
        with pytest.raises(ComponentError, match="an option contains itself"):
            component_calls.validated(factories.options(config=endless))
