# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases that an inventory requests, and those of them that no lock file has."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..module_utils.upstream_releases import (
    Archives,
    Lock,
    ReleaseError,
    mirror_path,
)
from .catalog import DEV, ENVIRONMENT, CatalogError, Component, Inventory, Value
from .controller_files import beside_inventory
from .lock_files import DEFAULT as COLLECTION

# A function that returns the archives of a release, from lock files, its name and its version.
FindArchives = Callable[[list[str], str, str], Archives]
ALLOW = "monitoring_allow_unlocked"
ARCHIVES = "monitoring_archives_dir"
MIRRORS = "monitoring_mirrors"
FILES = "monitoring_releases_lock"
BESIDE_INVENTORY = "releases.lock.yml"


@dataclass(frozen=True)
class Release:
    """A release that hosts request, and their lock files; no files stand for the default one."""

    role: str
    name: str
    version: str
    lock_files: tuple[str, ...]


def requested_releases(
    components: Iterable[Component],
    inventory: Inventory,
    hosts: list[str],
) -> dict[Release, list[str]]:
    """Return the releases that ``hosts`` request, each with the hosts that do."""
    releases: dict[Release, list[str]] = {}
    for component in components:
        for host in inventory.hosts(component):
            if host in hosts:
                release = _release(component, host, inventory)
                releases.setdefault(release, []).append(host)
    return releases


def _release(
    component: Component,
    host: str,
    inventory: Inventory,
) -> Release:
    version = inventory.role_variable(host, component, _variable(component.role))
    files = _lock_files(host, inventory)
    return Release(component.role, component.release, str(version), files)


def unlocked(
    components: Iterable[Component],
    inventory: Inventory,
    hosts: list[str],
    find_archives: FindArchives,
) -> list[str]:
    """Return a blocker for each requested release that is in no lock file."""
    blockers = []
    for release, requesting_hosts in requested_releases(
        components, inventory, hosts
    ).items():
        files = list(release.lock_files)
        try:
            archives = find_archives(files, release.name, release.version)
        except ReleaseError as error:
            blockers.append(f"{FILES} of {', '.join(requesting_hosts)}: {error}")
            continue
        refused_hosts = [
            host for host in requesting_hosts if not _allowed_on(host, inventory)
        ]
        if refused_hosts and not archives:
            is_ignored = any(inventory.variable(host, ALLOW) for host in refused_hosts)
            message = refusal(release.name, release.version, files, is_ignored)
            variable = _variable(release.role)
            blockers.append(f"{variable} of {', '.join(refused_hosts)}: {message}")
    return list(dict.fromkeys(blockers))


def absent_archives(
    components: Iterable[Component],
    inventory: Inventory,
    hosts: list[str],
    find_archives: FindArchives,
) -> list[str]:
    """Return a warning for each release that the controller has no archive of and may not download.

    A host that has the release already needs no archive.
    """
    warnings = []
    for release, requesting in requested_releases(components, inventory, hosts).items():
        archives = find_archives(
            list(release.lock_files), release.name, release.version
        )
        paths = [mirror_path(archive["url"]) for archive in archives.values()]
        lacking = []
        for host in requesting:
            directory = _archives_directory(host, inventory)
            candidates = [os.path.join(directory, path) for path in paths if directory]
            if candidates and not any(map(os.path.isfile, candidates)):
                lacking.append(host)
        if lacking:
            subject = f"{ARCHIVES} of {', '.join(lacking)}"
            warnings.append(
                f"{subject}: has no {release.name} {release.version}, which a host without this"
                " release requires; add it by ansible-playbook hippius.monitoring.bundle."
            )
    return warnings


def _archives_directory(host: str, inventory: Inventory) -> str:
    """Return the existing directory on the controller that is the only source of a host's archives.

    An empty path stands for none.
    """
    path = str(inventory.variable(host, ARCHIVES) or "")
    if not path or inventory.variable(host, MIRRORS):
        return ""
    found = beside_inventory(path, inventory.variable(host, "inventory_dir"))
    return found if os.path.isdir(found) else ""


def locked(
    components: Iterable[Component],
    inventory: Inventory,
    find_archives: FindArchives,
) -> Lock:
    """Return a lock of all releases that the inventory requests.

    Raise CatalogError if one of them is in no lock file.
    """
    components = list(components)
    lock: Lock = {}
    missing = []
    for release in requested_releases(
        components, inventory, inventory.all_hosts(components)
    ):
        files = list(release.lock_files)
        try:
            archives = find_archives(files, release.name, release.version)
        except ReleaseError as error:
            raise CatalogError(str(error)) from error
        if not archives:
            missing.append(refusal(release.name, release.version, files))
        versions = lock.setdefault(release.name, {})
        versions.setdefault(release.version, {}).update(archives)
    if missing:
        raise CatalogError("\n".join(dict.fromkeys(missing)))
    return lock


def allowed(value: Value, environment: Value) -> bool:
    """Return whether a host may have a release that is not locked, from its value of ALLOW.

    A template or a command line may yield a string. Only dev allows it.
    """
    return str(value).lower() in ("true", "yes", "1", "on") and environment == DEV


def refusal(
    name: str,
    version: str,
    files: list[str],
    is_ignored: bool = False,
) -> str:
    """Return the message for a release that is in no lock file.

    ``is_ignored`` says that ALLOW is set without effect.
    """
    named = [path for path in files if path != COLLECTION]
    lock = ", ".join(named) or "the collection's releases.lock.yml"
    command = f"ansible-playbook hippius.monitoring.lock -e {name}_version={version}"
    if named:
        command += f" -e monitoring_lock_file={files[-1]}"
    hint = f" ({ALLOW} applies to the environment {DEV} only)" if is_ignored else ""
    if not version:
        return f"release {name} has no version; write one, or remove it to use the default."
    if re.fullmatch(r"v\d.*", version):
        return (
            f"release {name} {version} does not exist; write {version[1:]}, without v."
        )
    return (
        f"release {name} {version} is not in {lock} ({FILES}), so its checksum is unknown{hint};"
        f" run {command} to add it."
    )


def default_files(inventory_dir: str | None) -> tuple[str, ...]:
    """Return the lock files without a variable; no files stand for the collection's own.

    A file beside the inventory is added to it. An update of the collection replaces the latter.
    """
    own = os.path.join(inventory_dir or "", BESIDE_INVENTORY)
    return (COLLECTION, own) if inventory_dir and os.path.isfile(own) else ()


def _lock_files(host: str, inventory: Inventory) -> tuple[str, ...]:
    directory = inventory.variable(host, "inventory_dir")
    value = inventory.variable(host, FILES) or default_files(directory)
    files = (value,) if isinstance(value, str) else value
    is_list = isinstance(files, (list, tuple))
    if is_list and all(isinstance(path, str) for path in files):
        return tuple(beside_inventory(path, directory) for path in files)
    raise CatalogError(
        f"{FILES} of {host}: must be the path of a lock file or a list of paths; correct it."
    )


def _variable(role: str) -> str:
    return f"{role}_version"


def _allowed_on(host: str, inventory: Inventory) -> bool:
    return allowed(
        inventory.variable(host, ALLOW), inventory.variable(host, ENVIRONMENT)
    )
