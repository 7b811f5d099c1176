# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must hold of a plan as a whole before anything is written. Pure."""

from __future__ import annotations

from dataclasses import replace

from ..kinds.base import API, NO_PROVENANCE
from ..kinds.names import KINDS
from ..kinds.policy import names
from ..kinds.registry import REGISTRY
from ..normalize import BUILT_IN_TEMPLATE, TIMINGS, defined, templates_used
from .sync_plan import (
    CONFLICT,
    CREATE,
    DELETE,
    KEEP,
    PRUNE,
    UNMANAGED,
    UPDATE,
    Rules,
    Step,
    hindrance,
    title,
)

IN_USE = "routes or rules still use it"
# From this version on an object of this provenance may be handed back to the people who use the interface.
HANDS_BACK = 13
GENERAL = "general"


def refused(steps: list) -> list:
    """One line for each object that keeps the run from beginning."""
    return [
        f"{step.about}: {step.reason}" for step in steps if step.action in (CONFLICT, UNMANAGED)
    ]


def objected(steps: list, objections: dict) -> list:
    """Steps, in conflict where there is an objection (id of a Step -> reason); a prune spares the object instead."""
    return [
        replace(
            step, action=KEEP if step.source == PRUNE else CONFLICT, reason=objections[id(step)]
        )
        if id(step) in objections
        else step
        for step in steps
    ]


def references(steps: list) -> list:
    """What must be there for the writes of these steps, as (kind, identity, Step)."""
    found = []
    for step in steps:
        if step.action not in (CREATE, UPDATE):
            continue
        if step.kind == "policy":
            found += [
                ("contact_point", name, step) for name in sorted(names(step.body, "receiver"))
            ]
            timings = set().union(*(names(step.body, key) for key in TIMINGS))
            found += [("mute_timing", name, step) for name in sorted(timings)]
        elif step.kind == "rule_group":
            found.append(("folder", step.body["folderUid"], step))
            found += [(kind, name, step) for kind, name in sorted(_used_by(step.body))]
        else:
            parent = {"folder": "parentUid", "dashboard": "folderUid"}.get(step.kind)
            if parent and step.body.get(parent) not in (None, "", GENERAL):
                found.append(("folder", step.body[parent], step))
    return found


def _used_by(group: dict) -> set:
    """Contact points and timings that the rules of a group name themselves."""
    found = set()
    for rule in group["rules"]:
        settings = rule.get("notification_settings") or {}
        found |= {("contact_point", settings["receiver"])} if settings.get("receiver") else set()
        found |= {("mute_timing", name) for key in TIMINGS for name in settings.get(key) or []}
    return found


def check_references(steps: list, live: dict, required: list) -> list:
    """Steps, in conflict where they need what will not be there; required are (kind, identity, source) beside."""
    there = {kind: set(live.get(kind, ())) for kind in KINDS}
    # Grafana does not list one without integrations, such as the one of its first tree.
    there["contact_point"] |= {
        name for tree in live.get("policy", {}).values() for name in names(tree.body, "receiver")
    }
    for step in steps:
        (there[step.kind].discard if step.action == DELETE else there[step.kind].add)(step.identity)
        if step.live is None and step.after is None:
            there[step.kind].discard(step.identity)
    lacks: dict = {}
    for kind, name, step in references(steps):
        if name not in there[kind]:
            lacks.setdefault(id(step), []).append(title(kind, name))
    objections = {
        step: f"it needs {', '.join(names)}, which is not there" for step, names in lacks.items()
    }
    reason = "it is neither wanted nor on the server"
    absent = [
        Step(kind, name, CONFLICT, source, reason=reason)
        for kind, name, source in required
        if name not in there[kind] and not _also_named(kind, name, there[kind], steps, live)
    ]
    return [*objected(steps, {**objections, **_cycles(steps)}), *absent]


def _also_named(kind: str, name: str, there: set, steps: list, live: dict) -> bool:
    """Whether a datasource that is there has this name, as old dashboards say it, or a template defines it."""
    if kind not in ("datasource", "template"):
        return False
    bodies = {identity: held.body for identity, held in live.get(kind, {}).items()}
    bodies.update(
        {step.identity: step.body for step in steps if step.kind == kind and step.after is not None}
    )
    held = [bodies[identity] for identity in there if identity in bodies]
    return any(
        name in (defined(body) if kind == "template" else [body.get("name")]) for body in held
    )


def _cycles(steps: list) -> dict:
    """Objections to folders that would be below themselves."""
    folders = {
        step.identity: step for step in steps if step.kind == "folder" and step.after is not None
    }
    objections = {}
    for uid, step in folders.items():
        above, seen = step.body.get("parentUid"), set()
        while above in folders and above not in seen:
            seen.add(above)
            above = folders[above].body.get("parentUid")
        if uid in seen:
            objections[id(step)] = "it would be a folder below itself"
    return objections


def check_moves(steps: list, live: dict, rules: Rules) -> list:
    """Steps, each with the integrations that change their contact point; in conflict where they take what is not ours.

    Rules that change their group need no more than to be written, so only whose they are is looked at.
    """
    for kind, parts in (("contact_point", "receivers"), ("rule_group", "rules")):
        at = {
            part["uid"]: name
            for name, held in live.get(kind, {}).items()
            for part in held.body[parts]
        }
        moved = {
            id(step): _moved(step, parts, at)
            for step in steps
            if step.kind == kind and step.after is not None
        }
        moves = (
            frozenset(uid for uids in moved.values() for uid in uids)
            if kind == "contact_point"
            else frozenset()
        )
        steps = [
            replace(
                _taking(
                    step, parts, {at[uid] for uid in moved.get(id(step), ())}, live[kind], rules
                ),
                moves=moves,
            )
            if step.kind == kind
            else step
            for step in steps
        ]
    return steps


