# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep secrets out of output. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Body

HIDDEN, HIDDEN_CHANGED = "(hidden)", "(hidden, changed)"
REDACTED = "[REDACTED]"
# Settings of an integration that may hold a secret. Rather one too many: webhooks are identified
# by their names.
SECRET = re.compile(
    r"url|token|password|secret|key|credential|authorization|headers|cert|user|sigv4|oauth",
    re.IGNORECASE,
)
# Some servers keep a boolean as a string.
NO_SECRETS = ("", REDACTED, "true", "false")
LONGEST_OUTPUT = 20_000


def secret_settings(settings: Body) -> Iterator[str]:
    """Yield the strings in settings that may be secret."""
    for key, value in settings.items():
        if SECRET.search(key):
            yield from _strings(value)
        elif isinstance(value, dict):
            yield from secret_settings(value)


def hidden_settings(settings: Body) -> Body:
    """Return settings without values that may be secret."""
    return {key: _hidden(key, value) for key, value in settings.items()}


def _hidden(key: str, value: Any) -> Any:
    if SECRET.search(key) and value:
        return HIDDEN
    return hidden_settings(value) if isinstance(value, dict) else value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value not in NO_SECRETS:
            yield value
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list):
        for element in value:
            yield from _strings(element)


def differing(before: Any, after: Any) -> tuple[Any, Any]:
    """Return the parts of two JSON values that differ, to show a change in a large one."""
    if isinstance(before, dict) and isinstance(after, dict):
        return _differing_parts(before, after)
    if (
        isinstance(before, list)
        and isinstance(after, list)
        and len(before) == len(after)
    ):
        return _differing_parts(_by_index(before), _by_index(after))
    return before, after


def _differing_parts(before: Body, after: Body) -> tuple[Body, Body]:
    left: Body = {}
    right: Body = {}
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        old, new = differing(old, new)
        if key in before:
            left[key] = old
        if key in after:
            right[key] = new
    return left, right


def _by_index(values: list[Any]) -> Body:
    return {f"[{index}]": value for index, value in enumerate(values)}


def mark_changed_secrets(
    shown_before: Any, before: Any, after: Any, shown_after: Any
) -> Any:
    """Return ``shown_after`` with a note at each hidden value that has changed."""
    if (
        isinstance(shown_after, dict)
        and isinstance(before, dict)
        and isinstance(after, dict)
    ):
        shown = shown_before if isinstance(shown_before, dict) else {}
        return {
            key: mark_changed_secrets(
                shown.get(key), before.get(key), after.get(key), value
            )
            for key, value in shown_after.items()
        }
    is_hidden = shown_after == HIDDEN == shown_before
    return HIDDEN_CHANGED if is_hidden and before != after else shown_after


def entry(header: str, before: Any, after: Any) -> dict[str, str]:
    """Return a diff as Ansible shows it; None stands for an object that does not exist."""
    if before is not None and after is not None:
        before, after = differing(before, after)
    return {
        "before_header": header,
        "after_header": header,
        "before": _rendered(before),
        "after": _rendered(after),
    }


def _rendered(value: Any) -> str:
    if value is None:
        return ""
    rendered = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    excess = len(rendered) - LONGEST_OUTPUT
    if excess > 0:
        rendered = f"{rendered[:LONGEST_OUTPUT]}\n... and {excess} more characters"
    return rendered + "\n"
