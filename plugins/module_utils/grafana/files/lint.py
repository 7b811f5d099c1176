# SPDX-License-Identifier: GPL-3.0-or-later
"""Find content that Grafana accepts and then fails on: dangling references and duplicates. Pure.

Grafana checks little of this on a request: a rule with a wrong condition fails at its evaluation,
and a policy with an unknown receiver makes old servers reject every later request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model import PRESENT, DesiredObject, RequiredObject
from ..normalize import (
    BASE_INTERVAL,
    BUILT_IN_TEMPLATE,
    defined,
    templates_used,
    unloadable,
)
from .folders import UID_LENGTH
from .rule_templates import structure_problem
from .schema import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .documents import JsonObject, Steps
    from .schema import Diagnostics

    # A name that may exist once, the object or part of an object that has it, and its source.
    NamedPart = tuple[tuple[str, ...], Any, str]

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
_VARIABLE = re.compile(
    r"\$\{([^}.:]+)(?:[.:][^}]*)?\}|\$(\w+)|\$?\[\[(\w+)(?::\w+)?\]\]"
)
_MATH_REFERENCE = re.compile(r"\$(?:\{([^}]+)\}|(\w+))")
# Grafana exports this in place of a secret.
REDACTED = "[REDACTED]"
# Fields of a datasource's jsonData that name another datasource.
DATASOURCE_LINKS = ("datasourceUid", "alertmanagerUid")
_TIMINGS = ("mute_time_intervals", "active_time_intervals")
# Grafana rejects these at the root of the notification policy, except continue, with which it
# cannot load its configuration any more.
_NESTED_ONLY = (
    *("matchers", "object_matchers", "match", "match_re", "continue"),
    *_TIMINGS,
)
# Expressions whose field `expression` is a refId.
_SINGLE_INPUT = ("reduce", "resample", "threshold")
# The location of a refId below the conditions of classic_conditions.
_CONDITION_INPUT = ("query", "params", 0)
# The kinds that other objects refer to.
_REFERENCED_KINDS = ("folder", "datasource", "template", "mute_timing", "contact_point")
# The kinds that Grafana keeps in one configuration.
_CONFIGURATION = ("mute_timing", "contact_point", "policy")
_NOUNS = {
    "folder": "folder",
    "datasource": "datasource",
    "library_panel": "library panel",
    "dashboard": "dashboard",
    "template": "template",
    "mute_timing": "mute timing",
    "contact_point": "contact point",
    "policy": "a notification policy",
    "rule_group": "rule group",
}


class _Claim(NamedTuple):
    """A name that may exist once, and the object, or part of an object, that has it."""

    name: tuple[str, ...]
    claimant: Any
    source: str


class _DatasourceReference(NamedTuple):
    """The uid of a datasource that a dashboard queries, or its name in old dashboards."""

    name: str
    by_name: bool


@dataclass
class _Content:
    """All desired objects, as far as references need them, and the results of the checks."""

    diagnostics: Diagnostics
    names: dict[str, set[str]]
    # Old dashboards refer to datasources by these names.
    datasource_names: set[Any]
    removed: set[tuple[str, str]]
    # Dangling references that Grafana lives with are errors.
    strict: bool = False
    required: list[RequiredObject] = field(default_factory=list)


class _Subject(NamedTuple):
    """The object under check, or a part of it with its own line, among the others."""

    desired: DesiredObject
    content: _Content
    at: str

    @property
    def body(self) -> JsonObject:
        return self.desired.body

    @property
    def identity(self) -> str:
        return self.desired.identity

    def part(self, *steps: str | int) -> _Subject:
        """Return the subject of a part of the object."""
        return self._replace(at=_part_source(self.desired, *steps))

    def error(self, message: str) -> None:
        """Add an error about the object."""
        self.content.diagnostics.error(self.at, message)

    def warn(self, message: str) -> None:
        """Add a warning about the object."""
        self.content.diagnostics.warn(self.at, message)

    def refer(
        self, kind: str, name: Any, role: str, *, is_tolerated: bool = False
    ) -> None:
        """Check a reference; the server must have an object that is not in the content.

        Grafana works all the same with a dangling reference that ``is_tolerated``.
        """
        if not isinstance(name, str):
            self.error(f"{role} is {name!r}; write a str.")
        elif (kind, name) in self.content.removed:
            self.error(f"{role} is {name}, which this content removes; keep it there.")
        elif name not in self.content.names[kind]:
            source = f"{self.at}: {role}"
            optional = is_tolerated and not self.content.strict
            self.content.required.append(RequiredObject(kind, name, source, optional))

    def check_uid(self, uid: Any, owner: str) -> None:
        """Check the characters and length of a uid."""
        if not isinstance(uid, str) or not _UID.fullmatch(uid):
            self.error(
                f"{owner} has the uid {uid!r}; use 1 to {UID_LENGTH} letters, digits, - and _."
            )


def lint(
    desired: list[DesiredObject], diagnostics: Diagnostics, strict: bool = False
) -> list[RequiredObject]:
    """Report the errors of a list of objects, and return the objects that the server must have.

    Unless ``strict``, references that Grafana itself leaves dangling are only warned about.
    """
    present = [item for item in desired if item.state == PRESENT]
    removed = [item for item in desired if item.state != PRESENT]
    datasources = [item for item in present if item.kind == "datasource"]
    content = _Content(
        diagnostics,
        names=_names_by_kind(present),
        datasource_names={item.body.get("name") for item in datasources},
        removed={(item.kind, item.identity) for item in removed if item.identity},
        strict=strict,
    )
    _check_unique([*_object_claims(desired), *_part_claims(present)], diagnostics)
    for item in present:
        subject = _Subject(item, content, item.source)
        _CHECKS[item.kind](subject)
        reason = unloadable(item.body) if item.kind in _CONFIGURATION else None
        if reason:
            subject.error(f"{_NOUNS[item.kind]} {item.identity}: {reason}.")
    return list(dict.fromkeys(content.required))


def _part_source(desired: DesiredObject, *steps: str | int) -> str:
    """Return the file and line of a part; those of the object where only they are known."""
    source = desired.source
    return source.part(*steps) if isinstance(source, Place) else source


def _names_by_kind(present: list[DesiredObject]) -> dict[str, set[str]]:
    """Return the names by which other objects refer to the objects of each kind."""
    names: dict[str, set[str]] = {kind: set() for kind in _REFERENCED_KINDS}
    for desired in present:
        if desired.kind in names:
            names[desired.kind].add(desired.identity)
        if desired.kind == "template":
            names["template"].update(defined(desired.body))
    return names


def _check_unique(claims: list[_Claim], diagnostics: Diagnostics) -> None:
    """Report each name that two objects, or two parts of objects, claim."""
    first_claims: dict[tuple[str, ...], _Claim] = {}
    for claim in claims:
        first = first_claims.setdefault(claim.name, claim)
        if first.claimant is not claim.claimant:
            name = " ".join(filter(None, claim.name))
            diagnostics.error(
                claim.source, f"{name} is also at {first.source}; keep one of them."
            )


def _object_claims(desired: list[DesiredObject]) -> Iterator[_Claim]:
    """Yield the claims of objects on their identities."""
    for item in desired:
        # An object that is removed by another key, such as a receiver by its uid, has no identity.
        identity = item.identity or item.body.get("uid", "")
        if item.kind == "policy":
            identity = ""
        # A missing uid is an error of its own.
        if identity or item.kind == "policy":
            yield _Claim((_NOUNS[item.kind], identity), item, item.source)


def _part_claims(present: list[DesiredObject]) -> Iterator[_Claim]:
    """Yield the claims on names that the server requires to be unique beside identities."""
    for desired in present:
        parts = _UNIQUE_PARTS.get(desired.kind)
        if parts:
            for name, claimant, source in parts(desired):
                yield _Claim(name, claimant, source)


def _datasource_parts(desired: DesiredObject) -> Iterator[NamedPart]:
    source = desired.source
    yield ("a datasource with the name", str(desired.body.get("name"))), desired, source
    if desired.body.get("isDefault"):
        yield ("a default datasource",), desired, source


def _dashboard_parts(desired: DesiredObject) -> Iterator[NamedPart]:
    title = str(desired.body["dashboard"].get("title"))
    folder = desired.body.get("folderUid") or "no folder"
    yield ("the dashboard title", title, "in", folder), desired, desired.source


def _template_parts(desired: DesiredObject) -> Iterator[NamedPart]:
    for name in defined(desired.body):
        yield ("the template definition", name), desired, desired.source


def _contact_point_parts(desired: DesiredObject) -> Iterator[NamedPart]:
    for index, receiver in enumerate(desired.body["receivers"]):
        source = _part_source(desired, "receivers", index)
        yield ("a receiver with the uid", str(receiver.get("uid"))), receiver, source


def _rule_group_parts(desired: DesiredObject) -> Iterator[NamedPart]:
    for index, rule in enumerate(desired.body["rules"]):
        source = _part_source(desired, "rules", index)
        yield ("a rule with the uid", str(rule.get("uid"))), rule, source


def _check_folder(folder: _Subject) -> None:
    folder.check_uid(folder.identity, f"folder {folder.body.get('title')}")
    if folder.body.get("parentUid"):
        folder.refer("folder", folder.body["parentUid"], "parent folder")


def _check_datasource(datasource: _Subject) -> None:
    title = f"datasource {datasource.body.get('name')}"
    datasource.check_uid(datasource.identity, title)
    for path, value in _scalars(datasource.body.get("jsonData")):
        if path[-1] in DATASOURCE_LINKS and value and value not in BUILT_IN:
            role = f"{title}, {_dotted(path)}"
            datasource.refer("datasource", value, role, is_tolerated=True)


def _check_library_panel(panel: _Subject) -> None:
    title = f"library panel {panel.body['name']}"
    panel.check_uid(panel.identity, title)
    if panel.body["folderUid"]:
        panel.refer("folder", panel.body["folderUid"], f"{title}, folder")
    for reference in dict.fromkeys(_datasource_references(panel.body["model"])):
        # The variables are those of the dashboards that use the panel.
        if not _VARIABLE.fullmatch(reference.name):
            _check_datasource_reference(panel, title, reference, set())


def _check_dashboard(dashboard: _Subject) -> None:
    model = dashboard.body["dashboard"]
    title = f"dashboard {str(model.get('title') or '').strip() or '(untitled)'}"
    if model.get("uid"):
        dashboard.check_uid(model["uid"], title)
    if dashboard.body.get("folderUid"):
        dashboard.refer("folder", dashboard.body["folderUid"], f"{title}, folder")
    variables = _variable_names(model)
    for reference in dict.fromkeys(_datasource_references(model)):
        _check_datasource_reference(dashboard, title, reference, variables)


def _check_datasource_reference(
    dashboard: _Subject,
    title: str,
    reference: _DatasourceReference,
    variables: set[str],
) -> None:
    name, by_name = reference
    content = dashboard.content
    if by_name and name in content.datasource_names:
        return
    if name in BUILT_IN:
        return
    variable = _VARIABLE.fullmatch(name)
    if variable:
        variable_name = next(filter(None, variable.groups()))
        if variable_name not in variables:
            report = dashboard.error if content.strict else dashboard.warn
            report(
                f"{title} has no variable {variable_name} for its datasource {name};"
                f" define it, set {variable_name} in inputs, or use a uid."
            )
    elif name in content.datasource_names - content.names["datasource"]:
        report = dashboard.error if content.strict else dashboard.warn
        report(
            f"{title} has the name of datasource {name} in place of its uid; use the uid."
        )
    elif by_name:
        dashboard.warn(
            f"{title} queries datasource {name} by name, which is not checked; use its uid."
        )
    else:
        role = f"{title}, datasource"
        dashboard.refer("datasource", name, role, is_tolerated=True)


def _variable_names(model: JsonObject) -> set[str]:
    templating = model.get("templating")
    if not isinstance(templating, dict):
        return set()
    variables = _list_or_empty(templating.get("list"))
    return {
        str(variable.get("name"))
        for variable in variables
        if isinstance(variable, dict)
    }


def _list_or_empty(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _datasource_references(tree: Any) -> Iterator[_DatasourceReference]:
    """Yield the value of each key ``datasource`` of a dashboard."""
    if isinstance(tree, list):
        for child in tree:
            yield from _datasource_references(child)
    if isinstance(tree, dict):
        for key, child in tree.items():
            if key != "datasource":
                yield from _datasource_references(child)
            elif isinstance(child, dict):
                yield _DatasourceReference(str(child.get("uid") or ""), by_name=False)
            elif isinstance(child, str):
                yield _DatasourceReference(child, by_name=True)


def _check_template(template: _Subject) -> None:
    name = template.identity
    if "/" in name or not name.strip():
        template.error(
            f"template {name!r} has a name that Grafana cannot use as a file name;"
            " write one without slashes.",
        )
    text = template.body.get("template", "")
    problem = structure_problem(text)
    names = defined(template.body)
    twice = [one for one in dict.fromkeys(names) if names.count(one) > 1]
    if twice:
        problem = f"defines {twice[0]} twice"
    if problem:
        template.error(f"template {name} {problem}; correct it.")
    _check_used_templates(template, text, f"template {name}")


def _check_used_templates(desired: _Subject, string: str, owner: str) -> None:
    for name in templates_used(string):
        if not BUILT_IN_TEMPLATE.fullmatch(name):
            desired.refer("template", name, f"{owner}, template")


def _check_contact_point(point: _Subject) -> None:
    for index, receiver in enumerate(point.body.get("receivers") or []):
        _check_receiver(point.part("receivers", index), receiver)


def _check_receiver(point: _Subject, receiver: JsonObject) -> None:
    owner = f"contact point {point.identity}, {receiver.get('type')}"
    point.check_uid(receiver.get("uid"), owner)
    for path, value in _scalars(receiver.get("settings")):
        if value == REDACTED:
            point.error(
                f"{owner}: {_dotted(path)} is {REDACTED}, which Grafana exports for a secret;"
                " write the secret.",
            )
        if isinstance(value, str):
            _check_used_templates(point, value, owner)


def _scalars(tree: Any, path: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Yield each value that is not a dict or list, after the steps that lead to it."""
    if isinstance(tree, dict):
        for key, child in tree.items():
            yield from _scalars(child, (*path, key))
    elif isinstance(tree, list):
        for index, child in enumerate(tree):
            yield from _scalars(child, (*path, index))
    elif path:
        yield path, tree


