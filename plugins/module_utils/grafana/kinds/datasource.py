# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Datasources: identified by uid, never by a number, since Grafana 13 serves no endpoint with one."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from .. import fingerprint, normalize, redact
from ..api.client import path
from .base import Kind, Live, Settings

# What an address may hold, and no output.
PASSWORD = re.compile(r"(//[^/@:]*:)([^/@]+)(?=@)")


class Datasource(Kind):
    """A datasource. Its secrets are write-only: a record of their digests is kept in its jsonData."""

    name = "datasource"

    def prepared(self, body: dict, live: Live | None, settings: Settings) -> dict:
        """With all fields, since an update takes a missing one for empty, and with the record of the secrets."""
        uid, had = body["uid"], live.body if live else {}
        sent = normalize.with_defaults(body, {}, normalize.DATASOURCE)
        sent["type"] = normalize.DATASOURCE_TYPES.get(sent["type"], sent["type"])
        held = had.get("jsonData") or {}
        # A null takes a key away.
        extra = dict.fromkeys(held) if settings.exact_json_data else held
        asked = {
            key: "" if value is None else str(value)
            for key, value in (body.get("secureJsonData") or {}).items()
        }
        # Grafana says of one without a value that it has it not.
        secrets = {field: value for field, value in asked.items() if value}
        kept = held.get(fingerprint.RECORD)
        gone = {*asked, *(kept["digests"] if _is_record(kept) else ())} - set(secrets)
        sent.update(
            uid=uid,
            isDefault=bool(body.get("isDefault") or had.get("isDefault")),
            jsonData={**extra, **(body.get("jsonData") or {})},
            # An empty text takes a secret away.
            secureJsonData={**dict.fromkeys(sorted(gone), ""), **secrets},
        )
        sent["jsonData"].pop(fingerprint.RECORD, None)
        changes = not live or not normalize.same(
            normalize.datasource(had, sent), normalize.datasource(sent, sent)
        )
        record = _record(uid, secrets, kept, live, changes, settings) if secrets else None
        sent["jsonData"][fingerprint.RECORD] = record
        return sent

    def comparable(self, body: dict, like: dict) -> dict:
        """The fields of the table, the asked-for keys of jsonData, the default one-sided, and the digests."""
        result = normalize.datasource(body, like)
        return {**result, "secrets": result["jsonData"].pop(fingerprint.RECORD, None)}

    def problem(self, body: dict, live: Live | None) -> str:
        """A datasource must say what it is."""
        missing = [key for key in ("name", "type") if not body.get(key)]
        return f"a datasource needs a {missing[0]}" if missing else ""

    def secrets(self, body: dict) -> set:
        """The values of its secureJsonData, and a password in its address."""
        found = {str(value) for value in (body.get("secureJsonData") or {}).values() if value}
        return found | {
            password for _before, password in PASSWORD.findall(str(body.get("url") or ""))
        }

    def shown(self, comparable: dict) -> dict:
        """Names of the secrets with a piece of each digest, so that a rotated one shows as changed."""
        result = {key: value for key, value in comparable.items() if key != "secrets"}
        result["url"] = PASSWORD.sub(rf"\1{redact.HIDDEN}", result["url"])
        kept = comparable.get("secrets")
        if _is_record(kept):
            shown = {
                field: f"{redact.HIDDEN} {str(digest)[:8]}"
                for field, digest in kept["digests"].items()
            }
            result["secureJsonData"] = shown
        return result

    def order(self, steps: list) -> list:
        """The default last: it takes the mark from the one that had it."""
        if any(step.asked.get("isDefault") for step in steps):
            # That one may have to wait for its name, and must not take the mark back.
            marks = [bool(step.asked.get("isDefault")) for step in steps]
            steps = [
                replace(step, body={**step.body, "isDefault": mark})
                for step, mark in zip(steps, marks)
            ]
        return sorted(steps, key=lambda step: bool(step.body.get("isDefault")))

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """The list lacks several fields, so each one that matters is read by itself as well."""
        listed = {item["uid"]: item for item in client.get(path("datasources"))}
        uids = sorted(uid for uid in listed if identities is None or uid in identities)
        whole = client.each(
            lambda uid: client.find(path("datasources", "uid", uid), f"datasource {uid}"), uids
        )
        listed.update({uid: item for uid, item in zip(uids, whole) if item})
        return {uid: _live(item) for uid, item in listed.items()}

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Create it, or replace the version that was read."""
        json_data = {
            key: value for key, value in step.body["jsonData"].items() if value is not None
        }
        sent = {**step.body, "jsonData": json_data}
        if step.live is None:
            client.write("POST", path("datasources"), step.about, sent)
        else:
            sent["version"] = step.live.version
            client.write("PUT", path("datasources", "uid", step.identity), step.about, sent)

    def delete(self, client: Any, step: Any) -> None:
        """Delete it."""
        client.write("DELETE", path("datasources", "uid", step.identity), step.about)


def _is_record(kept: Any) -> bool:
    return isinstance(kept, dict) and isinstance(kept.get("digests"), dict)


def _record(
    uid: str, secrets: dict, kept: Any, live: Live | None, changes: bool, settings: Settings
) -> dict:
    """The record that is there when it still holds and nothing is written, else one for the next version."""
    key, version = settings.fingerprint_key, live.version if live else 0
    known = live is not None and set(secrets) <= set(live.facts["secrets"])
    holds = known and fingerprint.holds(kept, secrets, uid, key, version)
    if holds and not changes:
        return kept
    # With the same salt the digests stay, so that a diff does not tell of a rotation that is none.
    return fingerprint.record(
        secrets, uid, key, kept["salt"] if holds else settings.salt, version + 1
    )


def _live(item: dict) -> Live:
    locked = "it is provisioned from a file; remove it from Grafana's provisioning directory first"
    return Live(
        item,
        version=item.get("version") or 0,
        locked=locked if item.get("readOnly") else "",
        facts={
            "secrets": tuple(
                key for key, held in (item.get("secureJsonFields") or {}).items() if held
            )
        },
    )


DATASOURCE = Datasource()
