# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders, dashboards, search, and their lists below /apis in Grafana 12 and newer."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from tests.testbed.grafana.library_panels import check_library_panels
from tests.testbed.grafana.store import new_uid, now
from tests.testbed.grafana.web import BAD_JSON, Refused, Request, route

MOST_NESTED = 4
CHANGED = "has been changed by someone else"
# From here on a save uses the newer API (grafana/grafana#122027), which drops byte order marks
# (#122677).
DIRECT = (13, 1)
LEAST_REFRESH = 5000
UID = re.compile(r"[a-zA-Z0-9\-_]*")
# Schema versions from this one on are migrated to the newest when they are read as v1.
MIGRATED_FROM, NEWEST_SCHEMA = 36, 42
ANNOTATIONS = {"canAdd": True, "canEdit": True, "canDelete": True}
GROUPS = {
    "dashboard.grafana.app": (
        "dashboards",
        ["v0alpha1", "v1beta1", "v2alpha1"],
        ["v1", "v2beta1", "v2"],
    ),
    "folder.grafana.app": ("folders", ["v1beta1"], ["v1"]),
}


def check_uid(uid: str, **fields: Any) -> None:
    """Reject a uid that Grafana rejects for folders and dashboards."""
    if len(uid) > 40:
        raise Refused(400, "uid too long, max 40 characters", **fields)
    if not UID.fullmatch(uid):
        raise Refused(400, "uid contains illegal characters", **fields)


def slug(title: str) -> str:
    """Return a title in the form of an address."""
    plain = (
        unicodedata.normalize("NFKD", title.replace("&", " and "))
        .encode("ascii", "ignore")
        .decode()
        .lower()
    )
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def rights() -> dict[str, bool]:
    """Return the permissions of a user; the fake has no finer ones than roles."""
    return {
        "hasAcl": False,
        "canSave": True,
        "canEdit": True,
        "canAdmin": True,
        "canDelete": True,
    }


# Folders


def folder_of(request: Request, uid: str) -> dict[str, Any]:
    """Return an existing folder."""
    folder = request.store.get(request.org, "folder", uid)
    if folder is None:
        raise Refused(404, "folder not found", status="not-found")
    return folder


