# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desired instances from the options of a component, in full. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..module_utils.component import layout
from ..module_utils.component.component_errors import ComponentError
from ..module_utils.component.spec import (
    DesiredFile,
    Instance,
    Release,
    UnitRole,
    overlap,
)
from . import unit_sections
from .component_options import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import NoReturn

    from ..module_utils.component.spec import Requirement
    from .unit_sections import Sections

    Options = Mapping[str, Any]
    Files = dict[str, DesiredFile]

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\-]+\.(service|timer|path|socket)\Z")
RELEASE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\Z")
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]*):([0-9]{1,5})\Z")
ON_CHANGE = ("none", "reload", "restart")
# Options that only the component has and that apply to each of its instances.
SHARED = ("exposure", "requires")
# Flags that name a file or a directory of the host.
PATH_FLAG = re.compile(
    r"(--?[\w.-]*?(?:file|files|script|query-path|dir|directory))=(/.*)\Z"
    r"|(--?[\w.-]+)=unix://(/[^?\s]*)",
    re.DOTALL,
)
# What may come later: text files in a directory, and a server that listens on a socket.
MAY_COME_LATER = re.compile(r".*(?:dir|directory|addr)\Z")
# What a unit makes below /run when it starts.
MADE = re.compile(rb"^RuntimeDirectory=(.+)$", re.MULTILINE)
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


def fields_of(instance: Instance) -> dict[str, Any]:
    """Return an instance as JSON can hold it, without the content of its secrets."""
    files = {
        path: {**asdict(file), "content": "" if file.secret else _text(file)}
        for path, file in instance.files.items()
    }
    return {**asdict(instance), "files": files}


def secrets_of(instance: Instance) -> dict[str, str]:
    """Return the content of an instance's secrets by path."""
    files = instance.files.items()
    return {path: _text(file) for path, file in files if file.secret}


def _text(file: DesiredFile) -> str:
    return file.content.decode("utf-8", "surrogateescape")


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
    main = unit_sections.main_unit(
        name,
        options.get("description") or name,
        list(command),
        environment,
        _sections(options.get("unit"), "unit"),
    )
    further = _further_units(name, options.get("units") or {})
    units = {name + ".service": unit_sections.with_recorder(main, name), **further}
    files = _files(options)
    # The host fills in the interpreter, which only it knows.
    placeholders = layout.placeholders(name, layout.PYTHON)
    for unit_name, sections in units.items():
        content = unit_sections.render(sections, placeholders).encode()
        on_change = "restart" if unit_name == name + ".service" else "none"
        files[unit_name] = DesiredFile(content, 0o644, on_change)
    return Instance(
        component=component,
        name=name,
        release=release,
        files=files,
        units={key: _unit_role(key, sections, name) for key, sections in units.items()},
        unit_digest=unit_sections.digest(main),
        digest_without_namespaces=unit_sections.digest(
            unit_sections.without_user_namespace(main)
        ),
        listen_addresses=tuple(map(_address, options.get("listen_addresses") or ())),
        ready=_probe(options, "ready", ("url",), files),
        reload=_probe(options, "reload", ("url", "success", "timestamp"), files),
        command=command,
        environment=environment,
        check=_words(options.get("check")),
        check_ignore_pattern=options.get("check_ignore_pattern") or "",
        exposure=options.get("exposure"),
        requires=tuple(
            _not_made(files, [*_path_flags(command), *(options.get("requires") or ())])
        ),
    )


def _words(values: list[Any] | None) -> tuple[str, ...]:
    return tuple(str(word) for word in values or ())


def _not_made(files: Files, required: list[Requirement]) -> list[Requirement]:
    """Leave out what the units make when they start, which nothing has before the first rollout."""
    made = b" ".join(
        name for file in files.values() for name in MADE.findall(file.content)
    )
    paths = {f"/run/{name}" for name in made.decode().split()}
    return [item for item in required if item.get("path") not in paths]


def _path_flags(command: Sequence[str]) -> list[Requirement]:
    """Return the paths of the host in a command, each once, with the last of its flags."""
    matches = [PATH_FLAG.match(word) for word in command]
    flags = {match[2] or match[4]: match[1] or match[3] for match in matches if match}
    return [
        {"path": path, "subject": flag, "optional": bool(MAY_COME_LATER.match(flag))}
        for path, flag in flags.items()
    ]


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
        result[unit_name] = unit_sections.further_unit(unit_name, changes, name)
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
    wanted_by = unit_sections.as_list(sections.get("Install", {}).get("WantedBy"))
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
