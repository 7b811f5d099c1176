# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove instances from a host; data and users stay unless they are purged."""

from __future__ import annotations

import os
from dataclasses import dataclass
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
from .failpoints import failpoint
from .rollout_plan import NONE, REMOVE, shown_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .manifest import Manifest
    from .rollout_plan import DiffEntry


@dataclass(frozen=True)
class Removal:
    """An instance to remove, with its current generation."""

    name: str
    manifest: Manifest | None
    generation: str

    @property
    def diff(self) -> DiffEntry:
        """Files that are removed."""
        paths = sorted(self.manifest["files"]) if self.manifest else []
        header = f"files of {self.name}"
        return {
            "before_header": header,
            "after_header": header,
            "before": "".join(shown_path(self.name, path) + "\n" for path in paths),
            "after": "",
        }

    @property
    def result(self) -> dict[str, Any]:
        """Values that the module returns."""
        return {
            "action": REMOVE,
            "reasons": ["it is no longer desired"],
            "generation": "",
            "previous": self.generation,
            "release": self.manifest["release"] if self.manifest else "",
        }


def plan_removal(name: str) -> Removal:
    """Plan the removal of an installed instance."""
    current = generation.current(name)
    return Removal(name, observe.read_manifest(name, current), current)


def remove(removal: Removal) -> None:
    """Stop, disable and remove an instance.

    One rename removes its directory after all else, so that a killed removal is finished later.
    """
    if generation.last_known_good(removal.name):
        # A run was killed after its commit.
        adoption.forget(removal.name)
    take_down(removal.name, removal.manifest)
    failpoint("after-unlink")
    delete(removal.name)


def delete(name: str) -> None:
    """Remove the directory of an instance that was taken down; give back what was adopted."""
    pending_removal = layout.pending_removals(name)
    files.remove(pending_removal)
    os.rename(layout.component(name), pending_removal)
    files.sync_directory(layout.COMPONENTS)
    failpoint("after-set-aside")
    adoption.undo(name)
    files.remove(pending_removal)


def take_down(name: str, manifest: Manifest | None) -> None:
    """Stop an instance's units, and remove its unit files and every link to it."""
    paths = observe.our_paths(name)
    directories = {path: os.path.dirname(path) for path in paths}
    # Without a readable manifest, the paths name the units.
    linked = [
        os.path.basename(path)
        for path in paths
        if directories[path] in (layout.UNITS, layout.UNIT_FILES)
    ]
    units = sorted({*linked, *(manifest["units"] if manifest else ())})
    if units:
        _stop(units)
    for path in paths:
        files.remove(path)
    for directory in set(directories.values()):
        if directory.endswith(".wants"):
            files.remove_empty(directory)
    systemd.run(["systemctl", "daemon-reload"])
    if units:
        systemd.run(["systemctl", "reset-failed", "--", *units])
    files.remove(layout.running(name))
    files.remove(layout.pending(name))


def _stop(units: list[str]) -> None:
    """Stop units; raise when one still runs, whatever systemctl says of those not loaded."""
    result = systemd.run(["systemctl", "stop", "--", *units], timeout=None)
    running = [name for name, unit in systemd.show(units).items() if unit.main_pid]
    if running:
        raise ComponentError(
            f"{', '.join(running)}: still running after systemctl stop"
            f" ({result.stdout.strip() or 'no output'}); stop it and run again."
            " It was not removed."
        )


def purge(name: str) -> str:
    """Remove an instance's data, its saved manual changes, and its user if it is ours.

    Returns the message for the one who asked for it.
    """
    message = f"Data and user of {name} are purged.{_purge_data(layout.data(name))}"
    files.remove(layout.edited(name))
    if accounts.owns_user(name):
        result = systemd.run(["userdel", name])
        if result.returncode != 0:
            raise ComponentError(
                f"user {name}: userdel failed: {result.stdout.strip()}"
            )
    return message


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
    return [name for name in names if name in installed or accounts.owns_user(name)]


def _names(params: dict[str, Any]) -> list[str]:
    """Return the names that the options give, installed or not."""
    component = params["name"]
    listed = [f"{component}-{own.get('name')}" for own in params.get("instances") or ()]
    return [component, *listed]


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
