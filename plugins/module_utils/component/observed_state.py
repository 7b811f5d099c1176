# SPDX-License-Identifier: GPL-3.0-or-later
"""State of an instance and its units on a host, as it was observed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .manifest import Manifest


@dataclass(frozen=True)
class Unit:
    """State of a unit as systemd reports it."""

    active: str = "inactive"
    sub: str = "dead"
    main_pid: int = 0
    invocation: str = ""
    restarts: int = 0
    fragment: str = ""
    load: str = "loaded"
    stale: bool = False
    drop_ins: tuple[str, ...] = ()

    @property
    def loaded(self) -> bool:
        """Return whether systemd has loaded the unit as it is on disk."""
        return self.load == "loaded" and not self.stale


@dataclass(frozen=True)
class ObservedState:
    """Observed state of one instance.

    ``drift`` are files that differ from the current manifest, ``untracked`` files that it lacks,
    ``links`` links and unit files that are missing, point elsewhere or must go, ``modes``
    directories with another owner or mode, ``masked`` units that ``systemctl mask`` has disabled,
    ``unmanaged`` paths in the way that are not ours, ``leftovers`` paths of killed runs,
    ``pending`` whether a switch was not completed.
    ``previous`` is the generation verified before the last rollout, ``rolled_back_from`` the one
    rolled back from. ``running_unit`` is the digest of the unit that started the process,
    ``running_drop_ins`` that of its drop-ins then, and ``drop_ins`` of those that are loaded now;
    ``running_drift`` drift and untracked files of the running generation unless it is current.
    """

    current: str = ""
    manifest: Manifest | None = None
    last_known_good: str = ""
    last_known_good_manifest: Manifest | None = None
    previous: str = ""
    rolled_back_from: str = ""
    running: str = ""
    running_unit: str = ""
    running_drop_ins: str = ""
    drop_ins: str = ""
    running_manifest: Manifest | None = None
    running_drift: tuple[str, ...] = ()
    contents: dict[str, bytes] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    unmanaged: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    pending: bool = False
    release_intact: bool = True
    account_exists: bool = True
    units: dict[str, Unit] = field(default_factory=dict)

    def unit(self, unit_name: str) -> Unit:
        """Return the state of a unit."""
        return self.units.get(unit_name, Unit())
