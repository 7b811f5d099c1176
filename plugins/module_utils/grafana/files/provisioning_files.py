# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Convert Grafana's provisioning files to bodies of its HTTP API. Pure.

The fields, their defaults and the replacement of variables follow Grafana's own readers
(pkg/services/provisioning in its source): it replaces no variables in the annotations and queries
of rules, in templates, and in mute timings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..model import ABSENT, DesiredObject
from ..normalize import BASE_INTERVAL
from .documents import type_name
from .folders import digest, slug, titles
from .schema import (
    Diagnostics,
    any_dict,
    any_value,
    boolean,
    dict_of,
    ignored,
    integer,
    label,
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
    from collections.abc import Callable

    from .documents import JsonObject, Steps
    from .folders import Folders, Titles
    from .schema import Reader, Schema

    SectionReader = Callable[["Provisioning", Reader, Steps, Any], None]

# A duration in the notation of Prometheus.
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_SECONDS = (31536000, 604800, 86400, 3600, 60, 1, 0.001)
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
ROUTE_LISTS = (
    "group_by",
    "object_matchers",
    "matchers",
    "mute_time_intervals",
    "active_time_intervals",
)
ROUTE_DURATIONS = ("group_wait", "group_interval", "repeat_interval")
ROUTE_FIELDS = (
    "receiver",
    *ROUTE_LISTS,
    "match",
    "match_re",
    "continue",
    *ROUTE_DURATIONS,
    "routes",
)
TEMPLATE: Schema = {"orgId": integer, "name": raw_string, "template": raw_string}
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
# Each state's values; the first one is Grafana's default.
STATES = {
    "noDataState": ("NoData", "OK", "Alerting", "KeepLast"),
    "execErrState": ("Alerting", "Error", "OK", "KeepLast"),
}
# The sections that other readers handle.
_OTHER_KEYS = ("apiVersion", "folders", "dashboards")


@dataclass(frozen=True)
class Provider:
    """A directory of dashboards that a provisioning file names."""

    name: str
    path: str
    folder: Titles
    folders_from_directories: bool
    source: str


@dataclass
class Provisioning:
    """The objects of provisioning files; ``folders`` resolves and collects their folders."""

    folders: Folders
    org_id: int = 1
    desired: list[DesiredObject] = field(default_factory=list)
    providers: list[Provider] = field(default_factory=list)

    def declare_folders(self, reader: Reader) -> None:
        """Declare the uids of a document's folders, before any document that uses them is read."""
        content = reader.document.content
        if not isinstance(content, dict):
            return
        for steps, element in reader.elements(("folders",), content.get("folders")):
            fields = reader.fields(steps, element, FOLDER, "a folder")
            parts = titles(fields.get("folder", ""))
            uid, description = fields.get("uid", ""), fields.get("description")
            self.folders.declare(parts, reader.at(*steps), uid, description)
        # Reading the sections reports their errors, so they are not reported here.
        silent_reader = replace(reader, diagnostics=Diagnostics())
        for section in ("groups", "providers"):
            for steps, element in silent_reader.elements((section,), content.get(section)):
                if isinstance(element, dict):
                    self._declare_folder_of(silent_reader, steps, element)

    def _declare_folder_of(self, reader: Reader, steps: Steps, element: JsonObject) -> None:
        """Declare the folder of a rule group or provider that names both its titles and uid."""
        path = string(reader, (*steps, "folder"), element.get("folder") or "")
        uid = string(reader, (*steps, "folderUid"), element.get("folderUid") or "")
        parts = titles(path)
        if parts and uid:
            self.folders.declare(parts, reader.at(*steps), uid)

    def read(self, reader: Reader) -> None:
        """Add the objects of a document."""
        content = reader.document.content
        if not isinstance(content, dict):
            reader.error(
                (),
                f"the file is a {type_name(content)};"
                " write a dict such as apiVersion: 1 and datasources.",
            )
            return
        version = content.get("apiVersion")
        if reader.document.interpolated and str(version) != "1":
            reader.error(("apiVersion",), "apiVersion is not 1; write apiVersion: 1.")
        for key, section in content.items():
            if key in SECTIONS:
                for steps, element in reader.elements((key,), section):
                    SECTIONS[key](self, reader, steps, element)
            elif key not in _OTHER_KEYS:
                _report_section(reader, key)

    def add(
        self, kind: str, identity: str, body: JsonObject, source: str, state: str = "present"
    ) -> None:
        """Add one object."""
        self.desired.append(DesiredObject(kind, identity, body, source, state))

    def remove(self, kind: str, identity: str, body: JsonObject, source: str) -> None:
        """Add one object that must be absent."""
        self.add(kind, identity, body, source, ABSENT)

    def is_in_organization(self, reader: Reader, steps: Steps, fields: JsonObject) -> bool:
        """Return whether an object belongs to the task's organization; report it otherwise.

        Removes the fields that name the organization.
        """
        org_id = fields.pop("orgId", None) or 1
        if fields.pop("orgName", ""):
            reader.error((*steps, "orgName"), "orgName is not supported; set orgId.")
            return False
        if max(org_id, 1) != self.org_id:
            reader.error(
                (*steps, "orgId"),
                f"orgId is {org_id}, and the task manages organization {self.org_id};"
                " use the same organization.",
            )
            return False
        return True


def _report_section(reader: Reader, key: str) -> None:
    """Report a section that is not supported."""
    if key == "prune":
        reader.warn((key,), "prune has no effect in a file; use the option of the task.")
    elif key == "apps":
        reader.warn(
            (key,), "apps is not supported and changes nothing; configure plugins in Grafana."
        )
    else:
        reader.error((key,), unknown_field("a provisioning file", key, SECTIONS))


def _read_datasource(provisioning: Provisioning, reader: Reader, steps: Steps, value: Any) -> None:
    fields = reader.fields(steps, value, DATASOURCE, "a datasource")
    if not provisioning.is_in_organization(reader, steps, fields):
        return
    if not _has(reader, steps, fields, "name", "type"):
        return
    if fields.pop("correlations", None):
        reader.warn(
            (*steps, "correlations"),
            "correlations is not supported and changes nothing; configure it in Grafana.",
        )
    secrets = {key: fields.pop(key) for key in _OLD_SECRETS if key in fields}
    body = {**DATASOURCE_DEFAULTS, **fields}
    body["uid"] = fields.get("uid") or datasource_uid(fields["name"])
    body["access"] = body["access"] or "proxy"
    given_secrets = {key: secret for key, secret in secrets.items() if secret}
    body["secureJsonData"] = {**given_secrets, **body["secureJsonData"]}
    provisioning.add("datasource", body["uid"], body, reader.at(*steps))


def datasource_uid(name: str) -> str:
    """Return the uid that Grafana gives to a datasource whose file sets none."""
    return f"P{digest(name, 16).upper()}"


def _read_contact_point(
    provisioning: Provisioning, reader: Reader, steps: Steps, value: Any
) -> None:
    fields = reader.fields(steps, value, CONTACT_POINT, "a contact point")
    name = fields["name"] = fields.get("name", "").strip()
    if not provisioning.is_in_organization(reader, steps, fields):
        return
    if not _has(reader, steps, fields, "name"):
        return
    receivers = []
    for index, receiver in enumerate(fields.get("receivers", [])):
        if _has(reader, (*steps, "receivers", index), receiver, "type", "settings"):
            receivers.append(_receiver(name, index, receiver))
    if not fields.get("receivers"):
        reader.error(steps, f"contact point {name} has no receivers; add one.")
    body = {"name": name, "receivers": receivers}
    provisioning.add("contact_point", name, body, reader.at(*steps))


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
    return f"{slug(f'{name} {receiver_type}')}-{digest(f'{name}/{receiver_type}/{index}')}"


def _read_policy(provisioning: Provisioning, reader: Reader, steps: Steps, value: Any) -> None:
    route = any_dict(reader, steps, value)
    org_id = route.pop("orgId", None)
    organization = {}
    if org_id:
        organization["orgId"] = integer(reader, (*steps, "orgId"), org_id)
    route.pop("provenance", None)
    if provisioning.is_in_organization(reader, steps, organization):
        _check_route(reader, steps, route)
        provisioning.add("policy", "", route, reader.at(*steps))


def _check_route(reader: Reader, steps: Steps, route: Any) -> None:
    if not isinstance(route, dict):
        reader.error(steps, f"a route is a {type_name(route)}; write a dict.")
        return
    for key, value in route.items():
        _check_route_field(reader, (*steps, key), key, value)
    for child_steps, child in reader.elements((*steps, "routes"), route.get("routes")):
        _check_route(reader, child_steps, child)


def _check_route_field(reader: Reader, steps: Steps, key: str, value: Any) -> None:
    if key not in ROUTE_FIELDS:
        reader.error(steps, unknown_field("a route", key, ROUTE_FIELDS))
    elif key == "continue" and not isinstance(value, (bool, type(None))):
        reader.error(steps, f"continue is {value!r}; write true or false.")
    elif key in ROUTE_LISTS:
        reader.elements(steps, value)
    elif key in ROUTE_DURATIONS:
        _check_duration(reader, steps, value)


def _read_template(provisioning: Provisioning, reader: Reader, steps: Steps, value: Any) -> None:
    fields = reader.fields(steps, value, TEMPLATE, "a template")
    if not provisioning.is_in_organization(reader, steps, fields):
        return
    if _has(reader, steps, fields, "name", "template"):
        provisioning.add("template", fields["name"], fields, reader.at(*steps))


def _read_mute_timing(provisioning: Provisioning, reader: Reader, steps: Steps, value: Any) -> None:
    fields = reader.fields(steps, value, MUTE_TIMING, "a mute timing")
    if not provisioning.is_in_organization(reader, steps, fields):
        return
    if _has(reader, steps, fields, "name"):
        body = {"time_intervals": [], **fields}
        provisioning.add("mute_timing", fields["name"], body, reader.at(*steps))


def _read_group(provisioning: Provisioning, reader: Reader, steps: Steps, value: Any) -> None:
    fields = reader.fields(steps, value, GROUP, "a rule group")
    if not provisioning.is_in_organization(reader, steps, fields):
        return
    if not _has(reader, steps, fields, "name", "interval", "rules"):
        return
    title = fields["name"]
    folder_uid = _folder_uid(provisioning, reader, steps, fields)
    interval = _check_duration(reader, (*steps, "interval"), fields["interval"])
    if interval is None:
        # The check reported an error, so that this value is never sent.
        interval = BASE_INTERVAL
    if interval == int(interval):
        interval = int(interval)
    body = {
        "folderUid": folder_uid,
        "title": title,
        "interval": interval,
        "rules": [
            _rule(reader, (*steps, "rules", index), rule)
            for index, rule in enumerate(fields["rules"])
        ],
    }
    provisioning.add("rule_group", f"{folder_uid}/{title}", body, reader.at(*steps))


def _folder_uid(
    provisioning: Provisioning, reader: Reader, steps: Steps, fields: JsonObject
) -> str:
    """Return the uid of a rule group's folder; exported files set it beside the titles."""
    parts = titles(fields.get("folder", ""))
    uid: str = fields.get("folderUid", "")
    if not parts and not uid:
        reader.error(steps, f"rule group {fields['name']} has no folder; set folder or folderUid.")
    # declare_folders took a uid that stands beside titles.
    return provisioning.folders.uid(parts, reader.at(*steps)) if parts else uid


def _rule(reader: Reader, steps: Steps, fields: JsonObject) -> JsonObject:
    _has(reader, steps, fields, "uid", "title", "data")
    is_recording = "record" in fields
    if not is_recording:
        _has(reader, steps, fields, "condition")
    body = {
        "uid": fields.get("uid", ""),
        "title": fields.get("title", ""),
        "condition": fields.get("condition", ""),
        "data": [_query(query) for query in fields.get("data", [])],
        "for": fields.get("for") or "0s",
        "annotations": {**fields.get("annotations", {}), **_panel(reader, steps, fields)},
        "labels": fields.get("labels", {}),
        "isPaused": fields.get("isPaused", False),
    }
    for key in STATES:
        body[key] = "" if is_recording else _state(reader, steps, fields, key)
    if fields.get("keepFiringFor"):
        body["keep_firing_for"] = fields["keepFiringFor"]
    if "missing_series_evals_to_resolve" in fields:
        body["missingSeriesEvalsToResolve"] = fields["missing_series_evals_to_resolve"]
    _check_durations(reader, steps, fields, ("for", "keepFiringFor"))
    if "notification_settings" in fields:
        body["notification_settings"] = _notification_settings(reader, steps, fields)
    if is_recording:
        body["record"] = _record(reader, steps, fields)
    return body


def _state(reader: Reader, steps: Steps, fields: JsonObject, key: str) -> str:
    states = STATES[key]
    state: str = fields.get(key, "").strip() or states[0]
    if state not in states:
        reader.error((*steps, key), f"{key} is {state!r}; use one of {', '.join(states)}.")
    return state


def _notification_settings(reader: Reader, steps: Steps, fields: JsonObject) -> JsonObject:
    settings: JsonObject = fields["notification_settings"]
    settings_steps = (*steps, "notification_settings")
    _has(reader, settings_steps, settings, "receiver")
    _check_durations(reader, settings_steps, settings, ROUTE_DURATIONS)
    return settings


def _record(reader: Reader, steps: Steps, fields: JsonObject) -> JsonObject:
    record: JsonObject = fields["record"]
    _has(reader, (*steps, "record"), record, "metric", "from")
    return {_RECORD_NAMES.get(key, key): value for key, value in record.items()}


def _query(fields: JsonObject) -> JsonObject:
    body = {"refId": fields.get("refId", ""), "datasourceUid": fields.get("datasourceUid", "")}
    if fields.get("queryType"):
        body["queryType"] = fields["queryType"]
    body["relativeTimeRange"] = {"from": 0, "to": 0, **fields.get("relativeTimeRange", {})}
    body["model"] = fields.get("model", {})
    return body


def _panel(reader: Reader, steps: Steps, fields: JsonObject) -> dict[str, str]:
    """Return the annotations that link a rule to a panel; the API has no fields for it."""
    dashboard = fields.get("dashboardUid") or fields.get("dasboardUid", "")
    panel = fields.get("panelId")
    if not dashboard and not panel:
        return {}
    if not dashboard or not panel:
        reader.error(steps, "only one of dashboardUid and panelId is set; set both or neither.")
    return {"__dashboardUid__": dashboard, "__panelId__": str(panel)}


def _read_provider(provisioning: Provisioning, reader: Reader, steps: Steps, value: Any) -> None:
    fields = reader.fields(steps, value, PROVIDER, "a provider")
    if not provisioning.is_in_organization(reader, steps, fields):
        return
    if not _has(reader, steps, fields, "name", "options"):
        return
    options = fields["options"]
    path = options.get("path") or options.get("folder")
    is_file = fields.get("type", "file") in ("", "file")
    if not is_file or not isinstance(path, str) or not path:
        reader.error(
            steps, "the provider is not of type file or lacks options.path; set type and path."
        )
        return
    provider = Provider(
        name=fields["name"],
        path=path,
        folder=titles(fields.get("folder", "")),
        folders_from_directories=options.get("foldersFromFilesStructure") in (True, "true"),
        source=reader.at(*steps),
    )
    provisioning.providers.append(provider)


def _removal(kind: str, key: str) -> SectionReader:
    """Return a reader for a ``delete…`` section, whose elements name objects by ``key``.

    An object whose identity is not that key has the key in its body.
    """
    schema: Schema = {"orgId": integer, "orgName": string, key: string}

    def read(provisioning: Provisioning, reader: Reader, steps: Steps, value: Any) -> None:
        fields = reader.fields(steps, value, schema, "a removal")
        if not provisioning.is_in_organization(reader, steps, fields):
            return
        if not _has(reader, steps, fields, key):
            return
        name = fields[key].strip()
        identities = {"datasource": datasource_uid(name), "contact_point": "", "rule_group": ""}
        identity = identities.get(kind, name)
        provisioning.remove(kind, identity, {key: name}, reader.at(*steps))

    return read


def _reset_policy(provisioning: Provisioning, reader: Reader, steps: Steps, value: Any) -> None:
    organization = {"orgId": integer(reader, steps, value)}
    if provisioning.is_in_organization(reader, steps, organization):
        provisioning.remove("policy", "", {}, reader.at(*steps))


def _has(reader: Reader, steps: Steps, fields: JsonObject, *keys: str) -> bool:
    """Return whether all of the keys are set; report the missing ones."""
    missing = [key for key in keys if not fields.get(key)]
    if missing:
        reader.error(steps, f"required fields are missing; set {', '.join(missing)}.")
    return not missing


def _check_durations(
    reader: Reader, steps: Steps, fields: JsonObject, keys: tuple[str, ...]
) -> None:
    for key in keys:
        _check_duration(reader, (*steps, key), fields.get(key) or "0s")


def _check_duration(reader: Reader, steps: Steps, value: Any) -> float | None:
    """Return the seconds of a duration; report a value that is none."""
    duration = seconds(value) if isinstance(value, str) else None
    if duration is None and value is not None:
        reader.error(steps, f"{label(steps)} is {value!r}; write a duration such as 30s or 1h30m.")
    return duration


def seconds(duration: str) -> float | None:
    """Return the seconds of a duration in Prometheus' notation; None for anything else."""
    if duration == "0":
        return 0
    match = _DURATION.fullmatch(duration)
    if not match or not duration:
        return None
    counts = [int(count or 0) for count in match.groups()]
    return sum(count * unit for count, unit in zip(counts, _SECONDS))


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
