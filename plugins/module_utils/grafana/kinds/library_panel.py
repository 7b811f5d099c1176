# SPDX-License-Identifier: GPL-3.0-or-later
"""Library panels: identified by uid, in a folder named by its uid; dashboards refer to them.

Facts about the API are from pkg/services/libraryelements of Grafana 12.4.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .. import normalize
from ..api.client import path
from ..model import Reference
from .base import Kind, Live, Settings, Step
from .names import FOLDER, LIBRARY_PANEL

if TYPE_CHECKING:
    from ..api.client import Client
    from ..model import Body
    from .base import Name

WHERE = path("library-elements")
# The library has held variables too.
PANEL = 1
PAGE = 100
# Up to so many library panels are read without a list.
FEW = 3
LONGEST_UID = 40
UID = re.compile(r"[a-zA-Z0-9_-]*")
# Defaults at the first level of a panel; others are compared if they were asked for.
DEFAULTS: dict[str, Any] = {
    "type": "",
    "title": "",
    "description": "",
    "datasource": None,
    "targets": [],
    "fieldConfig": {},
    "options": {},
    "transformations": [],
    "transparent": False,
    "links": [],
}
# The panel's own identification, which an export contains.
OWN_FIELDS = ("libraryPanel",)
# Strings that Grafana copies into columns of their own; any other type crashes the request.
COLUMNS = ("type", "description")
NO_MOVE = (
    "Grafana keeps counting a library panel in the folder in which it was created: "
    "delete it first to create it in another folder"
)


class LibraryPanel(Kind):
    """A library panel; each write names the version that it replaces."""

    name = LIBRARY_PANEL
    refers_to = (FOLDER,)
    parent_field = "folderUid"
    count_names = ("librarypanel", "library_elements")
    in_use_blocker = "dashboards still use it"

    def references(self, body: Body) -> list[Reference]:
        """Return the folder."""
        parent = self.parent(body)
        return [Reference(FOLDER, parent)] if parent else []

    def unique_names(self, identity: str, body: Body) -> dict[str, Name]:
        """Return the name, unique in the folder."""
        return {identity: (body.get("name"), self.parent(body))}

    def prepared(self, body: Body, live: Live | None, settings: Settings) -> Body:
        """Return the body without the panel's own identification.

        A type or description that is missing in an update would be that of the old panel.
        """
        model = {
            key: value for key, value in body["model"].items() if key not in OWN_FIELDS
        }
        for key in COLUMNS:
            if model.get(key) is None:
                model[key] = ""
        # One that an exported dashboard brings stays where it is.
        place = live.body if live and body.get("stays") else body
        return {**body, "model": model, "folderUid": self.parent(place)}

    def comparable(self, body: Body, like: Body) -> Body:
        """Return name and folder, and the fields of the panel that were asked for."""
        model = normalize.with_defaults(
            body["model"], like["model"], DEFAULTS, OWN_FIELDS
        )
        return {"name": body["name"], "folderUid": self.parent(body), "model": model}

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return what Grafana refuses, or stores only in part."""
        if not body.get("name"):
            return "a library panel needs a name"
        uid = body["uid"]
        if len(uid) > LONGEST_UID:
            return f"its uid is longer than {LONGEST_UID} characters"
        if not UID.fullmatch(uid):
            return "its uid is made of letters, digits, dashes and underscores"
        for key in COLUMNS:
            if not isinstance(body["model"].get(key, ""), str):
                return f"the {key} of its panel must be a str"
        if live and self.parent(live.body) != self.parent(body):
            return NO_MOVE
        return None

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read each by itself, since the list does not show that a panel was moved."""
        uids = sorted(identities or ())
        if identities is None or len(identities) > FEW:
            listed = _list(client)
            uids = [uid for uid in listed if identities is None or uid in identities]
        answers = client.each(lambda uid: _find(client, uid), uids)
        return {
            uid: _live(answer["result"]) for uid, answer in zip(uids, answers) if answer
        }

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Create the library panel, or replace the version that was read."""
        body = step.body
        sent = {
            "name": body["name"],
            "kind": PANEL,
            "model": body["model"],
            "folderUid": body["folderUid"],
        }
        if step.live is None:
            client.write("POST", WHERE, step.about, {**sent, "uid": step.identity})
        else:
            sent["version"] = step.live.version
            client.write("PATCH", _where(step.identity), step.about, sent)

    def delete(self, client: Client, step: Step) -> None:
        """Delete the library panel; Grafana refuses this while a dashboard uses it."""
        client.write("DELETE", _where(step.identity), step.about)


def panels_used(model: Body) -> list[Reference]:
    """Return the library panels that a dashboard uses, in rows too."""
    used: dict[Reference, None] = {}
    for panel in model.get("panels") or []:
        if not isinstance(panel, dict):
            continue
        library_panel = panel.get("libraryPanel")
        if isinstance(library_panel, dict) and library_panel.get("uid"):
            used[Reference(LIBRARY_PANEL, library_panel["uid"])] = None
        used.update(dict.fromkeys(panels_used(panel)))
    return list(used)


def _where(uid: str) -> str:
    return path("library-elements", uid)


def _find(client: Client, uid: str) -> Body | None:
    answer: Body | None = client.find(_where(uid), f"library panel {uid}")
    return answer


def _list(client: Client) -> list[str]:
    """Return the uids of all library panels."""
    uids: list[str] = []
    number = 1
    while True:
        page = client.get(WHERE, kind=PANEL, perPage=PAGE, page=number)["result"]
        elements = page.get("elements") or []
        uids += [element["uid"] for element in elements]
        if not elements or len(uids) >= page["totalCount"]:
            return uids
        number += 1


def _live(element: Body) -> Live:
    fields = ("uid", "name", "model", "folderUid")
    body = {field: element.get(field) for field in fields}
    return Live(body, version=element["version"])
