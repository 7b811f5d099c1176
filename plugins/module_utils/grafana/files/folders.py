# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Folders by the path of their titles, as Grafana's files name them. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from ..model import DesiredObject
from .schema import Findings

# Grafana's own name for the place of what is in no folder.
ROOT_NAMES = ("", "General")
# Longer uids are refused by Grafana.
UID_LENGTH = 40


def titles(path: str) -> tuple:
    r"""The titles in ``A/B``, where a slash that belongs to a title is written ``\/``."""
    if path in ROOT_NAMES:
        return ()
    return tuple(part.replace("\\/", "/") for part in re.split(r"(?<!\\)/", path))


def path_of(parts: tuple) -> str:
    """Titles as a path that ``titles`` reads."""
    return "/".join(part.replace("/", "\\/") for part in parts)


def derived_uid(parts: tuple) -> str:
    """A uid that the same path has on each server and in each run."""
    slug = re.sub(r"[^a-z0-9]+", "-", parts[-1].lower()).strip("-")[: UID_LENGTH - 13]
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{slug}-{digest}" if slug else digest


@dataclass
class Folders:
    """The folders that a set of documents declares or uses."""

    findings: Findings
    _known: dict = field(default_factory=dict)

    def declare(
        self, parts: tuple, source: str, uid: str = "", description: str | None = None
    ) -> None:
        """Name the uid of a folder before it is used."""
        if not parts or not all(part.strip() for part in parts):
            self.findings.error(source, f"{path_of(parts)!r} is no path of folders.")
            return
        known = self._known.get(parts)
        if known is None:
            self._known[parts] = {"uid": uid, "description": description, "source": source}
        elif uid and known["uid"] not in ("", uid):
            self.findings.error(
                source, f"folder {path_of(parts)} has the uid {known['uid']} at {known['source']}."
            )
        else:
            known["uid"] = known["uid"] or uid
            known["description"] = known["description"] if description is None else description

    def uid(self, parts: tuple, source: str) -> str:
        """The uid of a folder that is used; it and those above it are then wanted. Empty for no folder."""
        if not parts:
            return ""
        for depth in range(1, len(parts) + 1):
            if parts[:depth] not in self._known:
                self.declare(parts[:depth], source)
        return self._uid(parts)

    def desired(self) -> list:
        """Every folder that was declared or used, parents first."""
        for parts in list(self._known):
            self.uid(parts, self._known[parts]["source"])
        return [
            self._folder(parts, known)
            for parts, known in sorted(self._known.items(), key=lambda item: len(item[0]))
        ]

    def _uid(self, parts: tuple) -> str:
        for depth in range(len(parts), 0, -1):
            uid = self._known.get(parts[:depth], {}).get("uid")
            if uid:
                # Below it, nothing changes when it gets another title.
                return uid if depth == len(parts) else derived_uid(("", uid, *parts[depth:]))
        return derived_uid(parts)

    def _folder(self, parts: tuple, known: dict) -> DesiredObject:
        parent = self._uid(parts[:-1]) if len(parts) > 1 else ""
        body = {"uid": self._uid(parts), "title": parts[-1], "parentUid": parent}
        if known["description"] is not None:
            body["description"] = known["description"]
        return DesiredObject("folder", body["uid"], body, known["source"])
