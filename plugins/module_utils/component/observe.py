# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe what is on a host, without changing it."""

from __future__ import annotations

import glob
import os
import stat
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
    """Contents of a generation's files except secrets, and how they differ from its manifest."""

    contents: dict[str, bytes] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()


def observe(name: str, unit_names: Iterable[str], key: bytes, gid: int | None) -> ObservedState:
    """Return the observed state of an instance; ``unit_names`` are the units it should have."""
    current = linked_generation(layout.current(name))
    last_known_good = linked_generation(layout.last_known_good(name))
    previous = linked_generation(layout.previous(name))
    rolled_back_from = linked_generation(layout.rolled_back_from(name))
    current_manifest = read_manifest(name, current)
    managed_units = current_manifest["units"] if current_manifest else {}
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
        links=wrong_links(name, current_manifest) if current_manifest else (),
        unmanaged=unmanaged(name, units, states),
        leftovers=leftovers(name, {current, last_known_good, previous, rolled_back_from, running}),
        pending=os.path.exists(layout.pending(name)),
        release_intact=not current_manifest or release_store.intact(current_manifest["release"]),
        units=states,
    )


def linked_generation(link: str) -> str:
    """Return the name of the generation that a link leads to, or an empty string."""
    return os.path.basename(files.link_target(link) or "")


def read_manifest(name: str, generation: str) -> Manifest | None:
    """Return the manifest of a generation, or None when it is missing or damaged."""
    if not generation:
        return None
    path = os.path.join(layout.generation(name, generation), "manifest.json")
    return manifest.parse(files.read(path))


def instances_of(component: str) -> list[str]:
    """Return the names of all instances of a component on this host."""
    return components().get(component, [])


def pending_removals() -> list[str]:
    """Return the paths that killed removals left behind."""
    hidden = [name for name in files.listing(layout.COMPONENTS) if name.startswith(".")]
    return [os.path.join(layout.COMPONENTS, name) for name in hidden]


def components() -> dict[str, list[str]]:
    """Return all instances on this host by component, half-installed ones included."""
    result: dict[str, list[str]] = {}
    for name in files.listing(layout.COMPONENTS):
        if not name.startswith("."):
            result.setdefault(_component_of(name), []).append(name)
    return result


def _component_of(name: str) -> str:
    for generation in (linked_generation(layout.current(name)), *generations(name)):
        instance_manifest = read_manifest(name, generation)
        if instance_manifest:
            return instance_manifest["component"]
    # Without a readable manifest only its directory names it.
    return name


def expected_links(name: str, instance_manifest: Manifest) -> dict[str, str]:
    """Return the targets of an installed instance's links; none points into a generation."""
    links = {layout.etc(name): os.path.join(layout.current(name), "etc")}
    for unit_name, role in instance_manifest["units"].items():
        links[layout.unit(unit_name)] = os.path.join(layout.current(name), unit_name)
        for target in role["wanted_by"]:
            links[layout.wants(target, unit_name)] = layout.unit(unit_name)
    return links


def our_links(name: str) -> list[str]:
    """Return every existing link of an instance, those that a killed run left included."""
    paths = [layout.etc(name)]
    for directory in (layout.UNITS, *glob.glob(os.path.join(layout.UNITS, "*.wants"))):
        paths += [os.path.join(directory, entry) for entry in files.listing(directory)]
    targets = {path: files.link_target(path) or "" for path in paths}
    inside = layout.current(name) + "/"
    units = {path for path, target in targets.items() if target.startswith(inside)}
    # A removed unit's enabling link dangles when a run was killed between the removal of both.
    prefixes = (layout.unit(name + "."), layout.unit(name + "-"))
    own_targets = {target for target in targets.values() if target.startswith(prefixes)}
    units |= {target for target in own_targets if not os.path.lexists(target)}
    return [path for path, target in targets.items() if path in units or target in units]


def wrong_links(name: str, instance_manifest: Manifest) -> tuple[str, ...]:
    """Return the links of an instance that are missing, point elsewhere or should not exist."""
    links = expected_links(name, instance_manifest)
    wrong = [path for path, target in links.items() if files.link_target(path) != target]
    return (*wrong, *(path for path in our_links(name) if path not in links))


def unmanaged(name: str, unit_names: list[str], states: dict[str, Unit]) -> tuple[str, ...]:
    """Return the paths in the way of an instance that this collection did not make."""
    paths: list[str] = []
    etc = layout.etc(name)
    ours = files.link_target(etc) == os.path.join(layout.current(name), "etc")
    if os.path.lexists(etc) and not ours and not _is_empty_directory(etc):
        paths.append(etc)
    for unit_name in unit_names:
        path = layout.unit(unit_name)
        if files.link_target(path) == os.path.join(layout.current(name), unit_name):
            continue
        fragment = states[unit_name].fragment if unit_name in states else ""
        paths += [candidate for candidate in (path, fragment) if os.path.lexists(candidate)]
    return tuple(dict.fromkeys(paths))


def leftovers(name: str, used: set[str]) -> tuple[str, ...]:
    """Return what killed runs left: half-written paths and generations that are not in use."""
    paths = []
    for directory in (layout.component(name), layout.generations(name)):
        for entry in files.listing(directory):
            if entry.startswith(".staging") or entry.endswith(".new"):
                paths.append(os.path.join(directory, entry))
    unused = [generation for generation in generations(name) if generation not in used]
    paths += [layout.generation(name, generation) for generation in unused]
    for entry in files.listing(layout.RUN):
        path, pid = os.path.join(layout.RUN, entry), entry.rpartition("-")[2]
        own = pid.isdigit() and path == layout.private_check(name, pid)
        if own and not os.path.exists(f"/proc/{pid}"):
            paths.append(path)
    return tuple(paths)


def generations(name: str) -> list[str]:
    """Return the names of all finished generations."""
    entries = files.listing(layout.generations(name))
    return [entry for entry in entries if entry.split("-", 1)[0].isdigit()]


def changed_files(
    name: str, generation: str, expected: Manifest | None, key: bytes, gid: int | None
) -> tuple[str, ...]:
    """Return the files of a generation that were changed, removed or added manually."""
    comparison = compare(name, generation, expected, key, gid)
    return comparison.drift + comparison.untracked


def compare(
    name: str, generation: str, expected: Manifest | None, key: bytes, gid: int | None
) -> Comparison:
    """Compare the files of a generation with its manifest."""
    if expected is None:
        return Comparison()
    directory = layout.generation(name, generation)
    contents: dict[str, bytes] = {}
    drift = []
    for path, record in expected["files"].items():
        full_path = os.path.join(directory, path)
        content = files.read(full_path)
        group = gid if path.startswith("etc/") else None
        if content is None or not _unchanged(full_path, content, record, key, group):
            drift.append(path)
        if content is not None and "fingerprint" not in record:
            contents[path] = content
    release = files.link_target(os.path.join(directory, "release"))
    if release != release_store.path_of(expected["release"]):
        drift.append("release")
    tracked = {*expected["files"], "manifest.json", "release"}
    untracked = [path for path in files.tree(directory) if path not in tracked]
    return Comparison(contents, tuple(drift), tuple(untracked))


def _unchanged(path: str, content: bytes, record: FileRecord, key: bytes, gid: int | None) -> bool:
    if manifest.checksum(content, record, key) != manifest.recorded(record):
        return False
    status = os.lstat(path)
    mode, group = int(record["mode"], 8), status.st_gid if gid is None else gid
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, 0, group)


def _is_empty_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path)
