# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards: identified by uid, in a folder named by its uid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import normalize
from ..api.client import path
from ..model import Reference
from .base import Kind, Live, Settings, Step
from .folder import PARENT, manager, pages
from .library_panel import panels_used
from .names import DASHBOARD, FOLDER, LIBRARY_PANEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..api.client import Client
    from ..model import Body
    from .base import Existing, Name

# Only this version returns what was stored; the others migrate it to a newer schema on read.
API = "/apis/dashboard.grafana.app/v0alpha1/namespaces/{}/dashboards"
SEARCH_PAGE = 5000
# Up to so many dashboards are read one by one.
FEW = 3
PROVISIONED = (
    "it is provisioned from {}; remove it from Grafana's provisioning directory first"
)
FOLDER_UID = "a folder has this uid, which Grafana 11 does not accept; write another"
# In bytes.
LONGEST_TITLE, LONGEST_TAG = 5000, 50
TAGS_LIMITED_SINCE = 12


class Dashboard(Kind):
    """A dashboard in the classic format.

    It is never overwritten blindly: each write names the version that it replaces.
    """

    name = DASHBOARD
    serial = False
    refers_to = (FOLDER, LIBRARY_PANEL)
    parent_field = "folderUid"
    count_names = ("dashboard", "dashboards")
    # Grafana 11 refuses a dashboard with the uid of a folder.
    uids_differ_from = (FOLDER,)

    def references(self, body: Body) -> list[Reference]:
        """Return the folder and the library panels."""
        parent = self.parent(body)
        folders = [Reference(FOLDER, parent)] if parent else []
        return folders + panels_used(body["dashboard"])

    def unique_names(self, identity: str, body: Body) -> dict[str, Name]:
        """Return the title, unique in the folder."""
        return {identity: (body["dashboard"].get("title"), self.parent(body))}

    def is_initial(self, live: Live) -> bool:
        """Return whether the object is a folder, which Grafana 11 shows as a dashboard."""
        return live.locked == FOLDER_UID

    def prepared(self, body: Body, live: Live | None, settings: Settings) -> Body:
        """Return the model without the fields of an export that a save must not have."""
        model = {
            key: value
            for key, value in body["dashboard"].items()
            if key not in normalize.DASHBOARD_OWN
        }
        return {
            "dashboard": normalize.without_marks(model),
            "folderUid": self.parent(body),
        }

    def comparable(self, body: Body, like: Body) -> Body:
        """Return the fields of the model that were asked for, and the folder."""
        model = normalize.dashboard(body["dashboard"], like["dashboard"])
        return {"folderUid": self.parent(body), "dashboard": model}

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return what no server saves as it is meant."""
        model = body["dashboard"]
        if "elements" in model or "spec" in model:
            return "it is not in the classic format, with panels at its first level"
        title = str(model.get("title") or "")
        if not title:
            return "a dashboard needs a title"
        if _bytes(title.strip()) > LONGEST_TITLE:
            return f"its title is longer than {LONGEST_TITLE} bytes"
        if model.get("__inputs"):
            return (
                "its __inputs are not resolved: it was exported for sharing, "
                "and Grafana would store them unresolved"
            )
        return None

    def server_blocker(
        self, body: Body, release: Callable[[], int], existing: Existing
    ) -> str | None:
        """Return the tag that Grafana refuses since 12."""
        for tag in _tags(body["dashboard"]):
            if _bytes(tag) > LONGEST_TAG and release() >= TAGS_LIMITED_SINCE:
                return f"its tag {tag} is longer than {LONGEST_TAG} bytes"
        return None

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read all dashboards by the newer API's list; a few, or without that API, one by one."""
        if identities is None or len(identities) > FEW:
            items = pages(client, API.format(client.namespace))
            if items is not None:
                return {item["metadata"]["name"]: _listed(item) for item in items}
        if identities is None:
            identities = frozenset(item["uid"] for item in _search(client))
        uids = sorted(identities)
        items = client.each(lambda uid: _find(client, uid), uids)
        return {uid: _single(item) for uid, item in zip(uids, items) if item}

    def named_bodies(self, client: Client) -> dict[str, Body]:
        """Return titles and folders of all dashboards by one search."""
        return {
            item["uid"]: {
                "dashboard": {"title": item["title"]},
                "folderUid": item.get("folderUid"),
            }
            for item in _search(client)
        }

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Save the dashboard as the successor of the version that was read."""
        model = {**step.body["dashboard"], "id": None, "uid": step.identity}
        if step.live is not None:
            model["version"] = step.live.version
        sent = {
            "dashboard": model,
            "folderUid": step.body["folderUid"],
            "overwrite": False,
        }
        client.write("POST", path("dashboards", "db"), step.about, sent)

    def delete(self, client: Client, step: Step) -> None:
        """Delete the dashboard."""
        client.write("DELETE", path("dashboards", "uid", step.identity), step.about)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _tags(model: Body) -> list[str]:
    tags = model.get("tags")
    return (
        [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    )


def _find(client: Client, uid: str) -> Body | None:
    item: Body | None = client.find(path("dashboards", "uid", uid), f"dashboard {uid}")
    return item


def _search(client: Client) -> list[Body]:
    items: list[Body] = []
    while True:
        number = len(items) // SEARCH_PAGE + 1
        page = client.get("/api/search", type="dash-db", limit=SEARCH_PAGE, page=number)
        items += page
        if len(page) < SEARCH_PAGE:
            return items


def _listed(item: Body) -> Live:
    metadata, spec = item["metadata"], item.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    return Live(
        {"dashboard": spec, "folderUid": annotations.get(PARENT, "")},
        version=metadata.get("generation") or spec.get("version") or 0,
        locked=manager(annotations),
    )


def _single(item: Body) -> Live:
    model, meta = item["dashboard"], item.get("meta") or {}
    return Live(
        {"dashboard": model, "folderUid": meta.get("folderUid") or ""},
        version=model.get("version") or meta.get("version") or 0,
        locked=_lock(meta),
    )


def _lock(meta: Body) -> str:
    if meta.get("isFolder"):
        return FOLDER_UID
    source = meta.get("provisionedExternalId") or "a file"
    return PROVISIONED.format(source) if meta.get("provisioned") else ""
