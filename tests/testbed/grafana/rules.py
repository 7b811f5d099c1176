# SPDX-License-Identifier: GPL-3.0-or-later
"""Alert rules and their groups."""

from __future__ import annotations

import re
from typing import Any

from tests.testbed.grafana import durations, notifications
from tests.testbed.grafana.dashboards import ancestors
from tests.testbed.grafana.store import new_uid, now
from tests.testbed.grafana.web import (
    BAD_JSON,
    Answer,
    Refused,
    Request,
    exported,
    route,
)

PROVISIONING = "/api/v1/provisioning"
WRITE = {"role": "Editor", "needs": "alert.provisioning:write"}
READ = {"needs": "alert.provisioning:read"}
NO_DATA = ("NoData", "OK", "Alerting", "KeepLast")
EXEC_ERROR = ("Error", "OK", "Alerting", "KeepLast")
# The fields of a recording rule that it does not use.
RECORDING = {
    "condition": "",
    "noDataState": "",
    "execErrState": "",
    "for": "0s",
    "notification_settings": None,
}
BASE_SECONDS = 10
DEFAULT_INTERVAL = 60
EXPRESSIONS = ("__expr__", "-100")
# The content of a rule; a rule with the same content is not written.
CONTENT = (
    "uid",
    "folderUID",
    "ruleGroup",
    "title",
    "condition",
    "data",
    "noDataState",
    "execErrState",
    "for",
)
CONTENT += (
    "keep_firing_for",
    "annotations",
    "labels",
    "isPaused",
    "notification_settings",
    "record",
)
CONTENT += ("missingSeriesEvalsToResolve", "position", "interval")
GROUP = f"{PROVISIONING}/folder/:folder/rule-groups/:group"


def invalid(message: str, **fields: Any) -> Refused:
    """Return the rejection of a rule."""
    return Refused(400, f"invalid alert rule: {message}", **fields)


def no_group() -> Refused:
    """Return the rejection of a missing group."""
    name = "alerting.alert-rule.notFound"
    return Refused(
        404, "Alert rule group not found", messageId=name, statusCode=404, traceID=""
    )


def sent_provenance(request: Request) -> str:
    """Return the provenance that a request gives to its objects."""
    return "" if "X-Disable-Provenance" in request.headers else "api"


def normalized(
    request: Request, given: dict[str, Any], folder: str, group: str
) -> dict[str, Any]:
    """Return a rule as stored; reject what Grafana rejects, which is little."""
    if not isinstance(given, dict):
        raise Refused(400, BAD_JSON)
    if not given.get("title"):
        raise invalid("title is empty")
    uid = given.get("uid") or ""
    if len(uid) > 40 or not re.fullmatch(r"[a-zA-Z0-9\-_]*", uid):
        reason = "uid is longer than 40 symbols or has illegal characters"
        raise invalid(f"cannot create rule with UID {uid!r}: {reason}")
    if not given.get("data"):
        raise invalid("no queries or expressions are found")
    data = [query(step, request.server.version) for step in given["data"]]
    rule = {
        "uid": uid,
        "orgID": request.org,
        "folderUID": folder,
        "ruleGroup": group,
        "title": given["title"],
        "data": data,
        "annotations": strings(given, "annotations"),
        "labels": strings(given, "labels"),
        "isPaused": bool(given.get("isPaused")),
        "record": given.get("record") or None,
    }
    rule |= RECORDING if given.get("record") else alerting_fields(request, given)
    if ("__dashboardUid__" in rule["annotations"]) != (
        "__panelId__" in rule["annotations"]
    ):
        raise invalid(
            "both annotations __dashboardUid__ and __panelId__ must be specified"
        )
    # 11 ignores these.
    if request.server.release >= (12,):
        rule |= {"keep_firing_for": "0s", "missingSeriesEvalsToResolve": None}
        if not given.get("record"):
            rule["keep_firing_for"] = duration(given, "keep_firing_for")
            rule["missingSeriesEvalsToResolve"] = evaluations(request, given, uid)
    return rule


