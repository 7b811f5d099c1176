# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what a program needs of its host and lacks, before the old process is stopped."""

from __future__ import annotations

import contextlib
import grp
import os
import re
import shlex
import socket
from typing import TYPE_CHECKING, NamedTuple

from . import layout, systemd
from .component_errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .spec import Instance

# Directives that decide which files a program reads.
SANDBOX = re.compile(
    r"^(?:Protect(?:Home|System)|PrivateTmp|TemporaryFileSystem|InaccessiblePaths"
    r"|Bind(?:ReadOnly)?Paths|SupplementaryGroups|AmbientCapabilities)=.*$",
    re.MULTILINE,
)
BIND = re.compile(r"^(Bind(?:ReadOnly)?Paths=)-?")
UNREADABLE = (
    'for path; do if [ -S "$path" ]; then [ -w "$path" ]; else (: <"$path") 2>/dev/null; fi'
    ' || echo "$path"; done'
)
SECONDS = 3


class Fault(NamedTuple):
    """A sentence, and whether the program works without what it lacks."""

    message: str
    optional: bool


def missing(desired: Instance, etc: str) -> list[str]:
    """Return notices about what is missing; raise ComponentError if the program requires it."""
    found = list(_faults(desired, etc))
    fatal = [fault.message for fault in found if not fault.optional]
    if fatal:
        raise ComponentError("\n".join([*fatal, "Nothing was changed."]))
    return [fault.message for fault in found]


def are_known(desired: Instance) -> bool:
    """Return whether an instance has anything to look for."""
    return any((desired.requires, _shown(desired), _groups(desired)))


def _faults(desired: Instance, etc: str) -> Iterator[Fault]:
    for group in _groups(desired):
        try:
            grp.getgrnam(group)
        except KeyError:
            yield _fault(
                desired,
                f"group {group} does not exist on this host; create or correct it.",
            )
            return
    for path in _shown(desired):
        if not os.path.exists(path):
            yield _fault(
                desired,
                f"{path}, which its unit shows, does not exist; create or correct it.",
            )
    yield from _unreadable(desired, etc)
    for required in desired.requires:
        reason = ""
        if required.get("address"):
            reason = _refusal(required["address"])
        elif required.get("host"):
            reason = _unresolved(required["host"])
        if reason:
            text = f"{required['subject']}: {reason}"
            yield _fault(desired, text, required["optional"])


def _fault(desired: Instance, text: str, optional: bool = False) -> Fault:
    return Fault(f"{desired.name}: {text}", optional)


def _main_unit(desired: Instance) -> str:
    return desired.files[desired.main_unit].content.decode("utf-8", "replace")


def _groups(desired: Instance) -> list[str]:
    """Return the groups that the unit names; a number needs no group of its own."""
    words = _words(desired, "SupplementaryGroups")
    return [word for word in words if not word.isdigit()]


def _shown(desired: Instance) -> list[str]:
    """Return the paths without which the unit does not start, except those of the rollout."""
    own = (layout.BASE + "/", layout.data(desired.name))
    words = _words(desired, "Bind(?:ReadOnly)?Paths")
    paths = [word for word in words if word[:1] == "/" and ":" not in word]
    return [path for path in paths if not path.startswith(own)]


def _words(desired: Instance, directives: str) -> list[str]:
    """Return the values of directives, of which a line may have several."""
    pattern = rf"^(?:{directives})=(.+)$"
    words: list[str] = []
    for line in re.findall(pattern, _main_unit(desired), re.MULTILINE):
        # systemd refuses a line whose quotes do not match, and has a better message.
        with contextlib.suppress(ValueError):
            words += shlex.split(line)
    # Only systemd knows what its specifiers stand for.
    return [word for word in words if "%" not in word]


def _unreadable(desired: Instance, etc: str) -> Iterator[Fault]:
    """Yield the paths that the program cannot read in the sandbox of its unit."""
    required = {
        item["path"]: (item["subject"], item["optional"])
        for item in desired.requires
        if item.get("path")
    }
    if not required:
        return
    sandbox = [BIND.sub(r"\1-", line) for line in SANDBOX.findall(_main_unit(desired))]
    command = ["/bin/sh", "-c", UNREADABLE, "sh", *required]
    result = systemd.check(desired.name, etc, command, {}, sandbox)
    lines = result.stdout.splitlines()
    for path, (subject, optional) in required.items():
        if path in lines:
            reason = "it does not exist, its unit hides it, or its user may not read it"
            text = f"{subject}: {path} cannot be read: {reason}."
            yield _fault(desired, text, optional)


def _refusal(address: str) -> str:
    """Return why nothing answers on an address, empty when something does."""
    host, _colon, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except OSError as error:
        return f"{address} does not answer: {error.strerror or error}; correct the address."
    return ""


def _unresolved(host: str) -> str:
    """Return why a name has no address, empty when it has one."""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        return (
            f"the name {host} has no address on this host: {error.strerror or error}."
        )
    return ""
