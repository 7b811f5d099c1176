# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact points, policies, mute timings and templates: one configuration per organization."""

from __future__ import annotations

import hashlib
import json
import re
import time
import urllib.error
import urllib.request
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any

from tests.testbed.grafana import durations, templates
from tests.testbed.grafana.store import Store, new_uid
from tests.testbed.grafana.web import (
    BAD_JSON,
    ROLES,
    Answer,
    Refused,
    Request,
    exported,
    route,
)

PROVISIONING = "/api/v1/provisioning"
POINTS, TREE = f"{PROVISIONING}/contact-points", f"{PROVISIONING}/policies"
TIMINGS, TEMPLATES = f"{PROVISIONING}/mute-timings", f"{PROVISIONING}/templates"
READ = {"needs": "alert.provisioning:read", "family": "notifications"}
WRITE = {
    "role": "Editor",
    "needs": "alert.provisioning:write",
    "family": "notifications",
}
DEFAULT_RECEIVER, EMPTY_RECEIVER = "grafana-default-email", "empty"
REDACTED = "[REDACTED]"
# Fields of an integration in the file format.
EXPORTED_KEYS = ("uid", "type", "settings", "disableResolveMessage")
CHANGED_MEANWHILE = (
    "failed to save the Alertmanager configuration:"
    " the configuration has been changed meanwhile"
)
NEEDS_SECRETS = (
    "You'll need additional permissions to perform this action."
    " Permissions needed: alert.provisioning.secrets:read"
)
# Type of integration -> required settings, secret settings.
TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "alertmanager": (("url",), ("basicAuthPassword",)),
    "dingding": (("url",), ("url",)),
    "discord": (("url",), ("url",)),
    "email": (("addresses",), ()),
    "googlechat": (("url",), ("url",)),
    "kafka": (("kafkaRestProxy", "kafkaTopic"), ("password",)),
    "oncall": (("url",), ("password", "authorization_credentials")),
    "opsgenie": (("apiKey",), ("apiKey",)),
    "pagerduty": (("integrationKey",), ("integrationKey",)),
    "prometheus-alertmanager": (("url",), ("basicAuthPassword",)),
    "pushover": (("apiToken", "userKey"), ("apiToken", "userKey")),
    "slack": ((), ("url", "token")),
    "teams": (("url",), ("url",)),
    "telegram": (("bottoken", "chatid"), ("bottoken",)),
    "victorops": (("url",), ("url",)),
    "webhook": (("url",), ("password", "authorization_credentials")),
}
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MATCHER = re.compile(r"\s*([^=!~\s]+)\s*(=~|!=|!~|=)\s*(.*?)\s*", re.DOTALL)
INTERVALS = ("mute_time_intervals", "active_time_intervals")
ROUTE_TIMES = ("group_wait", "group_interval", "repeat_interval")


CORRUPTED = (
    "Current Alertmanager configuration in the storage is corrupted."
    " Reset the configuration or rollback to a recent valid one."
)
# Characters that Go's YAML does not read, in JSON that it is given.
NOT_YAML = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]")


def load(store: Store, org: int) -> dict[str, Any]:
    """Return the configuration of an organization."""
    config = store.get(org, "alertmanager", "") or default(store.begun_by)
    if config.get("is_corrupted"):
        raise Refused(500, CORRUPTED)
    return config


def default(version: str = "11") -> dict[str, Any]:
    """Return the initial configuration of an organization.

    Since 12.4 its contact point has no integrations (grafana/grafana#116368).
    """
    if tuple(int(part) for part in re.split(r"[+-]", version)[0].split(".")[:2]) >= (
        12,
        4,
    ):
        tree = {**default_route(), "receiver": EMPTY_RECEIVER}
        return {**default(), "receivers": {EMPTY_RECEIVER: []}, "route": tree}
    mail = {
        "uid": "",
        "type": "email",
        "settings": {"addresses": "<example@email.com>"},
        "secure": {},
    }
    mail["disableResolveMessage"] = False
    return {
        "revision": 0,
        "receivers": {DEFAULT_RECEIVER: [mail]},
        "route": default_route(),
        "intervals": {},
        "templates": {},
        "provenance": {},
    }


def default_route() -> dict[str, Any]:
    """Return the tree that DELETE restores."""
    return {"receiver": DEFAULT_RECEIVER, "group_by": ["grafana_folder", "alertname"]}


