# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an owner made in a Grafana, kept in that Grafana. Pure.

A message template ``<owner>.owned`` lists it in a comment; nothing uses it. Marks in the objects themselves would not
do: folders, contact points and mute timings have no free place for one in Grafana 11, 12 or 13, and a tag of a
dashboard or an annotation of a rule is copied with the object, so that a copy which somebody made by hand would be
taken for ours and deleted with it.
"""

from __future__ import annotations

import json
import re

from ..kinds.names import KINDS

SUFFIX = ".owned"
NOTE = "Made by automation; deleting this makes it forget what it owns."
# The name becomes a file's name in the Alertmanager.
OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def name(owner: str) -> str:
    """Name of an owner's template."""
    return owner + SUFFIX


def written(owner: str, owned: dict) -> str:
    """The template for what is owned: kind -> identities."""
    lists = {kind: sorted(owned[kind]) for kind in KINDS if owned.get(kind)}
    # An escaped slash, since */ would end the comment.
    text = json.dumps(lists, indent=1, ensure_ascii=True).replace("/", "\\/")
    return f'{{{{ define "{name(owner)}" }}}}{{{{/* {NOTE}\n{text}\n*/}}}}{{{{ end }}}}'


def read(text: str) -> dict:
    """What a template says is owned; nothing where it is none of ours."""
    found = re.search(r"\{\{/\*.*?\n(\{.*\})\s*\*/\}\}", text, re.DOTALL)
    try:
        lists = json.loads(found.group(1)) if found else {}
    except ValueError:
        lists = {}
    return {kind: frozenset(lists.get(kind, ())) for kind in KINDS}
