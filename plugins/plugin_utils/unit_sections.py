# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unit files of systemd: one hardened base, exceptions as data. Pure.

Directives and their scores: systemd.exec(5), ``systemd-analyze security`` of systemd 252.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from ..module_utils.component import layout
from ..module_utils.component.component_errors import ComponentError

if TYPE_CHECKING:
    from typing import Any

    # Directives by section; a list is written as several lines.
    Sections = dict[str, dict[str, Any]]

# Every service starts from here; a role relaxes only what its program cannot run with.
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
    # Not ProcSubset=pid, which hides /proc/sys/net/core/somaxconn and /proc/meminfo: Go's
    # listeners then have a backlog of 128 rather than 4096, and memory limits are not found.
    "ProtectProc": "invisible",
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


def main_unit(
    name: str,
    description: str,
    command: list[str],
    environment: dict[str, str],
    changes: Sections,
) -> Sections:
    """Return the sections of a component's main service, still without its recorder.

    ``changes`` are merged over the base.
    """
    service: dict[str, Any] = {
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
            quoted(f"{key}={value}", dollar=False)
            for key, value in sorted(environment.items())
        ]
    base: Sections = {
        "Unit": {
            "Description": description.replace("%", "%%"),
            "Wants": "network-online.target",
            "After": "network-online.target",
            # A daemon that cannot start yet is tried again for as long as it takes.
            "StartLimitIntervalSec": "0",
            "RequiresMountsFor": mounts(name),
        },
        "Service": {**service, **HARDENED},
        "Install": {"WantedBy": "multi-user.target"},
    }
    return merged(base, changes)


def mounts(name: str) -> list[str]:
    """Return the paths whose file systems are mounted before a service starts."""
    return [layout.component(name), layout.RELEASES, layout.data(name)]


def without_user_namespace(sections: Sections) -> Sections:
    """Return a unit that starts where the kernel allows no user namespaces."""
    if "PrivateUsers" not in sections.get("Service", {}):
        return sections
    return merged(sections, {"Service": {"PrivateUsers": None}})


def digest(sections: Sections) -> str:
    """Return twelve hex digits that tell definitions of a unit apart."""
    definition = json.dumps(sections, sort_keys=True, default=str)
    return hashlib.sha256(definition.encode()).hexdigest()[:12]


def with_recorder(sections: Sections, name: str) -> Sections:
    """Return a main service that runs its recorder before any command of its own."""
    own_commands = as_list(sections["Service"].get("ExecStartPre"))
    commands = [recorder(name, digest(sections)), *own_commands]
    return merged(sections, {"Service": {"ExecStartPre": commands}})


def further_unit(unit_name: str, sections: Sections, name: str) -> Sections:
    """Return the sections of another unit of a component; services get the hardened base."""
    base: Sections = {}
    if unit_name.endswith(".service"):
        base["Unit"] = {"RequiresMountsFor": mounts(name)}
        base["Service"] = dict(HARDENED)
    return merged(base, sections)


def recorder(name: str, unit_digest: str) -> str:
    """Return the command that records which generation and unit a start uses, and its invocation.

    The unit is recorded by its digest, since systemd may have loaded that of another generation.

    It reads the link before the program starts, so a switch in between makes the record too old,
    which costs a restart, and never too new, which would lose one. The plus sign runs it as root
    outside the sandbox.
    """
    # systemctl knows the drop-ins that are loaded; those of every service are of the system.
    drop_ins = (
        f"for f in $$(systemctl show -P DropInPaths {name}.service); do"
        " case $$f in (*/service.d/*) ;; (*) cat $$f ;; esac; done | sha256sum | cut -c-12"
    )
    record = f"$$INVOCATION_ID $$(readlink {layout.current(name)}) {unit_digest}"
    note = f'echo "{record} $$({drop_ins})" >{layout.running(name)}'
    # A record that cannot be written costs one restart, and must not keep the program down.
    return f"-+/bin/sh -c 'mkdir -p -m 0755 {layout.RUN} && {note}'"


def merged(base: Sections, changes: Sections) -> Sections:
    """Return ``base`` with the directives of ``changes``; None removes a directive."""
    result = {section: dict(directives) for section, directives in base.items()}
    for section, directives in changes.items():
        target = result.setdefault(section, {})
        for key, value in (directives or {}).items():
            if value is None:
                target.pop(key, None)
            else:
                target[key] = value
    return result


def render(sections: Sections, placeholders: dict[str, str]) -> str:
    """Return the content of a unit file; a list becomes one line for each value."""
    lines = [layout.fill(layout.UNIT_HEADER, placeholders)]
    for section in sorted(sections, key=_section_order):
        lines += ["", f"[{section}]"]
        for key, values in sections[section].items():
            for value in as_list(values):
                lines.append(f"{key}={layout.fill(_line(value, key), placeholders)}")
    return "\n".join(lines) + "\n"


def quoted(word: str, dollar: bool = True) -> str:
    """Return an argument quoted for systemd.service(5), so that systemd expands nothing in it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("%", "%%").replace("\n", "\\n")
    if dollar:
        escaped = escaped.replace("$", "$$")
    if escaped and not any(character in escaped for character in " \t\r'\";"):
        return escaped
    return f'"{escaped}"'


def as_list(value: Any) -> list[Any]:
    """Return a directive's values as a list; None is an empty one."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _line(value: Any, key: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    line = str(value).strip()
    if "\n" in line:
        raise ComponentError(
            f"{key}: a unit's value must be one line; use a list for several."
        )
    return line


def _section_order(section: str) -> tuple[int, str]:
    return {"Unit": 0, "Install": 2}.get(section, 1), section
