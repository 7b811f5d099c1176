# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Turn Grafana's provisioning files into what its HTTP API takes. Pure.

The fields, their defaults, and which of them have variables replaced are those of Grafana's own readers
(pkg/services/provisioning in its source): not a rule's annotations and queries, no template, no mute timing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import Any

from ..model import ABSENT, DesiredObject
from ..normalize import BASE_INTERVAL
from . import schema
from .folders import UID_LENGTH, Folders, titles
from .schema import (
    Findings,
    Reader,
    boolean,
    ignored,
    integer,
    raw_text,
    raw_text_list,
    record,
    records,
    text,
    text_list,
)

# A duration as Prometheus writes it.
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_SECONDS = (31536000, 604800, 86400, 3600, 60, 1, 0.001)
DATASOURCE = {
    "orgId": integer, "name": text, "uid": text, "type": text, "access": text, "url": text, "user": text,
    "database": text, "basicAuth": boolean, "basicAuthUser": text, "withCredentials": boolean, "isDefault": boolean,
    "jsonData": schema.mapping, "secureJsonData": schema.texts, "password": text, "basicAuthPassword": text,
    "orgName": text, "correlations": schema.tree, "version": ignored, "editable": ignored, "readOnly": ignored,
    "apiVersion": ignored,
}  # fmt: skip
# What a datasource has where the file is silent: Grafana writes these too.
DATASOURCE_DEFAULTS = {
    "access": "proxy", "url": "", "user": "", "database": "", "basicAuth": False, "basicAuthUser": "",
    "withCredentials": False, "isDefault": False, "jsonData": {}, "secureJsonData": {},
}  # fmt: skip
RECEIVER = {"uid": text, "type": text, "settings": schema.mapping, "disableResolveMessage": boolean}
CONTACT_POINT = {"orgId": integer, "name": text, "receivers": records(RECEIVER, "a receiver")}
ROUTE_FIELDS = (
    "receiver", "group_by", "object_matchers", "matchers", "match", "match_re", "mute_time_intervals",
    "active_time_intervals", "continue", "group_wait", "group_interval", "repeat_interval", "routes",
)  # fmt: skip
ROUTE_LISTS = (
    "group_by",
    "object_matchers",
    "matchers",
    "mute_time_intervals",
    "active_time_intervals",
)
ROUTE_DURATIONS = ("group_wait", "group_interval", "repeat_interval")
TEMPLATE = {"orgId": integer, "name": raw_text, "template": raw_text}
TIMES = {"start_time": raw_text, "end_time": raw_text}
INTERVAL = {
    "times": records(TIMES, "a time"), "weekdays": raw_text_list, "days_of_month": raw_text_list,
    "months": raw_text_list, "years": raw_text_list, "location": raw_text,
}  # fmt: skip
MUTE_TIMING = {
    "orgId": integer,
    "name": raw_text,
    "time_intervals": records(INTERVAL, "a time interval"),
}
RANGE = {"from": integer, "to": integer}
QUERY = {
    "refId": text, "queryType": text, "relativeTimeRange": record(RANGE, "relativeTimeRange"), "datasourceUid": text,
    "model": schema.raw_mapping,
}  # fmt: skip
SETTINGS = {
    "receiver": text, "group_by": text_list, "group_wait": text, "group_interval": text, "repeat_interval": text,
    "mute_time_intervals": text_list, "active_time_intervals": text_list,
}  # fmt: skip
RECORD = {"metric": text, "from": text, "targetDatasourceUid": text}
RULE = {
    "uid": text, "title": text, "condition": text, "data": records(QUERY, "a query"), "dashboardUid": text,
    "dasboardUid": text, "panelId": integer, "noDataState": text, "execErrState": text, "for": text,
    "keepFiringFor": text, "missing_series_evals_to_resolve": integer, "annotations": schema.raw_texts,
    "labels": schema.texts, "isPaused": boolean, "notification_settings": record(SETTINGS, "notification_settings"),
    "record": record(RECORD, "record"),
}  # fmt: skip
GROUP = {
    "orgId": integer, "name": text, "folder": text, "folderUid": text, "interval": text,
    "rules": records(RULE, "a rule"),
}  # fmt: skip
PROVIDER = {
    "name": text, "orgId": integer, "type": text, "folder": text, "folderUid": text, "options": schema.mapping,
    "editable": ignored, "disableDeletion": ignored, "allowUiUpdates": ignored, "updateIntervalSeconds": ignored,
    "orgName": text,
}  # fmt: skip
FOLDER = {"folder": text, "uid": text, "description": raw_text}
STATES = {
    "noDataState": ("NoData", "OK", "Alerting", "KeepLast"),
    "execErrState": ("Alerting", "Error", "OK", "KeepLast"),
}


