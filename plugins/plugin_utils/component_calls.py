# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide which module of the engine runs for a component, and with which options. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..module_utils.component.component_errors import ComponentError
from .component_options import OPTIONS, REQUIRED_IF
from .desired_instances import fields_of, secrets_of
from .secret_forms import secret_forms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..module_utils.component.spec import Instance

Values = dict[str, Any]
VALIDATOR = ArgumentSpecValidator(OPTIONS, required_if=REQUIRED_IF)
COMMON = ("name", "lock_owner", "lock_timeout")


class Call(NamedTuple):
    """A module of this collection and its options."""

    module: str
    options: Values


def validated(args: Values) -> Values:
    """Return the options of component with their defaults, or raise ComponentError."""
    try:
        # As a module gets it: JSON has no integers as keys, and tuples become lists.
        plain = json.loads(json.dumps(args))
    except (RecursionError, ValueError):
        # By an anchor of YAML.
        raise ComponentError("component: an option contains itself.") from None
    result = VALIDATOR.validate(plain)
    if result.error_messages:
        raise ComponentError(f"component: {'; '.join(result.error_messages)}")
    parameters: Values = result.validated_parameters
    return parameters


def call_of(params: Values, desired: Sequence[Instance]) -> Call:
    """Return what brings a component to its state; ``desired`` are its instances if present."""
    options = {name: params[name] for name in COMMON}
    # Ansible masks a secret as a whole, and programs print parts of it.
    options["masked"] = sorted(secret_forms(params))
    if params["state"] == "absent":
        listed = [own["name"] for own in params["instances"] or ()]
        names = [f"{params['name']}-{name}" for name in listed]
        return Call(
            "component_removal",
            {**options, "instances": names, "purge": params["purge"]},
        )
    options.update({name: params[name] for name in ("adopt", "without_peers")})
    if params["state"] == "previous":
        return Call("component_rollback", options)
    options["instances"] = [fields_of(instance) for instance in desired]
    options["secrets"] = {instance.name: secrets_of(instance) for instance in desired}
    return Call("component_rollout", options)
