# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desired instances from the module's options. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import layout, unit
from .component_errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn, TypedDict

    from .unit import Sections

    class Archive(TypedDict, total=False):
        """An archive; ``missing`` is the path at which the controller should have it."""

        urls: list[str]
        sha256: str
        size: int
        missing: str

    class ReadyProbe(TypedDict, total=False):
        """A request that a ready program answers; its files are below {etc}."""

        url: str
        username: str
        password_file: str
        certificate_file: str
        key_file: str
        ca_file: str
        timeout: int
        peers: list[Peer]

    class Peer(ReadyProbe):
        """A request to another host of the group, which is ready when it answers."""

        host: str

    class ReloadProbe(ReadyProbe, total=False):
        """A request for metrics; two of them report the last reload."""

        success: str
        timestamp: str

    class Exposure(TypedDict, total=False):
        """Networks that need no TLS, and addresses that may be open besides the listed ones."""

        networks: list[str]
        addresses: list[str]

    class Requirement(TypedDict):
        """A path to read, an address to reach or a host to resolve, and what names it."""

        path: str
        address: str
        host: str
        subject: str
        optional: bool

    Options = Mapping[str, Any]
    Files = dict[str, "DesiredFile"]

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\-]+\.(service|timer|path|socket)\Z")
RELEASE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\Z")
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]*):([0-9]{1,5})\Z")
EVERY_HOST = {"0.0.0.0", "[::]"}
STRENGTH = ("none", "switch", "remove", "reload", "restart", "install")
ON_CHANGE = ("none", "reload", "restart")
# Options of a probe whose program requires authentication; files are the component's own.
CREDENTIALS = ("username", "password_file", "certificate_file", "key_file", "ca_file")
# Options that only the component has and that apply to each of its instances.
SHARED = ("user_namespaces", "python", "exposure", "requires")
# Options of an instance and the type of each.
PER_INSTANCE = {
    "description": str,
    "command": list,
    "config": list,
    "secrets": dict,
    "scripts": list,
    "environment": dict,
    "unit": dict,
    "units": dict,
    "check": list,
    "check_ignore_pattern": str,
    "listen_addresses": list,
    "ready": dict,
    "reload": dict,
}


@dataclass(frozen=True)
class DesiredFile:
    """One file of a generation; ``on_change`` is none, reload or restart."""

    content: bytes
    mode: int
    on_change: str
    secret: bool = False


@dataclass(frozen=True)
class UnitRole:
    """Targets that enable a unit, and whether it is kept active."""

    wanted_by: tuple[str, ...]
    started: bool


@dataclass(frozen=True)
class Release:
    """A release to run, with its archives by architecture.

    The controller has copied one to the path ``pushed``, or has those of ``pushable``.
    """

    name: str
    version: str
    archives: dict[str, Archive] = field(default_factory=dict)
    pushed: str = ""
    pushable: tuple[str, ...] = ()

    def archive(self, architecture: str) -> Archive:
        """Return the archive for an architecture."""
        archive = self.archives.get(architecture)
        if not archive:
            raise ComponentError(
                f"release {self.name} {self.version} on {architecture}: no checksum is locked; add"
                " it to the lock file (monitoring_releases_lock) with the lock playbook."
            )
        return archive

    def directory(self, architecture: str) -> str:
        """Return the name of the unpacked release below the releases directory."""
        return f"{self.name}-{self.version}-{self.archive(architecture)['sha256'][:8]}"


@dataclass(frozen=True)
class Instance:
    """Desired state of one running instance of a component."""

    component: str
    name: str
    release: Release
    files: Files
    units: dict[str, UnitRole]
    unit_digest: str
    listen_addresses: tuple[str, ...]
    ready: ReadyProbe
    reload: ReloadProbe
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    check: tuple[str, ...] = ()
    check_ignore_pattern: str = ""
    exposure: Exposure | None = None
    requires: tuple[Requirement, ...] = ()

    @property
    def main_unit(self) -> str:
        """Name of the service that runs the component's program."""
        return self.name + ".service"


def instances(params: Options) -> list[Instance]:
    """Return the instances that the module's options describe."""
    component = params["name"]
    _require_name(component, "name")
    release = _release(params.get("release"))
    common = {key: params.get(key) for key in (*PER_INSTANCE, *SHARED)}
    if params.get("instances") is None:
        return [_instance(component, component, release, common)]
    result: dict[str, Instance] = {}
    for index, own in enumerate(params["instances"]):
        option = f"instances[{index}]"
        _check_types(own, option)
        name = f"{component}-{own['name']}"
        given = {key: own[key] for key in PER_INSTANCE if own.get(key) is not None}
        instance = _instance(component, name, release, {**common, **given})
        if name in result:
            raise ComponentError(
                f"{option}.name: {own['name']!r} is listed twice; rename one."
            )
        _require_own_addresses(instance, result.values())
        result[name] = instance
    return list(result.values())


