# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of the right type that no program accepts. Pure."""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import TYPE_CHECKING, Any

from ..module_utils.upstream_releases import UPSTREAM
from . import heartbeat, transport
from .catalog import ENVIRONMENT
from .pinned_releases import MIRRORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .catalog import Value

CONTENT = "grafana_content_directories"
# Keys of an item of it that name files of the controller, and the third one that has content.
SOURCES = ("directory", "file")
OBJECTS = "objects"
# The receivers of alerts, by severity.
OF_ALERTMANAGER = "alertmanager_notify"
OF_GRAFANA = "grafana_content_notify"
# Types of receivers of Alertmanager 0.34, before "_configs". A later one may have more.
INTEGRATIONS = [
    "discord",
    "email",
    "incidentio",
    "jira",
    "mattermost",
    "msteams",
    "msteamsv2",
    "opsgenie",
    "pagerduty",
    "pushover",
    "rocketchat",
    "slack",
    "sns",
    "telegram",
    "victorops",
    "webex",
    "webhook",
    "wechat",
]
CONFIGS = "_configs"
# Variables with these ends are addresses of web servers. That of the heartbeat has its own check.
ADDRESS_ENDS = ("_url", "_webhook")
# The address of a host for others, without a port.
ADDRESS = "monitoring_address"
HOST = re.compile(r"[\w.-]+")
# The path of a certificate or key, a common mistake for its content.
PATH = re.compile(r"\S*(/|\.(pem|crt|cer|key)$)\S*")
# As the component module has it.
INSTANCE = re.compile(r"[a-z0-9-]+")
LONGEST_NAME = 31
# It becomes a label, an attribute, a part of regular expressions and of file names.
ENVIRONMENT_NAME = re.compile(r"\w[\w .:/+-]*")


def errors(name: str, value: Value) -> list[str]:
    """Return the reasons why no program accepts a value, which may be secret, of a variable."""
    check = CHECKS.get(name)
    if check:
        return check(value)
    if name.endswith("_instances"):
        return _instance_errors(name.removesuffix("_instances"), value)
    if isinstance(value, int) and value < 0:
        return [f"must not be negative, as {value} is"]
    is_address = name.endswith(ADDRESS_ENDS) and name != heartbeat.VARIABLE
    if is_address and value and not heartbeat.URL.fullmatch(str(value)):
        return ["is no address such as https://host.example/path"]
    return []


def _content_errors(sources: list[dict[str, Any]]) -> list[str]:
    """Return an error for each source of content that has none."""
    keys = (*SOURCES, OBJECTS)
    numbered = enumerate(sources, start=1)
    empty = [number for number, source in numbered if not any(map(source.get, keys))]
    return [f"element {number} has none of {', '.join(keys)}" for number in empty]


def _mirror_errors(value: Value) -> list[str]:
    mirrors = value if isinstance(value, list) else [value]
    wrong = [mirror for mirror in mirrors if not _is_mirror(str(mirror))]
    example = f"https://mirror.example/releases or {UPSTREAM}"
    return [f"{mirror!r} is no address such as {example}" for mirror in wrong]


def _is_mirror(mirror: str) -> bool:
    return mirror == UPSTREAM or bool(heartbeat.URL.fullmatch(mirror))


def _environment_errors(name: Value) -> list[str]:
    if not isinstance(name, str):
        return [f"must be a str, not {name!r}"]
    if not name or ENVIRONMENT_NAME.fullmatch(name):
        return []
    return [f"{name!r} may have letters, digits, spaces and . _ : / + - only"]


def _alertmanager_errors(notify: dict[str, Any]) -> list[str]:
    """Return an error for each type of receiver that Alertmanager does not have."""
    messages = []
    for severity, receivers in notify.items():
        for key, settings in (receivers or {}).items():
            place = f"{severity}, {key}"
            if not isinstance(settings, list):
                messages.append(f"{place}: must be a list of receivers")
            elif not all(isinstance(receiver, dict) for receiver in settings):
                messages.append(f"{place}: each receiver must be a dict")
            known = [f"{integration}{CONFIGS}" for integration in INTEGRATIONS]
            closest = difflib.get_close_matches(key, known, 1, 0.8)
            if key in known or (key.endswith(CONFIGS) and not closest):
                continue
            hint = f"did you mean {closest[0]}?" if closest else ", ".join(known)
            messages.append(f"{place}: no type of receiver; {hint}")
    return messages


def _grafana_errors(notify: dict[str, Any]) -> list[str]:
    """Return an error for each receiver without a type or settings."""
    messages = []
    for severity, receivers in notify.items():
        for number, receiver in enumerate(receivers or [], start=1):
            missing = [key for key in ("type", "settings") if not receiver.get(key)]
            if missing:
                lacking = " and ".join(missing)
                messages.append(f"{severity}, receiver {number}: lacks {lacking}")
    return messages


def _network_errors(value: Value) -> list[str]:
    networks = value if isinstance(value, list) else [value]
    return [
        f"{each!r} is no network such as 10.0.0.0/8"
        for each in networks
        if not _is_network(each)
    ]


def _is_network(text: Value) -> bool:
    try:
        ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return False
    return True


def _host_errors(value: Value) -> list[str]:
    """Return an error for an address with a scheme or a port."""
    text = str(value).strip("[]")
    if not text or HOST.fullmatch(text) or (":" in text and _is_network(text)):
        return []
    return [f"{value!r} must be a host name or an IP address, without scheme and port"]


def _instance_errors(role: str, instances: list[dict[str, Any]]) -> list[str]:
    """Return an error for each name that the component module refuses."""
    names = [str(instance.get("name")) for instance in instances]
    component = role.replace("_", "-")
    length = LONGEST_NAME - len(component) - 1
    messages = []
    for name in dict.fromkeys(names):
        if not INSTANCE.fullmatch(name) or len(name) > length:
            messages.append(
                f"name {name!r} must be 1 to {length} lower-case letters, digits, dashes"
            )
        elif names.count(name) > 1:
            messages.append(f"name {name!r} must be unique")
    return messages


def _content_of_file_errors(value: Value) -> list[str]:
    """Return an error for a path in place of the content of a certificate or key."""
    if not isinstance(value, str) or not PATH.fullmatch(value):
        return []
    return ["is a path; read the file by lookup('ansible.builtin.file', ...)"]


CHECKS: dict[str, Callable[[Any], list[str]]] = {
    CONTENT: _content_errors,
    MIRRORS: _mirror_errors,
    ENVIRONMENT: _environment_errors,
    OF_ALERTMANAGER: _alertmanager_errors,
    OF_GRAFANA: _grafana_errors,
    ADDRESS: _host_errors,
    transport.NETWORKS_VARIABLE: _network_errors,
    **dict.fromkeys(transport.TLS_VARIABLES, _content_of_file_errors),
}
