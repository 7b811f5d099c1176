# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe what is on a host, without changing it."""

from __future__ import annotations

import glob
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import files, layout, manifest, release_store, systemd
from .observed_state import ObservedState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypedDict

    from .manifest import FileRecord, Manifest
    from .observed_state import Unit

    class HostFacts(TypedDict):
        """Path of the interpreter for scripts, and whether systemd gets user namespaces."""

        python: str
        user_namespaces: bool


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
    last_known_good = verified_generation(name)
    previous = linked_generation(layout.previous(name))
    rolled_back_from = linked_generation(layout.rolled_back_from(name))
    current_manifest = read_manifest(name, current)
    managed_units: Iterable[str] = ()
    links: tuple[str, ...] = ()
    release_intact = True
    if current_manifest:
        managed_units = current_manifest["units"]
        links = wrong_links(name, current_manifest)
        release = current_manifest["release"]
        # One that was damaged and is replaced already has a program that may run on.
        replaced = release in release_store.staged()
        release_intact = not replaced and release_store.intact(release)
    units = sorted({*unit_names, *managed_units})
    states = systemd.show(units)
    main_unit = states.get(name + ".service")
    running, running_unit, running_drop_ins = "", "", ""
    if main_unit and main_unit.main_pid:
        running, running_unit = systemd.running_generation(name, main_unit.invocation)
        running_drop_ins = systemd.running_drop_ins(name, main_unit.invocation)
    running_manifest = read_manifest(name, running)
    running_drift: tuple[str, ...] = ()
    if running != current:
        running_drift = changed_files(name, running, running_manifest, key, gid)
    comparison = compare(name, current, current_manifest, key, gid)
    edited = edited_units(name, managed_units)
    overridden = {path(unit_name) for unit_name in edited for path in UNIT_PATHS}
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
        running_drop_ins=running_drop_ins,
        drop_ins=systemd.drop_ins_digest(main_unit.drop_ins if main_unit else ()),
        running_manifest=running_manifest,
        running_drift=running_drift,
        contents={**comparison.contents, **edited},
        drift=tuple(dict.fromkeys((*comparison.drift, *edited))),
        untracked=comparison.untracked,
        links=tuple(path for path in links if path not in overridden),
        modes=tuple(wrong_modes(name)),
        masked=tuple(filter(is_masked, units)),
        unmanaged=unmanaged(name, units, states),
        leftovers=leftovers(name, used),
        pending=os.path.exists(layout.pending(name)),
        release_intact=release_intact,
        account_exists=gid is not None,
        units=states,
    )


def facts() -> HostFacts:
    """Return the facts about this host that rendered files depend on."""
    return {
        "python": layout.python(),
        "user_namespaces": systemd.has_user_namespaces(),
    }


def linked_generation(link: str) -> str:
    """Return the name of the generation that a link leads to, or an empty string."""
    return os.path.basename(files.link_target(link) or "")


def verified_generation(name: str) -> str:
    """Return the last-known-good generation, also where an older release has recorded it."""
    link = layout.last_known_good(name)
    return linked_generation(link) or linked_generation(layout.proven(name))


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


def has_shared_leftovers() -> bool:
    """Return whether killed runs have left anything that belongs to no instance."""
    return bool(pending_removals() or release_store.unused()) or has_only_shared_paths()


def has_only_shared_paths() -> bool:
    """Return whether paths of components are left without any component."""
    if files.listing(layout.COMPONENTS) or files.listing(layout.RELEASES):
        return False
    directories = filter(os.path.isdir, layout.shared())
    empty = any(not os.listdir(directory) for directory in directories)
    return empty or os.path.exists(layout.FINGERPRINT_KEY)


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
    links = {layout.etc(name): os.path.join(layout.current(name), "etc")}
    for unit_name, role in instance_manifest["units"].items():
        for target in role["wanted_by"]:
            links[layout.wants(target, unit_name)] = layout.unit(unit_name)
    return links


# Where systemd finds a unit, the path that takes precedence first.
UNIT_PATHS = (layout.override, layout.unit)


def our_paths(name: str) -> list[str]:
    """Return every existing link and unit file of an instance outside of its directory.

    Names alone do not tell: another package may have a loki-canary.service.
    """
    known = installed_units(name)
    # A killed run leaves a link that has not taken its name yet.
    paths = [layout.etc(name), layout.etc(name) + ".new"]
    paths += [*_paths_in(layout.UNITS), *_paths_in(layout.UNIT_FILES)]
    paths = [
        path for path in paths if os.path.lexists(path) and _is_ours(name, path, known)
    ]
    known |= set(map(os.path.basename, paths))
    units = {path(unit_name) for unit_name in known for path in UNIT_PATHS}
    links: list[str] = []
    for directory in glob.glob(os.path.join(layout.UNITS, "*.wants")):
        links += [
            path for path in _paths_in(directory) if files.link_target(path) in units
        ]
    # Whoever removes them all and is killed leaves no link whose unit nobody knows any more.
    return links + paths