def guarded(request: Request, handler: Callable[[Request], Any]) -> Any:
    """Carry out a request, with a delay between reading and storing the configuration.

    A write fails if the configuration changed meanwhile.
    """
    if request.method == "GET":
        with request.store.transaction():
            return handler(request)
    revision = load(request.store, request.org)["revision"]
    time.sleep(request.server.notification_delay)
    with request.store.transaction():
        if load(request.store, request.org)["revision"] != revision:
            status = 409 if request.server.release >= (12,) else 500
            raise Refused(status, CHANGED_MEANWHILE, traceID="")
        return handler(request)


def save(request: Request, config: dict[str, Any]) -> None:
    """Store a configuration; one with certain characters cannot be loaded again."""
    # Secrets are encrypted.
    shown = [
        [name, *(one | {"secure": None} for one in integrations)]
        for name, integrations in config["receivers"].items()
    ]
    stored = [shown, config["route"], config["intervals"]]
    changed = {"revision": config["revision"] + 1}
    is_yaml = not NOT_YAML.search(json.dumps(stored, ensure_ascii=False))
    if not is_yaml or config["route"].get("continue"):
        changed["is_corrupted"] = True
    request.store.put(request.org, "alertmanager", "", config | changed)


def set_provenance(store: Store, org: int, kind: str, key: str, origin: str) -> None:
    """Set the provenance of an object."""
    config = load(store, org)
    config["provenance"][f"{kind}/{key}"] = origin
    store.put(org, "alertmanager", "", config)


def provenance(config: dict[str, Any], kind: str, key: str) -> dict[str, str]:
    """Return the field of an answer, which manual objects lack."""
    origin = config["provenance"].get(f"{kind}/{key}", "")
    return {"provenance": origin} if origin else {}


def claim(request: Request, config: dict[str, Any], kind: str, key: str) -> None:
    """Give an object the provenance of this request if that is allowed."""
    sent = "" if "X-Disable-Provenance" in request.headers else "api"
    stored = config["provenance"].get(f"{kind}/{key}", "")
    relaxed = request.server.release >= (13,) and stored != "converted_prometheus"
    if (stored and not sent and not relaxed) or (
        stored == "converted_prometheus" and sent != stored
    ):
        message = (
            f"Provenance status '{stored}' of a resource cannot be changed to"
            f" '{sent or 'none'}'"
        )
        raise Refused(
            403,
            message,
            messageId="alerting.notifications.invalidProvenance",
            statusCode=403,
            traceID="",
        )
    config["provenance"][f"{kind}/{key}"] = sent


def version_of(content: Any) -> str:
    """Return the version of an object, with which a client detects concurrent writes."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def check_version(sent: str | None, stored: Any) -> None:
    """Reject a version other than the stored one; an empty version matches any."""
    if sent and sent != version_of(stored):
        message = "Provided version of the resource does not match the stored one"
        raise Refused(
            409,
            message,
            messageId="alerting.notifications.conflict",
            statusCode=409,
            traceID="",
        )


def malformed(message: str) -> Refused:
    """Return the rejection of an object."""
    return Refused(400, f"invalid object specification: {message}", traceID="")


# Contact points


def receiver_names(config: dict[str, Any]) -> set[str]:
    """Return the names of the contact points."""
    return set(config["receivers"])


def points(
    request: Request, config: dict[str, Any], *, decrypt: bool
) -> Iterator[dict[str, Any]]:
    """Return every integration as an object."""
    for name in sorted(config["receivers"]):
        if request.query.get("name", name) == name:
            for integration in config["receivers"][name]:
                yield point_shown(request, config, name, integration, decrypt=decrypt)


def point_shown(
    request: Request,
    config: dict[str, Any],
    name: str,
    integration: dict[str, Any],
    *,
    decrypt: bool = False,
) -> dict[str, Any]:
    """Return an integration in the API's form."""
    secrets = dict.fromkeys(integration["secure"], REDACTED)
    if decrypt:
        for key, secret in integration["secure"].items():
            secrets[key] = request.store.decrypt(secret)
    if integration["uid"] == "" and request.server.release < (12,):
        name = "email receiver"
    shown = {key: value for key, value in integration.items() if key != "secure"}
    shown |= {"name": name, "settings": integration["settings"] | secrets}
    return shown | provenance(config, "contact_point", integration["uid"])


def locate(config: dict[str, Any], uid: str) -> tuple[str, dict[str, Any]] | None:
    """Return an integration and its contact point."""
    for name, integrations in config["receivers"].items():
        for integration in integrations:
            if uid and integration["uid"] == uid:
                return name, integration
    return None


