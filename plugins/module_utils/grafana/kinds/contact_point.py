# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact points: identified by name; each integration is an object of its own with a uid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import normalize, redact
from ..api.client import path
from ..grafana_errors import GrafanaError, Refused
from .base import (
    NO_PROVENANCE,
    Kind,
    Live,
    Settings,
    Step,
    deletion_headers,
    provenance_headers,
    provenance_of,
    strictest_provenance,
)
from .names import CONTACT_POINT, TEMPLATE
from .policy import FIRST_RECEIVERS
from .template import called_templates

if TYPE_CHECKING:
    from ..api.client import Client
    from ..model import Body, Reference

WHERE = path("v1", "provisioning", "contact-points")
# During a move: an integration cannot be in two contact points, and a route must always have one.
INTERIM = "-interim"
LONGEST_UID = 40
# Grafana judges the settings first, and then refuses this uid, so that it stores nothing.
REFUSED_UID = "-" * (LONGEST_UID + 1)
REFUSALS = ("failed to validate integration", "unknown integration type")
# The name of the integration in the first contact point.
FIRST_LISTED = "email receiver"
SECRETS_UNREADABLE = (
    "The user may not read the secrets of contact points,"
    " so a rotated one goes unnoticed."
)


class ContactPoint(Kind):
    """A contact point; its secrets are compared with Grafana's if the user may read them."""

    name = CONTACT_POINT
    has_provenance = True
    provenance_is_compared = True
    lists_everything = True
    uses_definitions_of = (TEMPLATE,)
    parts = "receivers"
    part_label = "integration"
    stages_moves = True
    in_use_blocker = "routes or rules still use it"

    def definitions_used(self, body: Body) -> list[Reference]:
        """Return the message templates that its integrations call."""
        return called_templates(body["receivers"])

    def deletion_blocker(self, identity: str) -> str | None:
        """Return that Grafana needs the contact point of its first policy tree."""
        return "Grafana needs it" if identity in FIRST_RECEIVERS else None

    def prepared(self, body: Body, live: Live | None, settings: Settings) -> Body:
        """Return the contact point with all fields of each integration."""
        receivers = [
            {
                "uid": receiver.get("uid") or "",
                "type": receiver["type"],
                "settings": receiver.get("settings") or {},
                "disableResolveMessage": bool(receiver.get("disableResolveMessage")),
            }
            for receiver in body["receivers"]
        ]
        return {"name": body["name"], "receivers": receivers}

    def comparable(self, body: Body, like: Body) -> Body:
        """Return the integrations by uid; a secret that Grafana hides counts as the desired one."""
        asked = {
            receiver["uid"]: receiver["settings"] for receiver in like["receivers"]
        }
        receivers = {}
        for receiver in body["receivers"]:
            uid = receiver["uid"]
            settings = _with_hidden_secrets(receiver["settings"], asked.get(uid, {}))
            receivers[uid] = {
                "type": receiver["type"].lower(),
                "settings": normalize.settings(settings),
                "disableResolveMessage": bool(receiver.get("disableResolveMessage")),
            }
        return {"receivers": receivers}

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return what Grafana would create twice, or not at all."""
        unloadable = normalize.unloadable(body)
        if unloadable:
            return unloadable
        uids = [receiver["uid"] for receiver in body["receivers"]]
        if not uids:
            return "a contact point needs at least one integration"
        if not all(uids):
            return "each integration needs a uid, else it could not be found again"
        duplicates = [uid for uid in uids if uids.count(uid) > 1]
        if duplicates:
            return f"two of its integrations have the uid {duplicates[0]}"
        longest = max(uids, key=len)
        if len(longest) > LONGEST_UID:
            return f"the uid {longest} is longer than {LONGEST_UID} characters"
        if live and not all(receiver["uid"] for receiver in live.body["receivers"]):
            return (
                "it has an integration without a uid, which the API cannot remove: "
                "take another name"
            )
        return None

    def refusal(self, client: Client, step: Step) -> str | None:
        """Return what Grafana says of the types and settings, which differ by release."""
        live_uids = _uids(step.live.body) if step.live else set()
        refusals = [
            _refusal(client, step, receiver)
            for receiver in step.body["receivers"]
            if receiver["uid"] not in live_uids or _differs(step, receiver["uid"])
        ]
        return "; ".join(filter(None, refusals)) or None

    def secrets(self, body: Body) -> set[str]:
        """Return all settings that may be secret."""
        secrets: set[str] = set()
        for receiver in body["receivers"]:
            secrets.update(redact.secret_settings(receiver["settings"] or {}))
        return secrets

    def redacted(self, comparable: Body) -> Body:
        """Return the integrations without the settings that may be secret."""
        receivers = {
            uid: {**receiver, "settings": redact.hidden_settings(receiver["settings"])}
            for uid, receiver in comparable["receivers"].items()
        }
        return {**comparable, "receivers": receivers}

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read all by an export, with secrets if the user may read them, and by a list."""
        exported = _export(client) or {}
        provenances = {
            (item.get("name"), item.get("uid")): provenance_of(item.get("provenance"))
            for item in client.get(WHERE) or []
        }
        points: dict[str, Live] = {}
        for point in exported.get("contactPoints") or []:
            listed, receivers = point["name"], point.get("receivers") or []
            name = _routed_name(listed, receivers)
            body = {
                "name": name,
                "receivers": [_receiver(receiver) for receiver in receivers],
            }
            own = {
                provenances.get((listed, receiver.get("uid")), NO_PROVENANCE)
                for receiver in receivers
            }
            points[name] = Live(body, strictest_provenance(own))
        return points

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Create and update integrations, then delete those that are not desired."""
        headers = provenance_headers(settings.provenance)
        live_uids = _uids(step.live.body) if step.live else set()
        for receiver in step.body["receivers"]:
            uid = receiver["uid"]
            if uid in step.moves:
                # It stays in its old contact point until nothing refers to that one.
                if interim(uid) not in live_uids:
                    _create(client, step, {**receiver, "uid": interim(uid)}, headers)
            elif uid not in live_uids:
                _create(client, step, receiver, headers)
            elif _differs(step, uid):
                sent = {**receiver, "name": step.identity}
                client.write("PUT", _where(uid), step.about, sent, headers)
        kept = _uids(step.body) | step.moves | {interim(uid) for uid in step.moves}
        for uid in sorted(live_uids - kept):
            _delete(client, step, uid)

    def finish(self, client: Client, step: Step, settings: Settings) -> None:
        """Take integrations that move out of their old contact points."""
        headers = provenance_headers(settings.provenance)
        for receiver in step.body["receivers"]:
            uid = receiver["uid"]
            if uid in step.moves:
                _delete(client, step, uid)
                _create(client, step, receiver, headers)
                _delete(client, step, interim(uid))

    def delete(self, client: Client, step: Step) -> None:
        """Delete the integrations, except those that have moved."""
        receivers = step.live.body["receivers"] if step.live else []
        for receiver in receivers:
            if receiver["uid"] not in step.moves:
                _delete(client, step, receiver["uid"])


def interim(uid: str) -> str:
    """Return the uid of the substitute for an integration that moves."""
    return uid[: LONGEST_UID - len(INTERIM)] + INTERIM


def _where(uid: str) -> str:
    return path("v1", "provisioning", "contact-points", uid)


def _uids(body: Body) -> set[str]:
    return {receiver["uid"] for receiver in body["receivers"]}


def _differs(step: Step, uid: str) -> bool:
    before, after = step.before or {}, step.after or {}
    if before.get("provenance") != after.get("provenance"):
        return True
    return not normalize.same(before["receivers"][uid], after["receivers"][uid])


def _create(
    client: Client, step: Step, receiver: Body, headers: dict[str, str]
) -> None:
    client.write(
        "POST", WHERE, step.about, {**receiver, "name": step.identity}, headers
    )


def _refusal(client: Client, step: Step, receiver: Body) -> str:
    try:
        _create(client, step, {**receiver, "uid": REFUSED_UID}, {})
    except GrafanaError as error:
        details: str = getattr(error, "details", "")
        if not any(sign in details for sign in REFUSALS):
            return ""
        details = details.replace(REFUSED_UID, receiver["uid"])
        return f"Grafana refuses it: {details}"
    # No known release stores it.
    _delete(client, step, REFUSED_UID)
    return ""


def _delete(client: Client, step: Step, uid: str) -> None:
    client.write("DELETE", _where(uid), step.about, headers=deletion_headers(step))


def _export(client: Client) -> Body | None:
    exported: Body | None
    try:
        exported = client.find(f"{WHERE}/export", format="json", decrypt="true")
    except Refused as refused:
        if refused.status != 403:
            raise
        client.warn(SECRETS_UNREADABLE)
        exported = client.find(f"{WHERE}/export", format="json")
    return exported


def _routed_name(listed: str, receivers: list[Body]) -> str:
    """Return the name that policies use of a listed contact point.

    Grafana 11 lists its first one by the name of its integration.
    """
    has_uid = any(receiver.get("uid") for receiver in receivers)
    return FIRST_RECEIVERS[0] if listed == FIRST_LISTED and not has_uid else listed


def _receiver(receiver: Body) -> Body:
    return {
        "uid": receiver.get("uid") or "",
        "type": receiver.get("type", ""),
        "settings": receiver.get("settings") or {},
        "disableResolveMessage": bool(receiver.get("disableResolveMessage")),
    }


def _with_hidden_secrets(live: Any, asked: Any) -> Any:
    """Return live settings with the desired value of each secret that Grafana does not show.

    Grafana also shows some values with doubled dollars.
    """
    if isinstance(live, dict):
        asked = asked if isinstance(asked, dict) else {}
        return {
            key: _with_hidden_secrets(value, asked.get(key))
            for key, value in live.items()
        }
    if not isinstance(live, str) or not isinstance(asked, str):
        return live
    is_hidden = live == redact.REDACTED or live.replace("$$", "$") == asked
    return asked if is_hidden else live
