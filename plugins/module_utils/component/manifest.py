# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a generation is made of, and the digest that names it. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict

from .spec import Instance

FORMAT = 1


def build(instance: Instance, release_directory: str, key: bytes) -> dict:
    """The manifest of a generation that holds ``instance``, still without a name.

    A secret is recorded as a fingerprint keyed with a secret of the host, and takes no part in the digest.
    """
    files = {}
    for path, entry in sorted(instance.files.items()):
        record = {"mode": format(entry.mode, "04o"), "on_change": entry.on_change}
        if entry.secret:
            record["fingerprint"] = fingerprint(entry.content, key)
        else:
            record["sha256"] = hashlib.sha256(entry.content).hexdigest()
        files[path] = record
    manifest = {
        "format": FORMAT,
        "component": instance.component,
        "name": instance.name,
        "release": release_directory,
        "files": files,
        "unit": instance.unit,
        "units": {name: asdict(role) for name, role in sorted(instance.units.items())},
        "listen_addresses": list(instance.listen_addresses),
        "ready": instance.ready,
        "reload": instance.reload,
    }
    manifest = json.loads(json.dumps(manifest))
    manifest["id"] = digest(manifest)
    return manifest


def parse(content: bytes | None) -> dict | None:
    """The manifest that a generation's file holds, or None when it is not as it was written."""
    try:
        manifest = json.loads(content or b"")
        return (
            manifest
            if manifest["format"] == FORMAT and manifest["id"] == digest(manifest)
            else None
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def digest(manifest: dict) -> str:
    """Twelve hex digits over everything that makes a generation different from another, but secrets."""
    files = {
        path: {
            "mode": record["mode"],
            "on_change": record["on_change"],
            "sha256": record.get("sha256", ""),
        }
        for path, record in manifest["files"].items()
    }
    # How it is proven belongs to it too, since a rollback proves by what the manifest says.
    facts = {
        key: manifest[key] for key in ("release", "units", "listen_addresses", "ready", "reload")
    }
    told = {**facts, "files": files}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def fingerprint(content: bytes, key: bytes) -> str:
    """Keyed fingerprint of a secret: equal for equal secrets, and of no use without the host's key."""
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def checksum(content: bytes, record: dict, key: bytes) -> str:
    """The checksum of ``content`` in the form that ``record`` has."""
    if "fingerprint" in record:
        return fingerprint(content, key)
    return hashlib.sha256(content).hexdigest()


def recorded(record: dict) -> str:
    """The checksum that a manifest holds for one file."""
    return record.get("fingerprint") or record.get("sha256") or ""


def same(left: dict | None, right: dict | None) -> bool:
    """Whether two manifests describe the same files, units and release, secrets included."""
    if left is None or right is None:
        return False
    secrets = [
        {path: record.get("fingerprint") for path, record in side["files"].items()}
        for side in (left, right)
    ]
    return left["id"] == right["id"] and secrets[0] == secrets[1]


def number(generation_name: str) -> int:
    """The count of a generation from its name."""
    return int(generation_name.split("-", 1)[0])
