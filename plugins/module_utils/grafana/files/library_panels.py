# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Convert inline library panels to bodies of Grafana's HTTP API. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..model import DesiredObject
from .documents import type_name
from .folders import titles

if TYPE_CHECKING:
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


def _is_library_panel(element: Any) -> bool:
    if not isinstance(element, dict) or not element.keys() <= {*_REQUIRED, *_OPTIONAL}:
        return False
    if not all(element.get(key) for key in _REQUIRED):
        return False
    types = {**_REQUIRED, **_OPTIONAL}
    return all(isinstance(value, types[key]) for key, value in element.items())
