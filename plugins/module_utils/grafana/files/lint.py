# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find what Grafana would take and then fail on: references to nothing, things that are there twice. Pure.

Grafana checks little of this when it is sent something: a rule with a wrong condition fails when it is evaluated, and a
policy with an unknown receiver makes old servers refuse every later request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..model import PRESENT, DesiredObject, RequiredObject
from ..normalize import BASE_INTERVAL, BUILT_IN_TEMPLATE, defined, templates_used
from .folders import UID_LENGTH
from .schema import Findings

_UID = re.compile(rf"[A-Za-z0-9_-]{{1,{UID_LENGTH}}}")
EXPRESSIONS = ("__expr__", "-100")
# Datasources that are part of Grafana.
BUILT_IN = (
    "",
    "grafana",
    "default",
    "-- Grafana --",
    "-- Mixed --",
    "-- Dashboard --",
    "-- Expression --",
    *EXPRESSIONS,
)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:[.:][^}]*)?\}|(\w+)|\[\[(\w+)\]\])")
_MATH = re.compile(r"\$(?:\{([^}]+)\}|(\w+))")
# The value in place of a secret in what Grafana exports.
REDACTED = "[REDACTED]"


@dataclass
class Lint:
    """Checks of one list of wanted objects against each other."""

    findings: Findings
    names: dict = field(default_factory=dict)
    # Names of datasources, by which old dashboards ask them.
    titles: set = field(default_factory=set)
    absent: set = field(default_factory=set)
    required: list = field(default_factory=list)

    def error(self, item: DesiredObject, problem: str) -> None:
        """Note what must be mended about an object."""
        self.findings.error(item.source, problem)

    def refer(self, item: DesiredObject, kind: str, name: object, what: str) -> None:
        """Note that an object refers to another: one that is wanted too, or else one that must be on the server."""
        if not isinstance(name, str):
            self.error(item, f"{what} must be a text, not {name!r}.")
        elif (kind, name) in self.absent:
            self.error(item, f"{what} is {name}, which is to be removed.")
        elif name not in self.names.get(kind, ()):
            self.required.append(RequiredObject(kind, name, f"{item.source}: {what}"))


def lint(desired: list, findings: Findings) -> list:
    """Note all that is wrong with a list of wanted objects; gives what must be on the server beside them."""
    state = Lint(findings)
    present = [item for item in desired if item.state == PRESENT]
    state.names = {kind: set(_names(kind, present)) for kind in _NAMES}
    state.titles = {item.body.get("name") for item in present if item.kind == "datasource"}
    state.absent = {
        (item.kind, item.identity) for item in desired if item.state != PRESENT and item.identity
    }
    _once(desired, findings)
    for item in present:
        _CHECKS[item.kind](state, item)
    return list(dict.fromkeys(state.required))


def _once(desired: list, findings: Findings) -> None:
    """Nothing may be there twice, whether as an object, or as a part that has a name of its own on the server."""
    first: dict = {}
    present = [item for item in desired if item.state == PRESENT]
    for key, item, *part in [*_objects(desired), *_parts(present)]:
        thing = part[0] if part else item
        other, source = first.setdefault(key, (thing, item.source))
        if other is not thing:
            findings.error(item.source, f"{' '.join(filter(None, key))} is also at {source}.")


def _objects(desired: list) -> Iterator[tuple]:
    # What is removed by another name than its identity, a receiver by its uid, is told apart by that.
    for item in desired:
        yield (
            (
                _WORDS[item.kind],
                item.identity or item.body.get("uid", "") if item.kind != "policy" else "",
            ),
            item,
        )


def _parts(present: list) -> Iterator[tuple]:
    """What may be there once beside objects themselves, the object, and the part of it where it is one."""
    for item in present:
        body = item.body
        if item.kind == "datasource":
            yield ("a datasource with the name", str(body.get("name"))), item
            if body.get("isDefault"):
                yield ("a default datasource",), item
        elif item.kind == "dashboard":
            where = body.get("folderUid") or "no folder"
            yield ("the dashboard title", str(body["dashboard"].get("title")), "in", where), item
        elif item.kind == "template":
            yield from ((("the template definition", name), item) for name in defined(body))
        elif item.kind == "contact_point":
            yield from (
                (("a receiver with the uid", str(part.get("uid"))), item, part)
                for part in body["receivers"]
            )
        elif item.kind == "rule_group":
            yield from (
                (("a rule with the uid", str(part.get("uid"))), item, part)
                for part in body["rules"]
            )


def _names(kind: str, present: list) -> Iterator[str]:
    """The names by which objects of a kind are referred to."""
    for item in present:
        if item.kind == kind:
            yield item.identity
            yield from _NAMES[kind](item.body)


