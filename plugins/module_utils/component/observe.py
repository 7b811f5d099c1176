# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""See what is on a host, without changing it."""

from __future__ import annotations

import glob
import os
import stat

from . import files, layout, manifest, release_store, systemd
from .rollout_plan import ObservedState


def observe(name: str, unit_names: list, key: bytes, gid: int | None) -> ObservedState:
    """What is true of one instance now; ``unit_names`` are the units that it should have."""
    current = linked_generation(layout.current(name))
    last_known_good = linked_generation(layout.last_known_good(name))
    previous = linked_generation(layout.previous(name))
    rolled_back_from = linked_generation(layout.rolled_back_from(name))
    known = read_manifest(name, current)
    units = sorted(set(unit_names) | set(known["units"] if known else ()))
    states = systemd.show(units)
    main = states.get(name + ".service")
    running, running_unit = (
        systemd.running_generation(name, main.invocation) if main and main.main_pid else ("", "")
    )
    running_manifest = read_manifest(name, running)
    contents, drift, untracked = _compare(name, current, known, key, gid)
    return ObservedState(
        current=current,
        manifest=known,
        last_known_good=last_known_good,
        last_known_good_manifest=read_manifest(name, last_known_good),
        previous=previous,
        rolled_back_from=rolled_back_from,
        running=running,
        running_unit=running_unit,
        running_manifest=running_manifest,
        running_drift=()
        if running == current
        else changed(name, running, running_manifest, key, gid),
        contents=contents,
        drift=drift,
        untracked=untracked,
        links=wrong_links(name, known) if known else (),
        unmanaged=unmanaged(name, units, states),
        leftovers=leftovers(name, {current, last_known_good, previous, rolled_back_from, running}),
        pending=os.path.exists(layout.pending(name)),
        release_intact=known is None or release_store.intact(known["release"]),
        units=states,
    )


def linked_generation(link: str) -> str:
    """Name of the generation that a link leads to, or nothing."""
    return os.path.basename(files.link_target(link) or "")


def read_manifest(name: str, generation: str) -> dict | None:
    """The manifest of a generation, or None when it is gone or damaged."""
    if not generation:
        return None
    return manifest.parse(
        files.read(os.path.join(layout.generation(name, generation), "manifest.json"))
    )


def instances_of(component: str) -> list:
    """Names of all instances of a component on this host, from their manifests."""
    return components().get(component, [])


def pending_removals() -> list:
    """What killed removals left behind."""
    return [
        os.path.join(layout.COMPONENTS, item)
        for item in files.listing(layout.COMPONENTS)
        if item.startswith(".")
    ]


def components() -> dict:
    """All instances on this host by their component, those included that a killed run left half made."""
    result: dict = {}
    for name in files.listing(layout.COMPONENTS):
        if not name.startswith("."):
            there = [linked_generation(layout.current(name)), *generations(name)]
            known = next(filter(None, (read_manifest(name, item) for item in there)), None)
            # Without any readable manifest its directory alone says what it is called.
            result.setdefault(known["component"] if known else name, []).append(name)
    return result


def expected_links(name: str, known: dict) -> dict:
    """Links that an installed instance has, with their targets; none points into a generation."""
    links = {layout.etc(name): os.path.join(layout.current(name), "etc")}
    for unit_name, role in known["units"].items():
        links[layout.unit(unit_name)] = os.path.join(layout.current(name), unit_name)
        for target in role["wanted_by"]:
            links[layout.wants(target, unit_name)] = layout.unit(unit_name)
    return links


