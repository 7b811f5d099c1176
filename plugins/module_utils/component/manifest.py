# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifest of a generation: its content, and the digest that names it. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypedDict

    from .spec import Instance, ReadyProbe, ReloadProbe

    class FileRecord(TypedDict, total=False):
        """A file; a secret has a fingerprint in place of its SHA-256."""

        mode: str
        on_change: str
        sha256: str
        fingerprint: str

    class UnitRecord(TypedDict):
        """A spec.UnitRole."""

        wanted_by: list[str]
        started: bool

    class Manifest(TypedDict):
        """Description of a generation; ``unit`` is the main unit's digest.

        The checker and its environment are no part of its identity: they change nothing that
        runs, and a rollback runs the checker that the generation was checked with.

        ``id`` is empty in one that was recovered, since the generation's own cannot be read.
        """

        format: int
        id: str
        component: str
        name: str
        release: str
        files: dict[str, FileRecord]
        unit: str
        units: dict[str, UnitRecord]
        listen_addresses: list[str]
        ready: ReadyProbe
        reload: ReloadProbe
        check: list[str]
        check_ignore_pattern: str
        environment: dict[str, str]


FORMAT = 1
# A release's directory: name, version from the first digit after a dash, start of its checksum.
RELEASE = re.compile(r"(?P<release>(?P<name>.+?)-(?P<version>\d.*))-[0-9a-f]{8}\Z")
# Keys without which a manifest describes nothing, and values for those that a release lacked.
REQUIRED = ("id", "component", "name", "release", "files", "units")
DEFAULTS = {
    "unit": "",
    "listen_addresses": [],
    "ready": {},
    "reload": {},
    "check": [],
    "check_ignore_pattern": "",
    "environment": {},
}


def build(instance: Instance, release_directory: str, key: bytes) -> Manifest:
    """Return the manifest of ``instance``, with keyed fingerprints of its secrets."""
    files: dict[str, FileRecord] = {}
    for path, file in sorted(instance.files.items()):
        record: FileRecord = {
            "mode": format(file.mode, "04o"),
            "on_change": file.on_change,
        }
        if file.secret:
            record["fingerprint"] = fingerprint(file.content, key)
        else:
            record["sha256"] = hashlib.sha256(file.content).hexdigest()
        files[path] = record
    facts = {
        "format": FORMAT,
        "component": instance.component,
        "name": instance.name,
        "release": release_directory,
        "files": files,
        "unit": instance.unit_digest,
        "units": {name: asdict(role) for name, role in sorted(instance.units.items())},
        "listen_addresses": list(instance.listen_addresses),
        "ready": instance.ready,
        "reload": instance.reload,
        "check": list(instance.check),
        "check_ignore_pattern": instance.check_ignore_pattern,
        "environment": instance.environment,
    }
    # As it is read back: without tuples.
    manifest: Manifest = json.loads(json.dumps(facts))
    manifest["id"] = digest(manifest)
    return manifest


def serialize(manifest: Manifest) -> bytes:
    """Return the content of a manifest's file, with a checksum of all the rest."""
    content = {**manifest, "checksum": _checksum(manifest)}
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def parse(content: bytes | None) -> Manifest | None:
    """Return the manifest that a file holds, or None when it cannot be read.

    The checksum covers the file and nothing of this release, so that every later release can
    read what this one wrote, however that one names generations.
    """
    try:
        fields = json.loads(content or b"")
        intact = fields["format"] == FORMAT and fields.pop("checksum") == _checksum(
            fields
        )
        complete = all(key in fields for key in REQUIRED)
    except (ValueError, KeyError, TypeError):
        return None
    if not intact or not complete:
        return None
    return cast("Manifest", {**DEFAULTS, **fields})


def _checksum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def recovered(
    name: str, component: str, release: str, units: dict[str, str]
) -> Manifest:
    """Return a manifest for a generation whose own cannot be read, from its unit files.

    It is enough to start, stop and remove the units, and equals no other manifest.
    """
    return {
        "format": FORMAT,
        "id": "",
        "component": component,
        "name": name,
        "release": release,
        "files": {},
        "unit": "",
        "units": {
            unit_name: _unit_record(content) for unit_name, content in units.items()
        },
        "listen_addresses": [],
        "ready": {},
        "reload": {},
        "check": [],
        "check_ignore_pattern": "",
        "environment": {},
    }


def _unit_record(content: str) -> UnitRecord:
    targets = re.findall(r"^WantedBy=(.*)$", content, re.MULTILINE)
    wanted_by = sorted(" ".join(targets).split())
    # A service without a target is started by a timer, path or socket.
    return {"wanted_by": wanted_by, "started": bool(wanted_by)}


def digest(manifest: Manifest) -> str:
    """Return twelve hex digits over everything that tells generations apart, except secrets."""
    files = {
        path: {
            "mode": record["mode"],
            "on_change": record["on_change"],
            "sha256": record.get("sha256", ""),
        }
        for path, record in manifest["files"].items()
    }
    identity = {
        "release": manifest["release"],
        "files": files,
        "units": manifest["units"],
        # A rollback verifies by what the manifest says, so these are part of it too.
        "listen_addresses": manifest["listen_addresses"],
        "ready": manifest["ready"],
        "reload": manifest["reload"],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[
        :12
    ]


def directories(manifest: Manifest) -> dict[str, int]:
    """Return the mode of each directory of a generation by its path, which ends in a slash."""
    modes = {"./": 0o755, "etc/": 0o750}
    for path in manifest["files"]:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            mode = 0o750 if parts[0] == "etc" else 0o755
            modes["/".join(parts[:depth]) + "/"] = mode
    return modes


def fingerprint(content: bytes, key: bytes) -> str:
    """Return the keyed fingerprint of a secret, which is useless without the host's key."""
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def checksum(content: bytes, record: FileRecord, key: bytes) -> str:
    """Return the checksum of ``content`` in the form that ``record`` has."""
    if "fingerprint" in record:
        return fingerprint(content, key)
    return hashlib.sha256(content).hexdigest()


def recorded(record: FileRecord) -> str:
    """Return the checksum that a manifest holds for a file."""
    return record.get("fingerprint") or record.get("sha256") or ""


def same(left: Manifest | None, right: Manifest | None) -> bool:
    """Return whether two manifests describe the same generation, secrets included."""
    if left is None or right is None or not (left["id"] and right["id"]):
        return False
    # Not the identities: a release that computes them in another way changes nothing.
    return digest(left) == digest(right) and _fingerprints(left) == _fingerprints(right)


def _fingerprints(manifest: Manifest) -> dict[str, str | None]:
    return {
        path: record.get("fingerprint") for path, record in manifest["files"].items()
    }


def is_older(release: str, other: str) -> bool:
    """Return whether a release's directory has an older version of the same program."""
    left, right = RELEASE.match(release), RELEASE.match(other)
    if not left or not right or left["name"] != right["name"]:
        return False
    versions = [
        list(map(int, re.findall(r"\d+", match["version"]))) for match in (left, right)
    ]
    return versions[0] < versions[1]


def number(generation_name: str) -> int:
    """Return the number of a generation from its name."""
    return int(generation_name.partition("-")[0])
