# SPDX-License-Identifier: GPL-3.0-or-later
"""Payload between the controller and the grafana_content module, as one compressed string. Pure."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from .model import DesiredObject, RequiredObject

if TYPE_CHECKING:
    from collections.abc import Iterable

ITEM = {
    "directory": {"type": "str"},
    "file": {"type": "str"},
    "objects": {"type": "dict"},
    "title": {"type": "str", "default": "inline"},
    "folder": {"type": "str", "default": ""},
    "datasource_uid": {"type": "str", "default": "prometheus"},
    "datasource_type": {"type": "str"},
    "exec_error": {"type": "str", "default": "Error"},
    "documentation_url": {"type": "str"},
    "paths": {"type": "dict", "default": {}},
}
SOURCES = ("directory", "file", "objects")
# Options of grafana_content that end on the controller.
CONTROLLER = {
    "content": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": ITEM,
        "mutually_exclusive": [SOURCES],
        "required_one_of": [SOURCES],
    },
    "environment": {"type": "dict", "default": {}, "no_log": True},
    "inputs": {"type": "dict", "default": {}},
    "datasource_uids": {"type": "dict", "default": {}},
    "strict": {"type": "bool", "default": False},
    "export_directory": {"type": "str"},
}


def encode(value: Any) -> str:
    """Return a JSON value as a short string; equal values give equal strings."""
    serialized = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(serialized.encode("ascii"), 6)).decode(
        "ascii"
    )


def decode(payload: str) -> Any:
    """Return the value that ``encode`` was given."""
    return json.loads(zlib.decompress(base64.b64decode(payload)))


def encode_content(
    desired: Iterable[DesiredObject], required: Iterable[RequiredObject]
) -> str:
    """Return desired objects, and the objects that they require on the server, as a payload."""
    # Not astuple, which copies every dashboard.
    names = [field.name for field in fields(DesiredObject)]
    items = [[getattr(item, name) for name in names] for item in desired]
    return encode({"desired": items, "required": list(required)})


def decode_content(payload: str) -> tuple[list[DesiredObject], list[RequiredObject]]:
    """Return the two lists that ``encode_content`` was given."""
    content = decode(payload)
    desired = [DesiredObject(*item) for item in content["desired"]]
    return desired, [RequiredObject(*item) for item in content["required"]]
