# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe what is on a host, without changing it."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import files, layout, manifest, release_store, systemd
from .rollout_plan import ObservedState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .manifest import FileRecord, Manifest
    from .rollout_plan import Unit


@dataclass(frozen=True)
class Comparison:
    """Files of a generation against its manifest; ``contents`` leaves out secrets."""

    contents: dict[str, bytes] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()


def observe(
    name: str,
    unit_names: Iterable[str],
    key: bytes,
    gid: int | None,
) -> ObservedState:
    """Return the state of an instance; ``unit_names`` are the units that it should have."""
    current = linked_generation(layout.current(name))
    last_known_good = linked_generation(layout.last_known_good(name))
    previous = linked_generation(layout.previous(name))
    rolled_back_from = linked_generation(layout.rolled_back_from(name))
    current_manifest = read_manifest(name, current)
    managed_units: Iterable[str] = ()
    links: tuple[str, ...] = ()
    release_intact = True
    if current_manifest:
        managed_units = current_manifest["units"]
        links = wrong_links(name, current_manifest)
        release_intact = release_store.intact(current_manifest["release"])
    units = sorted({*unit_names, *managed_units})
    states = systemd.show(units)
    main_unit = states.get(name + ".service")
    running, running_unit = "", ""
    if main_unit and main_unit.main_pid:
        running, running_unit = systemd.running_generation(name, main_unit.invocation)
    running_manifest = read_manifest(name, running)
    running_drift: tuple[str, ...] = ()
    if running != current:
        running_drift = changed_files(name, running, running_manifest, key, gid)
    comparison = compare(name, current, current_manifest, key, gid)
    used = {current, last_known_good, previous, rolled_back_from, running}
    return ObservedState(
        current=current,
        manifest=current_manifest,
        last_known_good=last_known_good,
        last_known_good_manifest=read_manifest(name, last_known_good),
        previous=previous,
        rolled_back_from=rolled_back_from,
        running=running,
        running_unit=running_unit,
        running_manifest=running_manifest,
        running_drift=running_drift,
        contents=comparison.contents,
        drift=comparison.drift,
        untracked=comparison.untracked,
        links=links,
        modes=tuple(wrong_modes(name)),
        unmanaged=unmanaged(name, units, states),
        leftovers=leftovers(name, used),
        pending=os.path.exists(layout.pending(name)),
        release_intact=release_intact,
        account_exists=gid is not None,
        units=states,
    )


def linked_generation(link: str) -> str:
    """Return the name of the generation that a link leads to, or an empty string."""
    return os.path.basename(files.link_target(link) or "")


def read_manifest(name: str, generation: str) -> Manifest | None:
    """Return the manifest of a generation, recovered if unreadable, or None without generation."""
    directory = layout.generation(name, generation)
    if not generation or not os.path.isdir(directory):
        return None
    stored = manifest.parse(files.read(os.path.join(directory, "manifest.json")))
    return stored or _recover_manifest(name, directory)


def _recover_manifest(name: str, directory: str) -> Manifest:
    units = {}
    for path in _paths_in(directory):
        unit_name = os.path.basename(path)
        content = files.read(path)
        if content is not None and unit_name.startswith((name + ".", name + "-")):
            units[unit_name] = content.decode("utf-8", "replace")
    release = os.path.basename(
        files.link_target(os.path.join(directory, "release")) or ""
    )
    return manifest.recovered(name, _component_of(name), release, units)


def instances_of(component: str) -> list[str]:
    """Return the names of all instances of a component on this host."""
    return components().get(component, [])


def pending_removals() -> list[str]:
    """Return the paths that killed removals left behind."""
    paths = _paths_in(layout.COMPONENTS)
    return [path for path in paths if os.path.basename(path).startswith(".")]


def _paths_in(directory: str) -> list[str]:
    return [os.path.join(directory, entry) for entry in files.listing(directory)]


def components() -> dict[str, list[str]]:
    """Return all instances on this host by component."""
    result: dict[str, list[str]] = {}
    for name in files.listing(layout.COMPONENTS):
        if not name.startswith("."):
            result.setdefault(_component_of(name), []).append(name)
    return result


def _component_of(name: str) -> str:
    owner = files.read(layout.owner(name)) or b""
    return owner.decode("utf-8", "replace").strip() or name


def expected_links(name: str, instance_manifest: Manifest) -> dict[str, str]:
    """Return the links of an instance with their targets, none of which is in a generation."""
    current = layout.current(name)
    links = {layout.etc(name): os.path.join(current, "etc")}
    for unit_name, role in instance_manifest["units"].items():
        links[layout.unit(unit_name)] = os.path.join(current, unit_name)
        for target in role["wanted_by"]:
            links[layout.wants(target, unit_name)] = layout.unit(unit_name)
    return links


