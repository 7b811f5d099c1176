# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take an instance off a host; its data and its user stay unless they are purged."""

from __future__ import annotations

import os
from dataclasses import dataclass

from . import files, generation, layout, observe, run_lock, systemd
from .component_errors import ComponentError
from .failpoints import failpoint
from .rollout_plan import NONE, REMOVE, shown_path


@dataclass(frozen=True)
class Removal:
    """An instance that goes, with what is needed to take it off and to tell about it."""

    name: str
    known: dict
    generation: str
    release: str
    diff: tuple = ()


def planned(name: str) -> Removal:
    """What the removal of an installed instance takes away."""
    current = generation.current(name)
    known = observe.read_manifest(name, current) or {}
    lines = "".join(shown_path(name, path) + "\n" for path in sorted(known.get("files", {})))
    entry = {
        "before_header": f"files of {name}",
        "after_header": f"files of {name}",
        "before": lines,
        "after": "",
    }
    return Removal(name, known, current, known.get("release", ""), (entry,))


def remove(item: Removal) -> None:
    """Stop, disable and remove an instance.

    What is kept about it vanishes by one rename after everything else, so that a killed removal is finished later.
    """
    withdraw(item.name, item.known)
    failpoint("after-unlink")
    pending_removals = layout.pending_removals(item.name)
    files.remove(pending_removals)
    os.rename(layout.component(item.name), pending_removals)
    files.sync_directory(layout.COMPONENTS)
    failpoint("after-set-aside")
    files.remove(pending_removals)


def told(item: Removal) -> dict:
    """What the module returns of a removal."""
    return {
        "action": REMOVE,
        "reasons": ["it is no longer wanted"],
        "generation": "",
        "previous": item.generation,
        "release": item.release,
    }


def withdraw(name: str, known: dict) -> None:
    """Stop an instance's units and remove every link to it."""
    links = observe.our_links(name)
    # Without a readable manifest, the links tell the units.
    linked = [os.path.basename(path) for path in links if os.path.dirname(path) == layout.UNITS]
    units = sorted({*known.get("units", {}), *linked})
    if units:
        systemd.run(["systemctl", "stop", "--", *units], timeout=None)
    for path in links:
        files.remove(path)
    for directory in {
        os.path.dirname(path) for path in links if os.path.dirname(path).endswith(".wants")
    }:
        files.remove_empty(directory)
    systemd.run(["systemctl", "daemon-reload"])
    if units:
        systemd.run(["systemctl", "reset-failed", "--", *units])
    for path in (layout.running(name), layout.pending(name)):
        files.remove(path)


def purge(name: str) -> None:
    """Remove an instance's data, what was kept of files changed by hand, and its user if we made it."""
    for path in (layout.data(name), layout.edited(name)):
        files.remove(path)
    if generation.owns_user(name):
        result = systemd.run(["userdel", name])
        if result.returncode != 0:
            raise ComponentError(f"User {name} could not be removed: {result.stdout.strip()}")


def absent(params: dict, check_mode: bool) -> dict:
    """Remove a component with all its instances; return the module's values."""
    component = params["name"]
    items = [planned(name) for name in observe.instances_of(component)]
    listed = [f"{component}-{own.get('name')}" for own in params.get("instances") or ()]
    names = dict.fromkeys([component, *listed, *[item.name for item in items]])
    installed = [item.name for item in items]
    # A name that was neither installed by us nor has our user may be somebody else's, data and all.
    purged = [
        name
        for name in names
        if params["purge"] and (name in installed or generation.owns_user(name))
    ]
    if not check_mode and (items or purged):
        take_off(component, items, params.get("lock_owner") or "", params["lock_timeout"])
        for name in purged:
            purge(name)
    if not check_mode:
        generation.tidy()
    return values(items, [f"Data and user of {name} are purged." for name in purged], bool(purged))


def prune(params: dict, check_mode: bool) -> dict:
    """Remove components that the host should no longer have; return the module's values."""
    there = observe.components()
    left = [name for name in params["known"] if name in there and name not in params["keep"]]
    unwanted = {component: there[component] for component in left}
    items = [planned(name) for names in unwanted.values() for name in names]
    if len(unwanted) > params["prune_max"]:
        raise ComponentError(
            f"{len(unwanted)} components would be removed, more than prune_max ({params['prune_max']}): "
            f"{', '.join(item.name for item in items)}. Nothing was removed. Add the host to their groups again, or"
            " raise monitoring_prune_max for one run."
        )
    if not check_mode:
        for component, names in unwanted.items():
            ours = [item for item in items if item.name in names]
            take_off(component, ours, params.get("lock_owner") or "", params["lock_timeout"])
        generation.tidy()
    return values(items, [], False)


def take_off(component: str, items: list, lock_owner: str, timeout: float) -> None:
    """Remove instances of a component under its lock, as they are then: another run may have changed them meanwhile."""
    with run_lock.held(component, lock_owner, timeout):
        for item in items:
            if os.path.isdir(layout.component(item.name)):
                remove(planned(item.name))
        generation.prune_releases()


def values(items: list, notices: list, changed: bool) -> dict:
    """What a module returns that only removes. Pure."""
    return {
        "changed": changed or bool(items),
        "action": REMOVE if items or changed else NONE,
        "instances": {item.name: told(item) for item in items},
        "notices": notices,
        "diff": [entry for item in items for entry in item.diff],
    }