# Further names of an object beside its identity.
_NAMES: dict = {
    "folder": lambda body: (),
    "datasource": lambda body: (),
    "template": defined,
    "mute_timing": lambda body: (),
    "contact_point": lambda body: (),
}
_WORDS = {
    "folder": "folder", "datasource": "datasource", "dashboard": "dashboard", "template": "template",
    "mute_timing": "mute timing", "contact_point": "contact point", "policy": "a notification policy",
    "rule_group": "rule group",
}  # fmt: skip


def _uid(state: Lint, item: DesiredObject, uid: object, what: str) -> None:
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        state.error(
            item, f"the uid {uid!r} of {what} must be 1 to {UID_LENGTH} letters, digits, - and _."
        )


def _folder(state: Lint, item: DesiredObject) -> None:
    _uid(state, item, item.identity, f"folder {item.body.get('title')}")
    if item.body.get("parentUid"):
        state.refer(item, "folder", item.body["parentUid"], "parent folder")


def _datasource(state: Lint, item: DesiredObject) -> None:
    _uid(state, item, item.identity, f"datasource {item.body.get('name')}")
    for path, value in _values(item.body.get("jsonData")):
        if path[-1] in ("datasourceUid", "alertmanagerUid") and value and value not in BUILT_IN:
            state.refer(
                item,
                "datasource",
                value,
                f"datasource {item.body.get('name')}, {'.'.join(map(str, path))}",
            )


def _dashboard(state: Lint, item: DesiredObject) -> None:
    model = item.body["dashboard"]
    title = f"dashboard {model.get('title')}"
    if model.get("uid"):
        _uid(state, item, model["uid"], title)
    if item.body.get("folderUid"):
        state.refer(item, "folder", item.body["folderUid"], f"{title}, folder")
    names = {str(body.get("name")) for body in _bodies(model, "templating")}
    for uid, is_old in dict.fromkeys(_datasources(model)):
        if is_old and uid in state.titles:
            continue
        if is_old and not _VARIABLE.fullmatch(uid) and uid not in BUILT_IN:
            state.findings.warn(
                item.source, f"{title} asks datasource {uid} by its name, which is not checked."
            )
        else:
            _dashboard_datasource(state, item, uid, names, title)


def _dashboard_datasource(
    state: Lint, item: DesiredObject, uid: str, names: set, title: str
) -> None:
    variable = _VARIABLE.fullmatch(uid)
    if variable:
        name = next(filter(None, variable.groups()))
        if name not in names:
            state.error(item, f"{title} has no variable {name} to choose a datasource by: {uid}.")
    elif uid not in BUILT_IN:
        state.refer(item, "datasource", uid, f"{title}, datasource")


def _bodies(model: dict, key: str) -> list:
    listed = model[key].get("list") if isinstance(model.get(key), dict) else None
    return [body for body in _list(listed) if isinstance(body, dict)]


def _list(value: Any) -> list:
    """A list, and an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def _datasources(tree: Any) -> Iterator[tuple]:
    """What stands under each key ``datasource`` of a dashboard, and whether it is a name, as old ones have it."""
    if isinstance(tree, list):
        for value in tree:
            yield from _datasources(value)
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key != "datasource":
                yield from _datasources(value)
            elif isinstance(value, dict):
                yield str(value.get("uid") or ""), False
            elif isinstance(value, str):
                yield value, True


def _template(state: Lint, item: DesiredObject) -> None:
    if "/" in item.identity or not item.identity.strip():
        state.error(
            item,
            f"{item.identity!r} cannot be the name of a template: Grafana makes a file's name of it.",
        )
    _templates_used(state, item, item.body.get("template", ""), f"template {item.identity}")


def _templates_used(state: Lint, item: DesiredObject, text: str, what: str) -> None:
    for name in templates_used(text):
        if not BUILT_IN_TEMPLATE.fullmatch(name):
            state.refer(item, "template", name, f"{what}, template")


def _contact_point(state: Lint, item: DesiredObject) -> None:
    for receiver in item.body.get("receivers") or []:
        what = f"contact point {item.identity}, {receiver.get('type')}"
        _uid(state, item, receiver.get("uid"), what)
        for path, value in _values(receiver.get("settings")):
            if value == REDACTED:
                state.error(
                    item,
                    f"{what}: {'.'.join(map(str, path))} is {REDACTED}, as Grafana exports a secret.",
                )
            if isinstance(value, str):
                _templates_used(state, item, value, what)


def _values(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """Each value that is no mapping or list, with the keys and indexes that lead to it."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _values(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _values(value, (*path, index))
    elif path:
        yield path, tree


def _nothing(_state: Lint, _item: DesiredObject) -> None:
    """A mute timing refers to nothing, and Grafana checks it when it is sent."""


