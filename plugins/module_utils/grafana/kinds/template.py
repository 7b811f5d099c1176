# SPDX-License-Identifier: GPL-3.0-or-later
"""Message templates: identified by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import normalize
from ..api.client import path
from ..grafana_errors import GrafanaError
from ..model import Reference
from .base import (
    Kind,
    Live,
    Settings,
    Step,
    address_problem,
    deletion_headers,
    provenance_headers,
    provenance_of,
)
from .names import TEMPLATE

if TYPE_CHECKING:
    from ..api.client import Client
    from ..model import Body


TEST = path("alertmanager", "grafana", "config", "api", "v1", "templates", "test")
# Other errors are those of templates that this one calls, or of the test's alerts.
INVALID = "invalid_template"


class Template(Kind):
    """A group of message templates with a name; the templates that it defines have their own."""

    name = TEMPLATE
    has_provenance = True
    provenance_is_compared = True
    lists_everything = True
    uses_definitions_of = (TEMPLATE,)

    def definitions(self, body: Body) -> list[str]:
        """Return the names of the templates that the group defines."""
        return normalize.defined(body)

    def definitions_used(self, body: Body) -> list[Reference]:
        """Return the templates that its own templates call."""
        return called_templates(body)

    def prepared(self, body: Body, live: Live | None, settings: Settings) -> Body:
        """Return the template with a definition that every server recognizes."""
        return {**body, "template": normalize.defining(body["template"])}

    def expected(self, body: Body) -> Body:
        """Return the template trimmed, and wrapped if it defines nothing."""
        return {**body, "template": normalize.template(body["name"], body["template"])}

    def comparable(self, body: Body, like: Body) -> Body:
        """Return the content."""
        return {"template": body["template"]}

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return what some servers store and their Alertmanager then cannot load."""
        if "/" in body["name"]:
            return "the name of a template becomes a file's name, so it cannot hold a slash"
        if not body["template"].strip():
            return "a template cannot be empty"
        return address_problem(body["name"])

    def refusal(self, client: Client, step: Step) -> str | None:
        """Return the first error of Grafana's parser, whose functions differ by release."""
        sent = {**step.body, "name": step.identity, "alerts": []}
        try:
            answer = client.write("POST", TEST, step.about, sent) or {}
        except GrafanaError:
            # Not allowed, or too busy: the write itself shows what is wrong.
            return None
        errors = answer.get("errors") or []
        invalid = [error for error in errors if error.get("kind") == INVALID]
        return f"Grafana refuses it: {invalid[0].get('message')}" if invalid else None

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read all by one list; a server without any may answer 404."""
        items = client.find(path("v1", "provisioning", "templates")) or []
        return {item["name"]: _live(item) for item in items}

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Create or replace the group."""
        headers = provenance_headers(settings.provenance)
        client.write(
            "PUT",
            _where(step),
            step.about,
            {"template": step.body["template"]},
            headers,
        )

    def delete(self, client: Client, step: Step) -> None:
        """Delete the group."""
        client.write("DELETE", _where(step), step.about, headers=deletion_headers(step))


def called_templates(tree: Body | list[Body]) -> list[Reference]:
    """Return the templates that the strings of a JSON value call, without Grafana's own."""
    names = normalize.templates_used(tree)
    return [
        Reference(TEMPLATE, name)
        for name in names
        if not normalize.BUILT_IN_TEMPLATE.fullmatch(name)
    ]


def _where(step: Step) -> str:
    return path("v1", "provisioning", "templates", step.identity)


def _live(item: Body) -> Live:
    body = {"name": item["name"], "template": item.get("template", "")}
    return Live(body, provenance_of(item.get("provenance")))
