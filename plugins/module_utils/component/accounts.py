# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and groups of components."""

from __future__ import annotations

import grp
import os
import pwd

from . import layout, systemd
from .component_errors import ComponentError

# Marks the users that this collection created, so that a purge removes no others.
OWNER = "hippius.monitoring"
# Debian and Red Hat give people user ids from here on.
FIRST_PERSON = 1000


def ensure_user(name: str) -> int:
    """Create the component's user, group and data directory if missing; return the group.

    The group is the one of its name, as in the unit: a package's user may have nogroup, which any
    other user may have too.
    """
    if not _user_exists(name):
        _create_user(name)
    elif not _group_exists(name):
        _run_tool("groupadd", "--system", name)
    account, group = pwd.getpwnam(name), grp.getgrnam(name).gr_gid
    data = layout.data(name)
    if not os.path.isdir(data):
        os.mkdir(data, 0o700)
        os.chown(data, account.pw_uid, group)
        os.chmod(data, 0o750)
        systemd.relabel(data)
    return group


def _create_user(name: str) -> None:
    options = ["--system", "--comment", OWNER, "--no-create-home"]
    options += ["--home-dir", layout.data(name), "--shell", "/usr/sbin/nologin"]
    options += ["--gid", name] if _group_exists(name) else ["--user-group"]
    _run_tool("useradd", *options, name)


def _run_tool(program: str, *arguments: str) -> None:
    result = systemd.run([program, *arguments])
    if result.returncode != 0:
        details = result.stdout.strip()
        raise ComponentError(f"user {arguments[-1]}: {program} failed: {details}")


def refuse_person(name: str) -> None:
    """Raise when a user of this name is a person's rather than a service's."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return
    is_service = account.pw_gecos == OWNER or account.pw_uid < FIRST_PERSON
    if not is_service and not account.pw_shell.endswith(("/nologin", "/false")):
        raise ComponentError(
            f"user {name}: uid {account.pw_uid} with shell {account.pw_shell} is a person's"
            " account; rename it, or choose another name. Nothing was changed."
        )


def _user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def group_of(name: str) -> int | None:
    """Return the component's group, or None when it or the user does not exist."""
    if not _user_exists(name) or not _group_exists(name):
        return None
    return grp.getgrnam(name).gr_gid