def overlap(address: str, other: str) -> bool:
    """Return whether two programs could not listen on these addresses at the same time."""
    host, port = address.rsplit(":", 1)
    other_host, other_port = other.rsplit(":", 1)
    every = EVERY_HOST & {host, other_host}
    return port == other_port and (host == other_host or bool(every))


def _require_own_addresses(instance: Instance, others: Iterable[Instance]) -> None:
    for other in others:
        for address in instance.listen_addresses:
            if any(overlap(address, taken) for taken in other.listen_addresses):
                raise ComponentError(
                    f"listen_addresses: {address} of {instance.name} is required by"
                    f" {other.name} as well; choose another one."
                )


def _check_types(own: Options, option: str) -> None:
    """Check what Ansible does not check."""
    unknown = sorted(set(own) - set(PER_INSTANCE) - {"name"})
    if unknown:
        raise ComponentError(
            f"{option}: unknown option {', '.join(unknown)}; remove it."
        )
    _require_name(own.get("name"), option + ".name")
    for key, kind in PER_INSTANCE.items():
        if own.get(key) is not None and not isinstance(own[key], kind):
            raise ComponentError(f"{option}.{key}: must be a {kind.__name__}.")
    for key in ("config", "scripts"):
        if not all(isinstance(file, dict) for file in own.get(key) or ()):
            raise ComponentError(f"{option}.{key}: must be a list of dicts.")


def _instance(
    component: str, name: str, release: Release, options: Options
) -> Instance:
    _require_name(name, "name")
    command = _words(options.get("command"))
    if not command:
        raise ComponentError(f"{name}: command is required with state=present.")
    environment = _environment(options.get("environment") or {})
    main = unit.main_unit(
        name,
        options.get("description") or name,
        list(command),
        environment,
        _sections(options.get("unit"), "unit"),
    )
    further = _further_units(name, options.get("units") or {})
    if options.get("user_namespaces") is False:
        main = unit.without_user_namespace(main)
        further = {key: unit.without_user_namespace(further[key]) for key in further}
    units = {name + ".service": unit.with_recorder(main, name), **further}
    files = _files(options)
    placeholders = layout.placeholders(name, options.get("python"))
    for unit_name, sections in units.items():
        content = unit.render(sections, placeholders).encode()
        on_change = "restart" if unit_name == name + ".service" else "none"
        files[unit_name] = DesiredFile(content, 0o644, on_change)
    return Instance(
        component=component,
        name=name,
        release=release,
        files=files,
        units={key: _unit_role(key, sections, name) for key, sections in units.items()},
        unit_digest=unit.digest(main),
        listen_addresses=tuple(map(_address, options.get("listen_addresses") or ())),
        ready=_probe(options, "ready", ("url",), files),
        reload=_probe(options, "reload", ("url", "success", "timestamp"), files),
        command=command,
        environment=environment,
        check=_words(options.get("check")),
        check_ignore_pattern=options.get("check_ignore_pattern") or "",
        exposure=options.get("exposure"),
        requires=tuple(options.get("requires") or ()),
    )


def _words(values: list[Any] | None) -> tuple[str, ...]:
    return tuple(str(word) for word in values or ())


def _environment(values: dict[Any, Any]) -> dict[str, str]:
    """Return variables as strings, booleans in lower case; None removes a variable."""
    result = {}
    for key, value in values.items():
        if value is not None:
            string = str(value)
            result[str(key)] = string.lower() if isinstance(value, bool) else string
    return result


def _further_units(name: str, units: Options) -> dict[str, Sections]:
    result = {}
    for unit_name, sections in units.items():
        _require_unit_name(unit_name, name)
        changes = _sections(sections, f"units.{unit_name}")
        result[unit_name] = unit.further_unit(unit_name, changes, name)
    return result


def _sections(value: Any, option: str) -> Sections:
    sections: Sections = value or {}
    if isinstance(sections, dict):
        bodies = sections.values()
        if all(body is None or isinstance(body, dict) for body in bodies):
            return sections
    raise ComponentError(
        f"{option}: must be a dict of sections, each a dict of directives."
    )


