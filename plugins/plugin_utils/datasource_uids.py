# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replace uids of datasources in content that was written for another Grafana. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..module_utils.grafana.files.lint import DATASOURCE_LINKS
from ..module_utils.grafana.files.provisioning_files import datasource_uid
from ..module_utils.grafana.model import PRESENT

if TYPE_CHECKING:
    from ..module_utils.grafana.model import DesiredObject

# Fields that contain the uid of a datasource, in rules and in links of datasources.
_UID_FIELDS = (*DATASOURCE_LINKS, "target_datasource_uid")


def replaced_uids(
    desired: list[DesiredObject], chosen: dict[str, str]
) -> list[DesiredObject]:
    """Return the objects with ``chosen`` uids, and with the uids of datasources in this list.

    Grafana derives a uid from the name of a datasource whose file sets none. Rules that were made
    there have it, and mean the datasource with that name.
    """
    datasources = [
        item.body
        for item in desired
        if item.kind == "datasource" and item.state == PRESENT
    ]
    present = {body["uid"] for body in datasources}
    derived = {datasource_uid(body["name"]): body["uid"] for body in datasources}
    uids = {uid: own for uid, own in derived.items() if uid not in present} | chosen
    if not uids:
        return desired
    # Few objects have one of them, and a walk through a large dashboard takes long.
    written = [_as_text(uid)[1:-1] for uid in uids]
    return [
        replace(item, body=_replaced(item.body, uids))
        if _has_any(_as_text(item.body), written)
        else item
        for item in desired
    ]


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _has_any(text: str, parts: list[str]) -> bool:
    return any(part in text for part in parts)


def _replaced(tree: Any, uids: dict[str, str]) -> Any:
    if isinstance(tree, list):
        return [_replaced(child, uids) for child in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: _replaced_field(key, child, uids) for key, child in tree.items()}


def _replaced_field(key: str, value: Any, uids: dict[str, str]) -> Any:
    if isinstance(value, str):
        # The field datasource is a uid or a name in old dashboards.
        is_uid = key in _UID_FIELDS or key == "datasource"
        return uids.get(value, value) if is_uid else value
    if key == "datasource" and isinstance(value, dict):
        uid = value.get("uid")
        return {**value, "uid": uids.get(uid, uid)} if isinstance(uid, str) else value
    if key == "templating" and isinstance(value, dict):
        return _replaced({**value, "list": _variables(value.get("list"), uids)}, uids)
    return _replaced(value, uids)


def _variables(variables: Any, uids: dict[str, str]) -> Any:
    """Return variables of a dashboard; the value of one for datasources is a uid."""
    if not isinstance(variables, list):
        return variables
    return [_variable(variable, uids) for variable in variables]


def _variable(variable: Any, uids: dict[str, str]) -> Any:
    if not isinstance(variable, dict) or variable.get("type") != "datasource":
        return variable
    current = variable.get("current")
    if not isinstance(current, dict) or not isinstance(current.get("value"), str):
        return variable
    value = uids.get(current["value"], current["value"])
    return {**variable, "current": {**current, "value": value}}