def check_settings(request: Request, body: dict[str, Any]) -> None:
    """Reject an unknown type, and settings that lack a required one."""
    kind, settings, uid = body["type"], body["settings"], body.get("uid") or ""
    judged = (
        f'failed to validate integration "{body["name"]}" (UID {uid}) of type "{kind}"'
    )
    if kind.lower() not in TYPES:
        if request.server.release >= (12,):
            raise malformed(f"unknown integration type: {kind}")
        raise malformed(f"{judged}: notifier {kind} is not supported")
    needed = TYPES[kind.lower()][0]
    missing = [key for key in needed if settings.get(key) in (None, "")]
    if kind == "slack" and not settings.get("url") and not settings.get("token"):
        missing = ["token"]
    if missing:
        raise malformed(f"{judged}: no {missing[0]} in settings")


def checked_point(
    request: Request, body: dict[str, Any], old: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the integration of a body, with secrets apart.

    `[REDACTED]` stands for the stored secret.
    """
    kind, settings = body.get("type"), body.get("settings")
    if (
        not isinstance(settings, dict)
        or not isinstance(kind, str)
        or not isinstance(body.get("name", ""), str)
    ):
        raise Refused(400, BAD_JSON)
    if not body.get("name"):
        raise malformed("receiver name is required")
    check_settings(request, body)
    secret, uid = TYPES[kind.lower()][1], body.get("uid") or ""
    if len(uid) > 40 or not re.fullmatch(r"[a-zA-Z0-9\-_]*", uid):
        raise malformed(f"cannot create contact point with UID '{uid}'")
    secure = {}
    for key in secret:
        if settings.get(key) == REDACTED and old:
            secure |= {key: old["secure"][key]} if key in old["secure"] else {}
        elif settings.get(key):
            secure[key] = request.store.encrypt(str(settings[key]))
    return {
        "uid": uid,
        # Matched in any case, and returned in Grafana's case.
        "type": kind.lower(),
        "settings": {
            key: value for key, value in settings.items() if key not in secret
        },
        "secure": secure,
        "disableResolveMessage": bool(body.get("disableResolveMessage")),
    }


@route("GET", POINTS, **READ)
def list_points(request: Request) -> Any:
    return list(points(request, load(request.store, request.org), decrypt=False))


@route("GET", f"{POINTS}/export", **READ)
def export_points(request: Request) -> Any:
    """Answer in the file format; only admins may request secrets."""
    if request.flag("decrypt") and ROLES.index(request.user["role"]) < ROLES.index(
        "Admin"
    ):
        raise Refused(
            403, NEEDS_SECRETS, title="Access denied", accessErrorId="ACE0000000000"
        )
    config = load(request.store, request.org)
    # Contact points without integrations are not listed.
    receivers: dict[str, list[Any]] = {}
    for shown in points(request, config, decrypt=request.flag("decrypt")):
        exported_keys = {key: shown[key] for key in EXPORTED_KEYS}
        receivers.setdefault(shown["name"], []).append(exported_keys)
    listed = [
        {"orgId": request.org, "name": name, "receivers": integrations}
        for name, integrations in sorted(receivers.items())
    ]
    document: dict[str, Any] = {"apiVersion": 1}
    if listed:
        document["contactPoints"] = listed
    return exported(document, request)


@route("POST", POINTS, **WRITE)
def create_point(request: Request) -> Any:
    """Add an integration to an existing or a new contact point."""
    config, body = load(request.store, request.org), request.json()
    integration = checked_point(request, body, None)
    if locate(config, integration["uid"]):
        code = 409 if request.server.release >= (11, 6) else 500
        raise Refused(
            code,
            f"contact point with uid '{integration['uid']}' already exists",
            traceID="",
        )
    integration["uid"] = integration["uid"] or new_uid()
    config["receivers"].setdefault(body["name"], []).append(integration)
    claim(request, config, "contact_point", integration["uid"])
    save(request, config)
    return Answer(202, point_shown(request, config, body["name"], integration))


@route("PUT", f"{POINTS}/:uid", **WRITE)
def update_point(request: Request) -> Any:
    """Update an integration; another name moves it.

    For the last integration it renames the contact point in routes and rules.
    """
    config, body, uid = (
        load(request.store, request.org),
        request.json(),
        request.params["uid"],
    )
    located = locate(config, uid)
    if located is None:
        raise Refused(404, f"contact point with uid '{uid}' not found", traceID="")
    name, old = located
    claim(request, config, "contact_point", uid)
    integration = checked_point(request, body | {"uid": uid}, old)
    if body["name"] == name:
        old.update(integration)
    else:
        config["receivers"][name].remove(old)
        config["receivers"].setdefault(body["name"], []).append(integration)
        if not config["receivers"][name]:
            drop_receiver(request, config, name, body["name"])
    save(request, config)
    return Answer(202, {"message": "contactpoint updated"})


@route("DELETE", f"{POINTS}/:uid", **WRITE)
def delete_point(request: Request) -> Any:
    """Delete an integration, which may be missing but not in use."""
    config, uid = load(request.store, request.org), request.params["uid"]
    located = locate(config, uid)
    if located:
        name, integration = located
        claim(request, config, "contact_point", uid)
        config["provenance"].pop(f"contact_point/{uid}")
        config["receivers"][name].remove(integration)
        if not config["receivers"][name]:
            drop_receiver(request, config, name, "")
        save(request, config)
    return Answer(202, {"message": "contactpoint deleted"})


def drop_receiver(
    request: Request, config: dict[str, Any], name: str, heir: str
) -> None:
    """Remove a contact point without integrations.

    Its users get the heir; without one they prevent the removal.
    """
    routes = [
        using for using in all_routes(config["route"]) if using.get("receiver") == name
    ]
    rules = [
        rule
        for rule in request.store.all(request.org, "rule")
        if (rule["notification_settings"] or {}).get("receiver") == name
    ]
    if (routes or rules) and not heir:
        words = "referenced by a notification policy."
        words = (
            words
            if routes
            else "used in the notification settings of one or many alert rules."
        )
        what = f"alerting.notifications.contact-points.{'referenced' if routes else 'used-by-rule'}"
        message = f"Contact point is currently {words}"
        raise Refused(409, message, messageId=what, statusCode=409, traceID="")
    for using in routes:
        using["receiver"] = heir
    for rule in rules:
        rule["notification_settings"]["receiver"] = heir
        request.store.put(request.org, "rule", rule["uid"], rule)
    del config["receivers"][name]


# Policies


def all_routes(root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return a route and all routes below it."""
    yield root
    for child in root.get("routes") or []:
        yield from all_routes(child)


def normal_route(
    config: dict[str, Any], given: dict[str, Any], *, root: bool
) -> dict[str, Any]:
    """Return a route as stored; its references must exist."""
    if not isinstance(given, dict):
        raise Refused(400, BAD_JSON)
    kept = {
        key: given[key]
        for key in ("receiver", "group_by", "match", "match_re")
        if given.get(key)
    }
    for key in INTERVALS:
        for name in given.get(key) or []:
            if name not in config["intervals"]:
                raise malformed(f"time interval '{name}' does not exist")
        kept |= {key: given[key]} if given.get(key) else {}
    for key in ROUTE_TIMES:
        if given.get(key):
            kept[key] = route_time(given, key, least=0 if key == "group_wait" else 1)
    kept |= normal_matchers(given)
    check_route(config, kept, root=root)
    if given.get("continue"):
        kept["continue"] = True
    if given.get("routes"):
        kept["routes"] = [
            normal_route(config, child, root=False) for child in given["routes"]
        ]
    return kept


def normal_matchers(given: dict[str, Any]) -> dict[str, Any]:
    """Return the matchers of a route in both of their forms, sorted."""
    kept: dict[str, Any] = {}
    if given.get("object_matchers"):
        kept["object_matchers"] = sorted(
            matcher(one) for one in given["object_matchers"]
        )
    if given.get("matchers"):
        found = sorted(parsed_matcher(text) for text in given["matchers"])
        kept["matchers"] = [
            f'{name}{operator}"{escaped(value)}"' for name, operator, value in found
        ]
    return kept


def check_route(config: dict[str, Any], kept: dict[str, Any], *, root: bool) -> None:
    """Reject a route with inconsistent fields."""
    by = kept.get("group_by", [])
    if len(set(by)) < len(by) or ("..." in by and len(by) > 1) or "" in by:
        raise malformed("group_by labels must be unique, and '...' must stand alone")
    if root and not kept.get("receiver"):
        raise malformed("root route must specify a default receiver")
    if root and any(
        kept.get(key) for key in ("object_matchers", "matchers", "match", "match_re")
    ):
        raise malformed("root route must not have any matchers")
    if root and any(kept.get(key) for key in INTERVALS):
        raise malformed("root route must not have any mute time intervals")
    if kept.get("receiver") and kept["receiver"] not in config["receivers"]:
        raise malformed(f"receiver '{kept['receiver']}' does not exist")


def route_time(given: dict[str, Any], key: str, least: int) -> str:
    """Return one of a route's durations."""
    try:
        length = durations.milliseconds(given[key])
    except ValueError as error:
        raise Refused(400, BAD_JSON) from error
    if length < least:
        raise malformed(f"{key} cannot be zero")
    return durations.written(length)


def matcher(given: Any) -> list[str]:
    """Return a matcher of three strings, its value without one pair of quotes."""
    if (
        not isinstance(given, list)
        or len(given) != 3
        or not all(isinstance(text, str) for text in given)
    ):
        raise Refused(400, BAD_JSON)
    name, operator, value = given
    if operator not in ("=", "!=", "=~", "!~"):
        raise malformed(f"unsupported match type {json.dumps(operator)} in matcher")
    value = value.removeprefix('"')
    value = value.removesuffix('"')
    check_expression(operator, value)
    return [name, operator, value]


def check_expression(operator: str, value: str) -> None:
    """Reject a regular expression that is none."""
    if operator.endswith("~"):
        try:
            re.compile(value)
        except re.error as error:
            raise Refused(400, BAD_JSON) from error


def escaped(value: str) -> str:
    """Return a value as Alertmanager writes it between quotes."""
    for character, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        value = value.replace(character, written)
    return value


def unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def parsed_matcher(line: Any) -> list[str]:
    """Return a matcher from its one-line form, whose value may be in quotes."""
    match = MATCHER.fullmatch(line) if isinstance(line, str) else None
    if match is None:
        raise Refused(400, BAD_JSON)
    name, operator, value = match.groups()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r'\\([n"\\])', unescaped, value[1:-1])
    check_expression(operator, value)
    return [name, operator, value]


