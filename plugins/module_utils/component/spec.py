# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired instances, which the controller describes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from . import layout
from .component_errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypedDict

    from .observe import HostFacts

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

    class Requirement(TypedDict, total=False):
        """A path to read, an address to reach or a host to resolve, and what names it."""

        path: str
        address: str
        host: str
        subject: str
        optional: bool


EVERY_HOST = {"0.0.0.0", "[::]"}
STRENGTH = ("none", "switch", "remove", "reload", "restart", "install")
USER_NAMESPACE = re.compile(rb"^PrivateUsers=.*\n", re.MULTILINE)


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
    """Desired state of one running instance of a component.

    ``unit_digest`` is that of the main unit, and the other one that without a user namespace.
    """

    component: str
    name: str
    release: Release
    files: dict[str, DesiredFile]
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
    digest_without_namespaces: str = ""

    @property
    def main_unit(self) -> str:
        """Name of the service that runs the component's program."""
        return self.name + ".service"


def instances(params: Mapping[str, Any], facts: HostFacts) -> list[Instance]:
    """Return the instances that the controller sent, as they are on a host with these facts."""
    return [
        fitted(_received(fields, params["secrets"].get(fields["name"]) or {}), facts)
        for fields in params["instances"]
    ]


def fitted(instance: Instance, facts: HostFacts) -> Instance:
    """Return an instance whose units suit a host."""
    digest = instance.unit_digest
    if not facts["user_namespaces"]:
        digest = instance.digest_without_namespaces
    files = dict(instance.files)
    for name in instance.units:
        content = files[name].content
        if not facts["user_namespaces"]:
            content = USER_NAMESPACE.sub(b"", content)
            # The main unit's recorder notes its digest.
            content = content.replace(instance.unit_digest.encode(), digest.encode())
        content = content.replace(layout.PYTHON.encode(), facts["python"].encode())
        files[name] = replace(files[name], content=content)
    return replace(instance, files=files, unit_digest=digest)


def _received(fields: dict[str, Any], secrets: Mapping[str, str]) -> Instance:
    """Return an instance from its fields, whose secrets are apart and whose texts are JSON's."""
    files = {}
    for path, file in fields["files"].items():
        content = secrets.get(path, file["content"]).encode("utf-8", "surrogateescape")
        files[path] = DesiredFile(**{**file, "content": content})
    units = {
        name: UnitRole(tuple(role["wanted_by"]), role["started"])
        for name, role in fields["units"].items()
    }
    lists = {
        name: tuple(value) for name, value in fields.items() if isinstance(value, list)
    }
    parts = {"files": files, "units": units, "release": Release(**fields["release"])}
    return Instance(**{**fields, **lists, **parts})


def overlap(address: str, other: str) -> bool:
    """Return whether two programs could not listen on these addresses at the same time."""
    host, port = address.rsplit(":", 1)
    other_host, other_port = other.rsplit(":", 1)
    every = EVERY_HOST & {host, other_host}
    return port == other_port and (host == other_host or bool(every))
