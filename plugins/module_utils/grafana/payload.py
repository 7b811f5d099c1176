# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the controller sends the module of grafana_content, and gets back from it, as one compressed text. Pure."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import astuple
from typing import Any

from .model import DesiredObject, RequiredObject

ITEM = {
    "directory": {"type": "str"},
    "file": {"type": "str"},
    "objects": {"type": "dict"},
    "folder": {"type": "str", "default": ""},
    "datasource_uid": {"type": "str", "default": "prometheus"},
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
    "export_directory": {"type": "str"},
}


def packed(value: Any) -> str:
    """A JSON value as a short text. The same value gives the same text."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode("ascii"), 6)).decode("ascii")


def unpacked(text: str) -> Any:
    """The value that ``packed`` was given."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def wanted_parcel(desired: list, required: list) -> str:
    """What is wanted, and what must be on the server beside it."""
    return packed({"desired": [astuple(item) for item in desired], "required": required})


def opened(text: str) -> tuple:
    """The two lists that ``wanted_parcel`` was given."""
    content = unpacked(text)
    return [DesiredObject(*item) for item in content["desired"]], [
        RequiredObject(*item) for item in content["required"]
    ]