@route("GET", TREE, **READ)
def read_tree(request: Request) -> Any:
    config = load(request.store, request.org)
    return config["route"] | provenance(config, "policy", "")


@route("PUT", TREE, **WRITE)
def replace_tree(request: Request) -> Any:
    """Replace the tree, without a version check.

    Since 11.4 the provenance of the old one is checked (grafana/grafana#94359).
    """
    config, body = load(request.store, request.org), request.json()
    claim(request, config, "policy", "")
    config["route"] = normal_route(config, body, root=True)
    save(request, config)
    return Answer(202, {"message": "policies updated"})


@route("DELETE", TREE, **WRITE)
def reset_tree(request: Request) -> Any:
    config, first = load(request.store, request.org), default(request.server.version)
    claim(request, config, "policy", "")
    config["receivers"] = first["receivers"] | config["receivers"]
    config["route"] = first["route"]
    config["provenance"].pop("policy/", None)
    save(request, config)
    return Answer(202, {"message": "policies deleted"})


@route("GET", f"{TREE}/export", **READ)
def export_tree(request: Request) -> Any:
    tree = {"orgId": request.org} | load(request.store, request.org)["route"]
    return exported({"apiVersion": 1, "policies": [tree]}, request)


# Mute timings


def normal_interval(given: Any) -> dict[str, Any]:
    """Return a time interval as stored: months as numbers, days in lower case."""
    if not isinstance(given, dict) or not set(given) <= {*RANGES, "times", "location"}:
        raise Refused(400, BAD_JSON)
    kept: dict[str, Any] = {}
    try:
        if given.get("times"):
            kept["times"] = [clock_range(one) for one in given["times"]]
        for key, read in RANGES.items():
            if given.get(key):
                kept[key] = [normal_range(str(one), read) for one in given[key]]
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(400, BAD_JSON) from error
    if given.get("location") is not None:
        kept["location"] = location(given["location"])
    return kept