def _moved(step: Step, parts: str, at: dict) -> set:
    return {
        part["uid"]
        for part in step.body[parts]
        if at.get(part["uid"], step.identity) != step.identity
    }


def _taking(step: Step, parts: str, places: set, live: dict, rules: Rules) -> Step:
    """A step that takes integrations or rules from these places, in conflict where they are not ours."""
    for place in sorted(places):
        reason, action = hindrance(REGISTRY[step.kind], place, live[place], rules)
        if action:
            reason = f"its {parts} are now in {title(step.kind, place)}, and {reason}"
            return replace(step, action=action, reason=reason)
    return step


def emptied(steps: list, live: dict) -> dict:
    """Contact points that lose their last integration to others: name -> a Step that takes it."""
    takers = {
        uid: step
        for step in steps
        if step.after is not None
        for uid in step.moves
        if _has(step, uid)
    }
    named = {step.identity for step in steps if step.kind == "contact_point"}
    return {
        name: takers[next(iter(uids))]
        for name, held in live.get("contact_point", {}).items()
        for uids in [{receiver["uid"] for receiver in held.body["receivers"]}]
        if uids and uids <= set(takers) and name not in named
    }


def _has(step: Step, uid: str) -> bool:
    return any(receiver["uid"] == uid for receiver in step.body["receivers"])


def check_use(steps: list, live: dict) -> list:
    """Steps, in conflict where they delete what others would still use; a prune spares it instead."""
    used = {use for body in _after("rule_group", steps, live).values() for use in _used_by(body)}
    for tree in _after("policy", steps, live).values():
        used |= {("contact_point", name) for name in names(tree, "receiver")}
        used |= {("mute_timing", name) for key in TIMINGS for name in names(tree, key)}
    objections = {
        id(step): f"it takes the last integration of contact point {name}, and {IN_USE}"
        for name, step in emptied(steps, live).items()
        if ("contact_point", name) in used
    }
    deleted = [
        step for step in steps if step.action == DELETE and (step.kind, step.identity) in used
    ]
    steps = objected(steps, {**dict.fromkeys(map(id, deleted), IN_USE), **objections})
    # What is spared uses others in its turn.
    while True:
        lost = _lost(steps, live)
        if not lost:
            return steps
        steps = objected(steps, lost)


def _after(kind: str, steps: list, live: dict) -> dict:
    """Bodies of all objects of a kind as they will be."""
    bodies = {identity: held.body for identity, held in live.get(kind, {}).items()}
    for step in steps:
        if step.kind == kind and step.action == DELETE:
            bodies.pop(step.identity, None)
        elif step.kind == kind and step.action in (CREATE, UPDATE):
            bodies[step.identity] = REGISTRY[kind].expected(step.body)
    return bodies


def undefining(steps: list) -> list:
    """Steps that take definitions of message templates away."""
    changing = [
        step
        for step in steps
        if step.kind == "template" and step.live and step.action in (UPDATE, DELETE)
    ]
    return [
        step
        for step in changing
        if step.action == DELETE or set(defined(step.live.body)) - set(_defines(step))
    ]


def _defines(step: Step) -> list:
    return defined(REGISTRY["template"].expected(step.body))


def _lost(steps: list, live: dict) -> dict:
    """Objections to steps that take away what contact points or other templates call for."""
    templates = _after("template", steps, live)
    left = {name for body in templates.values() for name in defined(body)}
    users = {
        name: title("template", identity)
        for identity, body in templates.items()
        for name in templates_used(body)
    }
    points = _after("contact_point", steps, live)
    for identity in sorted(set(points) - set(emptied(steps, live))):
        users.update(
            dict.fromkeys(
                templates_used(points[identity]["receivers"]), title("contact_point", identity)
            )
        )
    return {
        id(step): f"{users[name]} still uses its template {name}"
        for step in undefining(steps)
        for name in defined(step.live.body)
        if name in users and name not in left and not BUILT_IN_TEMPLATE.fullmatch(name)
    }


def hands_back(steps: list) -> list:
    """Steps that would make an object editable in the interface that was not."""
    return [
        step
        for step in steps
        if step.action == UPDATE
        and (step.before.get("provenance"), step.after.get("provenance")) == (API, NO_PROVENANCE)
    ]


def inside(uid: str, folders: dict) -> set:
    """uids of a folder and of all that are known below it."""
    found: set = set()
    more = {uid}
    while more:
        found |= more
        more = {
            below for below, held in folders.items() if held.body.get("parentUid") in found
        } - found
    return found


def leaving_folder(steps: list, uids: set) -> dict:
    """How many objects go from these folders in this run: word of Grafana's count -> number."""
    words = {"dashboard": "dashboard", "rule_group": "alertrule", "folder": "folder"}
    counts = dict.fromkeys(words.values(), 0)
    for step in steps:
        place = {"folder": "parentUid"}.get(step.kind, "folderUid")
        if step.kind not in words or step.live is None or step.live.body.get(place) not in uids:
            continue
        if step.action == DELETE or (step.action == UPDATE and step.body.get(place) not in uids):
            counts[words[step.kind]] += (
                len(step.live.body["rules"]) if step.kind == "rule_group" else 1
            )
    return counts