@dataclass(frozen=True)
class Provider:
    """A directory of dashboards that a file of Grafana's names."""

    name: str
    path: str
    folder: tuple
    folders_from_directories: bool
    source: str


@dataclass
class Provisioning:
    """What documents of the provisioning format want; ``folders`` gives and collects the folders."""

    folders: Folders
    org_id: int = 1
    desired: list = field(default_factory=list)
    providers: list = field(default_factory=list)

    def declare_folders(self, reader: Reader) -> None:
        """Take the uids of folders from a document, before any document that uses them is read."""
        content = reader.document.content
        for steps, value in reader.items(
            ("folders",), content.get("folders") if isinstance(content, dict) else None
        ):
            item = reader.record(steps, value, FOLDER, "a folder")
            parts = titles(item.get("folder", ""))
            self.folders.declare(
                parts, reader.at(*steps), item.get("uid", ""), item.get("description")
            )
        # What else is wrong with these is told when they are read.
        silent = replace(reader, findings=Findings())
        for section in ("groups", "providers"):
            listed = content.get(section) if isinstance(content, dict) else None
            for steps, value in silent.items((section,), listed):
                named = value if isinstance(value, dict) else {}
                path, uid = (
                    text(silent, (*steps, key), named.get(key) or "")
                    for key in ("folder", "folderUid")
                )
                if titles(path) and uid:
                    self.folders.declare(titles(path), reader.at(*steps), uid)

    def read(self, reader: Reader) -> None:
        """Add what a document wants."""
        content = reader.document.content
        if not isinstance(content, dict):
            reader.error((), "this must be a mapping, such as apiVersion: 1 and datasources.")
            return
        if reader.document.interpolated and str(content.get("apiVersion")) != "1":
            reader.error(("apiVersion",), "apiVersion must be 1.")
        for key, value in content.items():
            if key in SECTIONS:
                for steps, item in reader.items((key,), value):
                    SECTIONS[key](self, reader, steps, item)
            elif key == "prune":
                reader.findings.warn(
                    reader.at(key), "prune is an option of the task; here it does nothing."
                )
            elif key == "apps":
                reader.findings.warn(
                    reader.at(key), "settings of plugins are not handled and stay as they are."
                )
            elif key not in ("apiVersion", "folders", "dashboards"):
                known = ", ".join(key for key in SECTIONS)
                reader.error((key,), f"there is no {key} in provisioning files; there are {known}.")

    def add(
        self, kind: str, identity: str, body: dict, source: str, state: str = "present"
    ) -> None:
        """Want one object."""
        self.desired.append(DesiredObject(kind, identity, body, source, state))

    def of_our_organization(self, reader: Reader, steps: tuple, item: dict) -> bool:
        """Whether an object belongs to the organization that is worked on; tells where it does not."""
        org_id = item.pop("orgId", None) or 1
        if item.pop("orgName", ""):
            reader.error((*steps, "orgName"), "an organization is known by orgId only.")
        elif max(org_id, 1) != self.org_id:
            reader.error(
                (*steps, "orgId"),
                f"this belongs to organization {org_id}, and the task is for {self.org_id}.",
            )
        else:
            return True
        return False


def _datasource(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
    item = reader.record(steps, value, DATASOURCE, "a datasource")
    if not into.of_our_organization(reader, steps, item):
        return
    if not _has(reader, steps, item, "name", "type"):
        return
    if item.pop("correlations", None):
        reader.findings.warn(
            reader.at(*steps, "correlations"), "correlations are not handled and stay as they are."
        )
    secrets = {key: item.pop(key) for key in ("password", "basicAuthPassword") if key in item}
    body = {**DATASOURCE_DEFAULTS, **item}
    body["uid"] = item.get("uid") or datasource_uid(item["name"])
    body["access"] = body["access"] or "proxy"
    body["secureJsonData"] = {
        **{key: secret for key, secret in secrets.items() if secret},
        **body["secureJsonData"],
    }
    into.add("datasource", body["uid"], body, reader.at(*steps))


def datasource_uid(name: str) -> str:
    """The uid that Grafana gives to a datasource of a file that names none."""
    return "P" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16].upper()


