# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names that only one object may have, and the order in which a run passes them on. Pure."""

from __future__ import annotations

from .plan_checks import GENERAL, objected
from .sync_plan import CREATE, DELETE, KEEP, UPDATE, Step

# Kinds whose names Grafana wants to be unique, or would overwrite by.
NAMED = ("folder", "datasource", "dashboard", "rule_group")
# From this version on rules of one folder may have the same title.
RULES_ARE_FREE = 12


def names(kind: str, identity: str, body: dict) -> dict:
    """What people know an object by, or each rule of a group: uid -> name."""
    if kind == "folder":
        return {identity: (body.get("title"), body.get("parentUid") or "")}
    if kind == "datasource":
        return {identity: (body.get("name"),)}
    place = body.get("folderUid") or ""
    if kind == "rule_group":
        return {rule["uid"]: (rule.get("title"), place) for rule in body["rules"]}
    return {identity: (body["dashboard"].get("title"), "" if place == GENERAL else place)}


def taking(steps: list) -> list:
    """Kinds of which an object comes, or gets another name or place."""
    return sorted({step.kind for step in steps if _taken(step)})


def check(steps: list, name_owners: dict) -> list:
    """Steps, in conflict where their name is another's or goes round; holders is kind -> name -> uids."""
    left = {(step.kind, uid) for step in steps for uid in _left(step)}
    going = {(step.kind, uid) for step in steps if step.action == DELETE for uid in _had(step)}
    folders = {step.identity for step in steps if step.kind == "folder" and step.after is not None}
    asked: dict = {}
    objections = {}
    for step in steps:
        if step.kind == "dashboard" and step.action == CREATE and step.identity in folders:
            objections[id(step)] = "a folder has the same uid, which Grafana 11 does not take"
            continue
        taken = _taken(step)
        for uid, name in _has(step).items() if step.kind in name_owners else ():
            new = uid in taken
            twin, twin_is_new = asked.setdefault((step.kind, name), (step, new))
            held = name_owners[step.kind].get(name, ()) if new else ()
            others = [other for other in held if other != uid and (step.kind, other) not in left]
            # Two that have been there with one name, which newer servers allow, are left alone.
            if twin is not step and (new or twin_is_new):
                objections[id(step)] = f"{twin.about} has the same name and place"
            elif others:
                last = ", which goes after all else" if (step.kind, others[0]) in going else ""
                word = step.kind.replace("rule_group", "rule")
                objections[id(step)] = (
                    f"its name {name[0]!r} is taken there by the {word} with the uid {others[0]}{last}"
                )
    for kind in name_owners:
        for step, name, other in in_turn([step for step in steps if step.kind == kind])[1]:
            reason = f"its name {name!r} is still that of {other.about}, and they go round: give one a third name first"
            objections.setdefault(id(step), reason)
    return objected(steps, objections)


def in_turn(steps: list) -> tuple:
    """Steps of one kind in lists, each after the lists of those whose names it takes; and those that never get a turn.

    The latter as (Step, name, Step that has the name). Folders may have the same title for a while.
    """
    givers = {
        name: (uid, step)
        for step in steps
        if step.kind != "folder"
        for uid, name in _left(step).items()
    }
    waits = {
        id(step): [
            (name[0], givers[name][1])
            for uid, name in _taken(step).items()
            if givers.get(name, (uid,))[0] != uid
        ]
        for step in steps
    }
    lists, waiting = [], list(steps)
    while waiting:
        ids = {id(step) for step in waiting}
        # What is passed on within a group is the server's to order.
        held = {
            id(step): [one for one in waits[id(step)] if id(one[1]) in ids - {id(step)}]
            for step in waiting
        }
        free = [step for step in waiting if not held[id(step)]]
        if not free:
            return lists, [(step, *held[id(step)][0]) for step in waiting]
        lists.append(free)
        waiting = [step for step in waiting if held[id(step)]]
    return lists, []


def _had(step: Step) -> dict:
    return (
        names(step.kind, step.identity, step.live.body) if step.live and step.kind in NAMED else {}
    )


def _has(step: Step) -> dict:
    there = step.action in (CREATE, UPDATE, KEEP) and step.after is not None
    return names(step.kind, step.identity, step.body) if there and step.kind in NAMED else {}


def _taken(step: Step) -> dict:
    """Names that are new to their uid."""
    had = _had(step)
    return {
        uid: name
        for uid, name in _has(step).items()
        if step.action != KEEP and had.get(uid) != name
    }


def _left(step: Step) -> dict:
    """Names that their uid has no more once the step is written."""
    has = _has(step)
    return {
        uid: name
        for uid, name in _had(step).items()
        if step.action == UPDATE and has.get(uid) != name
    }
