# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert dashboard files, in each export format of Grafana, to bodies of its HTTP API. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model import DesiredObject
from ..normalize import DATASOURCE_TYPES
from .documents import type_name
from .folders import digest, titles
from .interpolation import replace_inputs

if TYPE_CHECKING:
    from .documents import Document, JsonObject, Steps
    from .folders import Folders, Titles
    from .library_panels import LibraryPanels
    from .schema import Diagnostics

FOLDER_ANNOTATION = "grafana.app/folder"
_ENTRY_FIELDS = ("folder", "folderUid", "dashboard")
# Only for imports, resolved here; and the server's own numbers.
_NOT_SENT = ("__inputs", "__requires", "__elements", "id", "version")
# Inputs that stand for a datasource of Grafana itself -> its uid.
_BUILT_IN_INPUTS = {
    "__expr__": "__expr__",
    "grafana": "-- Grafana --",
    "datasource": "-- Grafana --",
    "mixed": "-- Mixed --",
    "dashboard": "-- Dashboard --",
}


@dataclass
class Placement:
    """The folder of a dashboard, by titles or by uid."""

    folder: Titles = ()
    folder_uid: str = ""
    # A dashboard without uid gets one that is derived from this name, unless the name is empty.
    name: str = ""


class _Export(NamedTuple):
    """The classic model in an export, and the uid of the folder that the export names."""

    model: JsonObject
    folder_uid: str = ""


@dataclass
class Dashboards:
    """The dashboards of documents.

    ``inputs`` are values for ``${DS_X}``; ``datasources`` are bodies of datasources, from which
    other inputs are chosen.
    """

    folders: Folders
    diagnostics: Diagnostics
    library_panels: LibraryPanels
    inputs: dict[str, str] = field(default_factory=dict)
    datasources: list[JsonObject] = field(default_factory=list)
    desired: list[DesiredObject] = field(default_factory=list)

    def read(
        self, document: Document, content: Any, placement: Placement, steps: Steps = ()
    ) -> None:
        """Add the dashboard that a document has at ``steps``."""
        at = document.at(*steps)
        export = self._unwrap(content, at)
        if export is None:
            return
        is_identified = self._is_identified(export.model, at)
        model = replace_inputs(export.model, self._input_values(export.model, at))
        elements = model.get("__elements")
        model = {key: value for key, value in model.items() if key not in _NOT_SENT}
        if not is_identified:
            # Other errors are told too, and nothing is sent.
            model["uid"] = ""
        elif not model.get("uid"):
            model["uid"] = self._derive_uid(placement, at)
        folder_uid = (
            export.folder_uid
            or placement.folder_uid
            or self.folders.uid(placement.folder, at)
        )
        body = {"dashboard": model, "folderUid": folder_uid}
        self.desired.append(DesiredObject("dashboard", model["uid"], body, at))
        if elements:
            self.library_panels.read_exported(elements, model, folder_uid, at)

    def read_inline(self, document: Document) -> None:
        """Add the dashboards under the key ``dashboards``.

        Each element has ``dashboard``, and ``folder`` or ``folderUid``.
        """
        elements = _dict_or_empty(document.content).get("dashboards")
        if elements is not None and not isinstance(elements, list):
            self.diagnostics.error(
                document.at("dashboards"),
                f"dashboards is a {type_name(elements)}; write a list.",
            )
            return
        for index, element in enumerate(elements or []):
            self._read_element(document, element, ("dashboards", index))

    def _read_element(self, document: Document, element: Any, steps: Steps) -> None:
        fields = _dict_or_empty(element)
        unknown = [key for key in fields if key not in _ENTRY_FIELDS]
        if unknown or "dashboard" not in fields:
            self.diagnostics.error(
                document.at(*steps),
                "the element lacks dashboard or has unknown fields;"
                " write dashboard, and folder or folderUid.",
            )
            return
        path = str(fields.get("folder") or "")
        placement = Placement(titles(path), str(fields.get("folderUid") or ""))
        self.read(document, fields["dashboard"], placement, (*steps, "dashboard"))

    def _unwrap(self, content: Any, at: str) -> _Export | None:
        """Return the classic model in an export of any format; None after an error."""
        if not isinstance(content, dict):
            self.diagnostics.error(
                at, f"the dashboard is a {type_name(content)}; write a JSON object."
            )
            return None
        answer = content.get("dashboard")
        if isinstance(answer, dict) and "panels" not in content:
            return _Export(dict(answer), str(content.get("folderUid") or ""))
        spec = content.get("spec")
        if not isinstance(spec, dict) or "kind" not in content:
            return _Export(dict(content))
        if content["kind"] != "Dashboard" or "elements" in spec:
            self.diagnostics.error(
                at,
                "the dashboard is in schema v2, which is not supported; export classic JSON.",
            )
            return None
        metadata = _dict_or_empty(content.get("metadata"))
        annotations = _dict_or_empty(metadata.get("annotations"))
        folder_uid = str(annotations.get(FOLDER_ANNOTATION) or "")
        return _Export({**spec, "uid": metadata.get("name")}, folder_uid)

    def _is_identified(self, model: JsonObject, at: str) -> bool:
        """Return whether title and uid are usable; report them otherwise."""
        title, uid = model.get("title"), model.get("uid") or ""
        is_titled = isinstance(title, str) and bool(title.strip())
        if not is_titled:
            self.diagnostics.error(at, "the dashboard has no title; set title.")
        is_usable = isinstance(uid, str)
        if not is_usable:
            self.diagnostics.error(
                at, f"the uid of the dashboard is {uid!r}; write a str."
            )
        return is_titled and is_usable

    def _input_values(self, model: JsonObject, at: str) -> dict[str, str]:
        """Return the values of the inputs of a shared export, those of the task first."""
        values = dict(self.inputs)
        declared = model.get("__inputs")
        if not isinstance(declared, list):
            return values
        for element in declared:
            declaration = _dict_or_empty(element)
            name = str(declaration.get("name"))
            if name in values:
                continue
            value = self._input_value(declaration)
            if value is None:
                self.diagnostics.error(
                    at,
                    f"input {name} requires a datasource of type {declaration.get('pluginId')},"
                    f" and the content has none; add one, or set {name} in inputs.",
                )
            else:
                values[name] = value
            # The error tells enough; the empty uid is that of the default datasource.
            values.setdefault(name, "")
        return values

    def _input_value(self, declaration: JsonObject) -> str | None:
        """Return the value of an input: a constant, or the uid of a datasource."""
        if declaration.get("type") == "constant":
            return str(declaration.get("value", ""))
        plugin = str(declaration.get("pluginId"))
        if plugin in _BUILT_IN_INPUTS:
            return _BUILT_IN_INPUTS[plugin]
        candidates = [
            body
            for body in self.datasources
            if _current_type(str(body.get("type"))) == _current_type(plugin)
        ]
        if not candidates:
            return None
        default = next(
            (body for body in candidates if body.get("isDefault")), candidates[0]
        )
        return str(default["uid"])

    def _derive_uid(self, placement: Placement, at: str) -> str:
        if not placement.name:
            self.diagnostics.error(
                at, "the dashboard has no uid, so the next run cannot find it; set uid."
            )
            return ""
        uid = digest(placement.name, 20)
        self.diagnostics.warn(
            at,
            f"the dashboard has no uid and gets {uid}, derived from its file name; set uid.",
        )
        return uid


def _current_type(datasource_type: str) -> str:
    """Return the type of a datasource by its newest name."""
    return DATASOURCE_TYPES.get(datasource_type, datasource_type)


def _dict_or_empty(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