def alerting_fields(request: Request, given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a recording rule does not use."""
    return {
        "condition": given.get("condition") or "",
        "noDataState": state(given, "noDataState", NO_DATA, "NoData"),
        "execErrState": state(given, "execErrState", EXEC_ERROR, "Error"),
        "for": duration(given, "for"),
        "notification_settings": settings(request, given.get("notification_settings")),
    }


def state(given: dict[str, Any], key: str, allowed: tuple[str, ...], word: str) -> str:
    """Return a valid state."""
    if given.get(key) not in allowed:
        raise Refused(400, f"unknown {word} state option {given.get(key) or ''}")
    return given[key]


def evaluations(request: Request, given: dict[str, Any], uid: str) -> int | None:
    """Return the number of evaluations after which a missing series is resolved.

    -1 keeps the rule's value, which a new rule does not have.
    """
    number = given.get("missingSeriesEvalsToResolve")
    if number == -1 and uid and (old := request.store.get(request.org, "rule", uid)):
        return old.get("missingSeriesEvalsToResolve")
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise Refused(400, BAD_JSON)
    if number is not None and number <= 0:
        raise invalid("field `missing_series_evals_to_resolve` must be greater than 0")
    return number


def duration(given: dict[str, Any], key: str) -> str:
    """Return a duration, which must be a string; a missing one is zero."""
    try:
        return durations.normal(given.get(key) or "0s")
    except ValueError as error:
        raise Refused(400, BAD_JSON) from error


def strings(given: dict[str, Any], key: str) -> dict[str, str]:
    """Return labels or annotations."""
    values = given.get(key) or {}
    if not isinstance(values, dict) or not all(
        isinstance(value, str) for value in values.values()
    ):
        raise Refused(400, BAD_JSON)
    return values


def query(given: dict[str, Any], version: str) -> dict[str, Any]:
    """Return a query as stored, with the server's defaults in its model.

    Newer servers write the query's refId into the model.
    """
    if not isinstance(given, dict) or not isinstance(given.get("model"), dict):
        raise Refused(400, BAD_JSON)
    span = given.get("relativeTimeRange") or {}
    start, end = span.get("from") or 0, span.get("to") or 0
    if not isinstance(start, int) or not isinstance(end, int):
        raise Refused(400, BAD_JSON)
    expression = given.get("datasourceUid") in EXPRESSIONS
    if not expression and start <= end:
        where = f"invalid alert query {given.get('refId')}: invalid relative time range"
        raise invalid(f"{where}: {{From:{start}s To:{end}s}}")
    model = dict(given["model"])
    for key, default in (("intervalMs", 1000), ("maxDataPoints", 43200)):
        if (
            isinstance(model.get(key), bool)
            or not isinstance(model.get(key), (int, float))
            or not model[key]
        ):
            model[key] = default
    if not version.startswith("11."):
        model["refId"] = given.get("refId") or ""
    if expression:
        start = end = 0
    kind = model.get("queryType")
    if not isinstance(kind, str):
        kind = given.get("queryType") or ""
    return {
        "refId": given.get("refId") or "",
        "queryType": kind,
        "relativeTimeRange": {"from": start, "to": end},
        "datasourceUid": given.get("datasourceUid") or "",
        "model": model,
    }


def settings(request: Request, given: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a rule's own notification settings, whose references must exist."""
    if not given:
        return None
    config = notifications.load(request.store, request.org)
    if given.get("receiver") not in notifications.receiver_names(config):
        raise invalid(f"receiver {given.get('receiver')} does not exist")
    muted, active = given.get("mute_time_intervals"), given.get("active_time_intervals")
    for name in [*(muted or []), *(active or [])]:
        if name not in config["intervals"]:
            raise invalid(f"mute time interval {name} does not exist")
    by = given.get("group_by") or []
    # Any labels are valid: the route gets the required ones (grafana/grafana#86006).
    twice = next((label for label in by if by.count(label) > 1), None)
    if twice is not None and request.server.release >= (13, 1):
        raise invalid(f'duplicate value "{twice}" in group_by')
    times = ("group_wait", "group_interval", "repeat_interval")
    for key in times[1:]:
        if given.get(key) and duration(given, key) == "0s":
            raise invalid(f"{key.replace('_', ' ')} must be greater than zero")
    kept = {key: value for key, value in given.items() if value}
    if request.server.release < (12,):
        kept.pop("active_time_intervals", None)
    return kept | {key: duration(given, key) for key in times if key in kept}


def shown(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule in the provisioning API's form."""
    optional = ("provenance", "annotations", "labels", "missingSeriesEvalsToResolve")
    hidden = ("position", "interval")
    return {
        key: value
        for key, value in rule.items()
        if key not in hidden and (value or key not in optional)
    }


def all_rules(request: Request) -> list[dict[str, Any]]:
    """Return all rules of the organization by folder, group and order of evaluation."""
    rules = request.store.all(request.org, "rule")
    return sorted(
        rules, key=lambda rule: (rule["folderUID"], rule["ruleGroup"], rule["position"])
    )


def group_rules(request: Request, folder: str, group: str) -> list[dict[str, Any]]:
    """Return the rules of a group in their order."""
    return [
        rule
        for rule in all_rules(request)
        if (rule["folderUID"], rule["ruleGroup"]) == (folder, group)
    ]


def check_provenance(stored: str, sent: str, *, strict: bool) -> None:
    """Reject a change of ownership, except that a group may lose its provenance `api`."""
    given_back = not strict and not sent and stored in ("api", "converted_prometheus")
    if stored and stored != sent and not given_back:
        message = f"cannot change provenance from '{stored}' to '{sent}'"
        raise Refused(
            409,
            message,
            messageId="alerting.provenanceMismatch",
            statusCode=409,
            traceID="",
        )


def check_interval(interval: Any) -> int:
    """Return an interval in seconds."""
    if not isinstance(interval, int) or isinstance(interval, bool):
        raise Refused(400, BAD_JSON)
    if interval <= 0 or interval % BASE_SECONDS:
        reason = f"should be non-zero and divided exactly by scheduler interval: {BASE_SECONDS}"
        raise invalid(f"interval ({interval}s) {reason}")
    return interval


def check_folder(request: Request, uid: str) -> None:
    """Reject a missing folder."""
    if request.store.get(request.org, "folder", uid) is None:
        raise invalid("folder does not exist")


def write(
    request: Request, rule: dict[str, Any], *, strict: bool = False
) -> dict[str, Any]:
    """Store a rule if it differs, which resets the state of its alerts."""
    old = request.store.get(request.org, "rule", rule["uid"]) if rule["uid"] else None
    if old and all(old.get(key) == rule.get(key) for key in CONTENT):
        return old
    sent = sent_provenance(request)
    if old:
        check_provenance(old["provenance"], sent, strict=strict)
    if request.server.release < (12,):
        for stored in request.store.all(request.org, "rule"):
            same = (stored["folderUID"], stored["title"]) == (
                rule["folderUID"],
                rule["title"],
            )
            if same and stored["uid"] != rule["uid"]:
                reason = (
                    "rule title under the same organization and folder should be unique"
                )
                raise Refused(400, f"a conflicting alert rule is found: {reason}")
    rule["uid"] = rule["uid"] or new_uid()
    rule |= {
        "id": old["id"] if old else request.store.next("rule"),
        "updated": now(),
        "provenance": sent,
    }
    request.store.put(request.org, "rule", rule["uid"], rule)
    if old:
        request.server.state_resets[rule["uid"]] += 1
    return rule


def remove(request: Request, rule: dict[str, Any], *, strict: bool = False) -> None:
    """Delete a rule."""
    check_provenance(rule["provenance"], sent_provenance(request), strict=strict)
    request.store.delete(request.org, "rule", rule["uid"])


@route("GET", f"{PROVISIONING}/alert-rules", **READ)
def list_rules(request: Request) -> Any:
    return [shown(rule) for rule in all_rules(request)]


@route("GET", f"{PROVISIONING}/alert-rules/export", **READ)
@route("GET", f"{GROUP}/export", **READ)
def export_rules(request: Request) -> Any:
    """Answer in the file format, in the order of evaluation; 404 without any rule."""
    folders, groups = (
        filters(request, "folderUid", "folder"),
        filters(request, "group", "group"),
    )
    uids = filters(request, "ruleUid", "")
    if uids and (folders or groups):
        raise Refused(
            400,
            "group and folder should not be specified when a single rule is requested",
        )
    if groups and len(folders) != 1:
        raise Refused(
            400,
            "group name must be specified together with a single folder_uid parameter",
        )
    chosen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for rule in all_rules(request):
        key = (rule["folderUID"], rule["ruleGroup"])
        filtered = zip((*key, rule["uid"]), (folders, groups, uids), strict=True)
        if all(not names or value in names for value, names in filtered):
            chosen.setdefault(key, []).append(rule)
    if not chosen:
        return Answer(404)
    entries = [file_group(request, rules) for rules in chosen.values()]
    return exported({"apiVersion": 1, "groups": entries}, request)


def filters(request: Request, name: str, param: str) -> list[str]:
    """Return the values of a filter, from the query or the path."""
    values = [value for key, value in request.pairs if key == name]
    return values + ([request.params[param]] if param in request.params else [])


def folder_path(request: Request, uid: str) -> str:
    """Return the titles of a folder and its ancestors; a slash in a title is escaped."""
    folder = request.store.get(request.org, "folder", uid)
    chain = [*ancestors(request, folder), folder] if folder else []
    return "/".join(ancestor["title"].replace("/", "\\/") for ancestor in chain)


def file_group(request: Request, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a group in the file format."""
    head = {
        "orgId": request.org,
        "name": rules[0]["ruleGroup"],
        "folder": folder_path(request, rules[0]["folderUID"]),
    }
    interval = durations.written(rules[0]["interval"] * 1000)
    return head | {
        "folderUid": rules[0]["folderUID"],
        "interval": interval,
        "rules": [file_rule(rule) for rule in rules],
    }


def without_empty_strings(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step of a rule in the file format."""
    return {key: value for key, value in step.items() if value != ""}


def file_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule in the file format."""
    names = {
        "keep_firing_for": "keepFiringFor",
        "missingSeriesEvalsToResolve": "missing_series_evals_to_resolve",
    }
    same = (
        "uid",
        "title",
        "condition",
        "noDataState",
        "execErrState",
        "for",
        "annotations",
        "labels",
        "isPaused",
    )
    entry = {
        key: rule[key] for key in same if rule[key] != "" or key in ("uid", "title")
    }
    entry["data"] = [without_empty_strings(step) for step in rule["data"]]
    for key in ("notification_settings", "record"):
        if rule[key]:
            entry[key] = rule[key]
    for key, name in names.items():
        if rule.get(key) not in (None, "0s"):
            entry[name] = rule[key]
    if "__dashboardUid__" in rule["annotations"]:
        entry["dashboardUid"] = rule["annotations"]["__dashboardUid__"]
        entry["panelId"] = int(rule["annotations"]["__panelId__"])
    return entry


@route("GET", f"{PROVISIONING}/alert-rules/:uid", **READ)
def read_rule(request: Request) -> Any:
    rule = request.store.get(request.org, "rule", request.params["uid"])
    return shown(rule) if rule else Answer(404)


@route("POST", f"{PROVISIONING}/alert-rules", **WRITE)
def create_rule(request: Request) -> Any:
    """Create a rule; its organization and interval are ignored, an existing uid is a conflict."""
    body = request.json()
    folder, group = body.get("folderUID") or "", body.get("ruleGroup") or ""
    rule = normalized(request, body, folder, group)
    check_folder(request, folder)
    if not group:
        raise invalid("rule group is empty")
    if rule["uid"] and request.store.get(request.org, "rule", rule["uid"]):
        raise Refused(
            409,
            "a conflicting alert rule is found:"
            " rule UID under the same organization should be unique",
        )
    others = group_rules(request, folder, group)
    rule |= {
        "position": len(others) + 1,
        "interval": others[0]["interval"] if others else DEFAULT_INTERVAL,
    }
    return Answer(201, shown(write(request, rule)))


@route("PUT", f"{PROVISIONING}/alert-rules/:uid", **WRITE)
def update_rule(request: Request) -> Any:
    """Update a rule by the uid of the path, as 11 and newer do."""
    body, uid = request.json(), request.params["uid"]
    old = request.store.get(request.org, "rule", uid)
    if old is None:
        return Answer(404)
    folder, group = (
        body.get("folderUID") or old["folderUID"],
        body.get("ruleGroup") or old["ruleGroup"],
    )
    rule = normalized(request, body | {"uid": uid}, folder, group)
    check_folder(request, folder)
    others = [one for one in group_rules(request, folder, group) if one["uid"] != uid]
    stays = (folder, group) == (old["folderUID"], old["ruleGroup"])
    rule["position"] = old["position"] if stays else len(others) + 1
    rule["interval"] = others[0]["interval"] if others else old["interval"]
    return shown(write(request, rule, strict=True))


@route("DELETE", f"{PROVISIONING}/alert-rules/:uid", **WRITE)
def delete_rule(request: Request) -> Any:
    """Delete a rule, which may be missing."""
    rule = request.store.get(request.org, "rule", request.params["uid"])
    if rule:
        remove(request, rule, strict=True)
    return Answer(204)


@route("GET", GROUP, **READ)
def read_group(request: Request) -> Any:
    rules = group_rules(request, request.params["folder"], request.params["group"])
    if not rules:
        raise no_group()
    return group_shown(request, rules[0]["interval"], rules)


def group_shown(
    request: Request, interval: int, rules: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a group in the API's form."""
    head = {
        "title": request.params["group"],
        "folderUid": request.params["folder"],
        "interval": interval,
    }
    return head | {"rules": [shown(rule) for rule in rules]}


@route("PUT", GROUP, **WRITE)
def replace_group(request: Request) -> Any:
    """Delete, change, then add rules; write nothing if nothing differs.

    Without rules it sets the interval alone. The answer is the request's body, not the stored
    group.
    """
    body, folder, group = (
        request.json(),
        request.params["folder"],
        request.params["group"],
    )
    interval = check_interval(body.get("interval"))
    check_folder(request, folder)
    old = group_rules(request, folder, group)
    given = body.get("rules") or []
    if not given:
        for rule in old:
            write(request, rule | {"interval": interval})
        return body | {"title": group, "folderUid": folder, "rules": []}
    rules = [normalized(request, rule, folder, group) for rule in given]
    uids = [rule["uid"] for rule in rules if rule["uid"]]
    if len(set(uids)) < len(uids):
        raise invalid("rule UIDs in the group are not unique")
    for position, rule in enumerate(rules, 1):
        rule |= {"position": position, "interval": interval}
    for rule in old:
        if rule["uid"] not in uids:
            remove(request, rule)
    stored_uids = {rule["uid"] for rule in request.store.all(request.org, "rule")}
    for rule in sorted(rules, key=lambda rule: rule["uid"] not in stored_uids):
        write(request, rule)
    return body | {"title": group, "folderUid": folder}


@route("DELETE", GROUP, **WRITE)
def delete_group(request: Request) -> Any:
    rules = group_rules(request, request.params["folder"], request.params["group"])
    if not rules:
        raise no_group()
    for rule in rules:
        remove(request, rule)
    return Answer(204)


@route("GET", "/api/ruler/grafana/api/v1/rules", needs="alert.rules:read")
def ruler(request: Request) -> Any:
    """Answer with all groups by the path of their folder, in the form of the alerting pages."""
    folders: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for rule in all_rules(request):
        groups = folders.setdefault(folder_path(request, rule["folderUID"]), {})
        groups.setdefault(rule["ruleGroup"], []).append(rule)
    return {
        path: [ruler_group(name, rules) for name, rules in groups.items()]
        for path, groups in folders.items()
    }


def ruler_group(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a group in the form of the alerting pages."""
    interval = durations.written(rules[0]["interval"] * 1000)
    return {
        "name": name,
        "interval": interval,
        "rules": [ruler_rule(rule) for rule in rules],
    }


def ruler_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule in the form of the alerting pages."""
    inner = {
        key: rule[key]
        for key in ("id", "title", "condition", "data", "updated", "uid", "record")
    }
    inner |= {"orgId": rule["orgID"], "intervalSeconds": rule["interval"], "version": 1}
    inner |= {
        "namespace_uid": rule["folderUID"],
        "rule_group": rule["ruleGroup"],
        "is_paused": rule["isPaused"],
    }
    inner |= {
        "no_data_state": rule["noDataState"],
        "exec_err_state": rule["execErrState"],
    }
    if rule["provenance"]:
        inner["provenance"] = rule["provenance"]
    outer = {
        "expr": "",
        "for": rule["for"],
        "labels": rule["labels"],
        "annotations": rule["annotations"],
    }
    return outer | {"grafana_alert": inner}


@route("GET", "/api/prometheus/grafana/api/v1/rules", needs="alert.rules:read")
def rule_states(request: Request) -> Any:
    """Answer in the right form; the fake evaluates nothing, so nothing fires."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for rule in all_rules(request):
        place = (rule["folderUID"], rule["ruleGroup"])
        head = {
            "name": place[1],
            "file": folder_path(request, place[0]),
            "folderUid": place[0],
            "rules": [],
        }
        head |= {
            "interval": rule["interval"],
            "lastEvaluation": rule["updated"],
            "evaluationTime": 0,
        }
        groups.setdefault(place, head)["rules"].append(
            {
                "state": "inactive",
                "name": rule["title"],
                "uid": rule["uid"],
                "folderUid": place[0],
                "query": "",
                "health": "ok",
                "type": "recording" if rule["record"] else "alerting",
                "lastEvaluation": rule["updated"],
                "evaluationTime": 0,
                "labels": rule["labels"],
            }
        )
    return {
        "status": "success",
        "data": {"groups": list(groups.values()), "totals": {}},
    }