def _dotted(path: Steps) -> str:
    return ".".join(map(str, path))


def _check_mute_timing(__timing: _Subject) -> None:
    """Accept it: a mute timing refers to nothing, and Grafana checks it on the request."""


def _check_policy(policy: _Subject) -> None:
    root = policy.body
    if not root.get("receiver"):
        policy.error("the notification policy has no receiver; set receiver.")
    for key in _NESTED_ONLY:
        if root.get(key):
            policy.error(
                f"the root of the notification policy has {key}; move it to a nested route."
            )
    for steps, route in _routes(root):
        _check_notification(policy.part(*steps), route, "notification policy")


def _routes(route: JsonObject, steps: Steps = ()) -> Iterator[tuple[Steps, JsonObject]]:
    """Yield a route and the routes below it, after the steps that lead to them."""
    yield steps, route
    for index, child in enumerate(_list_or_empty(route.get("routes"))):
        if isinstance(child, dict):
            yield from _routes(child, (*steps, "routes", index))


def _check_notification(desired: _Subject, settings: JsonObject, owner: str) -> None:
    """Check the references of a route, or of the notification settings of a rule.

    Their readers report names that are not strings.
    """
    references = [("contact_point", settings.get("receiver"), "receiver")]
    for key in _TIMINGS:
        for name in _list_or_empty(settings.get(key)):
            references.append(("mute_timing", name, key))
    for kind, name, role in references:
        if name and isinstance(name, str):
            desired.refer(kind, name, f"{owner}, {role}")


