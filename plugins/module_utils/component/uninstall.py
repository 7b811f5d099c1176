# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove components on request; data and users stay unless they are purged."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from . import (
    accounts,
    adoption,
    fallback,
    files,
    generation,
    layout,
    observe,
    run_lock,
    systemd,
)
from .component_errors import ComponentError
from .removal import Removal, plan_removal, remove
from .rollout_plan import NONE, REMOVE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def purge(name: str) -> str:
    """Remove an instance's data, its saved manual changes, and its user if it is ours.

    Returns the message for the one who asked for it.
    """
    message = f"Data and user of {name} are purged.{_purge_data(layout.data(name))}"
    files.remove(layout.edited(name))
    if owns_user(name):
        result = systemd.run(["userdel", name])
        if result.returncode != 0:
            raise ComponentError(
                f"user {name}: userdel failed: {result.stdout.strip()}"
            )
    return message


def owns_user(name: str) -> bool:
    """Return whether the component's user exists and was created by this collection."""
    try:
        return pwd.getpwnam(name).pw_gecos == accounts.OWNER
    except KeyError:
        return False


def _purge_data(data: str) -> str:
    """Remove a data directory; return what is left of it, in words."""
    target = files.link_target(data)
    if target is not None:
        files.remove(data)
        return f" {data} was a link; the data in {target} was left."
    if os.path.ismount(data):
        for entry in files.listing(data):
            files.remove(os.path.join(data, entry))
        return f" {data} is a mount point, which was emptied and left."
    files.remove(data)
    return ""


def absent(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Remove a component with all its instances."""
    component = params["name"]
    removals = [plan_removal(name) for name in observe.instances_of(component)]
    purged = _names_to_purge(params, removals) if params["purge"] else []
    taken = list(filter(adoption.interrupted, _names(params)))
    notices = [f"Data and user of {name} are purged." for name in purged]
    notices += [
        f"What a killed run adopted for {name} is given back." for name in taken
    ]
    if not check_mode:
        if removals or notices:
            notices = _remove_locked(component, removals, params, purged, taken)
        generation.tidy()
    return _values(removals, notices)


def _names_to_purge(params: dict[str, Any], removals: list[Removal]) -> list[str]:
    """Return the names that are installed or have our user; another's data may not be ours."""
    installed = [removal.name for removal in removals]
    names = dict.fromkeys([*_names(params), *installed])
    return [name for name in names if name in installed or owns_user(name)]


def _names(params: dict[str, Any]) -> list[str]:
    """Return the names that the options give, installed or not."""
    return [params["name"], *params["instances"]]


def prune(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Remove components that the host should no longer have."""
    installed = observe.components()
    unwanted = {
        component: [plan_removal(name) for name in installed[component]]
        for component in params["known"]
        if component in installed and component not in params["keep"]
    }
    removals = [removal for group in unwanted.values() for removal in group]
    if len(unwanted) > params["prune_max"]:
        names = ", ".join(removal.name for removal in removals)
        raise ComponentError(
            f"{names}: removing {len(unwanted)} components exceeds prune_max"
            f" ({params['prune_max']}); add the host to their groups again, or raise"
            " monitoring_prune_max for one run. Nothing was removed."
        )
    if not check_mode:
        for component, group in unwanted.items():
            _remove_locked(component, group, params)
        generation.tidy()
    return _values(removals, [])


def _remove_locked(
    component: str,
    removals: list[Removal],
    params: dict[str, Any],
    purged: Sequence[str] = (),
    taken: Sequence[str] = (),
) -> list[str]:
    """Remove instances, give back what was adopted for the names ``taken``, and purge names.

    All under the lock. Returns a message for each name that is purged or given back.
    It plans again, since another run may have changed them.
    """
    lock_owner = params.get("lock_owner") or ""
    messages: list[str] = []
    with run_lock.held(component, lock_owner, params["lock_timeout"]):
        fallback.disarm(component)
        # The removal of an instance gives back as well.
        taken = list(filter(adoption.interrupted, taken))
        for removal in removals:
            if os.path.isdir(layout.component(removal.name)):
                remove(plan_removal(removal.name))
        for name in taken:
            adoption.undo(name)
            messages.append(f"What a killed run adopted for {name} is given back.")
        messages += [purge(name) for name in purged]
        generation.prune_releases()
    return messages


def _values(removals: list[Removal], notices: list[str]) -> dict[str, Any]:
    """Return the module's values; ``notices`` are about purged names."""
    changed = bool(removals or notices)
    return {
        "changed": changed,
        "action": REMOVE if changed else NONE,
        "instances": {removal.name: removal.result for removal in removals},
        "notices": notices,
        "diff": [removal.diff for removal in removals],
    }
