# SPDX-License-Identifier: GPL-3.0-or-later
"""Export the objects of a Grafana as files that describe exactly them. Pure.

The files contain no secret: a variable replaces each, and the environment of grafana_content must
define it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .. import redact
from ..fingerprint import RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypedDict

    from ..kinds.base import Live
    from .documents import JsonObject

    LiveByIdentity = Mapping[str, Live]
    # Format, json or yaml, and content of each file by its path.
    ExportedFiles = dict[str, tuple[str, JsonObject]]

    class Export(TypedDict):
        """The files of an export, and the names of the variables in them."""

        files: ExportedFiles
        variables: list[str]


# Grafana's own numbers, which change with each write.
_SERVER_FIELDS = ("id", "version")
_DATASOURCE_FIELDS = (
    "name",
    "uid",
    "type",
    "access",
    "url",
    "user",
    "database",
    "basicAuth",
    "basicAuthUser",
    "withCredentials",
    "isDefault",
)
_TEMPLATE_FIELDS = ("name", "template")
_LIBRARY_PANEL_FIELDS = ("uid", "name", "folderUid", "model")
_MUTE_TIMING_FIELDS = ("name", "time_intervals")
_QUERY_FIELDS = ("refId", "datasourceUid", "relativeTimeRange", "model")
# The directory of dashboards outside all folders.
_TOP = "dashboards"
# The API's names of fields -> the names in provisioning files.
_RULE_NAMES = {
    "noDataState": "noDataState",
    "execErrState": "execErrState",
    "for": "for",
    "keep_firing_for": "keepFiringFor",
    "missingSeriesEvalsToResolve": "missing_series_evals_to_resolve",
    "isPaused": "isPaused",
    "condition": "condition",
}
_RECORD_NAMES = {
    "metric": "metric",
    "from": "from",
    "target_datasource_uid": "targetDatasourceUid",
}
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_UNSET = (None, "", 0, False)


class _Variables:
    """The variables that replace secrets."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def reference(self, *parts: str) -> str:
        """Return the reference to a new variable, named after the location of the secret."""
        name = re.sub(r"[^A-Z0-9]+", "_", "_".join(parts).upper()).strip("_")
        return f"${{{_unused(name, self.names, '_')}}}"


def files(live: Mapping[str, LiveByIdentity]) -> Export:
    """Return the files and variables that describe the live objects of each kind."""
    variables = _Variables()
    datasources = [
        _datasource(item, uid, variables)
        for uid, item in sorted(live["datasource"].items())
    ]
    contact_points = [
        _contact_point(body, variables)
        for body in _bodies(live, "contact_point")
        if _is_identified(body)
    ]
    templates = [_only(body, _TEMPLATE_FIELDS) for body in _bodies(live, "template")]
    mute_timings = [
        _only(body, _MUTE_TIMING_FIELDS) for body in _bodies(live, "mute_timing")
    ]
    policies = [_escape_tree(_route(body)) for body in _bodies(live, "policy")]
    groups = [_group(body) for body in _bodies(live, "rule_group")]
    library_panels = [
        _only(body, _LIBRARY_PANEL_FIELDS) for body in _bodies(live, "library_panel")
    ]
    exported = _dashboards(live)
    for path, section, objects in (
        ("datasources/datasources.yml", "datasources", datasources),
        ("library-panels.yml", "library_panels", library_panels),
        ("alerting/templates.yml", "templates", templates),
        ("alerting/mute-timings.yml", "muteTimes", mute_timings),
        ("alerting/contact-points.yml", "contactPoints", contact_points),
        ("alerting/policy.yml", "policies", policies),
        ("alerting/rules.yml", "groups", groups),
    ):
        if objects:
            exported[path] = ("yaml", {"apiVersion": 1, section: objects})
    return {"files": exported, "variables": sorted(variables.names)}


def _dashboards(live: Mapping[str, LiveByIdentity]) -> ExportedFiles:
    """Return the dashboards in the directories of their folders, and a file for each folder."""
    directories = _directories(live["folder"])
    exported: ExportedFiles = {}
    for uid, folder in sorted(live["folder"].items()):
        exported[f"{directories[uid]}/_folder.yml"] = ("yaml", _folder(folder.body))
    used_names: set[str] = set()
    for uid, dashboard in sorted(live["dashboard"].items()):
        model = dashboard.body["dashboard"]
        directory = directories.get(dashboard.body.get("folderUid") or "", _TOP)
        name = _unused(f"{directory}/{_slug(model.get('title') or uid)}", used_names)
        content = {
            key: value for key, value in model.items() if key not in _SERVER_FIELDS
        }
        exported[f"{name}.json"] = ("json", {**content, "uid": uid})
    return exported


def _bodies(live: Mapping[str, LiveByIdentity], kind: str) -> list[JsonObject]:
    return [item.body for _identity, item in sorted(live[kind].items())]


def _is_identified(point: JsonObject) -> bool:
    """Return whether each receiver has a uid, so that the next run can find the contact point.

    The contact point of a new Grafana has no uid, or no integration.
    """
    receivers = point["receivers"]
    return bool(receivers) and all(receiver.get("uid") for receiver in receivers)


