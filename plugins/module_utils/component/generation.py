# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write generations, switch between them, and clean up after them."""

from __future__ import annotations

import grp
import json
import os
import pwd
import secrets
import shutil

from . import files, layout, manifest, observe, release_store, run_lock, systemd
from .component_errors import ComponentError
from .failpoints import failpoint
from .rollout_plan import ObservedState
from .spec import Instance

# Marks users that we made, so that a purge takes no others.
OWNER = "hippius.monitoring"


def fingerprint_key(create: bool) -> bytes:
    """The host's own key for fingerprints of secrets; empty when there is none yet and none may be made."""
    key = files.read(layout.FINGERPRINT_KEY)
    if key is None and create:
        key = secrets.token_bytes(32)
        files.replace(layout.FINGERPRINT_KEY, key, 0o400)
    return key or b""


def have_user(name: str) -> int:
    """Have the component's system user and its data directory; return its group."""
    if group_of(name) is None:
        group = ["--gid", name] if _group_exists(name) else ["--user-group"]
        result = systemd.run([
            "useradd", "--system", "--comment", OWNER, *group, "--no-create-home", "--home-dir", layout.data(name),
            "--shell", "/usr/sbin/nologin", name,
        ])  # fmt: skip
        if result.returncode != 0:
            raise ComponentError(f"User {name} could not be made: {result.stdout.strip()}")
    account = pwd.getpwnam(name)
    if not os.path.isdir(layout.data(name)):
        os.mkdir(layout.data(name), 0o700)
        os.chown(layout.data(name), account.pw_uid, account.pw_gid)
        os.chmod(layout.data(name), 0o750)
    return account.pw_gid


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def owns_user(name: str) -> bool:
    """Whether the component's user is there and was made by this collection."""
    try:
        return pwd.getpwnam(name).pw_gecos == OWNER
    except KeyError:
        return False


def group_of(name: str) -> int | None:
    """The component's group, or None when its user is not there."""
    try:
        return pwd.getpwnam(name).pw_gid
    except KeyError:
        return None


def current(name: str) -> str:
    """Name of the generation in force."""
    return observe.linked_generation(layout.current(name))


def last_known_good(name: str) -> str:
    """Name of the last generation that was proven."""
    return observe.linked_generation(layout.last_known_good(name))


def write(instance: Instance, known: dict, gid: int) -> str:
    """Write the next generation beside the one in force and return its name, whose count was never used before."""
    count = max(map(manifest.number, observe.generations(instance.name)), default=0) + 1
    name = f"{count}-{known['id']}"
    final = layout.generation(instance.name, name)
    staging = os.path.join(layout.generations(instance.name), ".staging-" + name)
    files.remove(staging)
    files.make_directory(staging)
    write_files(instance, staging, gid)
    _keep_unit_times(instance, staging)
    os.symlink(release_store.path_of(known["release"]), os.path.join(staging, "release"))
    text = json.dumps(known, indent=1, sort_keys=True) + "\n"
    files.write(os.path.join(staging, "manifest.json"), text.encode(), 0o644)
    for directory, _names, _files in os.walk(staging, topdown=False):
        files.sync_directory(directory)
    os.rename(staging, final)
    files.sync_directory(layout.generations(instance.name))
    return name


def write_files(instance: Instance, directory: str, gid: int) -> None:
    """Write an instance's files below a directory, configuration readable by its group only."""
    files.make_directory(os.path.join(directory, "etc"), 0o750, gid)
    for path, entry in instance.files.items():
        private = path.startswith("etc/")
        _make_parents(directory, path, 0o750 if private else 0o755, gid if private else 0)
        files.write(os.path.join(directory, path), entry.content, entry.mode, gid if private else 0)


def _keep_unit_times(instance: Instance, staging: str) -> None:
    """Give an unchanged unit the time that it had, since systemd takes a newer one for a change that it must load."""
    for unit_name in instance.units:
        before = os.path.join(layout.current(instance.name), unit_name)
        if files.read(before) == instance.files[unit_name].content:
            status = os.stat(before)
            os.utime(os.path.join(staging, unit_name), ns=(status.st_atime_ns, status.st_mtime_ns))


