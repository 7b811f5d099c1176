# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd units: one hardened base, exceptions as data, rendered as text. Pure.

Directives and their scores: systemd.exec(5), ``systemd-analyze security`` of systemd 252.
"""

from __future__ import annotations

import hashlib
import json

from . import layout
from .component_errors import ComponentError

# Every service starts from here; a role takes away only what its program cannot live with.
HARDENED = {
    "UMask": "0077",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "DevicePolicy": "closed",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "ProtectControlGroups": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "RemoveIPC": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallFilter": ["@system-service", "~@privileged @resources"],
    # Go raises its file limit at start by setrlimit: refused calls must fail, not kill.
    "SystemCallErrorNumber": "EPERM",
}


def main_unit(name: str, description: str, command: list, environment: dict, changes: dict) -> dict:
    """Sections of a component's main service before rendering, still without its note of what starts, see ``noted``.

    ``changes`` are sections merged over the base, see ``merged``.
    """
    service = {
        "Type": "exec",
        "User": name,
        "Group": name,
        "ExecStart": " ".join(quoted(word) for word in command),
        "ExecReload": "/bin/kill -HUP $MAINPID",
        "Restart": "always",
        "RestartSec": "2",
        "TimeoutStopSec": "90",
        "LimitNOFILE": "65536",
        "StateDirectory": name,
        "StateDirectoryMode": "0750",
    }
    if environment:
        service["Environment"] = [
            quoted(f"{key}={value}", dollar=False) for key, value in sorted(environment.items())
        ]
    base = {
        "Unit": {
            "Description": description.replace("%", "%%"),
            "Wants": "network-online.target",
            "After": "network-online.target",
            # A daemon that cannot start yet is tried again for as long as it takes.
            "StartLimitIntervalSec": "0",
        },
        "Service": {**service, **HARDENED},
        "Install": {"WantedBy": "multi-user.target"},
    }
    return merged(base, changes)


def digest(sections: dict) -> str:
    """Twelve hex digits that tell one definition of a unit from another."""
    return hashlib.sha256(json.dumps(sections, sort_keys=True, default=str).encode()).hexdigest()[
        :12
    ]


def noted(sections: dict, name: str) -> dict:
    """Sections of a main service that notes what it starts from, before any command of its own."""
    before = as_list(sections["Service"].get("ExecStartPre"))
    return merged(
        sections, {"Service": {"ExecStartPre": [recorder(name, digest(sections)), *before]}}
    )


def further_unit(unit_name: str, sections: dict) -> dict:
    """Sections of another unit of a component; services get the hardened base as well."""
    base = {"Service": dict(HARDENED)} if unit_name.endswith(".service") else {}
    return merged(base, sections)


def recorder(name: str, unit_digest: str) -> str:
    """Command that notes which generation and which unit a start uses, bound to the start by its invocation id.

    The unit is noted by its digest, since systemd may still know that of the generation before.

    It reads the link before the program starts, so a switch in between makes the note too old, which costs a
    restart, and never too new, which would lose one. The plus sign runs it as root outside the sandbox.
    """
    note = f'echo "$$INVOCATION_ID $$(readlink {layout.current(name)}) {unit_digest}" >{layout.running(name)}'
    return f"+/bin/sh -c 'mkdir -p -m 0755 {layout.RUN} && {note}'"


def merged(base: dict, changes: dict) -> dict:
    """``base`` with the directives of ``changes`` in place of its own; None takes one away."""
    result = {section: dict(directives) for section, directives in base.items()}
    for section, directives in changes.items():
        target = result.setdefault(section, {})
        for key, value in (directives or {}).items():
            if value is None:
                target.pop(key, None)
            else:
                target[key] = value
    return result


def render(sections: dict, placeholders: dict) -> str:
    """Text of a unit file; a list becomes one line a value."""
    lines = ["# Written by hippius.monitoring; the next rollout replaces changes made here."]
    for section in sorted(sections, key=_section_order):
        lines += ["", f"[{section}]"]
        for key, value in sections[section].items():
            lines += [
                f"{key}={layout.fill(_text(item, key), placeholders)}" for item in as_list(value)
            ]
    return "\n".join(lines) + "\n"


def quoted(word: str, dollar: bool = True) -> str:
    """One argument as systemd.service(5) wants it: quoted, and neither specifier nor variable expanded."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    if dollar:
        text = text.replace("$", "$$")
    needs_quotes = not text or any(character in text for character in " \t\r'\";")
    return f'"{text}"' if needs_quotes else text


def as_list(value: object) -> list:
    """A value as a list: nothing, one, or several."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _text(value: object, key: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value).strip()
    if "\n" in text:
        raise ComponentError(f"{key}: a value in a unit is one line; give a list for several.")
    return text


def _section_order(section: str) -> tuple:
    return {"Unit": 0, "Install": 2}.get(section, 1), section
