# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired state of a Grafana as one list of objects, whatever it was read from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    # A JSON object of Grafana's HTTP API.
    Body = dict[str, Any]

PRESENT, ABSENT = "present", "absent"


@dataclass(frozen=True)
class DesiredObject:
    """One object that must exist, or must not.

    ``identity``: folder, datasource, library panel and dashboard: uid; template, mute timing and
    contact point: name; policy: ""; rule group: "<uid of its folder>/<title>". ``body`` has the
    form of Grafana's HTTP API:

    - folder: {uid, title, parentUid, description?}
    - datasource: the body of POST /api/datasources, secureJsonData included
    - library_panel: {uid, name, model, folderUid, stays?}; one that stays keeps its live folder
    - dashboard: {dashboard: {...}, folderUid}
    - template: {name, template}
    - mute_timing: {name, time_intervals}
    - contact_point: {name, receivers: [{uid, type, settings, disableResolveMessage}]}
    - policy: the root route
    - rule_group: {folderUid, title, interval (seconds), rules: [...]}, each rule with its uid

    ``source`` is for messages: "dashboards/app.json:12" or "inline". An absent object may have an
    empty body.
    """

    kind: str
    identity: str
    body: Body
    source: str
    state: str = PRESENT


class Reference(NamedTuple):
    """An object that another one refers to."""

    kind: str
    identity: str


class RequiredObject(NamedTuple):
    """An object that must be on the server: a desired object refers to it, none is it.

    Without an ``optional`` one Grafana works, except at the place that refers to it.
    """

    kind: str
    identity: str
    source: str
    optional: bool = False