def _check_rule_group(group: _Subject) -> None:
    title = f"rule group {group.body.get('title')}"
    group.refer("folder", group.body.get("folderUid"), f"{title}, folder")
    rules = group.body.get("rules") or []
    if not rules:
        group.error(f"{title} has no rules; add one, or remove the group.")
    interval = group.body.get("interval")
    if not interval or interval % BASE_INTERVAL:
        group.error(
            f"{title} has an interval of {interval} seconds;"
            f" use a multiple of {BASE_INTERVAL} seconds.",
        )
    first_rules: dict[Any, JsonObject] = {}
    for index, rule in enumerate(rules):
        rule_title, part = rule.get("title"), group.part("rules", index)
        if first_rules.setdefault(rule_title, rule) is not rule:
            part.error(
                f"{title} has two rules with the title {rule_title}; rename one of them."
            )
        _check_rule(part, rule)


def _check_rule(group: _Subject, rule: JsonObject) -> None:
    title = f"rule {rule.get('title') or rule.get('uid')}"
    group.check_uid(rule.get("uid"), title)
    _check_notification(group, rule.get("notification_settings") or {}, title)
    queries = rule.get("data") or []
    ref_ids = [query.get("refId") for query in queries]
    for ref_id in dict.fromkeys(ref_ids):
        count = ref_ids.count(ref_id)
        if not ref_id:
            group.error(f"{title} has a query without a refId; set it.")
        elif count > 1:
            group.error(
                f"{title} has {count} queries with the refId {ref_id!r}; give each one its own.",
            )
    recorded = (rule.get("record") or {}).get("from")
    result = recorded or rule.get("condition")
    # The reader of the file reports a missing one.
    if result and ref_ids and result not in ref_ids:
        group.error(
            f"{title} uses the result of {result!r}, which is not one of its queries;"
            f" use one of {', '.join(ref_ids)}.",
        )
    inputs = {}
    for query in queries:
        inputs[query.get("refId")] = _check_query(group, query, ref_ids, title)
    if _has_cycle(inputs):
        group.error(f"{title} has expressions that use each other; remove the cycle.")


