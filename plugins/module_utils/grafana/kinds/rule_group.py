# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Groups of alert and recording rules: identified by folder and title, written as a whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .. import normalize, schedules
from ..api.client import path
from ..model import Reference
from .base import (
    Kind,
    Live,
    Settings,
    Step,
    deletion_headers,
    provenance_headers,
    provenance_of,
    strictest_provenance,
)
from .names import CONTACT_POINT, DATASOURCE, FOLDER, MUTE_TIMING, RULE_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..api.client import Client
    from ..model import Body
    from .base import Existing, Name

RULES = path("v1", "provisioning", "alert-rules")
EVALUATIONS = "missingSeriesEvalsToResolve"
# Grafana 11 takes these and stores none of them.
NEWER_FIELDS = (
    "keep_firing_for",
    EVALUATIONS,
    "notification_settings.active_time_intervals",
)
NEWER_SINCE = 12
LONGEST_UID = 40
UID = re.compile(r"[a-zA-Z0-9_-]*")
DEFAULTS = {"noDataState": "NoData", "execErrState": "Alerting", "for": "0s"}


class RuleGroup(Kind):
    """A group, replaced in one transaction of the server; its unchanged rules keep their state."""

    name = RULE_GROUP
    has_provenance = True
    lists_everything = True
    refers_to = (FOLDER, CONTACT_POINT, MUTE_TIMING)
    parent_field = "folderUid"
    count_names = ("alertrule", "alertrules", "recordingrules")
    parts = "rules"
    part_label = "rule"
    names_repeat_since = 12

    def references(self, body: Body) -> list[Reference]:
        """Return the folder, and the contact points and timings that the rules name themselves."""
        used: set[Reference] = set()
        for rule in body["rules"]:
            settings = rule.get("notification_settings") or {}
            if settings.get("receiver"):
                used.add(Reference(CONTACT_POINT, settings["receiver"]))
            for key in normalize.TIMINGS:
                used.update(
                    Reference(MUTE_TIMING, name) for name in settings.get(key) or []
                )
        return [Reference(FOLDER, body["folderUid"]), *sorted(used)]

    def unique_names(self, identity: str, body: Body) -> dict[str, Name]:
        """Return the title of each rule, unique in the folder."""
        folder = body.get("folderUid") or ""
        return {rule["uid"]: (rule.get("title"), folder) for rule in body["rules"]}

    def prepared(self, body: Body, live: Live | None, settings: Settings) -> Body:
        """Return the group with the fields that the API requires, filled as in Grafana's files."""
        return {
            "folderUid": body["folderUid"],
            "title": body["title"],
            "interval": body["interval"],
            "rules": [_sent(rule, body) for rule in body["rules"]],
        }

    def comparable(self, body: Body, like: Body) -> Body:
        """Return the interval, and the rules in the order of their evaluation."""
        asked = {rule.get("uid"): rule for rule in like["rules"]}
        rules = [
            normalize.rule(rule, asked.get(rule.get("uid"), {}))
            for rule in body["rules"]
        ]
        return {"interval": body["interval"], "rules": rules}

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return what servers accept and then do wrong."""
        blocker = _uid_blocker(body["rules"])
        if blocker:
            return blocker
        if not body["folderUid"]:
            return "rules need a folder"
        interval, base = body["interval"], normalize.BASE_INTERVAL
        if not isinstance(interval, int) or interval <= 0 or interval % base:
            return (
                f"its interval must be a whole multiple of {base} s, not {interval} s"
            )
        return next(_problems(body["rules"]), None)

    def server_blocker(
        self, body: Body, release: Callable[[], int], existing: Existing
    ) -> str | None:
        """Return a field that Grafana 11 drops, or a query that Loki answers with a range."""
        types = {
            uid: live.body.get("type")
            for uid, live in existing.get(DATASOURCE, {}).items()
        }
        for rule in body["rules"]:
            fields = [field for field in NEWER_FIELDS if _is_set(rule, field)]
            # Every release drops them from a recording rule.
            is_dropped = fields and not rule.get("record")
            if is_dropped and 0 < release() < NEWER_SINCE:
                return (
                    f"rule {rule.get('title')}: Grafana before {NEWER_SINCE} has no"
                    f" {', '.join(fields)}: leave it out"
                )
            for query in rule.get("data") or []:
                uid, model = query.get("datasourceUid"), query.get("model") or {}
                if types.get(uid) == "loki" and _is_untyped(model):
                    return (
                        f"rule {rule.get('title')}: datasource {uid} is of type loki: set"
                        " datasource_type loki, or queryType instant in the query's model"
                    )
        return None

    def order(self, steps: Sequence[Step]) -> list[Step]:
        """Return each group after those that take rules from it.

        A rule that is gone from its group is deleted, and the state of its alerts with it.
        """
        takers: dict[str, int] = {}
        for step in steps:
            takers.update(dict.fromkeys(_uids(step.body) - _live_uids(step), id(step)))
        waits: dict[int, set[int]] = {}
        for step in steps:
            given = _live_uids(step) - _uids(step.body)
            waits[id(step)] = {takers[uid] for uid in given if uid in takers}
        ordered: list[Step] = []
        waiting = list(steps)
        while waiting:
            ids = {id(step) for step in waiting}
            ready = [step for step in waiting if not waits[id(step)] & ids]
            # Of groups that take rules from each other one has to be the first.
            ready = ready or waiting[:1]
            ordered += ready
            ready_ids = {id(step) for step in ready}
            waiting = [step for step in waiting if id(step) not in ready_ids]
        return ordered

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Read all by two lists: an export for intervals and order, the rules for the rest."""
        exported = client.find(f"{RULES}/export", format="json") or {}
        rules = {rule["uid"]: rule for rule in client.get(RULES) or []}
        groups: dict[str, Live] = {}
        for group in exported.get("groups") or []:
            uids = [rule["uid"] for rule in group.get("rules") or []]
            own = [rules[uid] for uid in uids if uid in rules]
            if not own:
                continue
            # Names are escaped in the export, so they are taken from the rules.
            folder, title = own[0]["folderUID"], own[0]["ruleGroup"]
            interval = (schedules.milliseconds(group["interval"]) or 0) // 1000
            body = {
                "folderUid": folder,
                "title": title,
                "interval": interval,
                "rules": own,
            }
            provenances = {provenance_of(rule.get("provenance")) for rule in own}
            groups[f"{folder}/{title}"] = Live(body, strictest_provenance(provenances))
        return groups

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Replace the group."""
        rules = [{**rule, "orgID": client.org} for rule in step.body["rules"]]
        headers = provenance_headers(settings.provenance)
        client.write(
            "PUT", _where(step.body), step.about, {**step.body, "rules": rules}, headers
        )

    def delete(self, client: Client, step: Step) -> None:
        """Delete the group with its rules."""
        body = step.live.body if step.live else step.body
        client.write("DELETE", _where(body), step.about, headers=deletion_headers(step))


def _sent(rule: Body, group: Body) -> Body:
    """Return a rule as the API takes it."""
    given = {
        key: value
        for key, value in rule.items()
        if key not in normalize.RULE_OWN and value is not None
    }
    if given.get(EVALUATIONS) in (0, -1):
        # Refused as a number of evaluations; without it Grafana takes its own.
        del given[EVALUATIONS]
    defaults: dict[str, Any] = {} if given.get("record") else DEFAULTS
    location = {"folderUID": group["folderUid"], "ruleGroup": group["title"]}
    return {**defaults, **given, **location}


def _problems(rules: list[Body]) -> Iterator[str]:
    """Yield why Grafana refuses the durations and notification settings of rules."""
    for rule in rules:
        settings = rule.get("notification_settings") or {}
        for problem in (
            *schedules.duration_problems(rule, ("for", "keep_firing_for")),
            *schedules.notification_problems(settings),
        ):
            yield f"rule {rule.get('title')}: {problem}"


def _uid_blocker(rules: list[Body]) -> str | None:
    uids = [rule.get("uid") or "" for rule in rules]
    if not uids:
        return (
            "a group without rules leaves those that are there alone: "
            "give it the state absent instead"
        )
    if not all(uids):
        # Some servers would overwrite the first rule of the organization.
        return f"rule {rules[uids.index('')].get('title')!r} needs a uid"
    duplicates = [uid for uid in uids if uids.count(uid) > 1]
    if duplicates:
        return f"two of its rules have the uid {duplicates[0]}"
    longest = max(uids, key=len)
    if len(longest) > LONGEST_UID:
        return f"the uid {longest} of a rule is longer than {LONGEST_UID} characters"
    if not all(UID.fullmatch(uid) for uid in uids):
        return "the uid of a rule is made of letters, digits, dashes and underscores"
    return None


def _is_set(rule: Body, field: str) -> bool:
    value = rule
    for key in field.split("."):
        value = value.get(key) or {}
    is_zero = isinstance(value, str) and schedules.milliseconds(value) == 0
    return bool(value) and not is_zero


def _is_untyped(model: Body) -> bool:
    return bool(model.get("instant")) and not model.get("queryType")


def _live_uids(step: Step) -> set[str]:
    return _uids(step.live.body) if step.live else set()


def _uids(body: Body) -> set[str]:
    return {rule["uid"] for rule in body.get("rules") or []}


def _where(body: Body) -> str:
    return path(
        "v1", "provisioning", "folder", body["folderUid"], "rule-groups", body["title"]
    )
