# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Contact points: identified by name; each of their integrations is an object of its own, identified by uid."""

from __future__ import annotations

from typing import Any

from .. import normalize, redact
from ..api.client import path
from ..grafana_errors import Refused
from .base import API, NO_PROVENANCE, Kind, Live, Settings, of_value, stamp

WHERE = path("v1", "provisioning", "contact-points")
# For the time of a move: an integration cannot be in two contact points, and a route must always have one.
INTERIM = "-interim"
LONGEST_UID = 40


class ContactPoint(Kind):
    """A contact point. Its secrets are compared with those that Grafana has, where the user may read them."""

    name = "contact_point"
    stamped = True
    provenance_is_compared = True

    def prepared(self, body: dict, live: Live | None, settings: Settings) -> dict:
        """With each integration's fields."""
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

    def comparable(self, body: dict, like: dict) -> dict:
        """The integrations by uid; a secret that Grafana does not show counts as the one that was asked for."""
        asked = {receiver["uid"]: receiver["settings"] for receiver in like["receivers"]}
        return {
            "receivers": {
                receiver["uid"]: {
                    "type": receiver["type"].lower(),
                    "settings": normalize.settings(
                        _known(receiver["settings"], asked.get(receiver["uid"], {}))
                    ),
                    "disableResolveMessage": bool(receiver.get("disableResolveMessage")),
                }
                for receiver in body["receivers"]
            }
        }

    def problem(self, body: dict, live: Live | None) -> str:
        """What would be made twice, or not at all."""
        uids = [receiver["uid"] for receiver in body["receivers"]]
        if not uids:
            return "a contact point needs at least one integration"
        if not all(uids):
            return "each integration needs a uid, else it could not be found again"
        if len(set(uids)) < len(uids):
            return f"two of its integrations have the uid {next(uid for uid in uids if uids.count(uid) > 1)}"
        if len(max(uids, key=len)) > LONGEST_UID:
            return f"the uid {max(uids, key=len)} is longer than {LONGEST_UID} characters"
        if live and not all(receiver["uid"] for receiver in live.body["receivers"]):
            return "it has an integration without a uid, which the API cannot remove: take another name"
        return ""

    def secrets(self, body: dict) -> set:
        """All settings that may be secret."""
        return {
            text
            for receiver in body["receivers"]
            for text in redact.secret_settings(receiver["settings"] or {})
        }

    def shown(self, comparable: dict) -> dict:
        """The integrations without what may be secret."""
        receivers = comparable["receivers"].items()
        return {
            **comparable,
            "receivers": {
                uid: {**one, "settings": redact.hidden_settings(one["settings"])}
                for uid, one in receivers
            },
        }

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """By an export with the secrets, or without them where the user may not have those, and a list."""
        exported = _exported(client)
        listed = client.get(WHERE) or []
        origin = {
            (item.get("name"), item.get("uid")): of_value(item.get("provenance")) for item in listed
        }
        found: dict = {}
        for point in (exported or {}).get("contactPoints") or []:
            name, receivers = point["name"], point.get("receivers") or []
            body = {"name": name, "receivers": [_receiver(receiver) for receiver in receivers]}
            provenances = {
                origin.get((name, receiver.get("uid")), NO_PROVENANCE) for receiver in receivers
            }
            found[name] = Live(body, _hardest(provenances), facts={"of": name})
        return found

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Create and update the integrations, then delete those that are too many."""
        headers = stamp(settings.provenance)
        had = (
            {receiver["uid"]: receiver for receiver in step.live.body["receivers"]}
            if step.live
            else {}
        )
        before = (step.before or {}).get("receivers", {})
        for receiver in step.body["receivers"]:
            uid = receiver["uid"]
            if uid in step.moves:
                # It is still needed where it is; what refers to the contact point is led here first.
                if interim(uid) not in had:
                    _create(client, step, {**receiver, "uid": interim(uid)}, headers)
            elif uid not in had:
                _create(client, step, receiver, headers)
            elif self._differs(step, uid, before):
                where = f"{WHERE}{path(uid)[4:]}"
                client.write("PUT", where, step.about, {**receiver, "name": step.identity}, headers)
        desired = {receiver["uid"] for receiver in step.body["receivers"]}
        for uid in sorted(set(had) - desired - step.moves - {interim(uid) for uid in step.moves}):
            _delete(client, step, uid)

    @staticmethod
    def _differs(step: Any, uid: str, before: dict) -> bool:
        provenance = step.before.get("provenance") != step.after.get("provenance")
        return provenance or not normalize.same(before[uid], step.after["receivers"][uid])

    def finish(self, client: Any, step: Any, settings: Settings) -> None:
        """Take the integrations that move out of their old contact points."""
        for receiver in step.body["receivers"]:
            if receiver["uid"] in step.moves:
                _delete(client, step, receiver["uid"])
                _create(client, step, receiver, stamp(settings.provenance))
                _delete(client, step, interim(receiver["uid"]))

    def delete(self, client: Any, step: Any) -> None:
        """Delete its integrations, but for those that have moved."""
        for receiver in step.live.body["receivers"]:
            if receiver["uid"] not in step.moves:
                _delete(client, step, receiver["uid"])


def interim(uid: str) -> str:
    """uid of the integration that stands in for one that moves."""
    return uid[: LONGEST_UID - len(INTERIM)] + INTERIM


def _create(client: Any, step: Any, receiver: dict, headers: dict) -> None:
    client.write("POST", WHERE, step.about, {**receiver, "name": step.identity}, headers)


def _delete(client: Any, step: Any, uid: str) -> None:
    provenance = step.live.provenance if step.live else API
    client.write("DELETE", f"{WHERE}{path(uid)[4:]}", step.about, headers=stamp(provenance))


def _exported(client: Any) -> dict | None:
    try:
        return client.find(f"{WHERE}/export", format="json", decrypt="true")
    except Refused as refused:
        if refused.status != 403:
            raise
        client.warn(
            "The user may not read the secrets of contact points, so a rotated one goes unnoticed."
        )
        return client.find(f"{WHERE}/export", format="json")


def _receiver(receiver: dict) -> dict:
    return {
        "uid": receiver.get("uid") or "",
        "type": receiver.get("type", ""),
        "settings": receiver.get("settings") or {},
        "disableResolveMessage": bool(receiver.get("disableResolveMessage")),
    }


def _known(settings: Any, asked: Any) -> Any:
    """Settings with what was asked for in the place of what Grafana does not show, or shows with doubled dollars."""
    if isinstance(settings, dict):
        asked = asked if isinstance(asked, dict) else {}
        return {key: _known(value, asked.get(key)) for key, value in settings.items()}
    texts = isinstance(settings, str) and isinstance(asked, str)
    hides = texts and (settings == redact.REDACTED or settings.replace("$$", "$") == asked)
    return asked if hides else settings


def _hardest(provenances: set) -> str:
    others = sorted(provenances - {API, NO_PROVENANCE})
    return others[0] if others else NO_PROVENANCE if NO_PROVENANCE in provenances else API


CONTACT_POINT = ContactPoint()