def our_links(name: str) -> list:
    """Every link of an instance that is there, those that a killed run left included."""
    directories = [layout.UNITS, *glob.glob(os.path.join(layout.UNITS, "*.wants"))]
    paths = [
        os.path.join(directory, item)
        for directory in directories
        for item in files.listing(directory)
    ]
    targets = {path: files.link_target(path) or "" for path in [*paths, layout.etc(name)]}
    units = {
        path for path, target in targets.items() if target.startswith(layout.current(name) + "/")
    }
    # A removed unit's enabling link dangles when a run was killed between the removal of both.
    gone = {
        target
        for target in targets.values()
        if target.startswith((layout.unit(name + "."), layout.unit(name + "-")))
        and not os.path.lexists(target)
    }
    return [path for path, target in targets.items() if path in units or target in units | gone]


def wrong_links(name: str, known: dict) -> tuple:
    """Links of an installed instance that are missing, point elsewhere, or should not be there."""
    links = expected_links(name, known)
    missing = [path for path, target in links.items() if files.link_target(path) != target]
    return (*missing, *[path for path in our_links(name) if path not in links])


def unmanaged(name: str, units: list, states: dict) -> tuple:
    """Things of the names we need that this collection did not make."""
    found = []
    etc = layout.etc(name)
    if (
        os.path.lexists(etc)
        and files.link_target(etc) != os.path.join(layout.current(name), "etc")
        and not _empty(etc)
    ):
        found.append(etc)
    for unit_name in units:
        path = layout.unit(unit_name)
        ours = files.link_target(path) == os.path.join(layout.current(name), unit_name)
        if os.path.lexists(path) and not ours:
            found.append(path)
        fragment = states[unit_name].fragment if unit_name in states else ""
        if fragment and fragment != path and not ours and os.path.lexists(fragment):
            found.append(fragment)
    return tuple(dict.fromkeys(found))


def leftovers(name: str, used: set) -> tuple:
    """What a killed run left: half-written directories and generations that are not in use."""
    found = [
        os.path.join(directory, item)
        for directory in (layout.component(name), layout.generations(name))
        for item in files.listing(directory)
        if item.startswith(".staging") or item.endswith(".new")
    ]
    found += [layout.generation(name, item) for item in generations(name) if item not in used]
    for item in files.listing(layout.RUN):
        path, pid = os.path.join(layout.RUN, item), item.rpartition("-")[2]
        if (
            path == layout.private_check(name, pid)
            and pid.isdigit()
            and not os.path.exists(f"/proc/{pid}")
        ):
            found.append(path)
    return tuple(found)


def generations(name: str) -> list:
    """Names of all generations that are there, finished ones only."""
    return [
        item for item in files.listing(layout.generations(name)) if item.split("-", 1)[0].isdigit()
    ]


def changed(name: str, generation: str, known: dict | None, key: bytes, gid: int | None) -> tuple:
    """Files of a generation that were changed, removed or added since it was written."""
    return sum(_compare(name, generation, known, key, gid)[1:], ())


def _compare(name: str, current: str, known: dict | None, key: bytes, gid: int | None) -> tuple:
    """Contents of the current generation's files, those that differ from the manifest, and added ones."""
    if known is None:
        return {}, (), ()
    directory = layout.generation(name, current)
    contents, drift = {}, []
    for path, record in known["files"].items():
        content = files.read(os.path.join(directory, path))
        kept = content is not None and manifest.checksum(content, record, key) == manifest.recorded(
            record
        )
        if not kept or not _kept_mode(os.path.join(directory, path), record, path, gid):
            drift.append(path)
        if content is not None and "fingerprint" not in record:
            contents[path] = content
    if files.link_target(os.path.join(directory, "release")) != release_store.path_of(
        known["release"]
    ):
        drift.append("release")
    expected = set(known["files"]) | {"manifest.json", "release"}
    untracked = [path for path in files.tree(directory) if path not in expected]
    return contents, tuple(drift), tuple(untracked)


def _kept_mode(path: str, record: dict, relative: str, gid: int | None) -> bool:
    status = os.lstat(path)
    group = gid if relative.startswith("etc/") and gid is not None else status.st_gid
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (
        int(record["mode"], 8),
        0,
        group,
    )


def _empty(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path)