def location(name: Any) -> str:
    """Return a time zone as Go loads it: an empty name is UTC."""
    try:
        if name not in ("", "UTC", "Local"):
            zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise Refused(400, BAD_JSON) from error
    return str(name) or "UTC"


def clock_range(given: dict[str, str]) -> dict[str, str]:
    """Return two times of a day, in order."""
    start, end = given["start_time"], given["end_time"]
    for text in (start, end):
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", text, re.ASCII):
            raise ValueError(text)
    if start >= end:
        raise ValueError("start time cannot be equal or greater than end time")
    return {"start_time": start, "end_time": end}


def normal_range(text: str, read: Callable[[str], tuple[int, str]]) -> str:
    """Return one value, or two with a colon; raise ValueError if they are out of order."""
    first, colon, last = text.lower().partition(":")
    start, end = read(first), read(last if colon else first)
    if not in_order(start[0], end[0], from_end=read is day_of_month):
        raise ValueError(text)
    return start[1] if start == end else f"{start[1]}:{end[1]}"


def in_order(start: int, end: int, *, from_end: bool) -> bool:
    """Return whether a range may be valid; negative days count from a month's end."""
    if not from_end:
        return start <= end
    if start < 0 < end:
        return False
    first, last = (day + 28 if day < 0 else day for day in (start, end))
    return first <= last


