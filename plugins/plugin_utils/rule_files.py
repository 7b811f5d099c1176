# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Errors in the rule files of a user: their syntax and their shape.

Prometheus' own checker on the host judges the rest of expressions.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..module_utils.grafana.files.documents import DocumentError
from . import query_syntax
from .action_helpers import VAULT_HEADER
from .yaml_documents import parse_document

if TYPE_CHECKING:
    from typing import Any

    from ..module_utils.grafana.files.documents import Document, Steps

DURATION = re.compile(r"0|(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?")
RULE_DURATIONS = ("for", "keep_firing_for")


def errors_of(name: str, path: str) -> list[str]:
    """Return the errors of a file, each with its name and line.

    ``name`` is the path in the inventory. A file that Ansible Vault encrypted is not read.
    """
    if not Path(path).is_file():
        return []
    data = Path(path).read_bytes()
    if data.startswith(VAULT_HEADER):
        return []
    try:
        document = parse_document(name, data)
    except DocumentError as error:
        return [str(error)]
    return rule_errors(document)


def rule_errors(document: Document) -> list[str]:
    """Return the errors in the shape of a rule file of Prometheus. Pure."""
    content = document.content
    if not content:
        return []
    groups = content.get("groups") if isinstance(content, dict) else None
    if not isinstance(groups, list):
        return [f"{document.at()}: has no list of groups; write groups: [...]."]
    errors = []
    names: set[Any] = set()
    for index, group in enumerate(groups):
        steps: Steps = ("groups", index)
        if not isinstance(group, dict) or not group.get("name"):
            errors.append(f"{document.at(*steps)}: a group has no name; add one.")
            continue
        if group["name"] in names:
            problem = f"there are two groups {group['name']}"
            errors.append(f"{document.at(*steps)}: {problem}; rename one.")
        names.add(group["name"])
        errors += _duration_errors(document, steps, group, ("interval", "query_offset"))
        for number, rule in enumerate(group.get("rules") or []):
            errors += _errors_of_rule(document, (*steps, "rules", number), rule)
    return errors


def _errors_of_rule(document: Document, steps: Steps, rule: Any) -> list[str]:
    place = document.at(*steps)
    if not isinstance(rule, dict):
        return [f"{place}: a rule is not a dict; correct it."]
    if bool(rule.get("alert")) == bool(rule.get("record")):
        return [f"{place}: a rule needs either alert or record; write one of them."]
    name = rule.get("alert") or rule.get("record")
    if rule.get("expr") in (None, ""):
        return [f"{place}: rule {name} has no expr; add one."]
    errors = _duration_errors(document, steps, rule, RULE_DURATIONS)
    fault = query_syntax.fault(str(rule["expr"]))
    if fault:
        errors.append(f"{document.at(*steps, 'expr')}: {fault}")
    return errors


def _duration_errors(
    document: Document, steps: Steps, fields: dict[str, Any], names: tuple[str, ...]
) -> list[str]:
    return [
        f"{document.at(*steps, name)}: {name} is {fields[name]!r}; write a duration such as 5m."
        for name in names
        if name in fields and not DURATION.fullmatch(str(fields[name]))
    ]
