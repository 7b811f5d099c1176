# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Turn what a Grafana has into files that want exactly that. Pure.

A secret is never in them: a variable stands for it, whose value the environment of grafana_content must give.
"""

from __future__ import annotations

import re
from typing import Any

from .. import redact
from ..fingerprint import RECORD

# What the server numbers and stamps.
_DASHBOARD_OWN = ("id", "version")
_DATASOURCE_FIELDS = (
    "name", "uid", "type", "access", "url", "user", "database", "basicAuth", "basicAuthUser", "withCredentials",
    "isDefault",
)  # fmt: skip
_TEMPLATE = ("name", "template")
_TIMING = ("name", "time_intervals")
# The directory of what is in no folder.
_TOP = "dashboards"
_ROUTE_OWN = ("provenance",)
_FILE_NAMES = {
    "noDataState": "noDataState",
    "execErrState": "execErrState",
    "for": "for",
    "keep_firing_for": "keepFiringFor",
    "missingSeriesEvalsToResolve": "missing_series_evals_to_resolve",
    "isPaused": "isPaused",
    "condition": "condition",
}
_RECORD_NAMES = {"metric": "metric", "from": "from", "target_datasource_uid": "targetDatasourceUid"}


def files(live: dict) -> dict:
    """Path -> (json or yaml, content), and the names of the variables, of kind -> identity -> Live."""
    bodies = {kind: {key: held.body for key, held in found.items()} for kind, found in live.items()}
    variables: list = []
    made = _dashboards(bodies)
    sections = {
        "datasources/datasources.yml": ("datasources", _datasources(live["datasource"], variables)),
        "alerting/templates.yml": (
            "templates",
            [_only(body, *_TEMPLATE) for body in _all(bodies, "template")],
        ),
        "alerting/mute-timings.yml": (
            "muteTimes",
            [_only(body, *_TIMING) for body in _all(bodies, "mute_timing")],
        ),
        "alerting/contact-points.yml": (
            "contactPoints",
            [_contact_point(body, variables) for body in _points(bodies)],
        ),
        "alerting/policy.yml": (
            "policies",
            [_escaped(_route(body)) for body in _all(bodies, "policy")],
        ),
        "alerting/rules.yml": ("groups", [_group(body) for body in _all(bodies, "rule_group")]),
    }
    for path, (section, items) in sections.items():
        if items:
            made[path] = ("yaml", {"apiVersion": 1, section: items})
    return {"files": made, "variables": sorted(set(variables))}


def _dashboards(bodies: dict) -> dict:
    """Dashboards in the directories of their folders, each with the file that names the folder."""
    directories = _directories(bodies["folder"])
    made = {
        f"{directories[uid]}/_folder.yml": ("yaml", _folder(body))
        for uid, body in sorted(bodies["folder"].items())
    }
    taken: set = set()
    for uid, body in sorted(bodies["dashboard"].items()):
        directory = directories.get(body.get("folderUid") or "", _TOP)
        name = _unused(f"{directory}/{_slug(body['dashboard'].get('title') or uid)}", taken)
        model = {
            key: value for key, value in body["dashboard"].items() if key not in _DASHBOARD_OWN
        }
        made[f"{name}.json"] = ("json", {**model, "uid": uid})
    return made


def _all(bodies: dict, kind: str) -> list:
    return [body for _identity, body in sorted(bodies[kind].items())]


def _points(bodies: dict) -> list:
    """Contact points that can be found again; the one that each Grafana is born with has no uid, or no integration."""
    return [
        point
        for point in _all(bodies, "contact_point")
        if point["receivers"] and all(receiver.get("uid") for receiver in point["receivers"])
    ]


def _directories(folders: dict) -> dict:
    """The directory of each folder, parents above their children."""
    found: dict = {}
    taken: set = set()

    def directory(uid: str) -> str:
        if uid not in folders:
            return _TOP
        if uid not in found:
            above = directory(folders[uid].get("parentUid") or "")
            found[uid] = _unused(f"{above}/{_slug(folders[uid]['title'])}", taken)
        return found[uid]

    for uid in sorted(folders):
        directory(uid)
    return found


def _unused(path: str, taken: set) -> str:
    number, name = 1, path
    while name in taken:
        number, name = number + 1, f"{path}-{number + 1}"
    taken.add(name)
    return name


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "untitled"


def _folder(body: dict) -> dict:
    made = {"title": body["title"], "uid": body["uid"]}
    return {**made, "description": body["description"]} if body.get("description") else made


def _only(body: dict, *keys: str) -> dict:
    return {key: body[key] for key in keys if body.get(key) is not None}


def escaped(text: str) -> str:
    """The text as it must stand in a file so that Grafana reads it as it is."""
    return text.replace("$", "$$")


def _escaped(tree: Any) -> Any:
    """A value as it must stand where Grafana replaces variables."""
    if isinstance(tree, dict):
        return {key: _escaped(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_escaped(value) for value in tree]
    return escaped(tree) if isinstance(tree, str) else tree


def _variable(variables: list, *parts: str) -> str:
    first = re.sub(r"[^A-Z0-9]+", "_", "_".join(parts).upper()).strip("_")
    number, name = 1, first
    while name in variables:
        number, name = number + 1, f"{first}_{number + 1}"
    variables.append(name)
    return f"${{{name}}}"


def _datasources(live: dict, variables: list) -> list:
    found = []
    for uid, held in sorted(live.items()):
        body = held.body
        made = _escaped(_only(body, *_DATASOURCE_FIELDS))
        json_data = {
            key: value for key, value in (body.get("jsonData") or {}).items() if key != RECORD
        }
        if json_data:
            made["jsonData"] = _escaped(json_data)
        secrets = sorted(held.facts.get("secrets") or ())
        if secrets:
            made["secureJsonData"] = {key: _variable(variables, uid, key) for key in secrets}
        found.append(made)
    return found


def _contact_point(body: dict, variables: list) -> dict:
    receivers = [
        {
            "uid": escaped(receiver["uid"]),
            "type": receiver["type"],
            "settings": _settings(receiver["settings"], variables, receiver["uid"]),
            "disableResolveMessage": bool(receiver.get("disableResolveMessage")),
        }
        for receiver in body["receivers"]
    ]
    return {"name": escaped(body["name"]), "receivers": receivers}


def _settings(value: Any, variables: list, *above: str, secret: bool = False) -> Any:
    """Settings with a variable in place of each text that may be secret, as all is below a key that says so."""
    if isinstance(value, dict):
        return {
            key: _settings(
                inner, variables, *above, key, secret=secret or bool(redact.SECRET.search(key))
            )
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _settings(inner, variables, *above, str(at), secret=secret)
            for at, inner in enumerate(value)
        ]
    if value == redact.REDACTED or (
        secret and isinstance(value, str) and value not in redact.NO_SECRETS
    ):
        return _variable(variables, *above)
    return _escaped(value)


def _route(route: dict) -> dict:
    made = {
        key: value
        for key, value in route.items()
        if value not in (None, "", [], {}) and key not in _ROUTE_OWN
    }
    if "routes" in made:
        made["routes"] = [_route(child) for child in made["routes"]]
    return made


def _group(body: dict) -> dict:
    return {
        "name": escaped(body["title"]),
        "folderUid": body["folderUid"],
        "interval": f"{int(body['interval'])}s",
        "rules": [_rule(rule) for rule in body["rules"]],
    }


def _rule(rule: dict) -> dict:
    made = {"uid": rule["uid"], "title": escaped(rule["title"])}
    made.update(
        {
            name: rule[key]
            for key, name in _FILE_NAMES.items()
            if rule.get(key) not in (None, "", 0, False)
        }
    )
    made["data"] = [_query(query) for query in rule["data"]]
    if rule.get("labels"):
        made["labels"] = _escaped(rule["labels"])
    if rule.get("annotations"):
        made["annotations"] = rule["annotations"]
    settings = {
        key: value for key, value in (rule.get("notification_settings") or {}).items() if value
    }
    if settings:
        made["notification_settings"] = _escaped(settings)
    if rule.get("record"):
        made["record"] = {
            name: rule["record"][key]
            for key, name in _RECORD_NAMES.items()
            if rule["record"].get(key)
        }
    return made


def _query(query: dict) -> dict:
    made = _only(query, "refId", "datasourceUid", "relativeTimeRange", "model")
    return {**made, "queryType": query["queryType"]} if query.get("queryType") else made
