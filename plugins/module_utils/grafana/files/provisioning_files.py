# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert Grafana's provisioning files to bodies of its HTTP API. Pure.

The fields, their defaults and the replacement of variables follow Grafana's own readers
(pkg/services/provisioning in its source): it replaces no variables in the annotations and queries
of rules, in templates, and in mute timings.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .. import schedules
from ..model import ABSENT, DesiredObject
from ..normalize import BASE_INTERVAL, STATES
from .folders import digest, single_title, slug, titles
from .routes import check_matchers
from .rule_templates import query_functions, structure_problem
from .schema import (
    Diagnostics,
    any_dict,
    any_value,
    boolean,
    dict_of,
    ignored,
    integer,
    list_of,
    raw_dict,
    raw_string,
    raw_string_dict,
    raw_string_list,
    string,
    string_dict,
    string_list,
    unknown_field,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .documents import JsonObject
    from .folders import Folders, Titles
    from .schema import Node, Reader, Schema

    SectionReader = Callable[["Provisioning", Node], None]

DATASOURCE: Schema = {
    "orgId": integer,
    "name": string,
    "uid": string,
    "type": string,
    "access": string,
    "url": string,
    "user": string,
    "database": string,
    "basicAuth": boolean,
    "basicAuthUser": string,
    "withCredentials": boolean,
    "isDefault": boolean,
    "jsonData": any_dict,
    "secureJsonData": string_dict,
    "password": string,
    "basicAuthPassword": string,
    "orgName": string,
    "correlations": any_value,
    "version": ignored,
    "editable": ignored,
    "readOnly": ignored,
    "apiVersion": ignored,
}
# Grafana writes these for the fields that a file omits.
DATASOURCE_DEFAULTS: JsonObject = {
    "access": "proxy",
    "url": "",
    "user": "",
    "database": "",
    "basicAuth": False,
    "basicAuthUser": "",
    "withCredentials": False,
    "isDefault": False,
    "jsonData": {},
    "secureJsonData": {},
}
# Old files have these beside secureJsonData.
_OLD_SECRETS = ("password", "basicAuthPassword")
RECEIVER: Schema = {
    "uid": string,
    "type": string,
    "settings": any_dict,
    "disableResolveMessage": boolean,
}
CONTACT_POINT: Schema = {
    "orgId": integer,
    "name": string,
    "receivers": list_of(RECEIVER, "a receiver"),
}
ROUTE_LISTS = ("group_by", "mute_time_intervals", "active_time_intervals")
MATCHER_FIELDS = ("object_matchers", "matchers", "match", "match_re")
ROUTE_FIELDS = (
    "receiver",
    *ROUTE_LISTS,
    *MATCHER_FIELDS,
    "continue",
    *schedules.ROUTE_TIMES,
    "routes",
)
TEMPLATE: Schema = {"orgId": integer, "name": raw_string, "template": raw_string}
GO_TIME_ZONES = ("", "UTC", "Local")
OLD_TIME_ZONE = "US/Eastern"
TIME_RANGE: Schema = {"start_time": raw_string, "end_time": raw_string}
TIME_INTERVAL: Schema = {
    "times": list_of(TIME_RANGE, "a time range"),
    "weekdays": raw_string_list,
    "days_of_month": raw_string_list,
    "months": raw_string_list,
    "years": raw_string_list,
    "location": raw_string,
}
MUTE_TIMING: Schema = {
    "orgId": integer,
    "name": raw_string,
    "time_intervals": list_of(TIME_INTERVAL, "a time interval"),
}
QUERY_RANGE: Schema = {"from": integer, "to": integer}
QUERY: Schema = {
    "refId": string,
    "queryType": string,
    "relativeTimeRange": dict_of(QUERY_RANGE, "relativeTimeRange"),
    "datasourceUid": string,
    "model": raw_dict,
}
NOTIFICATION_SETTINGS: Schema = {
    "receiver": string,
    "group_by": string_list,
    "group_wait": string,
    "group_interval": string,
    "repeat_interval": string,
    "mute_time_intervals": string_list,
    "active_time_intervals": string_list,
}
RECORD: Schema = {"metric": string, "from": string, "targetDatasourceUid": string}
# The API's names of fields that files name differently.
_RECORD_NAMES = {"targetDatasourceUid": "target_datasource_uid"}
RULE: Schema = {
    "uid": string,
    "title": string,
    "condition": string,
    "data": list_of(QUERY, "a query"),
    "dashboardUid": string,
    # Grafana's own misspelling.
    "dasboardUid": string,
    "panelId": integer,
    "noDataState": string,
    "execErrState": string,
    "for": string,
    "keepFiringFor": string,
    "missing_series_evals_to_resolve": integer,
    "annotations": raw_string_dict,
    "labels": string_dict,
    "isPaused": boolean,
    "notification_settings": dict_of(NOTIFICATION_SETTINGS, "notification_settings"),
    "record": dict_of(RECORD, "record"),
}
GROUP: Schema = {
    "orgId": integer,
    "name": string,
    "folder": string,
    "folderUid": string,
    "interval": string,
    "rules": list_of(RULE, "a rule"),
}
PROVIDER: Schema = {
    "name": string,
    "orgId": integer,
    "type": string,
    "folder": string,
    "folderUid": string,
    "options": any_dict,
    "editable": ignored,
    "disableDeletion": ignored,
    "allowUiUpdates": ignored,
    "updateIntervalSeconds": ignored,
    "orgName": string,
}
FOLDER: Schema = {"folder": string, "uid": string, "description": raw_string}
_UNNAMED = "(unnamed)"
# The sections that other readers handle.
_OTHER_KEYS = ("apiVersion", "folders", "dashboards", "library_panels")


@dataclass(frozen=True)
class Provider:
    """A directory of dashboards that a provisioning file names."""

    name: str
    path: str
    folder: Titles
    folders_from_directories: bool
    source: str
    # Grafana puts the files of all subdirectories into the folder with this uid.
    folder_uid: str = ""


@dataclass
class Provisioning:
    """The objects of provisioning files; ``folders`` resolves and collects their folders."""

    folders: Folders
    org_id: int = 1
    desired: list[DesiredObject] = field(default_factory=list)
    providers: list[Provider] = field(default_factory=list)

    def declare_folders(self, reader: Reader) -> None:
        """Declare the uids of a document's folders, before any document that uses them is read."""
        for node in reader.root().get("folders").elements():
            fields = node.fields(FOLDER, "a folder")
            parts = titles(fields.get("folder", ""))
            self.folders.declare(
                parts, node.at, fields.get("uid", ""), fields.get("description")
            )
        # Reading the sections reports their errors, so they are not reported here.
        silent_reader = replace(reader, diagnostics=Diagnostics())
        for section, parse in (("groups", titles), ("providers", single_title)):
            for node in silent_reader.root().get(section).elements():
                self._declare_folder_of(node, parse)

    def _declare_folder_of(self, node: Node, parse: Callable[[str], Titles]) -> None:
        """Declare the folder of a rule group or provider that names both its titles and uid."""
        path, uid = node.get("folder"), node.get("folderUid")
        if path.value and uid.value:
            parts = parse(string(path))
            folder_uid = string(uid)
            if parts and folder_uid:
                self.folders.declare(parts, node.at, folder_uid)

    def read(self, reader: Reader) -> None:
        """Add the objects of a document."""
        root = reader.root()
        if not isinstance(root.value, dict):
            root.type_error("dict such as apiVersion: 1 and datasources")
            return
        version = root.get("apiVersion")
        if reader.document.interpolated and str(version.value) != "1":
            version.error("apiVersion is not 1; write apiVersion: 1.")
        for key, section in root.items():
            if key in SECTIONS:
                for node in section.elements():
                    SECTIONS[key](self, node)
            elif key not in _OTHER_KEYS:
                _report_section(section, key)
            elif key == "dashboards" and reader.document.interpolated:
                section.error(
                    "dashboards has no effect in a file; write each one to a JSON file."
                )

    def add(
        self,
        kind: str,
        identity: str,
        body: JsonObject,
        source: str,
        state: str = "present",
    ) -> None:
        """Add one object."""
        self.desired.append(DesiredObject(kind, identity, body, source, state))

    def accepts(self, node: Node, fields: JsonObject, *keys: str) -> bool:
        """Return whether an object is complete and of the task's organization."""
        is_complete = _has(node, fields, *keys)
        return self.is_in_organization(node, fields) and is_complete

    def is_in_organization(self, node: Node, fields: JsonObject) -> bool:
        """Return whether an object belongs to the task's organization; report it otherwise.

        Removes the fields that name the organization.
        """
        org_id = fields.pop("orgId", None) or 1
        if fields.pop("orgName", ""):
            node.child("orgName").error("orgName is not supported; set orgId.")
            return False
        if max(org_id, 1) != self.org_id:
            node.child("orgId").error(
                f"orgId is {org_id}, and the task manages organization {self.org_id};"
                " use the same organization."
            )
            return False
        return True


def _report_section(section: Node, key: str) -> None:
    """Report a section that is not supported."""
    if key == "prune":
        section.warn("prune has no effect in a file; use the option of the task.")
    elif key == "apps":
        section.warn(
            "apps is not supported and changes nothing; configure plugins in Grafana."
        )
    else:
        section.error(unknown_field("a provisioning file", key, SECTIONS))


def _read_datasource(provisioning: Provisioning, node: Node) -> None:
    fields = node.fields(DATASOURCE, "a datasource")
    # Objects with errors are checked further, and nothing is sent.
    provisioning.accepts(node, fields, "name", "type")
    if not fields.get("name"):
        return
    if fields.pop("correlations", None):
        node.child("correlations").warn(
            "correlations is not supported and changes nothing; configure it in Grafana."
        )
    secrets = {key: fields.pop(key) for key in _OLD_SECRETS if key in fields}
    body = {**DATASOURCE_DEFAULTS, **fields}
    body["uid"] = fields.get("uid") or datasource_uid(fields["name"])
    body["access"] = body["access"] or "proxy"
    set_secrets = {key: secret for key, secret in secrets.items() if secret}
    body["secureJsonData"] = {**set_secrets, **body["secureJsonData"]}
    provisioning.add("datasource", body["uid"], body, node.at)


def datasource_uid(name: str) -> str:
    """Return the uid that Grafana gives to a datasource whose file sets none."""
    return f"P{digest(name, 16).upper()}"


def _read_contact_point(provisioning: Provisioning, node: Node) -> None:
    fields = node.fields(CONTACT_POINT, "a contact point")
    name = fields["name"] = fields.get("name", "").strip()
    provisioning.accepts(node, fields, "name")
    receivers = []
    for index, receiver in enumerate(fields.get("receivers", [])):
        if _has(node.child("receivers", index), receiver, "type", "settings"):
            receivers.append(_receiver(name, index, receiver))
    if not fields.get("receivers"):
        node.error(f"contact point {name or _UNNAMED} has no receivers; add one.")
    if name:
        body = {"name": name, "receivers": receivers}
        provisioning.add("contact_point", name, body, node.place)


def _receiver(point: str, index: int, fields: JsonObject) -> JsonObject:
    own_uid = fields.get("uid", "").strip()
    return {
        "uid": own_uid or receiver_uid(point, fields["type"], index),
        "type": fields["type"].strip(),
        "settings": fields["settings"],
        "disableResolveMessage": fields.get("disableResolveMessage", False),
    }


def receiver_uid(name: str, receiver_type: str, index: int) -> str:
    """Return the uid of a receiver whose file sets none, the same in each run."""
    return (
        f"{slug(f'{name} {receiver_type}')}-{digest(f'{name}/{receiver_type}/{index}')}"
    )


def _read_policy(provisioning: Provisioning, node: Node) -> None:
    route = any_dict(node)
    organization = {}
    org_id = route.pop("orgId", None)
    if org_id:
        organization["orgId"] = integer(node.child("orgId", value=org_id))
    route.pop("provenance", None)
    if provisioning.is_in_organization(node, organization):
        _check_route(node._replace(value=route))
        provisioning.add("policy", "", route, node.place)


def _check_route(node: Node) -> None:
    if not isinstance(node.value, dict):
        node.type_error("dict", "a route")
        return
    for key, field_node in node.items():
        _check_route_field(field_node, key)
    for child in node.get("routes").elements():
        _check_route(child)


def _check_route_field(node: Node, key: str) -> None:
    if key not in ROUTE_FIELDS:
        node.error(unknown_field("a route", key, ROUTE_FIELDS))
    elif key == "continue" and not isinstance(node.value, (bool, type(None))):
        node.error(f"continue is {node.value!r}; write true or false.")
    elif key == "receiver" and not isinstance(node.value, (str, type(None))):
        node.type_error("str")
    elif key in MATCHER_FIELDS:
        check_matchers(node, key)
    elif key in ROUTE_LISTS:
        elements = node.elements()
        for element in elements:
            if not isinstance(element.value, str):
                element.type_error("str")
        if key == "group_by":
            values = [element.value for element in elements]
            _report(node, schedules.grouping_problems(values))
    elif key in schedules.ROUTE_TIMES and node.value is not None:
        _check_duration(node)


def _read_template(provisioning: Provisioning, node: Node) -> None:
    fields = node.fields(TEMPLATE, "a template")
    if provisioning.accepts(node, fields, "name", "template"):
        provisioning.add("template", fields["name"], fields, node.at)


def _read_mute_timing(provisioning: Provisioning, node: Node) -> None:
    fields = node.fields(MUTE_TIMING, "a mute timing")
    if provisioning.accepts(node, fields, "name"):
        body = {"time_intervals": [], **fields}
        for index, interval in enumerate(body["time_intervals"]):
            _check_interval(node.child("time_intervals", index), interval)
        provisioning.add("mute_timing", fields["name"], body, node.at)


def _check_interval(node: Node, interval: JsonObject) -> None:
    """Report a time interval that Grafana refuses, with an unknown time zone too."""
    _report(node, schedules.timing_problems({"time_intervals": [interval]}))
    location = interval.get("location", "")
    if _is_time_zone(location):
        return
    message = (
        f"location {location} is no time zone known here; write one as Europe/Berlin."
    )
    # Some systems have no names of old, which Grafana still takes.
    report = node.error if _is_time_zone(OLD_TIME_ZONE) else node.warn
    report(message)


def _is_time_zone(name: str) -> bool:
    """Return whether the system has the time zone, or it is one of Go's own."""
    try:
        return name in GO_TIME_ZONES or bool(ZoneInfo(name))
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return False


def _report(node: Node, problems: Iterable[str]) -> None:
    for problem in problems:
        node.error(f"{problem}.")


def _read_group(provisioning: Provisioning, node: Node) -> None:
    fields = node.fields(GROUP, "a rule group")
    provisioning.accepts(node, fields, "name", "interval")
    title = fields.get("name", "")
    folder_uid = _folder_uid(provisioning, node, fields)
    interval: float | None = None
    if fields.get("interval"):
        interval = _check_duration(node.child("interval", value=fields["interval"]))
    if interval is None:
        # The check reported an error, so that this value is never sent.
        interval = BASE_INTERVAL
    if interval == int(interval):
        interval = int(interval)
    rules = [
        _rule(node.child("rules", index), rule)
        for index, rule in enumerate(fields.get("rules", []))
    ]
    body = {
        "folderUid": folder_uid,
        "title": title,
        "interval": interval,
        "rules": rules,
    }
    if title:
        provisioning.add("rule_group", f"{folder_uid}/{title}", body, node.place)


def _folder_uid(provisioning: Provisioning, node: Node, fields: JsonObject) -> str:
    """Return the uid of a rule group's folder; exported files set it beside the titles."""
    parts = titles(fields.get("folder", ""))
    uid: str = fields.get("folderUid", "")
    if not parts and not uid:
        name = fields.get("name", _UNNAMED)
        node.error(f"rule group {name} has no folder; set folder or folderUid.")
    # declare_folders took a uid that stands beside titles.
    return provisioning.folders.uid(parts, node.at) if parts else uid


def _rule(node: Node, fields: JsonObject) -> JsonObject:
    is_recording = "record" in fields
    # The check of references reports a missing uid.
    required = ("title", "data") if is_recording else ("title", "data", "condition")
    _has(node, fields, *required)
    body = {
        "uid": fields.get("uid", ""),
        "title": fields.get("title", ""),
        "condition": fields.get("condition", ""),
        "data": [_query(query) for query in fields.get("data", [])],
        "for": fields.get("for") or "0s",
        "annotations": {**fields.get("annotations", {}), **_panel(node, fields)},
        "labels": fields.get("labels", {}),
        "isPaused": fields.get("isPaused", False),
    }
    for key in ("annotations", "labels"):
        _check_templates(node.child(key), body[key])
    for key in STATES:
        body[key] = "" if is_recording else _state(node, fields, key)
    if fields.get("keepFiringFor"):
        body["keep_firing_for"] = fields["keepFiringFor"]
    if "missing_series_evals_to_resolve" in fields:
        body["missingSeriesEvalsToResolve"] = fields["missing_series_evals_to_resolve"]
    _check_durations(node, fields, ("for", "keepFiringFor"))
    if "notification_settings" in fields:
        settings = fields["notification_settings"]
        _check_notification(node.child("notification_settings"), settings)
        body["notification_settings"] = settings
    if is_recording:
        body["record"] = _record(node.child("record"), fields["record"])
    return body


def _check_templates(node: Node, strings: dict[str, str]) -> None:
    """Warn about templates that Grafana does not expand, and queries, which Prometheus has."""
    for key, template in strings.items():
        problem = structure_problem(template)
        if problem:
            node.child(key).warn(
                f"{key} {problem}, so Grafana sends it as it is; correct it."
            )
        functions = query_functions(template)
        if functions:
            node.child(key).warn(
                f"{key} uses {', '.join(functions)}, and queries in templates return nothing"
                " in Grafana; remove it."
            )


def _state(node: Node, fields: JsonObject, key: str) -> str:
    states = STATES[key]
    state: str = fields.get(key, "").strip() or states[0]
    if state not in states:
        node.child(key).error(f"{key} is {state!r}; use one of {', '.join(states)}.")
    return state


def _check_notification(node: Node, settings: JsonObject) -> None:
    _has(node, settings, "receiver")
    for key in schedules.ROUTE_TIMES:
        # Grafana takes an empty string for a missing one.
        if settings.get(key) == "":
            del settings[key]
    _check_durations(node, settings, schedules.ROUTE_TIMES)
    _report(
        node.child("group_by"),
        schedules.grouping_problems(settings.get("group_by", [])),
    )


def _record(node: Node, record: JsonObject) -> JsonObject:
    _has(node, record, "metric", "from")
    return {_RECORD_NAMES.get(key, key): value for key, value in record.items()}


def _query(fields: JsonObject) -> JsonObject:
    body = {
        "refId": fields.get("refId", ""),
        "datasourceUid": fields.get("datasourceUid", ""),
    }
    if fields.get("queryType"):
        body["queryType"] = fields["queryType"]
    body["relativeTimeRange"] = {
        "from": 0,
        "to": 0,
        **fields.get("relativeTimeRange", {}),
    }
    body["model"] = fields.get("model", {})
    return body


def _panel(node: Node, fields: JsonObject) -> dict[str, str]:
    """Return the annotations that link a rule to a panel; the API has no fields for it."""
    dashboard = fields.get("dashboardUid") or fields.get("dasboardUid", "")
    panel = fields.get("panelId")
    if not dashboard and not panel:
        return {}
    if not dashboard or not panel:
        node.error("only one of dashboardUid and panelId is set; set both or neither.")
    return {"__dashboardUid__": dashboard, "__panelId__": str(panel)}


def _read_provider(provisioning: Provisioning, node: Node) -> None:
    fields = node.fields(PROVIDER, "a provider")
    is_accepted = provisioning.accepts(node, fields, "name")
    options = fields.get("options", {})
    path = options.get("path") or options.get("folder")
    is_file = fields.get("type", "file") in ("", "file")
    if not is_file or not isinstance(path, str) or not path:
        node.error(
            "the provider is not of type file or lacks options.path; set type and path."
        )
        return
    from_directories = options.get("foldersFromFilesStructure") in (True, "true")
    folder = fields.get("folder", "")
    if from_directories and folder and fields.get("folderUid"):
        node.error(
            "the provider has folder and folderUid beside foldersFromFilesStructure,"
            " which Grafana refuses; leave both out."
        )
    provider = Provider(
        name=fields.get("name", ""),
        path=path,
        folder=single_title(folder),
        folders_from_directories=from_directories,
        source=node.at,
        folder_uid=fields.get("folderUid", ""),
    )
    if is_accepted:
        provisioning.providers.append(provider)


def _removal(kind: str, key: str) -> SectionReader:
    """Return a reader for a ``delete…`` section, whose elements name objects by ``key``.

    An object whose identity is not that key has the key in its body.
    """
    schema: Schema = {"orgId": integer, "orgName": string, key: string}

    def read(provisioning: Provisioning, node: Node) -> None:
        fields = node.fields(schema, "a removal")
        if not provisioning.accepts(node, fields, key):
            return
        name = fields[key].strip()
        identities = {
            "datasource": datasource_uid(name),
            "contact_point": "",
            "rule_group": "",
        }
        identity = identities.get(kind, name)
        provisioning.add(kind, identity, {key: name}, node.at, ABSENT)

    return read


def _reset_policy(provisioning: Provisioning, node: Node) -> None:
    if provisioning.is_in_organization(node, {"orgId": integer(node)}):
        provisioning.add("policy", "", {}, node.at, ABSENT)


def _has(node: Node, fields: JsonObject, *keys: str) -> bool:
    """Return whether all of the keys are set; report the missing ones."""
    missing = [key for key in keys if not fields.get(key)]
    if missing:
        node.error(f"required fields are missing; set {', '.join(missing)}.")
    return not missing


def _check_durations(node: Node, fields: JsonObject, keys: tuple[str, ...]) -> None:
    for key in keys:
        if fields.get(key):
            _check_duration(node.child(key, value=fields[key]))


def _check_duration(node: Node) -> float | None:
    """Return the seconds of a duration; report a value that Grafana refuses."""
    problem = schedules.duration_problem(node.label, node.value)
    if problem:
        node.error(f"{problem}.")
        return None
    return (schedules.milliseconds(node.value) or 0) / 1000


SECTIONS: dict[str, SectionReader] = {
    "datasources": _read_datasource,
    "deleteDatasources": _removal("datasource", "name"),
    "providers": _read_provider,
    "contactPoints": _read_contact_point,
    "deleteContactPoints": _removal("contact_point", "uid"),
    "policies": _read_policy,
    "resetPolicies": _reset_policy,
    "templates": _read_template,
    "deleteTemplates": _removal("template", "name"),
    "muteTimes": _read_mute_timing,
    "deleteMuteTimes": _removal("mute_timing", "name"),
    "groups": _read_group,
    "deleteRules": _removal("rule_group", "uid"),
}
