# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Folders: identified by uid, nested by the parent's uid."""

from __future__ import annotations

from typing import Any

from ..api.client import path
from ..grafana_errors import GrafanaError
from .base import Kind, Live, Settings

API = "/apis/folder.grafana.app/v1beta1/namespaces/{}/folders"
# How a server says that it has no such API, or not for this user.
NO_API = (403, 404, 405, 406, 410)
PARENT, MANAGER = "grafana.app/folder", "grafana.app/managedBy"
PAGE = 500
SEARCH_PAGE = 5000
COUNTS = 4
ROOT = ("", "general", None)
# Newer storage counts by other words.
WORDS = {
    "folders": "folder",
    "dashboards": "dashboard",
    "alertrules": "alertrule",
    "recordingrules": "alertrule",
}


class Folder(Kind):
    """A folder; its description can be read from Grafana 12 on only, and is compared there."""

    name = "folder"

    def comparable(self, body: dict, like: dict) -> dict:
        """Title and parent, and the description where it was asked for and the server shows it."""
        parent = body.get("parentUid")
        # Grafana stores it without the spaces around it.
        result = {
            "title": (body.get("title") or "").strip(),
            "parentUid": "" if parent in ROOT else parent,
        }
        if like.get("description") is not None:
            result["description"] = body.get("description", like["description"]) or ""
        return result

    def problem(self, body: dict, live: Live | None) -> str:
        """A folder without a title is refused by each server."""
        return "" if body.get("title") else "a folder needs a title"

    def order(self, steps: list) -> list:
        """Parents before what is in them."""
        return by_depth(steps)

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """By one list; single folders by themselves."""
        if identities is not None and len(identities) <= 2:
            found = {uid: self._one(client, uid) for uid in sorted(identities)}
            return {uid: live for uid, live in found.items() if live}
        items = pages(client, API.format(client.namespace))
        if items is None:
            return self._searched(client)
        return {item["metadata"]["name"]: _live(item) for item in items}

    def _one(self, client: Any, uid: str) -> Live | None:
        item = client.find(
            f"{API.format(client.namespace)}/{path(uid)[5:]}", f"folder {uid}", absent=NO_API
        )
        if item:
            return _live(item)
        folder = client.find(path("folders", uid), f"folder {uid}")
        return (
            Live({"uid": uid, "title": folder["title"], "parentUid": folder.get("parentUid", "")})
            if folder
            else None
        )

    def _searched(self, client: Any) -> dict:
        found: dict = {}
        page = 1
        while True:
            items = client.get("/api/search", type="dash-folder", limit=SEARCH_PAGE, page=page)
            for item in items:
                body = {
                    "uid": item["uid"],
                    "title": item["title"],
                    "parentUid": item.get("folderUid", ""),
                }
                found[item["uid"]] = Live(body)
            if len(items) < SEARCH_PAGE:
                return found
            page += 1

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Create it, or move it and name it."""
        body, about = step.body, step.about
        desired = self.comparable(body, body)
        if step.live is None:
            sent = {"uid": step.identity, "title": body["title"]}
            if desired["parentUid"]:
                sent["parentUid"] = desired["parentUid"]
            if body.get("description"):
                sent["description"] = body["description"]
            client.write("POST", path("folders"), about, sent)
            return
        had = self.comparable(step.live.body, body)
        if had["parentUid"] != desired["parentUid"]:
            client.write(
                "POST",
                path("folders", step.identity, "move"),
                about,
                {"parentUid": desired["parentUid"]},
            )
        if {**had, "parentUid": ""} != {**desired, "parentUid": ""}:
            sent = {"title": body["title"], "overwrite": True}
            if body.get("description") is not None:
                sent["description"] = body["description"]
            client.write("PUT", path("folders", step.identity), about, sent)

    def delete(self, client: Any, step: Any) -> None:
        """Delete it when nothing is in it; Grafana itself would delete its dashboards along with it."""
        for attempt in range(COUNTS):
            counts = content_counts(client, step.identity)
            held = [f"{number} {word}" for word, number in sorted(counts.items()) if number]
            if not held:
                break
            # The newer storage counts by its index, which sees a moment later what this run has deleted.
            client.pause(attempt)
        else:
            raise GrafanaError(f"{step.about}: it holds {', '.join(held)}, so it is not deleted")
        client.write("DELETE", path("folders", step.identity), step.about)


def content_counts(client: Any, uid: str) -> dict:
    """What a folder and those below it hold: word -> number."""
    found: dict = {}
    for name, number in client.get(path("folders", uid, "counts"), f"folder {uid}").items():
        word = WORDS.get(name, name)
        found[word] = found.get(word, 0) + number
    return found


def pages(client: Any, where: str) -> list | None:
    """All objects of a list of the newer API, or None where the server has it not."""
    found: list = []
    more: dict = {"limit": PAGE}
    while True:
        listed = client.find(where, absent=NO_API, **more)
        if listed is None:
            return None
        found += listed.get("items") or []
        more["continue"] = (listed.get("metadata") or {}).get("continue")
        if not more["continue"]:
            return found


def manager(annotations: dict) -> str:
    """Why the API should not touch an object with these annotations, or nothing."""
    kind = annotations.get(MANAGER, "")
    if kind == "repo":
        return "it comes from a Git repository that Grafana synchronizes"
    if kind == "classic-file-provisioning":
        return (
            "it is provisioned from a file; remove it from Grafana's provisioning directory first"
        )
    return ""


def by_depth(steps: list) -> list:
    """Steps of folders, each after the step of its parent."""
    waiting = {step.identity: step for step in steps}
    result: list = []
    while waiting:
        free = [step for step in waiting.values() if _body(step).get("parentUid") not in waiting]
        if not free:
            break
        result += free
        for step in free:
            del waiting[step.identity]
    return result + list(waiting.values())


def _body(step: Any) -> dict:
    """The folder as it will be, or was where it goes."""
    return step.live.body if step.after is None else step.body


def _live(item: dict) -> Live:
    annotations = item["metadata"].get("annotations") or {}
    spec = item.get("spec") or {}
    body = {
        "uid": item["metadata"]["name"],
        "title": spec.get("title", ""),
        "parentUid": annotations.get(PARENT, ""),
        "description": spec.get("description", ""),
    }
    return Live(body, locked=manager(annotations))


FOLDER = Folder()