def our_links(name: str) -> list[str]:
    """Return every existing link of an instance."""
    # A killed run leaves a link that has not taken its name yet.
    paths = [layout.etc(name), layout.etc(name) + ".new"]
    wants = glob.glob(os.path.join(layout.UNITS, "*.wants"))
    for directory in (layout.UNITS, *wants):
        paths += _paths_in(directory)
    targets = {path: files.link_target(path) or "" for path in paths}
    inside = layout.current(name) + "/"
    units = {path for path, target in targets.items() if target.startswith(inside)}
    # A removed unit's enabling link dangles when a run was killed between the removal of both.
    # Names alone do not tell: another package may have left a link of loki-canary.service.
    dangling = {
        target for target in targets.values() if target and not os.path.lexists(target)
    }
    if dangling:
        units |= dangling & _unit_paths(name)
    return [
        path for path, target in targets.items() if path in units or target in units
    ]


def _unit_paths(name: str) -> set[str]:
    """Return the path of every unit that a generation of an instance has."""
    paths: set[str] = set()
    for generation in generations(name):
        instance_manifest = read_manifest(name, generation)
        if instance_manifest:
            paths.update(map(layout.unit, instance_manifest["units"]))
    return paths


def wrong_links(name: str, instance_manifest: Manifest) -> tuple[str, ...]:
    """Return the links of an instance that are missing, point elsewhere or must go."""
    links = expected_links(name, instance_manifest)
    paths = [
        path for path, target in links.items() if files.link_target(path) != target
    ]
    paths += [path for path in our_links(name) if path not in links]
    return tuple(paths)


def wrong_modes(name: str) -> dict[str, int]:
    """Return the mode of each existing path that another one or another owner opens or closes."""
    # An administrator may have moved them elsewhere and left a link.
    paths = {os.path.realpath(path): mode for path, mode in layout.modes(name).items()}
    return {
        path: mode
        for path, mode in paths.items()
        if os.path.exists(path) and not files.owned(path, mode)
    }


def unmanaged(
    name: str, unit_names: list[str], states: dict[str, Unit]
) -> tuple[str, ...]:
    """Return the paths in the way of an instance that this collection did not make."""
    current = layout.current(name)
    paths: list[str] = []
    etc = layout.etc(name)
    linked = files.link_target(etc) == os.path.join(current, "etc")
    if not linked and not _is_empty_directory(etc):
        paths.append(etc)
    for unit_name in unit_names:
        path = layout.unit(unit_name)
        if files.link_target(path) != os.path.join(current, unit_name):
            paths.append(path)
            if unit_name in states:
                paths.append(states[unit_name].fragment)
    return tuple(filter(os.path.lexists, dict.fromkeys(paths)))


def leftovers(name: str, used: set[str]) -> tuple[str, ...]:
    """Return half-written paths and unused generations, which killed runs leave."""
    paths = []
    for directory in (layout.component(name), layout.generations(name)):
        for path in _paths_in(directory):
            entry = os.path.basename(path)
            if entry.startswith(".staging") or entry.endswith(".new"):
                paths.append(path)
    for generation in generations(name):
        if generation not in used:
            paths.append(layout.generation(name, generation))
    for path in _paths_in(layout.RUN):
        pid = path.rpartition("-")[2]
        dead = pid.isdigit() and not os.path.exists(f"/proc/{pid}")
        if dead and path == layout.private_check(name, pid):
            paths.append(path)
    return tuple(paths)


def generations(name: str) -> list[str]:
    """Return the names of all finished generations."""
    entries = files.listing(layout.generations(name))
    return [entry for entry in entries if entry.split("-", 1)[0].isdigit()]


def changed_files(
    name: str,
    generation: str,
    expected: Manifest | None,
    key: bytes,
    gid: int | None,
) -> tuple[str, ...]:
    """Return the files of a generation that were changed, removed or added manually."""
    comparison = compare(name, generation, expected, key, gid)
    return comparison.drift + comparison.untracked


def compare(
    name: str,
    generation: str,
    expected: Manifest | None,
    key: bytes,
    gid: int | None,
) -> Comparison:
    """Compare the files of a generation with its manifest."""
    if expected is None or not expected["id"]:
        return Comparison()
    directory = layout.generation(name, generation)
    contents: dict[str, bytes] = {}
    drift = []
    for path, record in expected["files"].items():
        full_path = os.path.join(directory, path)
        content = files.read(full_path)
        group = gid if path.startswith("etc/") else 0
        if content is None or not _unchanged(full_path, content, record, key, group):
            drift.append(path)
        if content is not None and "fingerprint" not in record:
            contents[path] = content
    modes = {**manifest.directories(expected), "manifest.json": 0o644}
    for path, mode in modes.items():
        group = gid if path.startswith("etc/") else 0
        if group is not None and not files.owned(
            os.path.join(directory, path.rstrip("/")), mode, group
        ):
            drift.append(path)
    release = files.link_target(os.path.join(directory, "release"))
    if release != release_store.path_of(expected["release"]):
        drift.append("release")
    tracked = {*expected["files"], "manifest.json", "release"}
    untracked = [path for path in files.tree(directory) if path not in tracked]
    return Comparison(contents, tuple(drift), tuple(untracked))


def _unchanged(
    path: str,
    content: bytes,
    record: FileRecord,
    key: bytes,
    gid: int | None,
) -> bool:
    if manifest.checksum(content, record, key) != manifest.recorded(record):
        return False
    owner = os.lstat(path).st_gid if gid is None else gid
    return files.owned(path, int(record["mode"], 8), owner)


def _is_empty_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path)
