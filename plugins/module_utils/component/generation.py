# SPDX-License-Identifier: GPL-3.0-or-later
"""Write generations, switch between them, and clean up after them."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from . import files, layout, manifest, observe, release_store, run_lock, systemd
from .component_errors import ComponentError
from .failpoints import failpoint

if TYPE_CHECKING:
    from .manifest import Manifest
    from .observed_state import ObservedState
    from .spec import Instance


def fingerprint_key(create: bool) -> bytes:
    """Return the host's key for fingerprints of secrets, empty when there is none."""
    key = files.read(layout.FINGERPRINT_KEY)
    if key is None and create:
        # Another component's first rollout may create it at the same time.
        files.create(layout.FINGERPRINT_KEY, secrets.token_bytes(32), 0o400)
        key = files.read(layout.FINGERPRINT_KEY)
    return key or b""


def keep_fingerprint_key(key: bytes) -> None:
    """Write the key again that the end of another component may have removed; raise for another."""
    files.create(layout.FINGERPRINT_KEY, key, 0o400)
    if files.read(layout.FINGERPRINT_KEY) != key:
        raise ComponentError(
            f"{layout.FINGERPRINT_KEY}: was replaced by another run; run again."
            " Nothing was changed."
        )


def refuse_linked_data(desired: Instance, observed: ObservedState) -> None:
    """Raise when the data directory is a link, with which systemd does not start the unit."""
    name = desired.name
    directive = f"StateDirectory={name}\n".encode()
    uses_it = directive in desired.files[desired.main_unit].content
    runs = observed.unit(desired.main_unit).active == "active"
    if uses_it and not runs and os.path.islink(layout.data(name)):
        raise ComponentError(
            f"{layout.data(name)}: is a link, which systemd refuses as StateDirectory; mount"
            f" {os.readlink(layout.data(name))} there instead (mount --bind). Nothing was changed."
        )


def current(name: str) -> str:
    """Return the name of the current generation."""
    return observe.linked_generation(layout.current(name))


def last_known_good(name: str) -> str:
    """Return the name of the last verified generation."""
    return observe.verified_generation(name)


def previous(name: str) -> str:
    """Return the name of the generation that was verified before the last rollout."""
    return observe.linked_generation(layout.previous(name))


def write(instance: Instance, desired: Manifest, gid: int) -> str:
    """Write the next generation and return its name; its number was never used before."""
    release_store.claim(instance.name, instance.component)
    numbers = map(manifest.number, observe.generations(instance.name))
    name = f"{max(numbers, default=0) + 1}-{desired['id']}"
    staging = os.path.join(layout.generations(instance.name), ".staging-" + name)
    files.remove(staging)
    files.make_directory(staging)
    write_files(instance, staging, gid)
    os.symlink(
        release_store.path_of(desired["release"]), os.path.join(staging, "release")
    )
    files.write(
        os.path.join(staging, "manifest.json"), manifest.serialize(desired), 0o644
    )
    for directory, _names, _files in os.walk(staging, topdown=False):
        files.sync_directory(directory)
    os.rename(staging, layout.generation(instance.name, name))
    files.sync_directory(layout.generations(instance.name))
    systemd.relabel(layout.generation(instance.name, name))
    return name


def write_files(instance: Instance, directory: str, gid: int) -> None:
    """Write an instance's files below a directory, configuration readable only by its group."""
    files.make_directory(os.path.join(directory, "etc"), 0o750, gid)
    for path, file in instance.files.items():
        mode, group = (0o750, gid) if path.startswith("etc/") else (0o755, 0)
        _make_parents(directory, path, mode, group)
        files.write(os.path.join(directory, path), file.content, file.mode, group)


def _make_parents(directory: str, path: str, mode: int, gid: int) -> None:
    for part in os.path.dirname(path).split("/"):
        directory = os.path.join(directory, part)
        files.make_directory(directory, mode, gid)


def keep_edited(name: str, observed: ObservedState) -> list[str]:
    """Copy the files that were changed or added manually; return the paths of the copies."""
    copies = []
    generation = layout.generation(name, observed.current)
    records = observed.manifest["files"] if observed.manifest else {}
    units = observed.manifest["units"] if observed.manifest else {}
    for path in (*observed.drift, *observed.untracked):
        content = files.read(os.path.join(generation, path))
        if path in units:
            content = observed.contents.get(path)
        if content is None or "fingerprint" in records.get(path, {}):
            continue
        copy = os.path.join(layout.edited(name), observed.current, path)
        files.make_directory(layout.edited(name), 0o700)
        if files.read(copy) != content:
            files.replace(copy, content, 0o600)
        copies.append(copy)
    return copies


def restore_modes(name: str) -> None:
    """Give the directories above generations and releases their owner and mode back."""
    for path, mode in observe.wrong_modes(name).items():
        if path != layout.data(name):
            os.chown(path, 0, 0)
        os.chmod(path, mode)


def switch(name: str, generation_name: str) -> None:
    """Make a generation the current one by one rename, also back to a good one on a full disk."""
    target, good = (
        os.path.join("generations", generation_name),
        layout.last_known_good(name),
    )
    if files.link_target(good) == target:
        files.copy_link(good, layout.current(name))
    else:
        files.link(target, layout.current(name))


def set_links(name: str, instance_manifest: Manifest) -> None:
    """Create the links and unit files of an installed instance and remove all others of it."""
    links = observe.expected_links(name, instance_manifest)
    units = {
        layout.unit(unit_name): os.path.join(layout.current(name), unit_name)
        for unit_name in instance_manifest["units"]
    }
    # In this order: what takes precedence over a unit file goes once that is there.
    for path in observe.wrong_links(name, instance_manifest):
        if (
            path == layout.etc(name)
            and os.path.isdir(path)
            and not os.path.islink(path)
        ):
            os.rmdir(path)
        if path in links:
            files.link(links[path], path)
        elif path in units:
            content = files.read(units[path])
            if content is not None:
                files.replace(path, content, 0o644)
        else:
            files.remove(path)
            if os.path.dirname(path).endswith(".wants"):
                files.remove_empty(os.path.dirname(path))


def commit(name: str, generation_name: str, unfit: set[str]) -> None:
    """Record a generation as verified, and the one before it as previous unless it is unfit."""
    before = last_known_good(name)
    if before and before not in unfit:
        link(before, layout.previous(name))
    link(generation_name, layout.last_known_good(name))
    files.remove(layout.proven(name))


def link(generation_name: str, path: str) -> None:
    """Let a path lead to a generation."""
    target = os.path.join("generations", generation_name)
    if files.link_target(path) != target:
        files.link(target, path)


def tidy() -> None:
    """Remove what killed runs leave; take no lock when there is nothing."""
    if observe.has_shared_leftovers():
        prune_releases()


def prune_releases() -> None:
    """Remove unused releases, leftovers of removals, and shared paths without a component.

    While another run stages a release, it is left to that run.
    """
    with run_lock.releases(exclusive=True) as locked:
        if locked:
            for path in (*observe.pending_removals(), *release_store.unused()):
                files.remove(path)
            if observe.has_only_shared_paths():
                files.remove(layout.FINGERPRINT_KEY)
                for path in layout.shared():
                    files.remove_empty(path)
    failpoint("after-prune")
