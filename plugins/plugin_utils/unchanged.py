# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide on the controller that a component is as desired, by the plan of the engine. Pure.

Only "nothing to do" is ever decided here. Everything else, doubt included, is left to the module,
which observes again under its lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..module_utils.component import manifest, spec, transaction
from ..module_utils.component.component_errors import ComponentError
from ..module_utils.component.observed_state import ObservedState, Unit
from ..module_utils.component.rollout_plan import plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..module_utils.component.observation import (
        HostObservation,
        InstanceObservation,
    )
    from ..module_utils.component.spec import Instance

Values = dict[str, Any]


def result_of(
    component: str,
    desired: Sequence[Instance],
    observation: HostObservation,
    nonce: bytes,
) -> Values | None:
    """Return the module's values if nothing is to do, None if that is not certain."""
    try:
        return _result_of(component, desired, observation, nonce)
    # What the module will say better, or what a host sends that nobody expects.
    except (ComponentError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _result_of(
    component: str,
    desired: Sequence[Instance],
    observation: HostObservation,
    nonce: bytes,
) -> Values | None:
    if observation["leftovers"]:
        return None
    fitted = [spec.fitted(instance, observation["facts"]) for instance in desired]
    installed = _installed(component, observation)
    if sorted(installed) != sorted(instance.name for instance in fitted):
        return None
    architecture = observation["architecture"]
    rollouts = [
        _rollout(instance, installed[instance.name], architecture, nonce)
        for instance in fitted
    ]
    result = transaction.Result(rollouts, component=component)
    return transaction.summary(result) if transaction.is_idle(result) else None


def _installed(
    component: str, observation: HostObservation
) -> dict[str, InstanceObservation]:
    """Return the installed instances of a component."""
    return {
        name: instance
        for name, instance in observation["instances"].items()
        if instance["component"] == component
    }


def _rollout(
    desired: Instance, observed: InstanceObservation, architecture: str, nonce: bytes
) -> transaction.Rollout:
    """Plan an instance; raise ComponentError if the engine would refuse it, or clean up."""
    if observed["blocked"]:
        raise ComponentError(f"{desired.name}: has to be observed again.")
    state = state_of(observed["state"])
    transaction.refuse_obstacles(state, adopt=False)
    release = desired.release.directory(architecture)
    described = manifest.build(desired, release, nonce)
    planned = plan(desired, described, state)
    return transaction.Rollout(desired, state, described, planned)


def state_of(fields: Values) -> ObservedState:
    """Return the state that a host has sent; raise TypeError or KeyError for anything else."""
    lists = {
        name: tuple(value) for name, value in fields.items() if isinstance(value, list)
    }
    units = {name: _unit(unit) for name, unit in fields["units"].items()}
    current, stored = fields["current"], fields["manifest"]
    return ObservedState(
        **{
            **fields,
            **lists,
            "units": units,
            "running_manifest": stored if fields["running"] == current else None,
            "last_known_good_manifest": (
                stored if fields["last_known_good"] == current else None
            ),
        }
    )


def _unit(fields: Values) -> Unit:
    return Unit(**{**fields, "drop_ins": tuple(fields["drop_ins"])})