def ancestors(request: Request, folder: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the folders around a folder, the outermost first."""
    chain: list[dict[str, Any]] = []
    while folder["parentUid"]:
        folder = folder_of(request, folder["parentUid"])
        chain.insert(0, folder)
    return chain


def below(request: Request, uid: str) -> Iterator[dict[str, Any]]:
    """Return the folders in a folder at any depth, children before parents."""
    for folder in request.store.all(request.org, "folder"):
        if folder["parentUid"] == uid:
            yield folder
            yield from below(request, folder["uid"])


def folder_shown(request: Request, folder: dict[str, Any]) -> dict[str, Any]:
    """Return a folder in the API's form."""
    shown = {
        key: value
        for key, value in folder.items()
        if value or key not in ("parentUid", "description")
    }
    if folder["parentUid"]:
        shown["parents"] = [
            folder_shown(request, parent) for parent in ancestors(request, folder)
        ]
    return shown | rights() | {"orgId": request.org, "url": folder_url(folder)}


def folder_url(folder: dict[str, Any]) -> str:
    """Return the address of a folder's page."""
    return f"/dashboards/f/{folder['uid']}/{slug(folder['title'])}"


def check_place(request: Request, uid: str, parent: str) -> None:
    """Reject a parent that is missing, too deep, or below the folder itself."""
    if not parent:
        return
    folder = request.store.get(request.org, "folder", parent)
    if folder is None:
        # Assumed.
        raise Refused(
            400,
            "parent folder not found",
            messageId="folder.parent-not-found",
            statusCode=400,
        )
    chain = [*ancestors(request, folder), folder]
    if uid in [folder["uid"] for folder in chain]:
        raise Refused(
            400,
            "failed to move folder: circular reference",
            messageId="folder.circular-reference",
        )
    if len(chain) >= MOST_NESTED:
        raise Refused(
            400,
            "folder max depth exceeded",
            messageId="folder.maximum-depth-reached",
            statusCode=400,
        )


def check_title(body: dict[str, Any]) -> str:
    """Return the title of a body."""
    title = (body.get("title") or "").strip()
    if not title:
        raise Refused(400, "folder title cannot be empty")
    return title


@route("GET", "/api/folders", needs="folders:read")
def list_folders(request: Request) -> Any:
    """Answer with one level: the children of `parentUid`, or the folders at the root."""
    parent = request.query.get("parentUid", "")
    folders = [
        folder
        for folder in request.store.all(request.org, "folder")
        if folder["parentUid"] == parent
    ]
    keys = ("id", "uid", "title", "parentUid")
    shown = []
    for folder in sorted(folders, key=by_title):
        shown.append({key: folder[key] for key in keys if folder[key]})
    return page_of(request, shown, 1000)


def by_title(document: dict[str, Any]) -> tuple[str, str]:
    """Return the sort key of lists."""
    return document["title"].lower(), document["uid"]


def page_of(request: Request, items: list[Any], limit: int) -> list[Any]:
    """Return the page of a list by `limit` and `page`."""
    size, page = (
        int(request.query.get("limit") or limit),
        int(request.query.get("page") or 1),
    )
    return items[(page - 1) * size : page * size]


@route("POST", "/api/folders", "Editor", "folders:create")
def create_folder(request: Request) -> Any:
    body = request.json()
    title, uid, parent = (
        check_title(body),
        body.get("uid") or new_uid(),
        body.get("parentUid") or "",
    )
    check_uid(uid)
    if request.store.get(request.org, "folder", uid):
        raise Refused(412, f"the folder {CHANGED}", status="version-mismatch")
    check_place(request, uid, parent)
    login, time = request.user["login"], now()
    folder = {
        "id": request.store.next("dashboard"),
        "uid": uid,
        "title": title,
        "parentUid": parent,
        "version": 1,
    }
    folder |= {
        "description": body.get("description") or "",
        "createdBy": login,
        "created": time,
    }
    folder |= {"updatedBy": login, "updated": time}
    request.store.put(request.org, "folder", uid, folder)
    return folder_shown(request, folder)


@route("GET", "/api/folders/:uid", needs="folders:read")
def read_folder(request: Request) -> Any:
    return folder_shown(request, folder_of(request, request.params["uid"]))


@route("PUT", "/api/folders/:uid", "Editor", "folders:write")
def update_folder(request: Request) -> Any:
    """Update a folder.

    Without the current version it requires `overwrite`; the version increases even if nothing
    changes.
    """
    body, folder = request.json(), folder_of(request, request.params["uid"])
    title = check_title(body)
    if not body.get("overwrite") and body.get("version") != folder["version"]:
        raise Refused(412, f"the folder {CHANGED}", status="version-mismatch")
    folder |= {
        "title": title,
        "version": folder["version"] + 1,
        "updatedBy": request.user["login"],
        "updated": now(),
    }
    if body.get("description") is not None:
        folder["description"] = body["description"]
    request.store.put(request.org, "folder", folder["uid"], folder)
    return folder_shown(request, folder)


@route("POST", "/api/folders/:uid/move", "Editor", "folders:write")
def move_folder(request: Request) -> Any:
    parent, folder = (
        request.json().get("parentUid") or "",
        folder_of(request, request.params["uid"]),
    )
    check_place(request, folder["uid"], parent)
    deepest = max(
        (len(ancestors(request, child)) for child in below(request, folder["uid"])),
        default=0,
    )
    height = max(deepest - len(ancestors(request, folder)), 0)
    folder |= {"parentUid": parent, "version": folder["version"] + 1, "updated": now()}
    if len(ancestors(request, folder)) + height >= MOST_NESTED:
        raise Refused(
            400,
            "folder max depth exceeded",
            messageId="folder.maximum-depth-reached",
            statusCode=400,
        )
    request.store.put(request.org, "folder", folder["uid"], folder)
    return folder_shown(request, folder)


def contents(request: Request, uid: str) -> dict[str, list[dict[str, Any]]]:
    """Return the content of a folder at any depth, by kind."""
    folders = list(below(request, uid))
    places = {uid, *(folder["uid"] for folder in folders)}
    boards = [
        board
        for board in request.store.all(request.org, "dashboard")
        if board["folderUid"] in places
    ]
    rules = [
        rule
        for rule in request.store.all(request.org, "rule")
        if rule["folderUID"] in places
    ]
    panels = [
        panel
        for panel in request.store.all(request.org, "library_panel")
        if panel["created_in"] in places
    ]
    return {
        "folder": folders,
        "dashboard": boards,
        "alertrule": rules,
        "librarypanel": panels,
    }


@route("GET", "/api/folders/:uid/counts", needs="folders:read")
def count_contents(request: Request) -> Any:
    """Answer with counts, whose keys depend on the storage of folders, here on the version."""
    folder_of(request, request.params["uid"])
    newer = {
        "folder": "folders",
        "dashboard": "dashboards",
        "alertrule": "alertrules",
        "librarypanel": "library_elements",
    }
    counted = contents(request, request.params["uid"])
    ghosts = (
        request.server.unseen[request.params["uid"]]
        if request.server.index_lag > 0
        else 0
    )
    request.server.index_lag -= 1 if ghosts else 0
    counted["dashboard"] += [{}] * ghosts
    counts = {kind: len(documents) for kind, documents in counted.items()}
    if request.server.release < (13,):
        return counts
    return {newer[kind]: count for kind, count in counts.items()}


@route("DELETE", "/api/folders/:uid", "Editor", "folders:delete")
def delete_folder(request: Request) -> Any:
    """Delete a folder with its dashboards and folders.

    Rules in it prevent that unless `forceDeleteRules`.
    """
    folder = folder_of(request, request.params["uid"])
    documents = contents(request, folder["uid"])
    if documents["alertrule"] and not request.flag("forceDeleteRules"):
        raise Refused(400, "folder cannot be deleted: folder contains alert rules")
    for kind, key in (
        ("alertrule", "rule"),
        ("dashboard", "dashboard"),
        ("librarypanel", "library_panel"),
        ("folder", "folder"),
    ):
        for document in documents[kind]:
            request.store.delete(request.org, key, document["uid"])
    request.store.delete(request.org, "folder", folder["uid"])
    return {
        "id": folder["id"],
        "message": f"Folder {folder['title']} deleted",
        "title": folder["title"],
    }


# Dashboards


def board_of(request: Request, uid: str) -> dict[str, Any]:
    """Return an existing dashboard, which up to 11 a folder is as well."""
    board = request.store.get(request.org, "dashboard", uid)
    if board is None and request.server.release < (12,):
        board = folder_as_board(request, uid)
    if board is None:
        raise Refused(
            404,
            "Dashboard not found",
            messageId="dashboards.ErrDashboardNotFound",
            statusCode=404,
            traceID="",
        )
    return board


def folder_as_board(request: Request, uid: str) -> dict[str, Any] | None:
    """Return a folder in the form of a dashboard."""
    folder = request.store.get(request.org, "folder", uid)
    if folder is None:
        return None
    spec = {key: folder[key] for key in ("id", "title", "uid", "version")}
    shown = {"folderUid": folder["parentUid"], "isFolder": True, "stored": "v1"}
    return (
        folder | shown | {"spec": {"schemaVersion": 17, **spec}, "provisioned": False}
    )


def board_url(board: dict[str, Any]) -> str:
    """Return the address of a dashboard's page."""
    return f"/d/{board['uid']}/{slug(board['title'])}"


def checked_title(spec: dict[str, Any]) -> str:
    """Return the title of a dashboard."""
    title = spec.get("title")
    if not isinstance(title, str) or not title.strip():
        raise Refused(400, "Dashboard title cannot be empty", status="empty-name")
    if len(title.strip().encode()) > 5000:
        message = "Dashboard title cannot contain more than 5 000 characters"
        raise Refused(400, message, status="title-too-long")
    return title


def check_tags(request: Request, spec: dict[str, Any]) -> None:
    """Reject a tag of more than 50 bytes, since 12."""
    tags = spec.get("tags")
    if request.server.release < (12,) or not isinstance(tags, list):
        return
    for tag in tags:
        if isinstance(tag, str) and len(tag.encode()) > 50:
            raise Refused(400, "dashboard tag too long, max 50 characters")


@route("POST", "/api/dashboards/db", "Editor", "dashboards:write")
def save_board(request: Request) -> Any:
    """Create or replace a dashboard; since 11.3 a title need not be unique.

    See grafana/grafana#90687.
    """
    body = request.json()
    spec, stored = unwrapped(request, body.get("dashboard"))
    title = checked_title(spec)
    check_tags(request, spec)
    uid, folder, overwrite = (
        spec.get("uid") or "",
        folder_named(request, body),
        bool(body.get("overwrite")),
    )
    if folder and request.store.get(request.org, "folder", folder) is None:
        raise Refused(400, "Folder not found", traceID="")
    check_uid(uid)
    # Up to 11 folders are dashboards of another kind.
    if request.server.release < (12,) and request.store.get(request.org, "folder", uid):
        raise Refused(400, "Dashboard cannot be changed to a folder")
    boards = request.store.all(request.org, "dashboard")
    old = next((board for board in boards if board["uid"] == uid), None)
    if spec.get("id") and (old is None or old["id"] != spec["id"]):
        old = next((board for board in boards if board["id"] == spec["id"]), None)
        if old is None:
            raise Refused(404, "Dashboard not found", status="not-found")
    if old and old["provisioned"]:
        raise Refused(400, "Cannot save provisioned dashboard")
    if old and not overwrite and spec.get("version") != old["version"]:
        if request.server.release >= DIRECT:
            raise Refused(
                409, "Dashboard already exists. Use overwrite flag to update."
            )
        raise Refused(412, f"The dashboard {CHANGED}", status="version-mismatch")
    spec = acceptable(request, spec)
    check_library_panels(request, spec)
    board = store_board(request, old, spec, uid, folder, stored)
    answer = {
        "id": board["id"],
        "uid": board["uid"],
        "url": board_url(board),
        "status": "success",
    }
    return answer | {
        "version": board["version"],
        "slug": slug(title),
        "folderUid": folder,
    }


def acceptable(request: Request, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a repaired dashboard.

    Too short a refresh is repaired or, by the newer API, rejected.
    """
    asked = spec.get("refresh")
    short = isinstance(asked, str) and is_short(asked)
    if request.server.release >= DIRECT:
        if short:
            raise Refused(400, "Dashboard refresh interval is too low")
        return without_marks(spec)
    return (
        spec | {"title": spec["title"].strip()} | ({"refresh": "5s"} if short else {})
    )


def is_short(refresh: str) -> bool:
    """Return whether a refresh is no duration, or one below the least."""
    if refresh in ("", "auto"):
        return False
    long = re.fullmatch(r"(\d+)[dwMy]", refresh)
    if long:
        return int(long.group(1)) == 0
    if not re.fullmatch(r"\+?(?:\d+(?:\.\d*)?(?:ms|s|m|h))+", refresh):
        return True
    factors = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
    parts = re.findall(r"([\d.]+)(\D+)", refresh)
    return sum(float(number) * factors[unit] for number, unit in parts) < LEAST_REFRESH


def folder_named(request: Request, body: dict[str, Any]) -> str:
    """Return the folder of a body.

    Before 13 its number is accepted (assumed to be ignored since).
    """
    if (
        body.get("folderUid")
        or not body.get("folderId")
        or request.server.release >= (13,)
    ):
        return body.get("folderUid") or ""
    uids = [
        folder["uid"]
        for folder in request.store.all(request.org, "folder")
        if folder["id"] == body["folderId"]
    ]
    return uids[0] if uids else "missing"


def unwrapped(request: Request, given: Any) -> tuple[dict[str, Any], str]:
    """Return the dashboard of a body and the version of its form.

    13 accepts Kubernetes' form too, and v2 only in that form.
    """
    if not isinstance(given, dict):
        raise Refused(400, BAD_JSON)
    if (
        request.server.release < (13,)
        or not isinstance(given.get("spec"), dict)
        or "apiVersion" not in given
    ):
        return given, "v0alpha1"
    form = str(given["apiVersion"]).rpartition("/")[2]
    return {"uid": (given.get("metadata") or {}).get("name")} | given["spec"], form


def store_board(
    request: Request,
    old: dict[str, Any] | None,
    spec: dict[str, Any],
    uid: str,
    folder: str,
    stored: str,
) -> dict[str, Any]:
    """Store a dashboard.

    Its version increases even if nothing changes, except in 13's newer storage.
    """
    login, time = request.user["login"], now()
    if (
        old
        and request.server.release >= (13,)
        and as_sent(old["spec"]) == as_sent(spec)
        and old["folderUid"] == folder
    ):
        return old
    old = old or {
        "id": request.store.next("dashboard"),
        "uid": uid or new_uid(),
        "version": 0,
        "provisioned": False,
    }
    old.setdefault("created", time)
    old.setdefault("createdBy", login)
    version = old["version"] + 1
    if request.server.release >= (12,):
        spec = rounded(spec)
    spec = spec | {"id": old["id"], "uid": old["uid"], "version": version}
    board = old | {
        "title": spec["title"],
        "folderUid": folder,
        "version": version,
        "spec": spec,
        "stored": stored,
    }
    board |= {"updated": time, "updatedBy": login}
    request.store.put(request.org, "dashboard", board["uid"], board)
    return board


def rounded(value: Any) -> Any:
    """Return a JSON value with integers as real servers since 12 keep them: as doubles."""
    if isinstance(value, dict):
        return {key: rounded(child) for key, child in value.items()}
    if isinstance(value, list):
        return [rounded(element) for element in value]
    if isinstance(value, int) and abs(value) > 2**53:
        return int(float(value))
    return value


def without_marks(tree: Any) -> Any:
    """Return a value whose strings have no byte order mark."""
    if isinstance(tree, dict):
        return {key: without_marks(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [without_marks(value) for value in tree]
    return tree.replace("\ufeff", "") if isinstance(tree, str) else tree


def as_sent(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard without the server's numbers."""
    return {
        key: value for key, value in spec.items() if key not in ("id", "uid", "version")
    }


def classic(board: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard's classic JSON; from v2 it lacks what that form cannot express."""
    if not board["stored"].startswith("v2"):
        return board["spec"]
    kept = {
        key: board["spec"][key]
        for key in ("id", "uid", "version", "title", "tags")
        if key in board["spec"]
    }
    return kept | {"schemaVersion": NEWEST_SCHEMA, "panels": []}


@route("GET", "/api/dashboards/uid/:uid", needs="dashboards:read")
def read_board(request: Request) -> Any:
    board = board_of(request, request.params["uid"])
    folder = (
        request.store.get(request.org, "folder", board["folderUid"])
        if board["folderUid"]
        else None
    )
    meta = {
        "type": "db",
        "canStar": True,
        "slug": slug(board["title"]),
        "url": board_url(board),
        "expires": "0001-01-01T00:00:00Z",
        "isFolder": board.get("isFolder", False),
        "folderId": folder["id"] if folder else 0,
        "folderUid": board["folderUid"],
        "folderTitle": folder["title"] if folder else "Dashboards",
        "folderUrl": folder_url(folder) if folder else "",
        "provisioned": board["provisioned"],
        "provisionedExternalId": "dashboard.json" if board["provisioned"] else "",
        "annotationsPermissions": {
            "dashboard": ANNOTATIONS,
            "organization": ANNOTATIONS,
        },
    }
    meta |= rights() | {
        key: board[key]
        for key in ("created", "updated", "createdBy", "updatedBy", "version")
    }
    if request.query.get("apiVersion", "").startswith("v2") and board[
        "stored"
    ].startswith("v2"):
        return {"meta": meta, "dashboard": board["spec"]}
    return {"meta": meta, "dashboard": classic(board)}


@route("DELETE", "/api/dashboards/uid/:uid", "Editor", "dashboards:delete")
def delete_board(request: Request) -> Any:
    board = board_of(request, request.params["uid"])
    if board.get("isFolder"):
        raise Refused(400, "Use folders endpoint for deleting folders.")
    if board["provisioned"]:
        raise Refused(400, "provisioned dashboard cannot be deleted", traceID="")
    request.server.unseen[board["folderUid"]] += 1
    request.store.delete(request.org, "dashboard", board["uid"])
    return {
        "title": board["title"],
        "message": f"Dashboard {board['title']} deleted",
        "uid": board["uid"],
    }


# Search


@route("GET", "/api/search")
def search(request: Request) -> Any:
    if int(request.query.get("limit") or 0) > 5000:
        raise Refused(
            422,
            "Limit is above maximum allowed (5000), use page parameter to access hits beyond limit",
        )
    folders = {
        folder["uid"]: folder for folder in request.store.all(request.org, "folder")
    }
    kind = request.query.get("type", "")
    hits = []
    if kind in ("", "dash-folder"):
        for folder in sorted(folders.values(), key=by_title):
            hits.append(
                hit(
                    folder,
                    "dash-folder",
                    folder_url(folder),
                    folders.get(folder["parentUid"]),
                )
            )
    if kind in ("", "dash-db"):
        for board in sorted(request.store.all(request.org, "dashboard"), key=by_title):
            hits.append(
                hit(board, "dash-db", board_url(board), folders.get(board["folderUid"]))
            )
    return page_of(request, [line for line in hits if matches(request, line)], 1000)


def hit(
    document: dict[str, Any], kind: str, url: str, folder: dict[str, Any] | None
) -> dict[str, Any]:
    """Return a line of the search's answer."""
    tags = document.get("spec", {}).get("tags") or []
    keys = {
        "id": document["id"],
        "uid": document["uid"],
        "title": document["title"],
        "type": kind,
        "tags": tags,
    }
    keys |= {
        "uri": f"db/{slug(document['title'])}",
        "url": url,
        "slug": "",
        "isStarred": False,
        "sortMeta": 0,
    }
    if folder:
        keys |= {
            "folderId": folder["id"],
            "folderUid": folder["uid"],
            "folderTitle": folder["title"],
        }
        keys |= {"folderUrl": folder_url(folder)}
    return keys


def matches(request: Request, line: dict[str, Any]) -> bool:
    """Return whether a line matches the search's parameters."""

    def values(*names: str) -> list[str]:
        return [
            value
            for name, text in request.pairs
            if name in names
            for value in text.split(",")
        ]

    uids, folders, tags = (
        values("dashboardUIDs", "dashboardUID"),
        values("folderUIDs", "folderUid"),
        values("tag"),
    )
    if (uids and line["uid"] not in uids) or (
        folders and line.get("folderUid", "general") not in folders
    ):
        return False
    return (
        set(tags) <= set(line["tags"])
        and request.query.get("query", "").lower() in line["title"].lower()
    )


# Kubernetes' form


@route("GET", "/apis/:group", since=(12,))
def api_group(request: Request) -> Any:
    """Answer with the served versions of a group."""
    versions = served(request, request.params["group"])
    listed = [
        {"groupVersion": f"{request.params['group']}/{version}", "version": version}
        for version in versions
    ]
    head = {"kind": "APIGroup", "apiVersion": "v1", "name": request.params["group"]}
    return head | {"versions": listed, "preferredVersion": listed[0]}


def served(request: Request, group: str) -> list[str]:
    """Return the versions of an existing group."""
    if group not in GROUPS or not request.server.kubernetes:
        raise Refused(404, "Not found")
    _resource, always, newer = GROUPS[group]
    return [*always, *newer] if request.server.release >= (13,) else list(always)


@route("GET", "/apis/:group/:version/namespaces/:namespace/:resource", since=(12,))
def list_objects(request: Request) -> Any:
    group, version, resource = (
        request.params[key] for key in ("group", "version", "resource")
    )
    if version not in served(request, group) or resource != GROUPS[group][0]:
        raise Refused(404, "Not found")
    if request.params["namespace"] != (
        "default" if request.org == 1 else f"org-{request.org}"
    ):
        raise Refused(
            403,
            f'{resource}.{group} is forbidden: user cannot list resource "{resource}"',
            reason="Forbidden",
        )
    kind = "dashboard" if resource == "dashboards" else "folder"
    documents = request.store.all(request.org, kind)
    start = position(request.query.get("continue", ""))
    objects = (
        as_object(request, kind, version, document)
        for document in documents
        if document["id"] > start
    )
    items, last = one_page(
        objects, int(request.query.get("limit") or 0), request.server.page_bytes
    )
    meta: dict[str, Any] = {"resourceVersion": "1"}
    left = sum(document["id"] > last for document in documents)
    if items and left:
        meta |= {
            "continue": base64.urlsafe_b64encode(str(last).encode()).decode(),
            "remainingItemCount": left,
        }
    name = "DashboardList" if kind == "dashboard" else "FolderList"
    return {
        "kind": name,
        "apiVersion": f"{group}/{version}",
        "metadata": meta,
        "items": [item for _id, item in items],
    }


def position(token: str) -> int:
    """Return the position of a `continue` token."""
    try:
        return int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError as error:
        raise Refused(400, "invalid continue token", reason="BadRequest") from error


def one_page(
    objects: Iterable[tuple[int, Any]], limit: int, most: int
) -> tuple[list[tuple[int, Any]], int]:
    """Return a page, limited in objects and bytes, and the number of its last object."""
    items: list[tuple[int, Any]] = []
    size = 0
    for number, item in objects:
        size += len(json.dumps(item))
        if items and (size > most or (limit and len(items) >= limit)):
            break
        items.append((number, item))
    return items, items[-1][0] if items else 0


def as_object(
    request: Request, kind: str, version: str, document: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Return a folder or dashboard in Kubernetes' form.

    v0alpha1 returns a dashboard as stored, v1 migrates it.
    """
    parent = document["folderUid"] if kind == "dashboard" else document["parentUid"]
    annotations = {
        "grafana.app/createdBy": document["createdBy"],
        "grafana.app/updatedTimestamp": document["updated"],
    }
    if parent:
        annotations["grafana.app/folder"] = parent
    meta = {
        "name": document["uid"],
        "namespace": request.params["namespace"],
        "uid": f"fake-{document['id']}",
        "resourceVersion": str(document["version"]),
        "generation": document["version"],
        "creationTimestamp": document["created"],
        "labels": {"grafana.app/deprecatedInternalID": str(document["id"])},
        "annotations": annotations,
    }
    if kind == "folder":
        return document["id"], {
            "metadata": meta,
            "spec": {key: document[key] for key in ("title", "description")},
        }
    spec = {key: value for key, value in classic(document).items() if key != "id"}
    schema = spec.get("schemaVersion")
    if (
        version.startswith("v1")
        and isinstance(schema, int)
        and MIGRATED_FROM <= schema < NEWEST_SCHEMA
    ):
        spec["schemaVersion"] = NEWEST_SCHEMA
    status = {}
    if not version.startswith("v0") or document["stored"].startswith("v2"):
        status = {"conversion": {"failed": False, "storedVersion": document["stored"]}}
    return document["id"], {"metadata": meta, "spec": spec, "status": status}
