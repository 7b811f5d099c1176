# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Message templates: identified by name."""

from __future__ import annotations

from typing import Any

from .. import normalize
from ..api.client import path
from .base import Kind, Live, Settings, of_value, stamp


class Template(Kind):
    """A group of message templates, named once; the names that it defines are the organization's."""

    name = "template"
    stamped = True
    provenance_is_compared = True

    def prepared(self, body: dict, live: Live | None, settings: Settings) -> dict:
        """With a definition that each server sees as one."""
        return {**body, "template": normalize.defining(body["template"])}

    def expected(self, body: dict) -> dict:
        """Trimmed, and wrapped where it defines nothing."""
        return {**body, "template": normalize.template(body["name"], body["template"])}

    def comparable(self, body: dict, like: dict) -> dict:
        """The text."""
        return {"template": body["template"]}

    def problem(self, body: dict, live: Live | None) -> str:
        """Some servers store a template that their Alertmanager then cannot load."""
        if "/" in body["name"]:
            return "the name of a template becomes a file's name, so it cannot hold a slash"
        return "" if body["template"].strip() else "a template cannot be empty"

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """By one list; a server without any may answer 404."""
        items = client.find(path("v1", "provisioning", "templates")) or []
        return {
            item["name"]: Live(
                {"name": item["name"], "template": item.get("template", "")},
                of_value(item.get("provenance")),
            )
            for item in items
        }

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Create or replace it."""
        sent, headers = {"template": step.body["template"]}, stamp(settings.provenance)
        client.write(
            "PUT", path("v1", "provisioning", "templates", step.identity), step.about, sent, headers
        )

    def delete(self, client: Any, step: Any) -> None:
        """Delete it."""
        headers = stamp(step.live.provenance)
        client.write(
            "DELETE",
            path("v1", "provisioning", "templates", step.identity),
            step.about,
            headers=headers,
        )


TEMPLATE = Template()