def _probe(
    options: Options, option: str, required: tuple[str, ...], files: Files
) -> Any:
    """Return a ReadyProbe or ReloadProbe, empty when it is not set."""
    value = options.get(option)
    if not value:
        return {}
    missing = [key for key in required if not value.get(key)]
    if missing:
        raise ComponentError(f"{option}: {', '.join(missing)} is missing; set it.")
    _require_pair(value, option, "username", "password_file")
    _require_pair(value, option, "certificate_file", "key_file")
    probe: dict[str, Any] = {}
    for key in (*required, *CREDENTIALS):
        if value.get(key):
            probe[key] = str(value[key])
    for key in CREDENTIALS[1:]:
        if key in probe and "etc/" + probe[key] not in files:
            raise ComponentError(
                f"{option}.{key}: {probe[key]!r} is not in config or secrets; add it there."
            )
    if value.get("peers"):
        name = option + ".peers"
        required = ("host", "url")
        probe["peers"] = [
            _probe({name: peer}, name, required, files) for peer in value["peers"]
        ]
    if value.get("timeout") is not None:
        probe["timeout"] = _seconds(value["timeout"], option + ".timeout")
    return probe


def _require_pair(value: Options, option: str, first: str, second: str) -> None:
    if bool(value.get(first)) != bool(value.get(second)):
        raise ComponentError(
            f"{option}: {first} and {second} go together; set both or none."
        )


def _seconds(value: Any, option: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ComponentError(
            f"{option}: {value!r} is not an int; set seconds."
        ) from None


def _address(value: Any) -> str:
    match = ADDRESS.match(value) if isinstance(value, str) else None
    if not match or not 0 < int(match.group(2)) < 65536:
        raise ComponentError(f"listen_addresses: {value!r} is not host:port; set both.")
    if not match.group(1):
        raise ComponentError(
            f"listen_addresses: {value!r} has no host; write 0.0.0.0{value} for every address."
        )
    return match.string


def _files(options: Options) -> Files:
    """Return configuration, secrets and scripts by their path in the generation."""
    files: Files = {}
    for file in options.get("config") or ():
        on_change = _on_change(file, "reload")
        if on_change == "reload" and not options.get("reload"):
            on_change = "restart"
        _add(files, "etc", file, DesiredFile(_content(file), 0o640, on_change))
    for path, content in (options.get("secrets") or {}).items():
        file = {"path": path, "content": content}
        _add(
            files,
            "etc",
            file,
            DesiredFile(_content(file), 0o640, "restart", secret=True),
        )
    for file in options.get("scripts") or ():
        on_change = _on_change(file, "restart")
        _add(files, "bin", file, DesiredFile(_content(file), 0o755, on_change))
    _require_no_nesting(files)
    return files


def _on_change(file: Options, default: str) -> str:
    on_change: str = file.get("on_change") or default
    if on_change not in ON_CHANGE:
        _refuse(
            file,
            f"on_change {on_change!r} is unknown; use one of {', '.join(ON_CHANGE)}",
        )
    return on_change


def _content(file: Options) -> bytes:
    content = file.get("content")
    if content is None:
        _refuse(file, "has neither content nor source; set one of them")
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode("utf-8", "surrogateescape")
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _add(files: Files, directory: str, options: Options, file: DesiredFile) -> None:
    path = str(options.get("path") or "")
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        _refuse(options, "must be relative and stay below its directory")
    key = f"{directory}/{path}"
    if key in files:
        _refuse(options, "is given twice; remove one of them")
    files[key] = file


def _require_no_nesting(files: Files) -> None:
    """Refuse a path that would be a file and a directory at once."""
    for path in files:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in files:
                raise ComponentError(
                    f"path {path!r}: is below {parent!r}, which is a file; rename one of them."
                )
            parent = parent.rpartition("/")[0]


def _refuse(file: Options, reason: str) -> NoReturn:
    raise ComponentError(f"path {str(file.get('path') or '')!r}: {reason}.")


def _require_unit_name(unit_name: str, name: str) -> None:
    if not unit_name.startswith(name + "-") or not UNIT_NAME.match(unit_name):
        raise ComponentError(
            f"units: {unit_name!r} must start with {name + '-'!r}"
            " and be a service, timer, path or socket."
        )


def _unit_role(unit_name: str, sections: Sections, name: str) -> UnitRole:
    wanted_by = unit.as_list(sections.get("Install", {}).get("WantedBy"))
    started = unit_name == name + ".service" or not unit_name.endswith(".service")
    return UnitRole(tuple(sorted(" ".join(wanted_by).split())), started)


def _release(options: Options | None) -> Release:
    if not options:
        raise ComponentError("release: is required with state=present.")
    for key in ("name", "version"):
        if not RELEASE_WORD.match(str(options.get(key) or "")):
            raise ComponentError(
                f"release.{key}: {options.get(key)!r} is not a {key};"
                " use letters, digits and . _ + - only."
            )
    return Release(
        name=options["name"],
        version=str(options["version"]),
        archives=options.get("archives") or {},
        pushable=tuple(options.get("pushable") or ()),
    )


def _require_name(name: Any, option: str) -> None:
    if not isinstance(name, str) or not NAME.match(name):
        raise ComponentError(
            f"{option}: {name!r} is not a name; use 1 to 31 lower-case letters, digits and dashes."
        )
