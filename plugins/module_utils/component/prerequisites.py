# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
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

# Flags that name a file or a directory of the host.
PATH_FLAG = re.compile(
    r"(--?[\w.-]*?(?:file|files|script|query-path|dir|directory))=(/.*)\Z"
    r"|(--?[\w.-]+)=unix://(/[^?\s]*)",
    re.DOTALL,
)
# What may come later: text files in a directory, and a server that listens on a socket.
MAY_COME_LATER = re.compile(r".*(?:dir|directory|addr)\Z")
# Directives that decide which files a program reads.
SANDBOX = re.compile(
    r"^(?:Protect(?:Home|System)|PrivateTmp|TemporaryFileSystem|InaccessiblePaths"
    r"|Bind(?:ReadOnly)?Paths|SupplementaryGroups|AmbientCapabilities)=.*$",
    re.MULTILINE,
)
MADE = re.compile(rb"^RuntimeDirectory=(.+)$", re.MULTILINE)
BIND = re.compile(r"^(Bind(?:ReadOnly)?Paths=)-?")
# A socket is used rather than read.
UNREADABLE = (
    'for path; do if [ -S "$path" ]; then [ -w "$path" ]; else (: <"$path") 2>/dev/null; fi'
    ' || echo "$path"; done'
)
SECONDS = 3


class Fault(NamedTuple):
    """A sentence, and whether the program works without what it lacks."""

    message: str
    optional: bool


def missing(
    desired: Instance,
    etc: str,
) -> list[str]:
    """Return notices about what is missing; raise ComponentError if the program requires it."""
    found = list(_faults(desired, etc))
    fatal = [fault.message for fault in found if not fault.optional]
    if fatal:
        raise ComponentError("\n".join([*fatal, "Nothing was changed."]))
    return [fault.message for fault in found]


def are_known(desired: Instance) -> bool:
    """Return whether an instance has anything to look for."""
    found = (desired.requires, _path_flags(desired), _shown(desired), _groups(desired))
    return any(found)


def _faults(
    desired: Instance,
    etc: str,
) -> Iterator[Fault]:
    name = desired.name
    for group in _groups(desired):
        try:
            grp.getgrnam(group)
        except KeyError:
            text = f"group {group} does not exist on this host; create it, or correct its name."
            yield Fault(
                f"{name}: {text}",
                False,
            )
            return
    for path in _shown(desired):
        if not os.path.exists(path):
            text = f"{path}, which its unit shows, does not exist; create it, or correct the path."
            yield Fault(
                f"{name}: {text}",
                False,
            )
    yield from _unreadable(desired, etc)
    for required in desired.requires:
        reason = ""
        if required.get("address"):
            reason = _refusal(required["address"])
        elif required.get("host"):
            reason = _unresolved(required["host"])
        if reason:
            yield Fault(
                f"{name}: {required['subject']}: {reason}", required["optional"]
            )


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


def _path_flags(desired: Instance) -> dict[str, str]:
    """Return the paths of the host in a command, with their flags."""
    matches = [PATH_FLAG.match(word) for word in desired.command]
    return {match[2] or match[4]: match[1] or match[3] for match in matches if match}


def _unreadable(
    desired: Instance,
    etc: str,
) -> Iterator[Fault]:
    """Yield the paths that the program cannot read in the sandbox of its unit."""
    name = desired.name
    flags = _path_flags(desired)
    required = {
        path: (flag, bool(MAY_COME_LATER.match(flag))) for path, flag in flags.items()
    }
    for item in desired.requires:
        if item.get("path"):
            required[item["path"]] = (item["subject"], item["optional"])
    # Units make these when they start; before the first rollout there are none.
    for file in desired.files.values():
        for name_below_run in b" ".join(MADE.findall(file.content)).decode().split():
            required.pop("/run/" + name_below_run, None)
    if not required:
        return
    sandbox = [BIND.sub(r"\1-", line) for line in SANDBOX.findall(_main_unit(desired))]
    command = ["/bin/sh", "-c", UNREADABLE, "sh", *required]
    result = systemd.check(name, etc, command, {}, sandbox)
    lines = result.stdout.splitlines()
    for path, (subject, optional) in required.items():
        if path in lines:
            text = "it does not exist, its unit hides it, or its user may not read it"
            yield Fault(
                f"{name}: {subject}: {path} cannot be read: {text}.",
                optional,
            )


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