def _check_query(
    group: _Subject, query: JsonObject, ref_ids: list[str], owner: str
) -> list[str]:
    """Check a query's datasource or an expression's inputs, and return the refIds it uses."""
    ref_id = query.get("refId")
    uid = query.get("datasourceUid")
    if not uid:
        group.error(f"{owner}: query {ref_id} has no datasourceUid; set it.")
        return []
    if uid not in EXPRESSIONS:
        group.refer("datasource", uid, f"{owner}, datasource of {ref_id}")
        span = query.get("relativeTimeRange") or {}
        if (span.get("from") or 0) <= (span.get("to") or 0):
            group.error(
                f"{owner}: query {ref_id} looks back over no time;"
                " set relativeTimeRange, such as from: 600 and to: 0.",
            )
        return []
    inputs = list(dict.fromkeys(_expression_inputs(query.get("model") or {})))
    missing = [name for name in inputs if name not in ref_ids]
    if missing:
        group.error(
            f"{owner}: expression {ref_id} uses {', '.join(missing)}, which the rule lacks;"
            " add a query, or correct the expression.",
        )
    return [name for name in inputs if name in ref_ids]


def _expression_inputs(model: JsonObject) -> Iterator[str]:
    """Yield the refIds that an expression uses."""
    expression_type = model.get("type")
    expression = str(model.get("expression") or "")
    if expression_type == "math":
        for braced, word in _MATH_REFERENCE.findall(expression):
            yield braced or word
    elif expression_type == "classic_conditions":
        for path, value in _scalars(model.get("conditions")):
            if path[1:] == _CONDITION_INPUT:
                yield str(value)
    elif expression_type in _SINGLE_INPUT:
        # The dollar and the braces are optional.
        yield expression.lstrip("$").strip("{}")


def _has_cycle(inputs: dict[Any, list[str]]) -> bool:
    """Return whether no order exists in which each query follows its inputs."""
    pending = dict(inputs)
    while pending:
        ready = [
            ref_id
            for ref_id, names in pending.items()
            if pending.keys().isdisjoint(names)
        ]
        if not ready:
            return True
        for ref_id in ready:
            del pending[ref_id]
    return False


_UNIQUE_PARTS: dict[str, Callable[[DesiredObject], Iterator[NamedPart]]] = {
    "datasource": _datasource_parts,
    "dashboard": _dashboard_parts,
    "template": _template_parts,
    "contact_point": _contact_point_parts,
    "rule_group": _rule_group_parts,
}
_CHECKS: dict[str, Callable[[_Subject], None]] = {
    "folder": _check_folder,
    "datasource": _check_datasource,
    "library_panel": _check_library_panel,
    "dashboard": _check_dashboard,
    "template": _check_template,
    "mute_timing": _check_mute_timing,
    "contact_point": _check_contact_point,
    "policy": _check_policy,
    "rule_group": _check_rule_group,
}
