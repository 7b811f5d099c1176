# SPDX-License-Identifier: GPL-3.0-or-later
"""Datasources: identified by uid; Grafana 13 serves no endpoint with their numeric ids."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import fingerprint, normalize, redact
from ..api.client import path
from .base import Kind, Live, Settings, Step
from .names import DATASOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..api.client import Client
    from ..model import Body
    from .base import Name

# A URL may contain one, and no output must.
PASSWORD = re.compile(r"(//[^/@:]*:)([^/@]+)(?=@)")
_HEX = "%[0-9a-fA-F]{2}"
# What Go's url.Parse takes.
URL = re.compile(
    r"[a-zA-Z][a-zA-Z0-9+.-]*://"
    rf"(?:(?:[\w.~!$&'()*+,;=:@-]|{_HEX})*@)?"
    rf"((?:[^\x00-\x20\x7f%/?#@\\^`{{|}}]|{_HEX})*)"
    rf"(?:/(?:[^\x00-\x1f\x7f%?#]|{_HEX})*)?"
    rf"(?:\?[^\x00-\x1f\x7f#]*)?(?:\#(?:[^\x00-\x1f\x7f%]|{_HEX})*)?",
    re.ASCII,
)
# The last colon of a host that is no address in brackets precedes its port.
PORT = re.compile(r"[^:]*|.*\]|.*:\d*", re.ASCII | re.DOTALL)
MSSQL = re.compile(r"[^\\:]+(?:\\[^:]+)?(?::\d+)?(?:;.+)?", re.ASCII)
PROVISIONED = "it is provisioned from a file; remove it from Grafana's provisioning directory first"

# The most bytes of a field.
LONGEST = {"name": 190, "url": 255}


class Datasource(Kind):
    """A datasource; its jsonData has a record of the digests of its write-only secrets."""

    name = DATASOURCE
    lists_everything = True
    lookup_field = "name"

    def definitions(self, body: Body) -> list[str]:
        """Return the name, by which old dashboards refer to it."""
        return [body["name"]] if body.get("name") else []

    def unique_names(self, identity: str, body: Body) -> dict[str, Name]:
        """Return the name."""
        return {identity: (body.get("name"),)}

    def prepared(self, body: Body, live: Live | None, settings: Settings) -> Body:
        """Return the datasource with all fields and the record of its secrets.

        An update takes a missing field for an empty one.
        """
        uid, live_body = body["uid"], live.body if live else {}
        live_json = live_body.get("jsonData") or {}
        record = live_json.get(fingerprint.RECORD)
        secrets = _secrets(body)
        # A null removes a key.
        other_keys = dict.fromkeys(live_json) if settings.exact_json_data else live_json
        sent = normalize.with_defaults(body, {}, normalize.DATASOURCE)
        sent["type"] = normalize.DATASOURCE_TYPES.get(sent["type"], sent["type"])
        sent["uid"] = uid
        sent["isDefault"] = bool(body.get("isDefault") or live_body.get("isDefault"))
        sent["jsonData"] = {**other_keys, **(body.get("jsonData") or {})}
        sent["secureJsonData"] = {**_removed_secrets(body, secrets, record), **secrets}
        sent["jsonData"].pop(fingerprint.RECORD, None)
        changes = not live or not normalize.same(
            normalize.datasource(live_body, sent), normalize.datasource(sent, sent)
        )
        new_record = (
            _new_record(uid, secrets, live, changes, settings) if secrets else None
        )
        sent["jsonData"][fingerprint.RECORD] = new_record
        return sent

    def comparable(self, body: Body, like: Body) -> Body:
        """Return the known fields, the desired keys of jsonData, and the record of the secrets."""
        result = normalize.datasource(body, like)
        return {**result, "secrets": result["jsonData"].pop(fingerprint.RECORD, None)}

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return which required field is missing, or that Grafana refuses the URL."""
        missing = [key for key in ("name", "type") if not body.get(key)]
        if missing:
            return f"a datasource needs a {missing[0]}"
        for key, limit in LONGEST.items():
            if len(str(body.get(key) or "").encode("utf-8", "replace")) > limit:
                return f"its {key} is longer than {limit} bytes"
        if body.get("url") and not _is_url(str(body["url"]), str(body["type"])):
            # It may contain a password, so that it is not shown.
            return "Grafana refuses its url: write one such as http://127.0.0.1:9090"
        return None

    def secrets(self, body: Body) -> set[str]:
        """Return the values of secureJsonData, and a password in the URL."""
        values = (body.get("secureJsonData") or {}).values()
        passwords = [found[1] for found in PASSWORD.findall(str(body.get("url") or ""))]
        return {str(value) for value in values if value}.union(passwords)

    def redacted(self, comparable: Body) -> Body:
        """Return the names of the secrets, each with a piece of its digest to show a rotation."""
        result = {key: value for key, value in comparable.items() if key != "secrets"}
        result["url"] = PASSWORD.sub(rf"\1{redact.HIDDEN}", result["url"])
        digests = _digests(comparable.get("secrets"))
        if digests is not None:
            result["secureJsonData"] = {
                field: f"{redact.HIDDEN} {str(digest)[:8]}"
                for field, digest in digests.items()
            }
        return result

    def order(self, steps: Sequence[Step]) -> list[Step]:
        """Return the default last: it takes the mark from the datasource that had it."""
        if any(_becomes_default(step) for step in steps):
            # The old default may have to wait for its name, and must not take the mark back.
            steps = [
                replace(step, body={**step.body, "isDefault": _becomes_default(step)})
                for step in steps
            ]
        return sorted(steps, key=lambda step: bool(step.body.get("isDefault")))

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read all by one list, which lacks several fields, and the named ones one by one."""
        items = {item["uid"]: item for item in client.get(path("datasources"))}
        uids = sorted(uid for uid in items if identities is None or uid in identities)
        details = client.each(lambda uid: _find(client, uid), uids)
        items.update({uid: item for uid, item in zip(uids, details) if item})
        return {uid: _live(item) for uid, item in items.items()}

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Create the datasource, or replace the version that was read."""
        json_data = {
            key: value
            for key, value in step.body["jsonData"].items()
            if value is not None
        }
        sent = {**step.body, "jsonData": json_data}
        if step.live is None:
            client.write("POST", path("datasources"), step.about, sent)
        else:
            sent["version"] = step.live.version
            client.write("PUT", _where(step.identity), step.about, sent)

    def delete(self, client: Client, step: Step) -> None:
        """Delete the datasource."""
        client.write("DELETE", _where(step.identity), step.about)