def _contact_point(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
    item = reader.record(steps, value, CONTACT_POINT, "a contact point")
    name = item["name"] = item.get("name", "").strip()
    if not into.of_our_organization(reader, steps, item) or not _has(reader, steps, item, "name"):
        return
    receivers = []
    for index, given in enumerate(item.get("receivers", [])):
        where = (*steps, "receivers", index)
        if _has(reader, where, given, "type", "settings"):
            uid = given.get("uid", "").strip() or receiver_uid(name, given["type"], index)
            made = {"uid": uid, "type": given["type"].strip(), "settings": given["settings"]}
            receivers.append(
                {**made, "disableResolveMessage": given.get("disableResolveMessage", False)}
            )
    if not item.get("receivers"):
        reader.error(steps, f"contact point {name} has no receivers.")
    into.add("contact_point", name, {"name": name, "receivers": receivers}, reader.at(*steps))


def receiver_uid(name: str, kind: str, index: int) -> str:
    """The uid of a receiver whose file names none: the same in each run."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"{name} {kind}".lower()).strip("-")[: UID_LENGTH - 13]
    return f"{slug}-{hashlib.sha256(f'{name}/{kind}/{index}'.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _policy(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
    route = schema.mapping(reader, steps, value)
    organization = {
        key: integer(reader, (*steps, key), route.pop(key)) for key in ("orgId",) if route.get(key)
    }
    route.pop("orgId", None)
    route.pop("provenance", None)
    if into.of_our_organization(reader, steps, organization):
        _check_route(reader, steps, route)
        into.add("policy", "", route, reader.at(*steps))


def _check_route(reader: Reader, steps: tuple, route: Any) -> None:
    if not isinstance(route, dict):
        reader.error(steps, "a route must be a mapping.")
        return
    for key, value in route.items():
        if key not in ROUTE_FIELDS:
            reader.error(
                (*steps, key), f"a route has no field {key}; there are {', '.join(ROUTE_FIELDS)}."
            )
        elif key == "continue" and not isinstance(value, (bool, type(None))):
            reader.error((*steps, key), f"{value!r} is neither true nor false.")
        elif key in ROUTE_LISTS:
            reader.items((*steps, key), value)
        elif key in ROUTE_DURATIONS:
            _check_duration(reader, (*steps, key), value)
    for where, child in reader.items((*steps, "routes"), route.get("routes")):
        _check_route(reader, where, child)


def _template(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
    item = reader.record(steps, value, TEMPLATE, "a template")
    if into.of_our_organization(reader, steps, item) and _has(
        reader, steps, item, "name", "template"
    ):
        into.add("template", item["name"], item, reader.at(*steps))


def _mute_timing(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
    item = reader.record(steps, value, MUTE_TIMING, "a mute timing")
    if into.of_our_organization(reader, steps, item) and _has(reader, steps, item, "name"):
        into.add("mute_timing", item["name"], {"time_intervals": [], **item}, reader.at(*steps))


def _group(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
    item = reader.record(steps, value, GROUP, "a rule group")
    if not into.of_our_organization(reader, steps, item) or not _has(
        reader, steps, item, "name", "interval", "rules"
    ):
        return
    uid = _folder_uid(into, reader, steps, item)
    interval = _check_duration(reader, (*steps, "interval"), item["interval"])
    rules = [
        _rule(reader, (*steps, "rules", index), rule) for index, rule in enumerate(item["rules"])
    ]
    # One that cannot be read has been told of.
    interval = (
        BASE_INTERVAL
        if interval is None
        else int(interval)
        if interval == int(interval)
        else interval
    )
    body = {"folderUid": uid, "title": item["name"], "interval": interval, "rules": rules}
    into.add("rule_group", f"{uid}/{item['name']}", body, reader.at(*steps))


def _folder_uid(into: Provisioning, reader: Reader, steps: tuple, item: dict) -> str:
    """The uid of a rule group's folder: exported files name it beside the titles, others name the titles only."""
    parts, uid = titles(item.get("folder", "")), item.get("folderUid", "")
    if not parts and not uid:
        reader.error(steps, f"rule group {item['name']} has no folder.")
    # Beside titles it was taken before.
    return into.folders.uid(parts, reader.at(*steps)) if parts else uid


def _rule(reader: Reader, steps: tuple, item: dict) -> dict:
    _has(reader, steps, item, "uid", "title", "data")
    recording = "record" in item
    if not recording:
        _has(reader, steps, item, "condition")
    body = {
        "uid": item.get("uid", ""),
        "title": item.get("title", ""),
        "condition": item.get("condition", ""),
        "data": [_query(query) for query in item.get("data", [])],
        "for": item.get("for") or "0s",
        "annotations": {**item.get("annotations", {}), **_panel(reader, steps, item)},
        "labels": item.get("labels", {}),
        "isPaused": item.get("isPaused", False),
    }
    for key, states in STATES.items():
        body[key] = "" if recording else item.get(key, "").strip() or states[0]
        if not recording and body[key] not in states:
            reader.error((*steps, key), f"{body[key]} is none of {', '.join(states)}.")
    if item.get("keepFiringFor"):
        body["keep_firing_for"] = item["keepFiringFor"]
    if "missing_series_evals_to_resolve" in item:
        body["missingSeriesEvalsToResolve"] = item["missing_series_evals_to_resolve"]
    for key in ("for", "keepFiringFor"):
        _check_duration(reader, (*steps, key), item.get(key) or "0s")
    body.update(_record_and_settings(reader, steps, item))
    return body


def _record_and_settings(reader: Reader, steps: tuple, item: dict) -> dict:
    made = {}
    if "notification_settings" in item:
        settings = made["notification_settings"] = item["notification_settings"]
        _has(reader, (*steps, "notification_settings"), settings, "receiver")
        for key in ROUTE_DURATIONS:
            _check_duration(
                reader, (*steps, "notification_settings", key), settings.get(key) or "0s"
            )
    if "record" in item:
        renamed = {"targetDatasourceUid": "target_datasource_uid"}
        made["record"] = {renamed.get(key, key): value for key, value in item["record"].items()}
        _has(reader, (*steps, "record"), item["record"], "metric", "from")
    return made


def _query(item: dict) -> dict:
    body = {"refId": item.get("refId", ""), "datasourceUid": item.get("datasourceUid", "")}
    if item.get("queryType"):
        body["queryType"] = item["queryType"]
    body["relativeTimeRange"] = {"from": 0, "to": 0, **item.get("relativeTimeRange", {})}
    return {**body, "model": item.get("model", {})}


def _panel(reader: Reader, steps: tuple, item: dict) -> dict:
    """The annotations that tie a rule to a panel; the API takes them in place of the file's two fields."""
    dashboard, panel = item.get("dashboardUid") or item.get("dasboardUid", ""), item.get("panelId")
    if not dashboard and not panel:
        return {}
    if not dashboard or not panel:
        reader.error(steps, "dashboardUid and panelId go together.")
    return {"__dashboardUid__": dashboard, "__panelId__": str(panel)}


def _provider(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
    item = reader.record(steps, value, PROVIDER, "a provider")
    if not into.of_our_organization(reader, steps, item) or not _has(
        reader, steps, item, "name", "options"
    ):
        return
    options = item["options"]
    path, from_directories = (
        options.get("path") or options.get("folder"),
        options.get("foldersFromFilesStructure"),
    )
    if item.get("type", "file") not in ("", "file") or not isinstance(path, str) or not path:
        reader.error(steps, "a provider must be of type file and have options.path.")
        return
    parts = titles(item.get("folder", ""))
    into.providers.append(
        Provider(item["name"], path, parts, from_directories in (True, "true"), reader.at(*steps))
    )


def _deleted(kind: str, key: str) -> Any:
    """A reader of a ``delete…`` section; what is known by another key than its identity has that in its body."""

    def read(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
        item = reader.record(steps, value, {"orgId": integer, "orgName": text, key: text}, "this")
        if not into.of_our_organization(reader, steps, item) or not _has(reader, steps, item, key):
            return
        named = item[key].strip()
        identity = {"datasource": datasource_uid(named), "contact_point": "", "rule_group": ""}.get(
            kind, named
        )
        into.add(kind, identity, {key: named}, reader.at(*steps), ABSENT)

    return read


def _reset_policy(into: Provisioning, reader: Reader, steps: tuple, value: Any) -> None:
    if into.of_our_organization(reader, steps, {"orgId": integer(reader, steps, value)}):
        into.add("policy", "", {}, reader.at(*steps), ABSENT)


def _has(reader: Reader, steps: tuple, item: dict, *keys: str) -> bool:
    missing = [key for key in keys if not item.get(key)]
    if missing:
        reader.error(steps, f"{', '.join(missing)} must be given.")
    return not missing


def _check_duration(reader: Reader, steps: tuple, value: object) -> float | None:
    found = seconds(value) if isinstance(value, str) else None
    if found is None and value is not None:
        reader.error(steps, f"{value!r} is no duration such as 30s or 1h30m.")
    return found


def seconds(duration: str) -> float | None:
    """Seconds of a duration in Prometheus' notation, None where it is none."""
    if duration == "0":
        return 0
    match = _DURATION.fullmatch(duration)
    if not match or not duration:
        return None
    return sum(int(number or 0) * unit for number, unit in zip(match.groups(), _SECONDS))


SECTIONS = {
    "datasources": _datasource,
    "deleteDatasources": _deleted("datasource", "name"),
    "providers": _provider,
    "contactPoints": _contact_point,
    "deleteContactPoints": _deleted("contact_point", "uid"),
    "policies": _policy,
    "resetPolicies": _reset_policy,
    "templates": _template,
    "deleteTemplates": _deleted("template", "name"),
    "muteTimes": _mute_timing,
    "deleteMuteTimes": _deleted("mute_timing", "name"),
    "groups": _group,
    "deleteRules": _deleted("rule_group", "uid"),
}
