# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""List the forms in which a program may print a secret from one of its files. Pure."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

# Shorter parts would mask half of every message and are no secret worth the name.
SHORTEST = 4
# "key: value", "- value" and "key = value" of YAML and INI, with or without quotes.
SCALAR = re.compile(
    r"(?:^|[\s,{\[])(?:[\w.\"'-]+\s*[:=]|-)\s+?(?P<value>[^\s#].*?)\s*[,}\]]?$"
)
# The password of a URL, which a program may print without the rest.
URL_PASSWORD = re.compile(r"://[^:/@\s]*:([^@/\s]+)@")


def secret_forms(params: Mapping[str, Any]) -> set[str]:
    """Return every string to mask for the secrets of a component and its instances."""
    forms: set[str] = set()
    for owner in (params, *(params.get("instances") or ())):
        for content in (owner.get("secrets") or {}).values():
            forms |= _forms(
                content if isinstance(content, str) else json.dumps(content)
            )
    # The names of the component and its release are in every message, and are no secrets.
    release = params.get("release") or {}
    public = " ".join(
        [str(params.get("name")), str(release.get("name")), str(release.get("version"))]
    )
    return {form for form in forms if form not in public}


def _forms(content: str) -> set[str]:
    """Return a secret file's content as a whole, its lines and its scalars, escaped as well."""
    parts = {content, content.strip(), *URL_PASSWORD.findall(content)}
    for line in content.splitlines():
        parts.add(line.strip())
        scalar = SCALAR.search(line)
        if scalar:
            parts.add(scalar["value"].strip("\"'"))
    with contextlib.suppress(ValueError):
        parts.update(_leaves(json.loads(content)))
    forms = set()
    for part in parts:
        if len(part) >= SHORTEST:
            forms |= {part, quote(part, safe=""), quote(part), quote_plus(part)}
            forms |= {
                json.dumps(part)[1:-1],
                json.dumps(part, ensure_ascii=False)[1:-1],
            }
    return forms


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for element in value.values():
            yield from _leaves(element)
    elif isinstance(value, list):
        for element in value:
            yield from _leaves(element)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield str(value)
