# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe every instance of a host, in a form that the controller can plan with."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from . import accounts, files, layout, manifest, observe, release_store
from .component_errors import ComponentError

if TYPE_CHECKING:
    from typing import Any, TypedDict

    from .manifest import Manifest

    class InstanceObservation(TypedDict):
        """Fields of ObservedState; ``blocked`` is whether the engine has to look again."""

        component: str
        blocked: bool
        state: dict[str, Any]

    class HostObservation(TypedDict):
        """State of a host; ``leftovers`` are those of killed runs that belong to no instance."""

        architecture: str
        facts: observe.HostFacts
        leftovers: bool
        instances: dict[str, InstanceObservation]


# Fields of ObservedState that a plan without changes does not need. Contents are never sent.
OMITTED = ("contents", "last_known_good_manifest", "running_manifest")


def collect(params: dict[str, Any], _check_mode: bool) -> dict[str, Any]:
    """Return the module's values."""
    return {"changed": False, "observation": host(bytes.fromhex(params["nonce"]))}


def host(nonce: bytes) -> HostObservation:
    """Observe all instances of this host; ``nonce`` keys the fingerprints of their secrets."""
    installed = observe.components()
    return {
        "architecture": release_store.host_architecture(),
        "facts": observe.facts(),
        "leftovers": observe.has_shared_leftovers(),
        "instances": {
            name: _instance(name, component, nonce)
            for component, names in installed.items()
            for name in names
        },
    }


def _instance(name: str, component: str, nonce: bytes) -> InstanceObservation:
    key = files.read(layout.FINGERPRINT_KEY) or b""
    observed = observe.observe(name, [], key, accounts.group_of(name))
    state = {
        field: value
        for field, value in asdict(observed).items()
        if field not in OMITTED
    }
    state["manifest"] = _with_nonce(observed.manifest, name, observed.current, nonce)
    blocked = _is_blocked(name, component)
    return {"component": component, "blocked": blocked, "state": state}


def _with_nonce(
    stored: Manifest | None, name: str, generation: str, nonce: bytes
) -> Manifest | None:
    """Return a manifest with fingerprints that the controller can compute as well.

    Those on disk are keyed with a key that never leaves the host.
    """
    if stored is None:
        return None
    records = dict(stored["files"])
    for path, record in stored["files"].items():
        if "fingerprint" in record:
            full_path = os.path.join(layout.generation(name, generation), path)
            content = files.read(full_path)
            fingerprint = (
                "" if content is None else manifest.fingerprint(content, nonce)
            )
            records[path] = {**record, "fingerprint": fingerprint}
    return {**stored, "files": records}


def _is_blocked(name: str, component: str) -> bool:
    """Return whether a rollout that changes nothing would refuse the host, or clean up."""
    to_remove = (
        layout.adoption(name),
        layout.downloads(name),
        layout.fallback_script(component),
        layout.orders(component),
    )
    if any(map(os.path.lexists, to_remove)):
        return True
    try:
        accounts.refuse_person(name)
    except ComponentError:
        return True
    return False