def _is_ours(name: str, path: str, known: set[str]) -> bool:
    """Return whether a link or unit file is one of an instance, manually changed or not."""
    target = files.link_target(path)
    if target is not None:
        # An older release linked units as well.
        return target.startswith(layout.current(name) + "/")
    content = files.read(path)
    if content is None:
        return False
    header = layout.fill(layout.UNIT_HEADER, {"{name}": name}).encode()
    if content.startswith(header + b"\n"):
        return True
    # An empty file masks a unit and is not ours.
    unit_name = os.path.basename(path)
    return unit_name in known and (content != b"" or path == layout.unit(unit_name))


def installed_units(name: str) -> set[str]:
    """Return the units of an instance that is installed; a staged generation does not count."""
    names: set[str] = set()
    for link in (layout.current(name), layout.last_known_good(name)):
        entries = files.listing(link)
        names.update(
            entry for entry in entries if entry.startswith((name + ".", name + "-"))
        )
    return names


def is_masked(unit_name: str) -> bool:
    """Return whether a unit is masked: a link to /dev/null or an empty file, systemd.unit(5)."""
    path = layout.override(unit_name)
    return files.link_target(path) == "/dev/null" or files.read(path) == b""


def edited_units(name: str, managed_units: Iterable[str]) -> dict[str, bytes]:
    """Return the units that were changed manually, with their content.

    One that is as in another generation was left by a killed run.
    """
    edited = {}
    for unit_name in managed_units:
        full_edit = files.read(layout.override(unit_name))
        content = files.read(layout.unit(unit_name))
        if full_edit:
            edited[unit_name] = full_edit
        elif content is not None and not _is_generated(name, unit_name):
            edited[unit_name] = content
    return edited


def _is_generated(name: str, unit_name: str) -> bool:
    """Return whether a unit file is as one of the generations has it."""
    directories = [layout.current(name)]
    directories += [layout.generation(name, each) for each in generations(name)]
    return any(_is_installed(directory, unit_name) for directory in directories)


def _is_installed(directory: str, unit_name: str) -> bool:
    """Return whether a unit file is as a generation has it, with the mode of a new one."""
    path = layout.unit(unit_name)
    content = files.read(os.path.join(directory, unit_name))
    unchanged = content is not None and files.read(path) == content
    return unchanged and files.owned(path, 0o644)


def wrong_links(name: str, instance_manifest: Manifest) -> tuple[str, ...]:
    """Return links and unit files that are missing, point elsewhere or must go."""
    links = expected_links(name, instance_manifest)
    paths = [
        path for path, target in links.items() if files.link_target(path) != target
    ]
    expected = set(links)
    for unit_name in instance_manifest["units"]:
        expected.add(layout.unit(unit_name))
        if not _is_installed(layout.current(name), unit_name):
            paths.append(layout.unit(unit_name))
    paths += [path for path in our_paths(name) if path not in expected]
    return tuple(paths)


def wrong_modes(name: str) -> dict[str, int]:
    """Return the mode of each existing path that another one or another owner opens or closes."""
    # An administrator may have moved them elsewhere and left a link.
    paths = {os.path.realpath(path): mode for path, mode in layout.modes(name).items()}
    wrong = {
        path: mode
        for path, mode in paths.items()
        if os.path.exists(path) and not files.owned(path, mode)
    }
    data = layout.data(name)
    mode = os.lstat(data).st_mode if os.path.isdir(data) else 0
    if stat.S_ISDIR(mode) and mode & stat.S_IWOTH:
        # Its owner and the rest of its mode are a matter of the unit.
        wrong[data] = stat.S_IMODE(mode) & ~stat.S_IWOTH
    return wrong


def unmanaged(name: str, names: list[str], states: dict[str, Unit]) -> tuple[str, ...]:
    """Return the paths in the way of an instance that this collection did not make."""
    known = installed_units(name)
    paths: list[str] = []
    etc = layout.etc(name)
    if not _is_ours(name, etc, set()) and not _is_empty_directory(etc):
        paths.append(etc)
    for unit_name in names:
        if is_masked(unit_name):
            continue
        own = [path(unit_name) for path in UNIT_PATHS]
        paths += [path for path in own if not _is_ours(name, path, known)]
        fragment = states[unit_name].fragment if unit_name in states else ""
        linked = fragment.startswith(layout.BASE + "/")
        if not linked and not any(map(os.path.lexists, own)):
            paths.append(fragment)
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