def _policy(state: Lint, item: DesiredObject) -> None:
    root = item.body
    if not root.get("receiver"):
        state.error(item, "the notification policy has no receiver.")
    for key in (
        "matchers",
        "object_matchers",
        "match",
        "match_re",
        "mute_time_intervals",
        "active_time_intervals",
    ):
        if root.get(key):
            state.error(item, f"the root of the notification policy cannot have {key}.")
    for route in _routes(root):
        _settings(state, item, route, "notification policy")


def _routes(route: dict) -> Iterator[dict]:
    yield route
    for child in _list(route.get("routes")):
        if isinstance(child, dict):
            yield from _routes(child)


def _settings(state: Lint, item: DesiredObject, settings: dict, what: str) -> None:
    """What routes and rules alike refer to."""
    if settings.get("receiver"):
        state.refer(item, "contact_point", settings["receiver"], f"{what}, receiver")
    for key in ("mute_time_intervals", "active_time_intervals"):
        for name in _list(settings.get(key)):
            state.refer(item, "mute_timing", name, f"{what}, {key}")


def _rule_group(state: Lint, item: DesiredObject) -> None:
    group, rules = item.body, item.body.get("rules") or []
    what = f"rule group {group.get('title')}"
    state.refer(item, "folder", group.get("folderUid"), f"{what}, folder")
    if not rules:
        state.error(item, f"{what} has no rules.")
    interval = group.get("interval")
    if not interval or interval % BASE_INTERVAL:
        state.error(
            item,
            f"{what}: its interval must be a multiple of {BASE_INTERVAL} seconds, not {interval} seconds.",
        )
    seen: dict = {}
    for rule in rules:
        if seen.setdefault(rule.get("title"), rule) is not rule:
            state.error(item, f"{what} has two rules with the title {rule.get('title')}.")
        _rule(state, item, rule)


def _rule(state: Lint, item: DesiredObject, rule: dict) -> None:
    what = f"rule {rule.get('title')}"
    _uid(state, item, rule.get("uid"), what)
    _settings(state, item, rule.get("notification_settings") or {}, what)
    queries = rule.get("data") or []
    refs = [query.get("refId") for query in queries]
    for ref in dict.fromkeys(refs):
        if not ref or refs.count(ref) > 1:
            state.error(item, f"{what} has {refs.count(ref)} queries with the refId {ref!r}.")
    result = (rule.get("record") or {}).get("from") or rule.get("condition")
    if result not in refs:
        state.error(
            item,
            f"{what} takes its result from {result!r}, which is none of its queries: {', '.join(refs)}.",
        )
    needs = {query.get("refId"): _query(state, item, query, refs, what) for query in queries}
    if _circular(needs):
        state.error(item, f"{what} has expressions that need each other in a circle.")


def _query(state: Lint, item: DesiredObject, query: dict, refs: list, what: str) -> list:
    """The refIds that an expression needs; a query needs its datasource."""
    uid, model = query.get("datasourceUid"), query.get("model") or {}
    if uid not in EXPRESSIONS:
        if not uid:
            state.error(item, f"{what}: query {query.get('refId')} has no datasourceUid.")
        else:
            state.refer(item, "datasource", uid, f"{what}, datasource of {query.get('refId')}")
        return []
    needed = list(dict.fromkeys(_needed(model)))
    unknown = [ref for ref in needed if ref not in refs]
    if unknown:
        state.error(
            item,
            f"{what}: expression {query.get('refId')} needs {', '.join(map(str, unknown))}, not there.",
        )
    return [ref for ref in needed if ref in refs]


def _needed(model: dict) -> Iterator[str]:
    kind, expression = model.get("type"), str(model.get("expression") or "")
    if kind == "math":
        for braced, word in _MATH.findall(expression):
            yield braced or word
    elif kind == "classic_conditions":
        for path, value in _values(model.get("conditions")):
            if path[1:] == ("query", "params", 0):
                yield str(value)
    elif kind in ("reduce", "resample", "threshold"):
        # Written with or without the dollar.
        yield expression.lstrip("$").strip("{}")


def _circular(needs: dict) -> bool:
    """Whether there is no order in which each comes after what it needs."""
    left = dict(needs)
    while left:
        ready = [ref for ref, needed in left.items() if not any(other in left for other in needed)]
        if not ready:
            return True
        for ref in ready:
            del left[ref]
    return False


_CHECKS: dict[str, Callable[[Lint, DesiredObject], None]] = {
    "folder": _folder,
    "datasource": _datasource,
    "dashboard": _dashboard,
    "template": _template,
    "mute_timing": _nothing,
    "contact_point": _contact_point,
    "policy": _policy,
    "rule_group": _rule_group,
}
