# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision of the controller that nothing is to do, by what a host was observed to be.

tests/unit/component/fake_host.py compares it with each run of the engine as well.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    manifest,
    observation,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
    Unit,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    component_calls,
    desired_instances,
    unchanged,
)
from tests.unit.component import factories

NONCE = bytes(range(32))
FACTS = {"python": "/usr/bin/python3", "user_namespaces": True}
TIMER = {
    "loki-tidy.timer": {
        "Timer": {"OnCalendar": "daily"},
        "Install": {"WantedBy": "timers.target"},
    }
}
ARGS = factories.options(
    secrets={"password": "s3cret"}, units=TIMER, environment={"A": 1}
)
NAME, MAIN = "loki", "loki.service"
Observation = dict[str, Any]


@pytest.fixture
def observed() -> Observation:
    """Return the observation of a host that is as desired, as it arrives."""
    desired = factories.instance(**ARGS)
    state = asdict(factories.running(desired))
    described = manifest.build(desired, factories.RELEASE_DIRECTORY, NONCE)
    for name in observation.OMITTED:
        del state[name]
    instance = {
        "component": NAME,
        "blocked": False,
        "state": {**state, "manifest": described},
    }
    host = {
        "architecture": "amd64",
        "facts": FACTS,
        "leftovers": False,
        "instances": {NAME: instance},
    }
    return json.loads(json.dumps(host))


def decide(observed: Observation, **changes: Any) -> dict[str, Any] | None:
    """Decide as the action plugin does, or raise ComponentError for a wrong option."""
    params = component_calls.validated({**ARGS, **changes})
    desired = desired_instances.instances(params)
    return unchanged.result_of(NAME, desired, observed, NONCE)


def test_a_host_that_is_as_desired_gets_the_result_of_the_module(
    observed: Observation,
) -> None:
    generation = observed["instances"][NAME]["state"]["current"]
    assert decide(observed) == {
        "changed": False,
        "action": "none",
        "diff": [],
        "notices": [],
        "instances": {
            NAME: {
                "action": "none",
                "reasons": [],
                "generation": generation,
                "previous": generation,
                "previous_release": factories.RELEASE_DIRECTORY,
                "release": factories.RELEASE_DIRECTORY,
            }
        },
    }


STATES: dict[str, Any] = {
    "current": "9-other",
    "manifest": None,
    "last_known_good": "9-other",
    "rolled_back_from": "9-other",
    "running": "9-other",
    "running_unit": "another digest",
    "running_drop_ins": "another digest",
    "drift": ["etc/loki-config.yml"],
    "untracked": ["etc/added.yml"],
    "links": ["/etc/loki"],
    "modes": ["/opt/monitoring"],
    "masked": [MAIN],
    "unmanaged": ["/etc/loki"],
    "leftovers": ["/opt/monitoring/components/loki/.staging"],
    "pending": True,
    "release_intact": False,
    "account_exists": False,
}
# Neither the previous generation nor drop-ins and contents alone are a reason to do anything.
NO_REASONS = ("previous", "running_drift", "drop_ins", *observation.OMITTED)


@pytest.mark.parametrize("name", STATES)
def test_a_difference_in_the_state_is_left_to_the_module(
    observed: Observation, name: str
) -> None:
    state = observed["instances"][NAME]["state"]
    assert state[name] != STATES[name]
    state[name] = STATES[name]
    assert decide(observed) is None


def test_no_field_of_the_state_is_forgotten() -> None:
    names = {field.name for field in fields(ObservedState)}
    assert names == {*STATES, *NO_REASONS, "units"}


UNITS: dict[str, Any] = {
    "active": "failed",
    "load": "masked",
    "stale": True,
}


@pytest.mark.parametrize("unit_name", [MAIN, "loki-tidy.timer"])
@pytest.mark.parametrize("name", UNITS)
def test_a_difference_of_a_unit_is_left_to_the_module(
    observed: Observation, name: str, unit_name: str
) -> None:
    observed["instances"][NAME]["state"]["units"][unit_name][name] = UNITS[name]
    assert decide(observed) is None


