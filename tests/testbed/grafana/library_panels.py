# SPDX-License-Identifier: GPL-3.0-or-later
"""Library panels, after pkg/services/libraryelements of Grafana 12.4."""

from __future__ import annotations

import re
from typing import Any

from tests.testbed.grafana.store import new_uid, now
from tests.testbed.grafana.web import BAD_JSON, Refused, Request, route

PANEL = 1
UID = re.compile(r"[a-zA-Z0-9\-_]*")
PER_PAGE = 100
TAKEN = "library element with that name or UID already exists"
NOT_FOUND = "library element could not be found"


def panel_of(request: Request, uid: str) -> dict[str, Any]:
    """Return a library panel that must exist."""
    panel: dict[str, Any] | None = request.store.get(request.org, "library_panel", uid)
    if panel is None:
        raise Refused(404, NOT_FOUND)
    return panel


def panels_in(tree: Any) -> set[str]:
    """Return the uids of the library panels in the panels of a dashboard or row."""
    uids: set[str] = set()
    for panel in tree.get("panels") or []:
        if not isinstance(panel, dict):
            continue
        library_panel = panel.get("libraryPanel")
        if panel.get("type") == "row":
            uids |= panels_in(panel)
        elif library_panel is not None:
            if not library_panel.get("uid"):
                raise Refused(500, "library panel header uid is missing")
            uids.add(library_panel["uid"])
    return uids


def check_library_panels(request: Request, spec: dict[str, Any]) -> None:
    """Refuse a dashboard whose library panels do not exist, though Grafana stores it first."""
    for uid in sorted(panels_in(spec)):
        if request.store.get(request.org, "library_panel", uid) is None:
            raise Refused(500, NOT_FOUND)


def connections(request: Request, uid: str) -> int:
    """Return the number of dashboards that use a library panel."""
    boards = request.store.all(request.org, "dashboard")
    return sum(uid in panels_in(board["spec"]) for board in boards)


def shown(request: Request, panel: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return a library panel as the API shows it, in a folder."""
    fields = ("id", "uid", "name", "kind", "type", "description", "model", "version")
    meta = {
        "folderName": folder or "General",
        "folderUid": folder,
        "connectedDashboards": connections(request, panel["uid"]),
        "created": panel["created"],
        "updated": panel["updated"],
    }
    place = {"orgId": request.org, "folderId": 0, "folderUid": folder}
    return {field: panel[field] for field in fields} | place | {"meta": meta}


def check_body(request: Request) -> dict[str, Any]:
    """Return a body whose kind and folder Grafana accepts."""
    body = request.json()
    if body.get("kind") != PANEL:
        raise Refused(400, BAD_JSON)
    folder = body.get("folderUid")
    if folder and request.store.get(request.org, "folder", folder) is None:
        raise Refused(400, "failed to get folder")
    return body


def put(request: Request, panel: dict[str, Any]) -> None:
    """Store a library panel with its type and description copied from the model, or the reverse."""
    for other in request.store.all(request.org, "library_panel"):
        same_name = (other["created_in"], other["name"]) == (
            panel["created_in"],
            panel["name"],
        )
        if same_name and other["id"] != panel["id"]:
            raise Refused(400, TAKEN)
    model = panel["model"]
    for field in ("type", "description"):
        if model.get(field) is None:
            model[field] = panel[field]
        if not isinstance(model[field], str):
            # The conversion of a type panics.
            raise Refused(500, "Internal server error")
        panel[field] = model[field]
    request.store.put(request.org, "library_panel", panel["uid"], panel)


@route("GET", "/api/library-elements")
def list_panels(request: Request) -> Any:
    """List by name; the folder is the one in which a panel was created, even if it was moved."""
    per_page = int(request.query.get("perPage") or PER_PAGE)
    page = int(request.query.get("page") or 1)
    panels = sorted(
        request.store.all(request.org, "library_panel"), key=lambda one: one["name"]
    )
    listed = panels[(page - 1) * per_page : page * per_page]
    elements = [shown(request, panel, panel["created_in"]) for panel in listed]
    return {
        "result": {
            "totalCount": len(panels),
            "elements": elements,
            "page": page,
            "perPage": per_page,
        }
    }


@route("GET", "/api/library-elements/:uid")
def read_panel(request: Request) -> Any:
    panel = panel_of(request, request.params["uid"])
    return {"result": shown(request, panel, panel["folderUid"] or "general")}


@route("POST", "/api/library-elements", "Editor")
def create_panel(request: Request) -> Any:
    body = check_body(request)
    uid = body.get("uid") or new_uid()
    if not UID.fullmatch(uid):
        raise Refused(400, "uid contains illegal characters")
    if len(uid) > 40:
        raise Refused(400, "uid too long, max 40 characters")
    if request.store.get(request.org, "library_panel", uid) is not None:
        raise Refused(400, TAKEN)
    folder = body.get("folderUid") or ""
    time = now()
    panel = {
        "id": request.store.next("library_panel"),
        "uid": uid,
        "name": body.get("name") or "",
        "kind": PANEL,
        "type": "",
        "description": "",
        "model": dict(body.get("model") or {}),
        "version": 1,
        "folderUid": folder,
        "created_in": folder,
        "created": time,
        "updated": time,
    }
    put(request, panel)
    return {"result": shown(request, panel, folder)}


@route("PATCH", "/api/library-elements/:uid", "Editor")
def patch_panel(request: Request) -> Any:
    """Replace name, model and folder; the columns of the database keep what becomes empty."""
    body = check_body(request)
    panel = panel_of(request, request.params["uid"])
    if body.get("version") != panel["version"]:
        raise Refused(412, "the library element has been changed by someone else")
    model = panel["model"] if body.get("model") is None else dict(body["model"])
    panel |= {
        "name": body.get("name") or panel["name"],
        "model": model,
        "folderUid": body.get("folderUid") or panel["folderUid"],
        "version": panel["version"] + 1,
        "updated": now(),
    }
    put(request, panel)
    return {"result": shown(request, panel, panel["folderUid"])}


@route("DELETE", "/api/library-elements/:uid", "Editor")
def delete_panel(request: Request) -> Any:
    panel = panel_of(request, request.params["uid"])
    if connections(request, panel["uid"]):
        raise Refused(403, "the library element has connections")
    request.store.delete(request.org, "library_panel", panel["uid"])
    return {"message": "Library element deleted", "id": panel["id"]}
