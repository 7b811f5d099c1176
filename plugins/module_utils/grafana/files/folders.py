# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders by the path of their titles, as Grafana's files name them. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..model import DesiredObject

if TYPE_CHECKING:
    from .schema import Diagnostics

    Titles = tuple[str, ...]

# Grafana's names for the location outside all folders.
ROOT_NAMES = ("", "General")
# Grafana rejects longer uids.
UID_LENGTH = 40


def titles(path: str) -> Titles:
    r"""Split ``A/B`` into titles; ``\/`` is a slash within a title."""
    if path in ROOT_NAMES:
        return ()
    return tuple(part.replace("\\/", "/") for part in re.split(r"(?<!\\)/", path))


# A folder has at most four others above it.
DEEPEST = 5


def single_title(name: str) -> Titles:
    """Return the path of a folder that is outside of all others; a slash is part of its title."""
    return () if name in ROOT_NAMES else (name,)


def join_titles(parts: Titles) -> str:
    """Join titles to a path that ``titles`` splits."""
    return "/".join(part.replace("/", "\\/") for part in parts)


def slug(name: str) -> str:
    """Return the readable part of a uid, short enough for a hyphen and 12 digits of a hash."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[: UID_LENGTH - 13]


def digest(key: str, digits: int = 12) -> str:
    """Return the hexadecimal digits that make a derived uid unique."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def derived_uid(parts: Titles) -> str:
    """Return the uid of a path, the same on each server and in each run."""
    readable = slug(parts[-1])
    unique = digest("\0".join(parts))
    return f"{readable}-{unique}" if readable else unique


@dataclass
class _Declaration:
    """A folder's uid, empty when it is derived, its description, and the file that names it."""

    uid: str
    description: str | None
    source: str


@dataclass
class Folders:
    """The folders that a set of documents declares or uses."""

    diagnostics: Diagnostics
    _declared: dict[Titles, _Declaration] = field(default_factory=dict)

    def declare(
        self, parts: Titles, source: str, uid: str = "", description: str | None = None
    ) -> None:
        """Set the uid and description of a folder before it is used."""
        path = join_titles(parts)
        if not parts or not all(part.strip() for part in parts):
            self.diagnostics.error(
                source,
                f"the folder path {path!r} has an empty title; name each folder.",
            )
            return
        if len(parts) > DEEPEST:
            self.diagnostics.error(
                source,
                f"the folder path {path!r} has {len(parts)} levels; Grafana has {DEEPEST}.",
            )
        if uid == "general":
            self.diagnostics.error(
                source, f"folder {path} has Grafana's own uid general; write another."
            )
        previous = self._declared.get(parts)
        if previous is None:
            self._declared[parts] = _Declaration(uid, description, source)
            return
        if uid and previous.uid not in ("", uid):
            self.diagnostics.error(
                source,
                f"folder {path} already has the uid {previous.uid} at {previous.source};"
                " use the same uid.",
            )
            return
        previous.uid = previous.uid or uid
        if description is not None:
            previous.description = description

    def uid(self, parts: Titles, source: str) -> str:
        """Return the uid of a folder, and declare it with its parents; "" outside all folders."""
        if not parts:
            return ""
        for depth in range(1, len(parts) + 1):
            if parts[:depth] not in self._declared:
                self.declare(parts[:depth], source)
        return self._uid(parts)

    def desired(self) -> list[DesiredObject]:
        """Return the folders that were declared or used, parents first."""
        for parts, declaration in list(self._declared.items()):
            self.uid(parts, declaration.source)
        parents_first = sorted(self._declared, key=len)
        return [self._folder(parts) for parts in parents_first]

    def _uid(self, parts: Titles) -> str:
        for depth in range(len(parts), 0, -1):
            declaration = self._declared.get(parts[:depth])
            uid = declaration.uid if declaration else ""
            if uid and depth == len(parts):
                return uid
            if uid:
                # The uids below this folder stay the same when its title changes.
                return derived_uid(("", uid, *parts[depth:]))
        return derived_uid(parts)

    def _folder(self, parts: Titles) -> DesiredObject:
        declaration = self._declared[parts]
        uid = self._uid(parts)
        parent = self._uid(parts[:-1]) if len(parts) > 1 else ""
        body = {"uid": uid, "title": parts[-1], "parentUid": parent}
        if declaration.description is not None:
            body["description"] = declaration.description
        return DesiredObject("folder", uid, body, declaration.source)
