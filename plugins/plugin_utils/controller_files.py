# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of the controller that variables name, relative to the inventory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleError

VAULT_HEADER = b"$ANSIBLE_VAULT;"
# A function that finds a file as Ansible does, for the files of a role or of a playbook.
FindElsewhere = Callable[[str], str]


class MissingFile(Exception):
    """A file or directory that is in none of the places."""


def beside_inventory(path: str, inventory_dir: str | None) -> str:
    """Return a relative path with the inventory's directory if it exists there, else unchanged."""
    candidate = os.path.join(inventory_dir or "", os.path.expanduser(path))
    return candidate if os.path.exists(candidate) else path


def encrypted_variables(sources: Iterable[str]) -> list[str]:
    """Return the files of variables beside inventories that Ansible Vault encrypted as a whole."""
    encrypted: list[str] = []
    for source in sources:
        directory = source if os.path.isdir(source) else os.path.dirname(source)
        for kind in ("group_vars", "host_vars"):
            for folder, _directories, names in os.walk(os.path.join(directory, kind)):
                paths = [os.path.join(folder, name) for name in sorted(names)]
                encrypted += filter(_is_encrypted, paths)
    return [os.path.relpath(path) for path in encrypted]


def _is_encrypted(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(len(VAULT_HEADER)) == VAULT_HEADER
    except OSError:
        return False


def find(
    name: str,
    variables: Mapping[str, Any],
    find_elsewhere: FindElsewhere,
    ansible_first: bool = False,
) -> str:
    """Return the path of a file or directory of the controller.

    A relative name is searched beside the inventory, in the working directory, and where Ansible
    itself finds the files of a task; there first with ``ansible_first``.
    """
    path = os.path.expanduser(name)
    if os.path.isabs(path):
        if os.path.exists(path):
            return path
        raise MissingFile(f"{name!r} is not on the controller; correct the path")
    own_directories = [str(variables.get("inventory_dir") or ""), os.getcwd()]
    directories = [*dict.fromkeys(filter(None, own_directories))]
    candidates = [os.path.join(directory, path) for directory in directories]
    found = [candidate for candidate in candidates if os.path.exists(candidate)]
    if found and not ansible_first:
        return found[0]
    try:
        return find_elsewhere(name)
    except AnsibleError:
        # Ansible's message lists directories of the collection, and a hint that is wrong here.
        pass
    if found:
        return found[0]
    raise MissingFile(
        f"{name!r} is not on the controller, in {' and '.join(directories)}; correct the path,"
        " which is relative to the inventory"
    )
