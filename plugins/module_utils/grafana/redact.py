# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep secrets out of what people read. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

HIDDEN, ANOTHER = "(hidden)", "(hidden, another one)"
REDACTED = "[REDACTED]"
# Settings of an integration that may hold a secret. Rather one too many: webhooks are told apart by their names.
SECRET = re.compile(
    r"url|token|password|secret|key|credential|authorization|headers|cert|user|sigv4|oauth",
    re.IGNORECASE,
)
# Some servers keep a switch as a text.
NO_SECRETS = ("", REDACTED, "true", "false")
LONGEST_TEXT = 20_000


def secret_settings(settings: dict) -> Iterator[str]:
    """The texts in settings that may be secret."""
    for key, value in settings.items():
        if SECRET.search(key):
            yield from _texts(value)
        elif isinstance(value, dict):
            yield from secret_settings(value)


def hidden_settings(settings: dict) -> dict:
    """Settings without what may be secret."""
    return {
        key: HIDDEN
        if SECRET.search(key) and value
        else hidden_settings(value)
        if isinstance(value, dict)
        else value
        for key, value in settings.items()
    }


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value not in NO_SECRETS:
            yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def differing(before: Any, after: Any) -> tuple:
    """The parts of two JSON values that differ, so that a change in a large one is read at a glance."""
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = {key: (before.get(key), after.get(key)) for key in {**before, **after}}
        parts = {key: differing(*pair) for key, pair in pairs.items() if pair[0] != pair[1]}
        left = {key: part[0] for key, part in parts.items() if key in before}
        return left, {key: part[1] for key, part in parts.items() if key in after}
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        parts = {
            index: differing(*pair)
            for index, pair in enumerate(zip(before, after))
            if pair[0] != pair[1]
        }
        left = {f"[{index}]": part[0] for index, part in parts.items()}
        return left, {f"[{index}]": part[1] for index, part in parts.items()}
    return before, after


def told_apart(shown: Any, before: Any, after: Any, shown_after: Any) -> Any:
    """What is shown of ``after``, with a word where what is hidden is not what it was."""
    if isinstance(shown_after, dict) and isinstance(before, dict) and isinstance(after, dict):
        shown = shown if isinstance(shown, dict) else {}
        return {
            key: told_apart(shown.get(key), before.get(key), after.get(key), value)
            for key, value in shown_after.items()
        }
    return ANOTHER if shown_after == HIDDEN == shown and before != after else shown_after


def entry(header: str, before: Any, after: Any) -> dict:
    """A diff as Ansible shows it; None stands for an object that is not there."""
    if before is not None and after is not None:
        before, after = differing(before, after)
    return {
        "before_header": header,
        "after_header": header,
        "before": _shown(before),
        "after": _shown(after),
    }


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}\n... and {len(text) - LONGEST_TEXT} more characters"
    return text + "\n"
