# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the component module. Pure."""

from __future__ import annotations

# Options of a probe whose program requires authentication; files are the component's own.
CREDENTIALS = ("username", "password_file", "certificate_file", "key_file", "ca_file")
STRING = {"type": "str"}
REQUIRED_STRING = {"type": "str", "required": True}
STRINGS = {"type": "list", "elements": "str"}
DICT = {"type": "dict"}
ON_CHANGE = ["reload", "restart", "none"]
FILE = {
    "path": REQUIRED_STRING,
    "source": {"type": "path"},
}
CONFIG = {
    **FILE,
    "content": {"type": "raw"},
    "on_change": {"type": "str", "choices": ON_CHANGE, "default": "reload"},
}
SCRIPT = {
    **FILE,
    "content": STRING,
    "on_change": {"type": "str", "choices": ON_CHANGE, "default": "none"},
}
PROBE = {
    "url": REQUIRED_STRING,
    # The name of a file is not secret.
    **{name: {"type": "str", "no_log": False} for name in CREDENTIALS},
}
PEER = {**PROBE, "host": REQUIRED_STRING}
READY = {
    **PROBE,
    "timeout": {"type": "int", "default": 60},
    "peers": {"type": "list", "elements": "dict", "options": PEER},
}
RELOAD = {
    **PROBE,
    "success": REQUIRED_STRING,
    "timestamp": REQUIRED_STRING,
    "timeout": {"type": "int", "default": 30},
}
# Options without defaults, since an instance that omits one has the component's.
INSTANCE = {
    "description": STRING,
    "command": STRINGS,
    "config": {"type": "list", "elements": "dict", "options": CONFIG},
    "secrets": {"type": "dict", "no_log": True},
    "scripts": {"type": "list", "elements": "dict", "options": SCRIPT},
    "environment": DICT,
    "unit": DICT,
    "units": DICT,
    "check": STRINGS,
    "check_ignore_pattern": STRING,
    "listen_addresses": STRINGS,
    "ready": {"type": "dict", "options": READY},
    "reload": {"type": "dict", "options": RELOAD},
}
NAMED_INSTANCE = {
    "name": REQUIRED_STRING,
    **INSTANCE,
}
RELEASE = {
    "name": REQUIRED_STRING,
    "version": REQUIRED_STRING,
    "archives": {"type": "dict", "default": {}},
    "pushable": {"type": "list", "elements": "str", "default": []},
}
REQUIREMENT = {
    **dict.fromkeys(("path", "address", "host"), STRING),
    "subject": REQUIRED_STRING,
    "optional": {"type": "bool", "default": False},
}
EXPOSURE = {"networks": STRINGS, "addresses": STRINGS}
STATES = ["present", "absent", "previous"]
OPTIONS = {
    "name": REQUIRED_STRING,
    "state": {"type": "str", "choices": STATES, "default": "present"},
    "exposure": {"type": "dict", "options": EXPOSURE},
    "requires": {"type": "list", "elements": "dict", "options": REQUIREMENT},
    "release": {"type": "dict", "options": RELEASE},
    **INSTANCE,
    "instances": {"type": "list", "elements": "dict", "options": NAMED_INSTANCE},
    "adopt": {"type": "bool", "default": False},
    "without_peers": {"type": "bool", "default": False},
    "purge": {"type": "bool", "default": False},
    "lock_owner": STRING,
    "options_from": STRING,
    "lock_timeout": {"type": "int", "default": 60},
}
REQUIRED_IF = [("state", "present", ["release"])]
