# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wanted in a Grafana, as one list of objects whatever it was read from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

PRESENT, ABSENT = "present", "absent"


@dataclass(frozen=True)
class DesiredObject:
    """One object that should be there, or should not.

    ``identity``: folder, datasource and dashboard: uid; template, mute timing and contact point: name; policy: "";
    rule group: "<uid of its folder>/<title>". ``body`` is what Grafana's HTTP API takes:

    - folder: {uid, title, parentUid, description?}
    - datasource: the body of POST /api/datasources, secureJsonData included
    - dashboard: {dashboard: {...}, folderUid}
    - template: {name, template}
    - mute_timing: {name, time_intervals}
    - contact_point: {name, receivers: [{uid, type, settings, disableResolveMessage}]}
    - policy: the root route
    - rule_group: {folderUid, title, interval (seconds), rules: [...]}, each rule with its uid

    ``source`` is for messages: "dashboards/app.json:12" or "inline". An absent object needs no body.
    """

    kind: str
    identity: str
    body: dict
    source: str
    state: str = PRESENT


class RequiredObject(NamedTuple):
    """An object that must be on the server, since something wanted refers to it and it is not itself wanted."""

    kind: str
    identity: str
    source: str
