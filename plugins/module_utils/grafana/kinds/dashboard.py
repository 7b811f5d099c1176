# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dashboards: identified by uid, in a folder named by its uid."""

from __future__ import annotations

from typing import Any

from .. import normalize
from ..api.client import path
from .base import Kind, Live, Settings
from .folder import PARENT, ROOT, manager, pages

# The one version that returns what was stored; the others migrate it to a newer schema while they read.
API = "/apis/dashboard.grafana.app/v0alpha1/namespaces/{}/dashboards"
SEARCH_PAGE = 5000
FEW = 3
PROVISIONED = "it is provisioned from {}; remove it from Grafana's provisioning directory first"


class Dashboard(Kind):
    """A dashboard in the classic format. It is never overwritten blindly: each write names the version it replaces."""

    name = "dashboard"
    serial = False

    def prepared(self, body: dict, live: Live | None, settings: Settings) -> dict:
        """Without what an export holds and a save must not."""
        model = {
            key: value
            for key, value in body["dashboard"].items()
            if key not in normalize.DASHBOARD_OWN
        }
        model = normalize.without_marks(model)
        return {
            "dashboard": model,
            "folderUid": "" if body.get("folderUid") in ROOT else body["folderUid"],
        }

    def comparable(self, body: dict, like: dict) -> dict:
        """The model's fields that were asked for, and the folder."""
        model = normalize.dashboard(body["dashboard"], like["dashboard"])
        return {
            "folderUid": "" if body.get("folderUid") in ROOT else body["folderUid"],
            "dashboard": model,
        }

    def problem(self, body: dict, live: Live | None) -> str:
        """What no server could save as it is meant."""
        model = body["dashboard"]
        if "elements" in model or "spec" in model:
            return "it is not in the classic format, with panels at its first level"
        if not model.get("title"):
            return "a dashboard needs a title"
        if model.get("__inputs"):
            return "its __inputs are not resolved: it was exported for sharing, and Grafana would store them unresolved"
        return ""

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """By the newer API's list; a few, or all from a server without it, one by one."""
        if identities is None or len(identities) > FEW:
            items = pages(client, API.format(client.namespace))
            if items is not None:
                return {item["metadata"]["name"]: _listed(item) for item in items}
        if identities is None:
            identities = frozenset(item["uid"] for item in searched(client))
        uids = sorted(identities)
        found = client.each(
            lambda uid: client.find(path("dashboards", "uid", uid), f"dashboard {uid}"), uids
        )
        return {uid: _single(item) for uid, item in zip(uids, found) if item}

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Save it as the successor of the version that was read."""
        model = {**step.body["dashboard"], "id": None, "uid": step.identity}
        if step.live is not None:
            model["version"] = step.live.version
        sent = {"dashboard": model, "folderUid": step.body["folderUid"], "overwrite": False}
        client.write("POST", path("dashboards", "db"), step.about, sent)

    def delete(self, client: Any, step: Any) -> None:
        """Delete it."""
        client.write("DELETE", path("dashboards", "uid", step.identity), step.about)


def searched(client: Any) -> list:
    """uid, title and folderUid of all dashboards."""
    found: list = []
    while True:
        page = len(found) // SEARCH_PAGE + 1
        items = client.get("/api/search", type="dash-db", limit=SEARCH_PAGE, page=page)
        found += items
        if len(items) < SEARCH_PAGE:
            return found


def _listed(item: dict) -> Live:
    metadata, spec = item["metadata"], item.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    stored = ((item.get("status") or {}).get("conversion") or {}).get("storedVersion") or ""
    return Live(
        {"dashboard": spec, "folderUid": annotations.get(PARENT, "")},
        version=metadata.get("generation") or spec.get("version") or 0,
        locked=manager(annotations),
        facts={"stored": stored} if stored.startswith("v2") else {},
    )


def _single(item: dict) -> Live:
    model, meta = item["dashboard"], item.get("meta") or {}
    source = meta.get("provisionedExternalId") or "a file"
    return Live(
        {"dashboard": model, "folderUid": meta.get("folderUid") or ""},
        version=model.get("version") or meta.get("version") or 0,
        locked=PROVISIONED.format(source) if meta.get("provisioned") else "",
    )


DASHBOARD = Dashboard()
