# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take an instance off a host; its data and its user stay unless they are purged."""

from __future__ import annotations

import os
from dataclasses import dataclass

from . import files, generation, layout, lock, observe, systemd
from .plan import shown_path


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
    current = os.path.basename(files.link_target(layout.current(name)) or "")
    known = observe.read_manifest(name, current) or {}
    lines = "".join(shown_path(name, path) + "\n" for path in sorted(known.get("files", {})))
    entry = {"before_header": f"files of {name}", "after_header": f"files of {name}", "before": lines, "after": ""}
    return Removal(name, known, current, known.get("release", ""), (entry,))


def remove(item: Removal) -> None:
    """Stop, disable and remove an instance. The manifest goes last, so that a killed removal is finished later."""
    withdraw(item.name, item.known)
    for path in (layout.running(item.name), layout.pending(item.name)):
        files.remove(path)
    edited = layout.edited(item.name)
    for entry in files.listing(layout.component(item.name)):
        path = os.path.join(layout.component(item.name), entry)
        if path != edited and entry not in ("generations", "current"):
            files.remove(path)
    for entry in ("current", "generations"):
        files.remove(os.path.join(layout.component(item.name), entry))
    if not files.listing(layout.component(item.name)):
        files.remove(layout.component(item.name))


def withdraw(name: str, known: dict) -> None:
    """Stop an instance's units and remove every link to it."""
    units = [unit_name for unit_name in known["units"] if os.path.lexists(layout.unit(unit_name))]
    if units:
        systemd.run(["systemctl", "stop", "--", *units])
    generation.remove_links(name, known)
    systemd.run(["systemctl", "daemon-reload"])
    if units:
        systemd.run(["systemctl", "reset-failed", "--", *units])


def purge(name: str) -> bool:
    """Remove an instance's data and user; return whether there was any."""
    had = os.path.lexists(layout.data(name)) or observe.user_exists(name) or os.path.lexists(layout.component(name))
    files.remove(layout.data(name))
    files.remove(layout.component(name))
    if observe.user_exists(name):
        systemd.run(["userdel", name])
    return had


def purgeable(name: str) -> bool:
    """Whether there is anything that a purge would remove."""
    return os.path.lexists(layout.data(name)) or observe.user_exists(name)


def take_off(component: str, names: list, with_data: bool, holder: str, timeout: float) -> None:
    """Remove instances of a component under its lock."""
    with lock.held(component, holder, timeout):
        for item in [planned(name) for name in names]:
            if item.known:
                remove(item)
            if with_data:
                purge(item.name)
        with lock.releases(exclusive=True) as alone:
            generation.sweep_releases(alone)