def integer(text: str) -> int:
    """Return a number as Go's strconv.Atoi reads it."""
    if not re.fullmatch(r"[+-]?[0-9]+", text) or abs(int(text)) >= 2**63:
        raise ValueError(text)
    return int(text)


def month(text: str) -> tuple[int, str]:
    """Return a month, by name or by any number."""
    number = MONTHS.index(text) + 1 if text in MONTHS else integer(text)
    return number, str(number)


def weekday(text: str) -> tuple[int, str]:
    """Return a day of the week."""
    return DAYS.index(text), text


def day_of_month(text: str) -> tuple[int, str]:
    """Return a day from the month's beginning or, negative, its end."""
    number = integer(text)
    if not 1 <= abs(number) <= 31:
        raise ValueError(text)
    return number, str(number)


def year(text: str) -> tuple[int, str]:
    """Return a year."""
    return integer(text), str(integer(text))


RANGES = {
    "weekdays": weekday,
    "days_of_month": day_of_month,
    "months": month,
    "years": year,
}


def timing_shown(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a mute timing in the API's form."""
    intervals = config["intervals"][name]
    shown = {
        "name": name,
        "time_intervals": intervals,
        "version": version_of(intervals),
    }
    return shown | provenance(config, "mute_timing", name)


def no_such(kind: str) -> Refused:
    """Return the rejection of a missing mute timing or template."""
    message = {
        "time-intervals": "Time interval not found",
        "templates": "Template not found",
    }[kind]
    return Refused(
        404,
        message,
        messageId=f"alerting.notifications.{kind}.notFound",
        statusCode=404,
        traceID="",
    )


def checked_timing(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the intervals of a body."""
    if not body.get("name") or not isinstance(body.get("time_intervals") or [], list):
        raise Refused(400, BAD_JSON)
    return [normal_interval(one) for one in body.get("time_intervals") or []]


@route("GET", TIMINGS, **READ)
def list_timings(request: Request) -> Any:
    config = load(request.store, request.org)
    return [timing_shown(config, name) for name in sorted(config["intervals"])]


@route("GET", f"{TIMINGS}/export", **READ)
def export_timings(request: Request) -> Any:
    intervals = load(request.store, request.org)["intervals"]
    listed = [
        {"orgId": request.org, "name": name, "time_intervals": intervals[name]}
        for name in sorted(intervals)
    ]
    return exported({"apiVersion": 1, "muteTimes": listed}, request)


@route("GET", f"{TIMINGS}/:name", **READ)
def read_timing(request: Request) -> Any:
    config = load(request.store, request.org)
    if request.params["name"] not in config["intervals"]:
        raise no_such("time-intervals")
    return timing_shown(config, request.params["name"])


@route("POST", TIMINGS, **WRITE)
def create_timing(request: Request) -> Any:
    config, body = load(request.store, request.org), request.json()
    intervals = checked_timing(body)
    if body["name"] in config["intervals"]:
        name = "alerting.notifications.time-intervals.nameExists"
        raise Refused(
            409,
            "Time interval with this name already exists",
            messageId=name,
            statusCode=409,
            traceID="",
        )
    config["intervals"][body["name"]] = intervals
    claim(request, config, "mute_timing", body["name"])
    save(request, config)
    return Answer(201, timing_shown(config, body["name"]))


@route("PUT", f"{TIMINGS}/:name", **WRITE)
def update_timing(request: Request) -> Any:
    """Update a mute timing.

    Without a name in the body the path's applies; with another name the path must be an internal
    uid.
    """
    config, body, name = (
        load(request.store, request.org),
        request.json(),
        request.params["name"],
    )
    intervals = checked_timing({"name": name} | body)
    if name not in config["intervals"] or body.get("name", name) != name:
        raise no_such("time-intervals")
    check_version(body.get("version"), config["intervals"][name])
    claim(request, config, "mute_timing", name)
    config["intervals"][name] = intervals
    save(request, config)
    return Answer(202, timing_shown(config, name))


@route("DELETE", f"{TIMINGS}/:name", **WRITE)
def delete_timing(request: Request) -> Any:
    config, name = load(request.store, request.org), request.params["name"]
    if name in config["intervals"]:
        check_version(request.query.get("version"), config["intervals"][name])
        users = [*all_routes(config["route"])]
        users += [
            rule["notification_settings"] or {}
            for rule in request.store.all(request.org, "rule")
        ]
        if any(name in (user.get(key) or []) for user in users for key in INTERVALS):
            what = "alerting.notifications.time-intervals.used"
            raise Refused(
                409, "Time interval is used", messageId=what, statusCode=409, traceID=""
            )
        claim(request, config, "mute_timing", name)
        config["provenance"].pop(f"mute_timing/{name}")
        del config["intervals"][name]
        save(request, config)
    return Answer(204)


# Templates


def template_shown(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a template in the API's form."""
    template = config["templates"][name]
    return {
        "name": name,
        "template": template,
        "version": version_of(template),
    } | provenance(config, "template", name)


@route("GET", TEMPLATES, **READ)
def list_templates(request: Request) -> Any:
    config = load(request.store, request.org)
    return [template_shown(config, name) for name in sorted(config["templates"])]


@route("GET", f"{TEMPLATES}/:name", **READ)
def read_template(request: Request) -> Any:
    config = load(request.store, request.org)
    if request.params["name"] not in config["templates"]:
        raise no_such("templates")
    return template_shown(config, request.params["name"])


@route("PUT", f"{TEMPLATES}/:name", **WRITE)
def put_template(request: Request) -> Any:
    config, body, name = (
        load(request.store, request.org),
        request.json(),
        request.params["name"],
    )
    text = body.get("template")
    if not isinstance(text, str):
        raise malformed("template must have content")
    try:
        text = templates.normal(name, text)
    except ValueError as error:
        raise malformed(str(error)) from error
    if name in config["templates"]:
        check_version(body.get("version"), config["templates"][name])
    claim(request, config, "template", name)
    config["templates"][name] = text
    save(request, config)
    return Answer(202, template_shown(config, name))


@route("DELETE", f"{TEMPLATES}/:name", **WRITE)
def delete_template(request: Request) -> Any:
    """Delete a template, which may be missing or in use."""
    config, name = load(request.store, request.org), request.params["name"]
    if name in config["templates"]:
        check_version(request.query.get("version"), config["templates"][name])
        claim(request, config, "template", name)
        config["provenance"].pop(f"template/{name}")
        del config["templates"][name]
        save(request, config)
    return Answer(204)


# Tests of receivers, and the configuration as a whole

KUBERNETES_TEST = (
    "/apis/notifications.alerting.grafana.app/{}/namespaces/:namespace"
    "/receivers/:name/test"
)
CONFIG = "/api/alertmanager/grafana/config/api/v1"
TEST = {
    "role": "Editor",
    "needs": "alert.notifications.receivers:test",
    "family": "proxy",
}


@route("POST", f"{CONFIG}/receivers/test", **TEST, until=(13,))
def try_receivers(request: Request) -> Any:
    """Answer 200 if all were notified, 207 if not, 400 if a receiver is malformed."""
    body = request.json()
    if not body.get("receivers"):
        raise Refused(400, traceID="")
    results, codes = [], set()
    for receiver in body["receivers"]:
        statuses = []
        for given in receiver.get("grafana_managed_receiver_configs") or []:
            error, is_malformed = try_to_notify(request, given, body.get("alert") or {})
            status = {
                "name": given.get("name", ""),
                "uid": given.get("uid", ""),
                "status": "ok",
            }
            if error:
                status |= {"status": "failed", "error": error}
            statuses.append(status)
            failure = 400 if is_malformed else 207
            codes.add(failure if error else 200)
        results.append(
            {
                "name": receiver.get("name", ""),
                "grafana_managed_receiver_configs": statuses,
            }
        )
    alert = alert_of_test(body.get("alert") or {})
    return Answer(max(codes, default=200), {"alert": alert, "receivers": results})


@route("POST", f"{CONFIG}/receivers/test", **TEST, since=(13,))
def trying_is_gone(_request: Request) -> Any:
    raise Refused(410, "This endpoint has been removed", statusCode=410)


@route("POST", f"{CONFIG}/templates/test", **TEST)
def try_template(request: Request) -> Any:
    """Answer with the errors of a template; nothing is stored."""
    body = request.json()
    try:
        templates.normal(body["name"], body["template"])
    except ValueError as error:
        message = str(error).removeprefix("invalid template: ")
        return {"errors": [{"kind": "invalid_template", "message": message}]}
    return {"results": []}


@route("POST", KUBERNETES_TEST.format("v0alpha1"), **TEST, since=(12, 3))
@route("POST", KUBERNETES_TEST.format("v1beta1"), **TEST, since=(13,))
def try_integration(request: Request) -> Any:
    """Answer 200 in any case; the body contains the result of the notification."""
    body = request.json()
    given, config = body.get("integration"), load(request.store, request.org)
    uid = (body.get("integrationRef") or {}).get("uid", "")
    if given is None:
        located = locate(config, uid)
        if located is None:
            raise Refused(404, f"integration {uid!r} not found", reason="NotFound")
        given = point_shown(request, config, *located, decrypt=True)
    error, _is_malformed = try_to_notify(request, given, body.get("alert") or {})
    return {"status": "failure", "error": error} if error else {"status": "success"}


def alert_of_test(given: dict[str, Any]) -> dict[str, Any]:
    """Return the alert of a test."""
    labels = {"alertname": "TestAlert", "instance": "Grafana"} | (
        given.get("labels") or {}
    )
    return {
        "labels": labels,
        "annotations": {"summary": "Notification test"}
        | (given.get("annotations") or {}),
    }


def try_to_notify(
    request: Request, given: dict[str, Any], alert: dict[str, Any]
) -> tuple[str, bool]:
    """Notify a receiver; return the error, if any, and whether the integration is malformed."""
    settings = (given.get("settings") or {}) | (given.get("secureSettings") or {})
    located = locate(load(request.store, request.org), given.get("uid") or "")
    old = located[1] if located else None
    named = given | {"name": given.get("name") or "test", "settings": settings}
    try:
        checked_point(request, named, old)
    except Refused as refused:
        return refused.body["message"], True
    if settings.get("url") == REDACTED and old:
        settings["url"] = request.store.decrypt(old["secure"]["url"])
    if not settings.get("url"):
        return "", False
    labels = alert_of_test(alert)["labels"]
    message: dict[str, Any] = {"status": "firing", "alerts": [alert_of_test(alert)]}
    if given["type"] == "discord":
        words = " ".join(f"{key}={value}" for key, value in labels.items())
        message = {"content": f"[FIRING:1] {words}"}
    outgoing = urllib.request.Request(
        settings["url"],
        json.dumps(message).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(outgoing, timeout=10):
            return "", False
    except (OSError, ValueError) as error:
        return f"the receiver was not notified: {error}", False


@route("GET", f"{CONFIG}/alerts", "Admin", "alert.notifications:read")
def read_config(request: Request) -> Any:
    """Answer with the whole configuration, in the Alertmanager's form."""
    config = load(request.store, request.org)
    receivers = []
    for name, integrations in sorted(config["receivers"].items()):
        entries = [config_entry(name, integration) for integration in integrations]
        receivers.append({"name": name, "grafana_managed_receiver_configs": entries})
    timings = [
        {"name": name, "time_intervals": intervals}
        for name, intervals in sorted(config["intervals"].items())
    ]
    inner = {
        "route": config["route"],
        "receivers": receivers,
        "mute_time_intervals": timings,
    }
    return {"template_files": config["templates"], "alertmanager_config": inner}


def config_entry(name: str, integration: dict[str, Any]) -> dict[str, Any]:
    """Return an integration in the Alertmanager's form."""
    secure = dict.fromkeys(integration["secure"], True)
    return {key: value for key, value in integration.items() if key != "secure"} | {
        "name": name,
        "secureFields": secure,
    }


@route("DELETE", f"{CONFIG}/alerts", "Admin", "alert.notifications:write", until=(13,))
def delete_config(request: Request) -> Any:
    revision = load(request.store, request.org)["revision"]
    save(request, default(request.server.version) | {"revision": revision})
    return Answer(202, {"message": "configuration deleted; the default is applied"})
