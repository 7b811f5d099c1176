# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders: identified by uid, nested by the parent's uid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..api.client import path
from ..grafana_errors import GrafanaError
from ..model import Reference
from .base import Kind, Live, Settings, Step
from .names import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..api.client import Client
    from ..model import Body
    from .base import Name

API = "/apis/folder.grafana.app/v1beta1/namespaces/{}/folders"
# Answers of a server that has no such API, or not for this user.
NO_API = (403, 404, 405, 406, 410)
PARENT, MANAGER = "grafana.app/folder", "grafana.app/managedBy"
PAGE = 500
SEARCH_PAGE = 5000
# Up to so many folders are read one by one.
FEW = 2
COUNT_ATTEMPTS = 4


class Folder(Kind):
    """A folder; its description is readable, and so compared, from Grafana 12 on."""

    name = FOLDER
    refers_to = (FOLDER,)
    parent_field = "parentUid"
    is_container = True
    count_names = ("folder", "folders")
    # Two folders may have the same title for a moment.
    renames_in_order = False

    def references(self, body: Body) -> list[Reference]:
        """Return the parent."""
        parent = self.parent(body)
        return [Reference(FOLDER, parent)] if parent else []

    def unique_names(self, identity: str, body: Body) -> dict[str, Name]:
        """Return the title, unique in the parent."""
        return {identity: (body.get("title"), self.parent(body))}

    def comparable(self, body: Body, like: Body) -> Body:
        """Return title and parent, and a description that was asked for and can be read."""
        # Grafana stores the title without the spaces around it.
        result = {
            "title": (body.get("title") or "").strip(),
            "parentUid": self.parent(body),
        }
        if like.get("description") is not None:
            result["description"] = body.get("description", like["description"]) or ""
        return result

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return what every server refuses."""
        return None if body.get("title") else "a folder needs a title"

    def order(self, steps: Sequence[Step]) -> list[Step]:
        """Return each folder after its parent."""
        waiting = {step.identity: step for step in steps}
        ordered: list[Step] = []
        while waiting:
            ready = [
                step
                for step in waiting.values()
                if self._parent_of(step) not in waiting
            ]
            if not ready:
                break
            ordered += ready
            for step in ready:
                del waiting[step.identity]
        return ordered + list(waiting.values())

    def _parent_of(self, step: Step) -> str:
        if step.after is None and step.live is not None:
            return self.parent(step.live.body)
        return self.parent(step.body)

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read all folders by one list, or a few one by one."""
        if identities is not None and len(identities) <= FEW:
            folders = {uid: _read_one(client, uid) for uid in sorted(identities)}
            return {uid: live for uid, live in folders.items() if live}
        items = pages(client, API.format(client.namespace))
        if items is None:
            return _search(client)
        return {item["metadata"]["name"]: _live(item) for item in items}

    def contents(self, client: Client, identity: str) -> dict[str, int]:
        """Count what is in the folder and in those below it."""
        counts: dict[str, int] = client.get(
            path("folders", identity, "counts"), f"folder {identity}"
        )
        return counts

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Create the folder, or move and rename it."""
        body = step.body
        desired = self.comparable(body, body)
        if step.live is None:
            _create(client, step, desired["parentUid"])
            return
        live = self.comparable(step.live.body, body)
        if live["parentUid"] != desired["parentUid"]:
            where = path("folders", step.identity, "move")
            client.write("POST", where, step.about, {"parentUid": desired["parentUid"]})
        if {**live, "parentUid": ""} != {**desired, "parentUid": ""}:
            sent = {"title": body["title"], "overwrite": True}
            if body.get("description") is not None:
                sent["description"] = body["description"]
            client.write("PUT", path("folders", step.identity), step.about, sent)

    def delete(self, client: Client, step: Step) -> None:
        """Delete an empty folder; Grafana itself would delete its dashboards along with it."""
        for attempt in range(COUNT_ATTEMPTS):
            counts = self.contents(client, step.identity)
            contents = [
                f"{number} {name}" for name, number in sorted(counts.items()) if number
            ]
            if not contents:
                break
            # Newer storage counts by its index, which follows the deletions of this run later.
            client.pause(attempt)
        else:
            holds = ", ".join(contents)
            raise GrafanaError(f"{step.about}: it holds {holds}, so it is not deleted")
        client.write("DELETE", path("folders", step.identity), step.about)


def _create(client: Client, step: Step, parent: str) -> None:
    sent = {"uid": step.identity, "title": step.body["title"]}
    if parent:
        sent["parentUid"] = parent
    if step.body.get("description"):
        sent["description"] = step.body["description"]
    client.write("POST", path("folders"), step.about, sent)


def _read_one(client: Client, uid: str) -> Live | None:
    quoted = path(uid)[len("/api/") :]
    where = f"{API.format(client.namespace)}/{quoted}"
    item = client.find(where, f"folder {uid}", absent=NO_API)
    if item:
        return _live(item)
    folder = client.find(path("folders", uid), f"folder {uid}")
    if not folder:
        return None
    parent = folder.get("parentUid", "")
    return Live({"uid": uid, "title": folder["title"], "parentUid": parent})


def _search(client: Client) -> dict[str, Live]:
    folders: dict[str, Live] = {}
    page = 1
    while True:
        items = client.get(
            "/api/search", type="dash-folder", limit=SEARCH_PAGE, page=page
        )
        for item in items:
            uid, parent = item["uid"], item.get("folderUid", "")
            folders[uid] = Live(
                {"uid": uid, "title": item["title"], "parentUid": parent}
            )
        if len(items) < SEARCH_PAGE:
            return folders
        page += 1


def pages(client: Client, where: str) -> list[Body] | None:
    """Return all objects of a list of the newer API, or None if the server lacks it."""
    items: list[Body] = []
    query: dict[str, Any] = {"limit": PAGE}
    while True:
        page = client.find(where, absent=NO_API, **query)
        if page is None:
            return None
        items += page.get("items") or []
        query["continue"] = (page.get("metadata") or {}).get("continue")
        if not query["continue"]:
            return items


def manager(annotations: dict[str, str]) -> str:
    """Return why the API should not change an object with these annotations, "" if it may."""
    kind = annotations.get(MANAGER, "")
    if kind == "repo":
        return "it comes from a Git repository that Grafana synchronizes"
    if kind == "classic-file-provisioning":
        return (
            "it is provisioned from a file;"
            " remove it from Grafana's provisioning directory first"
        )
    return ""


def _live(item: Body) -> Live:
    annotations = item["metadata"].get("annotations") or {}
    spec = item.get("spec") or {}
    body = {
        "uid": item["metadata"]["name"],
        "title": spec.get("title", ""),
        "parentUid": annotations.get(PARENT, ""),
        "description": spec.get("description", ""),
    }
    return Live(body, locked=manager(annotations))
