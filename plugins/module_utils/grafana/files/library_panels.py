# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert inline library panels to bodies of Grafana's HTTP API. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..model import DesiredObject
from .documents import type_name
from .folders import titles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .documents import Document, JsonObject
    from .folders import Folders
    from .schema import Diagnostics

_SECTION = "library_panels"
_REQUIRED: dict[str, type] = {"uid": str, "name": str, "model": dict}
_OPTIONAL: dict[str, type] = {"folder": str, "folderUid": str}


@dataclass
class LibraryPanels:
    """The library panels of documents."""

    folders: Folders
    diagnostics: Diagnostics
    desired: list[DesiredObject] = field(default_factory=list)

    def read_inline(self, document: Document) -> None:
        """Add the elements of the list ``library_panels``."""
        content = document.content if isinstance(document.content, dict) else {}
        elements = content.get(_SECTION) or []
        if not isinstance(elements, list):
            self.diagnostics.error(
                document.at(_SECTION),
                f"{_SECTION} is a {type_name(elements)}; write a list.",
            )
            return
        for index, element in enumerate(elements):
            at = document.at(_SECTION, index)
            if _is_library_panel(element):
                self._add(element, at)
            else:
                self.diagnostics.error(
                    at,
                    f"{_SECTION}[{index}] is no library panel;"
                    " write uid, name, model, and folder or folderUid.",
                )

    def _add(self, element: JsonObject, at: str) -> None:
        folder_uid = element.get("folderUid")
        if not folder_uid:
            folder_uid = self.folders.uid(titles(element.get("folder", "")), at)
        body: JsonObject = {
            "uid": element["uid"],
            "name": element["name"],
            "model": element["model"],
            "folderUid": folder_uid,
        }
        self.desired.append(DesiredObject("library_panel", element["uid"], body, at))

    def read_exported(
        self, elements: Any, dashboard: JsonObject, folder_uid: str, at: str
    ) -> None:
        """Add the library panels of an exported dashboard that it uses and nothing has yet.

        As in Grafana's import, its folder is only for those that do not exist.
        """
        exported = {_uid(element): element for element in _values(elements)}
        known = {desired.identity for desired in self.desired}
        for panel in _users(dashboard):
            used = panel["libraryPanel"]
            element = exported.get(_uid(used), {})
            name = used.get("name") or element.get("name")
            model = element.get("model")
            if _uid(used) in known or not name or not isinstance(model, dict):
                continue
            known.add(_uid(used))
            body: JsonObject = {
                "uid": _uid(used),
                "name": name,
                "model": model,
                "folderUid": folder_uid,
                "stays": True,
            }
            self.desired.append(DesiredObject("library_panel", _uid(used), body, at))


def _values(elements: Any) -> list[JsonObject]:
    """Return exported library panels, which are in a dict by uid, or in a list of old."""
    values = list(elements.values()) if isinstance(elements, dict) else elements
    if not isinstance(values, list):
        return []
    return [value for value in values if isinstance(value, dict)]


def _users(model: JsonObject) -> Iterator[JsonObject]:
    """Yield the panels that are library panels, in rows too."""
    for panel in _values(model.get("panels")):
        if isinstance(panel.get("libraryPanel"), dict):
            yield panel
        yield from _users(panel)


def _uid(element: JsonObject) -> str:
    return str(element.get("uid") or "")


def _is_library_panel(element: Any) -> bool:
    if not isinstance(element, dict) or not element.keys() <= {*_REQUIRED, *_OPTIONAL}:
        return False
    if not all(element.get(key) for key in _REQUIRED):
        return False
    types = {**_REQUIRED, **_OPTIONAL}
    return all(isinstance(value, types[key]) for key, value in element.items())
