# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which releases an inventory asks for, and which of them no lock file has. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ..module_utils.upstream_releases import ReleaseError
from .catalog import DEV, CatalogError, Inventory

# For the lock files of a host, a release's name and its version: its archives by architecture.
Archives = Callable[[list, str, str], dict]
ALLOW = "monitoring_allow_unlocked"
FILES = "monitoring_releases_lock"


@dataclass(frozen=True)
class Asked:
    """A release that hosts ask for, with the lock files that they look it up in; none stand for the default."""

    role: str
    name: str
    version: str
    files: tuple


def asked(components: list, inventory: Inventory, hosts: list) -> dict:
    """Each release that some hosts ask for, with those that do."""
    found: dict = {}
    for item in components:
        for host in [host for host in inventory.hosts(item) if host in hosts]:
            version = str(inventory.setting(host, item, _variable(item.role)))
            release = Asked(item.role, item.release, version, _files(host, inventory))
            found.setdefault(release, []).append(host)
    return found


def unlocked(components: list, inventory: Inventory, hosts: list, archives: Archives) -> list:
    """A sentence for each release that cannot be rolled out to some hosts since no lock file has it."""
    found = []
    for release, asking in asked(components, inventory, hosts).items():
        try:
            known = archives(list(release.files), release.name, release.version)
        except ReleaseError as error:
            found.append(str(error))
            continue
        refused = [host for host in asking if not _allowed_on(host, inventory)]
        if not known and refused:
            request = f"{_variable(release.role)} of {', '.join(refused)} is {release.version}."
            in_vain = any(inventory.variable(host, ALLOW) for host in refused)
            found.append(
                f"{request} {refusal(release.name, release.version, list(release.files), in_vain)}"
            )
    return list(dict.fromkeys(found))


def locked(components: list, inventory: Inventory, archives: Archives) -> dict:
    """What the inventory asks for, as a lock has it; raises CatalogError where no lock file has something."""
    result: dict = {}
    missing = []
    for release in asked(components, inventory, inventory.all_hosts(components)):
        try:
            known = archives(list(release.files), release.name, release.version)
        except ReleaseError as error:
            raise CatalogError(str(error)) from error
        if not known:
            missing.append(refusal(release.name, release.version, list(release.files)))
        result.setdefault(release.name, {}).setdefault(release.version, {}).update(known)
    if missing:
        raise CatalogError("\n".join(dict.fromkeys(missing)))
    return result


def allowed(wish: object, environment: object) -> bool:
    """Whether a host may take a release that is not locked: only where that is asked for, and in dev only."""
    return str(wish).lower() in ("true", "yes", "1", "on") and environment == DEV


def refusal(name: str, version: str, files: list, in_vain: bool = False) -> str:
    """Why a release is refused, and what to do."""
    where = ", ".join(files) or "the collection's releases.lock.yml"
    into = f" -e monitoring_lock_file={files[-1]}" if files else ""
    remedy = f"ansible-playbook hippius.monitoring.lock -e {name}_version={version}{into} adds it."
    vain = f" {ALLOW} counts in the environment {DEV} only." if in_vain else ""
    return (
        f"Release {name} {version} is not in {where} ({FILES}), so no checksum is known and it is refused."
        f"{vain} {remedy}"
    )


def _files(host: str, inventory: Inventory) -> tuple:
    files = inventory.variable(host, FILES) or ()
    files = (files,) if isinstance(files, str) else files
    if not isinstance(files, (list, tuple)) or not all(isinstance(path, str) for path in files):
        raise CatalogError(
            f"{FILES} of {host} has to be the path of a lock file, or a list of paths."
        )
    return tuple(files)


def _variable(role: str) -> str:
    return f"{role}_version"


def _allowed_on(host: str, inventory: Inventory) -> bool:
    return allowed(
        inventory.variable(host, ALLOW), inventory.variable(host, "monitoring_environment")
    )
