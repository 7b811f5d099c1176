# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Turn dashboard files, in each of the forms that Grafana exports, into what its HTTP API takes. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from ..model import DesiredObject
from .documents import Document
from .folders import Folders, titles
from .interpolation import with_inputs
from .schema import Findings

FOLDER_ANNOTATION = "grafana.app/folder"
# Import-only: what they describe is resolved here.
_IMPORT_ONLY = ("__inputs", "__requires", "__elements")
# Numbers of the server that a dashboard was exported from.
_SERVER_OWN = ("id", "version")


@dataclass
class Place:
    """Where a dashboard goes: titles of folders, or the uid of a folder that has no title here."""

    folder: tuple = ()
    folder_uid: str = ""
    # A dashboard without uid gets one that is derived from this name, where it is given.
    name: str = ""


@dataclass
class Dashboards:
    """Dashboards that documents want; ``inputs`` are values for ``${DS_X}``, ``datasources`` bodies to choose from."""

    folders: Folders
    findings: Findings
    inputs: dict = field(default_factory=dict)
    datasources: list = field(default_factory=list)
    desired: list = field(default_factory=list)

    def read(self, document: Document, content: object, place: Place, steps: tuple = ()) -> None:
        """Add the dashboard that a document holds at ``steps``."""
        at = document.at(*steps)
        model, folder_uid = self._classic(content, at)
        if model is None:
            return
        if not isinstance(model.get("title"), str) or not model["title"].strip():
            self.findings.error(at, "this dashboard has no title.")
            return
        if not isinstance(model.get("uid") or "", str):
            self.findings.error(
                at, f"the uid of this dashboard must be a text, not {model['uid']!r}."
            )
            return
        model = with_inputs(model, self._inputs(model, at))
        if model.get("__elements"):
            self.findings.error(
                at, "this dashboard brings library panels (__elements); export it without them."
            )
        model = {
            key: value for key, value in model.items() if key not in _IMPORT_ONLY + _SERVER_OWN
        }
        if not model.get("uid"):
            model["uid"] = self._uid(place, at)
        folder_uid = folder_uid or place.folder_uid or self.folders.uid(place.folder, at)
        self.desired.append(
            DesiredObject(
                "dashboard", model["uid"], {"dashboard": model, "folderUid": folder_uid}, at
            )
        )

    def read_inline(self, document: Document) -> None:
        """Add the dashboards under the key ``dashboards``: each with ``dashboard`` and ``folder`` or ``folderUid``."""
        content = document.content.get("dashboards") if isinstance(document.content, dict) else None
        if content is not None and not isinstance(content, list):
            self.findings.error(document.at("dashboards"), "this must be a list.")
            return
        for index, item in enumerate(content or []):
            steps = ("dashboards", index)
            if (
                not isinstance(item, dict)
                or set(item) - {"folder", "folderUid", "dashboard"}
                or "dashboard" not in item
            ):
                self.findings.error(
                    document.at(*steps), "this must have dashboard, and folder or folderUid."
                )
                continue
            place = Place(titles(str(item.get("folder") or "")), str(item.get("folderUid") or ""))
            self.read(document, item["dashboard"], place, (*steps, "dashboard"))

    def _classic(self, content: object, at: str) -> tuple:
        """The classic model in an export of any form, and the uid of a folder that the export names."""
        if not isinstance(content, dict):
            self.findings.error(at, "a dashboard must be a JSON object.")
            return None, ""
        if isinstance(content.get("dashboard"), dict) and "panels" not in content:
            return dict(content["dashboard"]), ""
        if not isinstance(content.get("spec"), dict) or "kind" not in content:
            return dict(content), ""
        if content["kind"] != "Dashboard" or "elements" in content["spec"]:
            self.findings.error(
                at,
                "only classic dashboards are handled, not the schema v2; export the classic JSON.",
            )
            return None, ""
        metadata = _mapping(content.get("metadata"))
        folder_uid = _mapping(metadata.get("annotations")).get(FOLDER_ANNOTATION)
        return {**content["spec"], "uid": metadata.get("name")}, str(folder_uid or "")

    def _inputs(self, model: dict, at: str) -> dict:
        """Values of the inputs that an export for sharing asks for, beside those that the task names."""
        values = dict(self.inputs)
        listed = model.get("__inputs")
        for item in map(_mapping, listed if isinstance(listed, list) else []):
            name = str(item.get("name"))
            if name in values:
                continue
            if item.get("type") == "constant":
                values[name] = str(item.get("value", ""))
            elif self._candidates(item.get("pluginId")):
                values[name] = self._candidates(item.get("pluginId"))[0]
            else:
                self.findings.error(
                    at,
                    f"input {name} asks for a datasource of type {item.get('pluginId')}, and none is here.",
                )
        return values

    def _candidates(self, kind: object) -> list:
        """The uids of the datasources of a type, the default one first."""
        found = [body for body in self.datasources if body.get("type") == kind]
        return [body["uid"] for body in sorted(found, key=lambda body: not body.get("isDefault"))]

    def _uid(self, place: Place, at: str) -> str:
        if not place.name:
            self.findings.error(
                at, "this dashboard has no uid, so it cannot be found again; give it one."
            )
            return ""
        uid = hashlib.sha256(place.name.encode("utf-8", "surrogatepass")).hexdigest()[:20]
        self.findings.warn(
            at, f"this dashboard has no uid and gets {uid}, which follows its file's name."
        )
        return uid


def _mapping(value: object) -> dict:
    """A mapping, and an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}
