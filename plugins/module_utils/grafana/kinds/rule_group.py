# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Groups of alert and recording rules: identified by the folder's uid and the group's title, written as a whole."""

from __future__ import annotations

import re
from typing import Any

from .. import normalize
from ..api.client import path
from .base import API, NO_PROVENANCE, Kind, Live, Settings, of_value, stamp

RULES = path("v1", "provisioning", "alert-rules")
EVALUATIONS = "missingSeriesEvalsToResolve"
LONGEST_UID = 40
UID = re.compile(r"[a-zA-Z0-9_-]*")
FILLED = {"noDataState": "NoData", "execErrState": "Alerting", "for": "0s"}


class RuleGroup(Kind):
    """A group, replaced in one transaction of the server; rules in it that are the same keep their state."""

    name = "rule_group"
    stamped = True

    def prepared(self, body: dict, live: Live | None, settings: Settings) -> dict:
        """With what the API insists on, filled as in Grafana's own files."""
        place = {"folderUID": body["folderUid"], "ruleGroup": body["title"]}
        rules = []
        for rule in body["rules"]:
            sent = {
                key: value
                for key, value in rule.items()
                if key not in normalize.RULE_OWN and value is not None
            }
            if sent.get(EVALUATIONS) in (0, -1):
                # Refused as a number of evaluations; without it Grafana takes its own.
                del sent[EVALUATIONS]
            rules.append({**({} if sent.get("record") else FILLED), **sent, **place})
        return {
            "folderUid": body["folderUid"],
            "title": body["title"],
            "interval": body["interval"],
            "rules": rules,
        }

    def comparable(self, body: dict, like: dict) -> dict:
        """Interval and rules in their order, which is that of their evaluation."""
        asked = {rule.get("uid"): rule for rule in like["rules"]}
        rules = [normalize.rule(rule, asked.get(rule.get("uid"), {})) for rule in body["rules"]]
        return {"interval": body["interval"], "rules": rules}

    def problem(self, body: dict, live: Live | None) -> str:
        """What servers accept and then do wrong."""
        uids = [rule.get("uid") or "" for rule in body["rules"]]
        if not uids:
            return "a group without rules leaves those that are there alone: give it the state absent instead"
        if not all(uids):
            # Some servers would overwrite the first rule of the organization.
            return f"rule {body['rules'][uids.index('')].get('title')!r} needs a uid"
        if len(set(uids)) < len(uids):
            return (
                f"two of its rules have the uid {next(uid for uid in uids if uids.count(uid) > 1)}"
            )
        if [uid for uid in uids if len(uid) > LONGEST_UID]:
            return f"the uid {max(uids, key=len)} of a rule is longer than {LONGEST_UID} characters"
        if [uid for uid in uids if not UID.fullmatch(uid)]:
            return "the uid of a rule is made of letters, digits, dashes and underscores"
        if not body["folderUid"]:
            return "rules need a folder"
        if (
            not isinstance(body["interval"], int)
            or body["interval"] <= 0
            or body["interval"] % normalize.BASE_INTERVAL
        ):
            return f"its interval must be a whole multiple of {normalize.BASE_INTERVAL} s, not {body['interval']} s"
        return ""

    def order(self, steps: list) -> list:
        """Each group after those that take rules from it, since a rule that is gone from its group is deleted."""
        takers = {uid: id(step) for step in steps for uid in _rules(step.body) - _had(step)}
        waits = {
            id(step): {takers[uid] for uid in _had(step) - _rules(step.body) if uid in takers}
            for step in steps
        }
        result, waiting = [], list(steps)
        while waiting:
            ids = {id(step) for step in waiting}
            # Of groups that take rules from each other one has to be the first.
            free = [step for step in waiting if not waits[id(step)] & ids] or waiting[:1]
            result += free
            waiting = [step for step in waiting if all(step is not one for one in free)]
        return result

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """By two lists: the export knows intervals and order, the rules their content and provenance."""
        exported = client.find(f"{RULES}/export", format="json") or {}
        rules = {rule["uid"]: rule for rule in client.get(RULES) or []}
        found: dict = {}
        for group in exported.get("groups") or []:
            held = [rules[rule["uid"]] for rule in group.get("rules") or [] if rule["uid"] in rules]
            if held:
                # Names are escaped in the export, so they are taken from the rules.
                folder, title = held[0]["folderUID"], held[0]["ruleGroup"]
                interval = int(normalize.milliseconds(group.get("interval")) // 1000)
                body = {"folderUid": folder, "title": title, "interval": interval, "rules": held}
                found[f"{folder}/{title}"] = Live(body, _provenance(held))
        return found

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Replace the group."""
        sent = {
            **step.body,
            "rules": [{**rule, "orgID": client.org} for rule in step.body["rules"]],
        }
        client.write("PUT", _where(step.body), step.about, sent, stamp(settings.provenance))

    def delete(self, client: Any, step: Any) -> None:
        """Delete the group with its rules."""
        client.write(
            "DELETE", _where(step.live.body), step.about, headers=stamp(step.live.provenance)
        )


def _had(step: Any) -> set:
    return _rules(step.live.body) if step.live else set()


def _rules(body: dict) -> set:
    """The uids of a group's rules."""
    return {rule["uid"] for rule in body.get("rules") or []}


def _where(body: dict) -> str:
    return path("v1", "provisioning", "folder", body["folderUid"], "rule-groups", body["title"])


def _provenance(rules: list) -> str:
    """The one among those of its rules that is hardest to change."""
    found = {of_value(rule.get("provenance")) for rule in rules}
    others = sorted(found - {API, NO_PROVENANCE})
    return others[0] if others else NO_PROVENANCE if NO_PROVENANCE in found else API


RULE_GROUP = RuleGroup()
