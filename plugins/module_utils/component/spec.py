# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From module options to what should be on the host. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from . import layout, unit
from .component_errors import ComponentError

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\-]+\.(service|timer|path|socket)\Z")
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]*):([0-9]{1,5})\Z")
STRENGTH = ("none", "switch", "remove", "reload", "restart", "install")
ON_CHANGE = ("none", "reload", "restart")
# How a program is asked that wants to know who asks; files are those of the component itself.
CREDENTIALS = ("username", "password_file", "certificate_file", "key_file")
# Options of an instance and the type of each.
PER_INSTANCE = {
    "description": str, "command": list, "config": list, "secrets": dict, "scripts": list, "environment": dict,
    "unit": dict, "units": dict, "check": list, "check_ignore_pattern": str, "listen_addresses": list, "ready": dict, "reload": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One file of a generation; ``on_change`` is none, reload or restart."""

    content: bytes
    mode: int
    on_change: str
    secret: bool = False


@dataclass(frozen=True)
class UnitRole:
    """What systemd should do with a unit: start it with the host, and keep it running."""

    wanted_by: tuple = ()
    started: bool = False


@dataclass(frozen=True)
class Release:
    """A release to run. ``archives`` maps an architecture to its urls and its SHA-256."""

    name: str
    version: str
    archives: dict = field(default_factory=dict)
    pushed: str = ""
    pushable: tuple = ()

    def archive(self, architecture: str) -> dict:
        """The archive for an architecture, or an error that names what to do."""
        found = self.archives.get(architecture)
        if not found:
            raise ComponentError(
                f"No checksum is known for release {self.name} {self.version} on {architecture}, so it is refused."
                " Add it to the release lock file (monitoring_releases_lock) with the lock playbook."
            )
        return found

    def directory(self, architecture: str) -> str:
        """Name of the unpacked release below the releases directory."""
        return f"{self.name}-{self.version}-{self.archive(architecture)['sha256'][:8]}"


@dataclass(frozen=True)
class Instance:
    """Everything that should be true of one running instance of a component; ``unit`` is its main unit's digest."""

    component: str
    name: str
    release: Release
    files: dict
    units: dict
    unit: str = ""
    command: tuple = ()
    environment: dict = field(default_factory=dict)
    check: tuple = ()
    check_ignore_pattern: str = ""
    listen_addresses: tuple = ()
    ready: dict = field(default_factory=dict)
    reload: dict = field(default_factory=dict)

    @property
    def main_unit(self) -> str:
        """Name of the service that runs the component's program."""
        return self.name + ".service"


def instances(params: dict) -> list:
    """The instances that the module's options ask for, in the order given."""
    _require_name(params["name"], "name")
    release = _release(params.get("release"))
    common = {key: params.get(key) for key in PER_INSTANCE}
    if params.get("instances") is None:
        return [_instance(params["name"], params["name"], release, common)]
    observed: set = set()
    result = []
    for index, own in enumerate(params["instances"]):
        result.append(_listed_instance(params["name"], release, common, own, f"instances[{index}]"))
        if result[-1].name in observed:
            raise ComponentError(f"instances[{index}].name: {own['name']} is listed twice.")
        observed.add(result[-1].name)
    return result


def _listed_instance(
    component: str, release: Release, common: dict, own: dict, where: str
) -> Instance:
    unknown = sorted(set(own) - set(PER_INSTANCE) - {"name"})
    if unknown:
        raise ComponentError(f"{where}: unknown option {', '.join(unknown)}.")
    _require_name(own.get("name"), where + ".name")
    for key, kind in PER_INSTANCE.items():
        if own.get(key) is not None and not isinstance(own[key], kind):
            raise ComponentError(f"{where}.{key} must be a {kind.__name__}.")
    if not all(
        isinstance(item, dict) for key in ("config", "scripts") for item in own.get(key) or ()
    ):
        raise ComponentError(f"{where}: config and programs are lists of mappings.")
    values = {
        **common,
        **{key: value for key, value in own.items() if key != "name" and value is not None},
    }
    return _instance(component, f"{component}-{own['name']}", release, values)


def _instance(component: str, name: str, release: Release, values: dict) -> Instance:
    _require_name(name, "name")
    command = tuple(str(word) for word in values.get("command") or ())
    if not command:
        raise ComponentError(f"{name}: command is required with state=present.")
    environment = _environment(values.get("environment") or {})
    description = values.get("description") or name
    main = unit.main_unit(
        name, description, list(command), environment, _sections(values.get("unit"), "unit")
    )
    sections = {name + ".service": unit.noted(main, name)}
    for unit_name, further in (values.get("units") or {}).items():
        sections[_unit_name(unit_name, name)] = unit.further_unit(
            unit_name, _sections(further, f"units.{unit_name}")
        )
    files = _files(values)
    for unit_name, content in sections.items():
        text = unit.render(content, layout.placeholders(name))
        files[unit_name] = Entry(
            text.encode(), 0o644, "restart" if unit_name == name + ".service" else "none"
        )
    return Instance(
        component=component,
        name=name,
        release=release,
        files=files,
        unit=unit.digest(main),
        units={
            unit_name: _unit_role(unit_name, content, name)
            for unit_name, content in sections.items()
        },
        command=command,
        environment=environment,
        check=tuple(str(word) for word in values.get("check") or ()),
        check_ignore_pattern=values.get("check_ignore_pattern") or "",
        listen_addresses=tuple(_address(item) for item in values.get("listen_addresses") or ()),
        ready=_proof(values.get("ready"), "ready", ("url",), files),
        reload=_proof(values.get("reload"), "reload", ("url", "success", "timestamp"), files),
    )


def _environment(values: dict) -> dict:
    """Variables as text; null takes one away, and a truth value is written as programs read it."""
    return {
        str(key): str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in values.items()
        if value is not None
    }


def _sections(value: object, where: str) -> dict:
    value = value or {}
    if not isinstance(value, dict) or not all(
        item is None or isinstance(item, dict) for item in value.values()
    ):
        raise ComponentError(f"{where} must map sections to directives.")
    return value


def _proof(value: dict | None, option: str, required: tuple, files: dict) -> dict:
    """The options of ready or reload, with the seconds to wait as a number."""
    if not value:
        return {}
    missing = [key for key in required if not value.get(key)]
    if missing:
        raise ComponentError(f"{option}: {', '.join(missing)} is required.")
    for key, other in (CREDENTIALS[:2], CREDENTIALS[2:]):
        if bool(value.get(key)) != bool(value.get(other)):
            raise ComponentError(f"{option}: {key} and {other} go together.")
    result = {key: str(value[key]) for key in (*required, *CREDENTIALS) if value.get(key)}
    for key in CREDENTIALS[1:]:
        if key in result and "etc/" + result[key] not in files:
            raise ComponentError(f"{option}.{key}: {result[key]!r} is not in config or secrets.")
    if value.get("timeout") is not None:
        result["timeout"] = _seconds(value["timeout"], option + ".timeout")
    return result


def _seconds(value: object, where: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ComponentError(f"{where}: {value!r} is not a number of seconds.") from None


def _address(value: object) -> str:
    found = ADDRESS.match(value) if isinstance(value, str) else None
    if not found or not 0 < int(found.group(2)) < 65536:
        raise ComponentError(f"listens: {value!r} is not host:port.")
    if not found.group(1):
        raise ComponentError(
            f"listens: {value!r} has no host; write 0.0.0.0{value} for every address."
        )
    return found.string


def _files(values: dict) -> dict:
    """Configuration, secrets and programs by their path in the generation."""
    files: dict = {}
    reloadable = bool(values.get("reload"))
    for item in values.get("config") or ():
        desired = _on_change(item, "reload")
        on_change = "restart" if desired == "reload" and not reloadable else desired
        _add(files, "etc", item, Entry(_bytes(item.get("content"), item), 0o640, on_change))
    for path, content in (values.get("secrets") or {}).items():
        item = {"path": path}
        _add(files, "etc", item, Entry(_bytes(content, item), 0o640, "restart", secret=True))
    for item in values.get("scripts") or ():
        _add(
            files,
            "bin",
            item,
            Entry(_bytes(item.get("content"), item), 0o755, _on_change(item, "restart")),
        )
    _refuse_nested(files)
    return files


def _on_change(item: dict, default: str) -> str:
    desired = item.get("on_change") or default
    if desired not in ON_CHANGE:
        raise ComponentError(
            f"{item.get('path')}: on_change must be one of {', '.join(ON_CHANGE)}, not {desired!r}."
        )
    return desired


def _refuse_nested(files: dict) -> None:
    """Refuse a path that would be a file and a directory at once."""
    for path in files:
        parts = path.split("/")
        for count in range(1, len(parts)):
            if "/".join(parts[:count]) in files:
                raise ComponentError(
                    f"path {path!r} is below {'/'.join(parts[:count])!r}, which is a file."
                )


def _add(files: dict, directory: str, item: dict, entry: Entry) -> None:
    path = str(item.get("path") or "")
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise ComponentError(f"path {path!r} must be relative and stay below its directory.")
    key = f"{directory}/{path}"
    if key in files:
        raise ComponentError(f"path {path!r} is given twice.")
    files[key] = entry


def _bytes(content: object, item: dict) -> bytes:
    if content is None:
        raise ComponentError(f"{item.get('path')}: neither content nor source is given.")
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode("utf-8", "surrogateescape")
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _unit_name(unit_name: str, name: str) -> str:
    if not unit_name.startswith(name + "-") or not UNIT_NAME.match(unit_name):
        raise ComponentError(
            f"units: {unit_name!r} must start with {name + '-'!r} and be a service, timer, path or socket."
        )
    return unit_name


def _unit_role(unit_name: str, sections: dict, name: str) -> UnitRole:
    wanted_by = " ".join(unit.as_list(sections.get("Install", {}).get("WantedBy"))).split()
    started = unit_name == name + ".service" or not unit_name.endswith(".service")
    return UnitRole(wanted_by=tuple(sorted(wanted_by)), started=started)


def _release(release: dict | None) -> Release:
    if not release:
        raise ComponentError("release is required with state=present.")
    for key in ("name", "version"):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", str(release.get(key) or "")):
            raise ComponentError(f"release.{key}: {release.get(key)!r} is not a name or version.")
    return Release(
        name=release["name"],
        version=str(release["version"]),
        archives=release.get("archives") or {},
        pushed=release.get("pushed") or "",
        pushable=tuple(release.get("pushable") or ()),
    )


def _require_name(name: object, where: str) -> None:
    if not isinstance(name, str) or not NAME.match(name):
        raise ComponentError(
            f"{where}: {name!r} is not 1 to 31 lower-case letters, digits and dashes."
        )
