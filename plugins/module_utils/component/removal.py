# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove instances from a host; data and users stay."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import (
    adoption,
    files,
    generation,
    layout,
    observe,
    systemd,
)
from .component_errors import ComponentError
from .failpoints import failpoint
from .rollout_plan import REMOVE, shown_path

if TYPE_CHECKING:
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