def _directories(folders: LiveByIdentity) -> dict[str, str]:
    """Return the directory of each folder by its uid; children are below their parents."""
    directories: dict[str, str] = {}
    used_names: set[str] = set()

    def directory(uid: str) -> str:
        if uid not in folders:
            return _TOP
        if uid not in directories:
            body = folders[uid].body
            parent = directory(body.get("parentUid") or "")
            directories[uid] = _unused(f"{parent}/{_slug(body['title'])}", used_names)
        return directories[uid]

    for uid in sorted(folders):
        directory(uid)
    return directories


def _unused(name: str, used_names: set[str], separator: str = "-") -> str:
    """Return a name, with a number when it is used already, and mark it as used."""
    unused = name
    number = 1
    while unused in used_names:
        number += 1
        unused = f"{name}{separator}{number}"
    used_names.add(unused)
    return unused


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "untitled"


def _folder(body: JsonObject) -> JsonObject:
    folder = {"title": body["title"], "uid": body["uid"]}
    if body.get("description"):
        folder["description"] = body["description"]
    return folder


def _only(body: JsonObject, keys: tuple[str, ...]) -> JsonObject:
    return {key: body[key] for key in keys if body.get(key) is not None}


def escaped(string: str) -> str:
    """Escape the dollars of a string, so that Grafana reads it unchanged from a file."""
    return string.replace("$", "$$")


def _escape_tree(value: Any) -> Any:
    """Escape the strings of a value."""
    if isinstance(value, dict):
        return {key: _escape_tree(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_escape_tree(child) for child in value]
    return escaped(value) if isinstance(value, str) else value


def _datasource(live: Live, uid: str, variables: _Variables) -> JsonObject:
    datasource: JsonObject = _escape_tree(_only(live.body, _DATASOURCE_FIELDS))
    json_data = dict(live.body.get("jsonData") or {})
    json_data.pop(RECORD, None)
    if json_data:
        datasource["jsonData"] = _escape_tree(json_data)
    secrets = sorted(live.facts.get("secrets") or ())
    if secrets:
        datasource["secureJsonData"] = {
            key: variables.reference(uid, key) for key in secrets
        }
    return datasource


def _contact_point(body: JsonObject, variables: _Variables) -> JsonObject:
    receivers = [_receiver(receiver, variables) for receiver in body["receivers"]]
    return {"name": escaped(body["name"]), "receivers": receivers}


def _receiver(receiver: JsonObject, variables: _Variables) -> JsonObject:
    uid = receiver["uid"]
    return {
        "uid": escaped(uid),
        "type": receiver["type"],
        "settings": _settings(receiver["settings"], variables, (uid,)),
        "disableResolveMessage": bool(receiver.get("disableResolveMessage")),
    }


def _settings(
    value: Any, variables: _Variables, path: tuple[str, ...], secret: bool = False
) -> Any:
    """Return settings with a variable for each string that may be secret.

    ``secret`` is true below a key whose name indicates a secret.
    """
    if isinstance(value, dict):
        settings = {}
        for key, child in value.items():
            key_is_secret = bool(redact.SECRET.search(key))
            settings[key] = _settings(
                child, variables, (*path, key), secret or key_is_secret
            )
        return settings
    if isinstance(value, list):
        return [
            _settings(child, variables, (*path, str(index)), secret)
            for index, child in enumerate(value)
        ]
    is_secret = secret and isinstance(value, str) and value not in redact.NO_SECRETS
    if is_secret or value == redact.REDACTED:
        return variables.reference(*path)
    return _escape_tree(value)


def _route(route: JsonObject) -> JsonObject:
    fields = {key: value for key, value in route.items() if value not in _EMPTY}
    fields.pop("provenance", None)
    if "routes" in fields:
        fields["routes"] = [_route(child) for child in fields["routes"]]
    return fields


def _group(body: JsonObject) -> JsonObject:
    return {
        "name": escaped(body["title"]),
        "folderUid": body["folderUid"],
        "interval": f"{int(body['interval'])}s",
        "rules": [_rule(rule) for rule in body["rules"]],
    }


def _rule(rule: JsonObject) -> JsonObject:
    fields = {"uid": rule["uid"], "title": escaped(rule["title"])}
    for key, name in _RULE_NAMES.items():
        if rule.get(key) not in _UNSET:
            fields[name] = rule[key]
    fields["data"] = [_query(query) for query in rule["data"]]
    if rule.get("labels"):
        fields["labels"] = _escape_tree(rule["labels"])
    if rule.get("annotations"):
        fields["annotations"] = rule["annotations"]
    notification = rule.get("notification_settings") or {}
    settings = {key: value for key, value in notification.items() if value}
    if settings:
        fields["notification_settings"] = _escape_tree(settings)
    if rule.get("record"):
        fields["record"] = _record(rule["record"])
    return fields


def _record(record: JsonObject) -> JsonObject:
    return {name: record[key] for key, name in _RECORD_NAMES.items() if record.get(key)}


def _query(query: JsonObject) -> JsonObject:
    fields = _only(query, _QUERY_FIELDS)
    if query.get("queryType"):
        fields["queryType"] = query["queryType"]
    return fields