def _is_url(url: str, datasource_type: str) -> bool:
    """Return whether Grafana takes a URL; it adds http:// to one without a scheme."""
    if datasource_type == "mssql":
        return bool(MSSQL.fullmatch(url))
    match = URL.fullmatch(url if re.match("[^:]*://", url) else f"http://{url}")
    return bool(match and PORT.fullmatch(match[1]))


def _where(uid: str) -> str:
    return path("datasources", "uid", uid)


def _find(client: Client, uid: str) -> Body | None:
    item: Body | None = client.find(_where(uid), f"datasource {uid}")
    return item


def _becomes_default(step: Step) -> bool:
    return bool(step.asked.get("isDefault"))


def _secrets(body: Body) -> dict[str, str]:
    """Return the secrets that have a value; Grafana does not count the others as set."""
    given = body.get("secureJsonData") or {}
    return {
        field: str(value) for field, value in given.items() if value not in (None, "")
    }


def _removed_secrets(
    body: Body, secrets: dict[str, str], record: Any
) -> dict[str, str]:
    """Return an empty string, which removes a secret, for each that is not desired any more."""
    fields = {*(body.get("secureJsonData") or {}), *(_digests(record) or {})}
    return dict.fromkeys(sorted(fields - set(secrets)), "")


def _digests(record: Any) -> dict[str, str] | None:
    """Return the digests of a stored record, None for a value that is no record."""
    digests = record.get("digests") if isinstance(record, dict) else None
    return digests if isinstance(digests, dict) else None


def _new_record(
    uid: str,
    secrets: dict[str, str],
    live: Live | None,
    changes: bool,
    settings: Settings,
) -> Body:
    """Return the stored record if it holds and nothing is written, else a new one."""
    key = settings.fingerprint_key
    if live is None:
        return fingerprint.record(secrets, uid, key, settings.salt, 1)
    stored: Any = (live.body.get("jsonData") or {}).get(fingerprint.RECORD)
    holds = set(secrets) <= set(live.facts["secrets"])
    holds = holds and fingerprint.holds(stored, secrets, uid, key, live.version)
    if holds and not changes:
        unchanged: Body = stored
        return unchanged
    # With the same salt the digests stay, so that a diff shows no rotation where there is none.
    salt = stored["salt"] if holds else settings.salt
    return fingerprint.record(secrets, uid, key, salt, live.version + 1)


def _live(item: Body) -> Live:
    fields = item.get("secureJsonFields") or {}
    return Live(
        item,
        version=item.get("version") or 0,
        locked=PROVISIONED if item.get("readOnly") else "",
        facts={"secrets": tuple(field for field, is_set in fields.items() if is_set)},
    )