def test_no_field_of_a_unit_is_forgotten() -> None:
    names = {field.name for field in fields(Unit)}
    of_the_process = {"sub", "main_pid", "invocation", "restarts"}
    assert names == {*UNITS, *of_the_process, "fragment", "drop_ins"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"config": []}, id="a file less"),
        pytest.param(
            {"config": [{"path": "loki-config.yml", "content": "a: 2\n"}]}, id="content"
        ),
        pytest.param(
            {"config": [{**factories.CONFIG[0], "on_change": "none"}]},
            id="effect of a file",
        ),
        pytest.param({"secrets": {"password": "s3cret "}}, id="another secret"),
        pytest.param({"secrets": {}}, id="a secret less"),
        pytest.param({"secrets": {"password": "s3cret", "x": "y"}}, id="a secret more"),
        pytest.param({"command": ["{release}/loki"]}, id="the command"),
        pytest.param({"environment": {"A": 2}}, id="the environment"),
        pytest.param({"unit": {"Service": {"Nice": 5}}}, id="the unit"),
        pytest.param({"units": {}}, id="a unit less"),
        pytest.param({"listen_addresses": ["127.0.0.1:3100"]}, id="an address"),
        pytest.param({"ready": {"url": "http://127.0.0.1/x"}}, id="ready"),
        pytest.param({"reload": factories.RELOAD}, id="reload"),
        pytest.param(
            {"scripts": [{"path": "tidy", "content": "#!/bin/sh\n"}]}, id="a script"
        ),
        pytest.param(
            {"release": {**factories.RELEASE, "version": "3.7.9"}}, id="a release"
        ),
        pytest.param({"units": {}, "instances": [{"name": "main"}]}, id="instances"),
        pytest.param({"instances": []}, id="no instance"),
        pytest.param({"units": {}, "name": "tempo"}, id="another component"),
    ],
)
def test_another_wish_is_left_to_the_module(
    observed: Observation, changes: dict[str, Any]
) -> None:
    assert decide(observed, **changes) is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"lock_timeout": 5, "lock_owner": "anna"}, id="the lock"),
        pytest.param({"adopt": True}, id="adopt"),
        pytest.param({"environment": {"A": "1"}}, id="the same environment"),
        pytest.param({"check": ["{release}/loki", "-verify"]}, id="the checker"),
    ],
)
def test_what_changes_nothing_on_the_host_is_no_difference(
    observed: Observation, changes: dict[str, Any]
) -> None:
    assert decide(observed, **changes) is not None


def test_the_state_arrives_as_it_was_observed(observed: Observation) -> None:
    desired = factories.instance(**ARGS)
    described = manifest.build(desired, factories.RELEASE_DIRECTORY, NONCE)
    before = factories.running(desired)
    main = replace(before.units[MAIN], drop_ins=("/etc/override.conf",))
    sent = replace(
        before,
        drift=("etc/a.yml",),
        leftovers=("b", "c"),
        units={**before.units, MAIN: main},
    )
    fields = {**asdict(sent), "manifest": described}
    for name in observation.OMITTED:
        del fields[name]

    arrived = unchanged.state_of(json.loads(json.dumps(fields)))

    empty = ObservedState().contents
    assert arrived == replace(
        sent,
        contents=empty,
        manifest=described,
        running_manifest=described,
        last_known_good_manifest=described,
    )
    assert hash(arrived.units[MAIN]) == hash(main)


@pytest.mark.parametrize("link", ["running", "last_known_good"])
def test_only_the_manifest_of_the_current_generation_is_known(
    observed: Observation, link: str
) -> None:
    state = observed["instances"][NAME]["state"]
    state[link] = "9-other"
    arrived = unchanged.state_of(state)
    manifests = {
        "running": arrived.running_manifest,
        "last_known_good": arrived.last_known_good_manifest,
    }
    assert manifests.pop(link) is None
    assert manifests.popitem()[1] == state["manifest"]


ITSELF: list[Any] = []
# An anchor in YAML can do that.
ITSELF.append(ITSELF)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"unknown": 1}, "component: unknown", id="an unknown option"),
        pytest.param({"command": []}, "loki: command is required", id="a value"),
        pytest.param({"release": None}, "release: is required", id="no release"),
        pytest.param({"config": ITSELF}, "contains itself", id="a loop"),
    ],
)
def test_a_wrong_option_is_an_error_before_any_host_is_asked(
    observed: Observation, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ComponentError, match=message):
        decide(observed, **changes)


def without_instances(observed: Observation) -> None:
    observed["instances"] = {}


def of_another_component(observed: Observation) -> None:
    observed["instances"][NAME]["component"] = "tempo"


def with_another_instance(observed: Observation) -> None:
    observed["instances"]["loki-x"] = copy.deepcopy(observed["instances"][NAME])


def blocked(observed: Observation) -> None:
    observed["instances"][NAME]["blocked"] = True


def with_leftovers(observed: Observation) -> None:
    observed["leftovers"] = True


def of_another_architecture(observed: Observation) -> None:
    observed["architecture"] = "arm64"


def without_user_namespaces(observed: Observation) -> None:
    observed["facts"]["user_namespaces"] = False


def without_facts(observed: Observation) -> None:
    del observed["facts"]


def with_an_unknown_field(observed: Observation) -> None:
    observed["instances"][NAME]["state"]["more"] = 1


def with_text_for_units(observed: Observation) -> None:
    observed["instances"][NAME]["state"]["units"] = "none"


@pytest.mark.parametrize(
    "change",
    [
        without_instances,
        of_another_component,
        with_another_instance,
        blocked,
        with_leftovers,
        of_another_architecture,
        without_user_namespaces,
        without_facts,
        with_an_unknown_field,
        with_text_for_units,
    ],
)
def test_another_host_is_left_to_the_module(
    observed: Observation, change: Callable[[Observation], None]
) -> None:
    change(observed)
    assert decide(observed) is None


def test_another_key_of_the_run_fits_no_secret(observed: Observation) -> None:
    assert (
        unchanged.result_of(NAME, [factories.instance(**ARGS)], observed, bytes(32))
        is None
    )