def _make_parents(directory: str, path: str, mode: int, gid: int) -> None:
    for part in os.path.dirname(path).split("/"):
        directory = os.path.join(directory, part)
        files.make_directory(directory, mode, gid)


def keep_edited(name: str, observed: ObservedState) -> list:
    """Keep files that were changed or added by hand, and return where."""
    kept = []
    source = layout.generation(name, observed.current)
    for path in (*observed.drift, *observed.untracked):
        content = files.read(os.path.join(source, path))
        if content is None or "fingerprint" in observed.manifest["files"].get(path, {}):
            continue
        target = os.path.join(layout.edited(name), observed.current, path)
        files.make_directory(layout.edited(name), 0o700)
        if files.read(target) != content:
            files.replace(target, content, 0o600)
        kept.append(target)
    return kept


def adopt(name: str, found: tuple) -> dict:
    """Move things of another maker out of the way; return where each of them is now."""
    kept = {}
    for path in found:
        # A distribution's unit below /usr/lib stays: ours in /etc/systemd/system takes precedence.
        if path.startswith("/etc/"):
            target = os.path.join(layout.edited(name), "adopted", path.lstrip("/"))
            files.make_directory(layout.edited(name), 0o700)
            files.make_directory(os.path.dirname(target))
            files.remove(target)
            shutil.move(path, target)
            kept[path] = target
    return kept


def give_back(kept: dict) -> None:
    """Undo ``adopt``."""
    for path, target in kept.items():
        files.remove(path)
        shutil.move(target, path)


def switch(name: str, generation_name: str) -> None:
    """Put a generation in force by one rename."""
    files.link(os.path.join("generations", generation_name), layout.current(name))


def set_links(name: str, known: dict) -> None:
    """Have the links of an installed instance, and no others."""
    desired = observe.expected_links(name, known)
    for path in observe.wrong_links(name, known):
        if path == layout.etc(name) and os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        if path in desired:
            files.link(desired[path], path)
        else:
            files.remove(path)


def previous(name: str) -> str:
    """Name of the generation that was proven before the last rollout."""
    return observe.linked_generation(layout.previous(name))


def commit(name: str, generation_name: str, unfit: set) -> None:
    """Note that a generation was proven, and which one was before it unless that is ``unfit`` to be gone back to."""
    before = last_known_good(name)
    if before and before not in unfit:
        _note(before, layout.previous(name))
    _note(generation_name, layout.last_known_good(name))


def withdraw(name: str, generation_name: str) -> None:
    """Note that a generation is rolled back from."""
    _note(generation_name, layout.rolled_back_from(name))


def _note(generation_name: str, link: str) -> None:
    target = os.path.join("generations", generation_name)
    if files.link_target(link) != target:
        files.link(target, link)


def tidy() -> None:
    """Remove what only killed runs leave, and take no lock where there is nothing."""
    if observe.pending_removals() or release_store.unused() or _deserted():
        prune_releases()


def prune_releases() -> None:
    """Remove releases that nothing uses, what killed removals left, and what is for components where there is none.

    A run that stages one now will do it.
    """
    with run_lock.releases(exclusive=True) as alone:
        if alone:
            for path in (*observe.pending_removals(), *release_store.unused()):
                files.remove(path)
            if _deserted():
                files.remove(layout.FINGERPRINT_KEY)
                for path in layout.shared():
                    files.remove_empty(path)
    failpoint("after-prune")


def _deserted() -> bool:
    """Whether there is no component, and something is left that is only for components."""
    if files.listing(layout.COMPONENTS) or files.listing(layout.RELEASES):
        return False
    empty = (path for path in layout.shared() if os.path.isdir(path) and not os.listdir(path))
    return os.path.exists(layout.FINGERPRINT_KEY) or any(empty)
