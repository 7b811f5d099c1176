# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the state of this host's rollouts as metrics, for node_exporter's textfile collector.

Root runs it every minute, without network and capabilities. It compares files with the manifests of
their generations, as the status report does. It reads no secret: one that is younger than its
manifest counts as changed.
"""

from __future__ import annotations

import argparse
import base64
import calendar
import hashlib
import json
import os
import re
import stat
import sys
import time

# As in the module typing, which is not imported: the script runs every minute.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

# A release's directory: name, version from the first digit after a dash, start of its checksum.
RELEASE = re.compile(r".+?-(\d.*)-[0-9a-f]{8}\Z")
# The role's files with certificates, and the notation of one.
CERTIFICATES = ("etc/tls/certificate.pem", "etc/tls/ca.pem")
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END", re.DOTALL)
# Tags of DER: a certificate's version, and the older of two notations of a time.
VERSION, UTC_TIME = 0xA0, 0x17
EXPIRY = "monitoring_certificate_expiry_timestamp_seconds"
PREFIX = "monitoring_rollout_"
HELP = {
    "info": "Version and generation of a component.",
    "timestamp_seconds": "Time at which the generation became current.",
    "drift": "Files and units of a component that differ from what was rolled out.",
    "unverified": "1 if the current generation was never verified or its rollout did not finish.",
    "rolled_back": "1 if a rollback left a newer generation and no rollout followed.",
}


def main(arguments: list[str] | None = None) -> int:
    """Write the metrics; return the exit code."""
    options = parse_options(arguments)
    names = listing(os.path.join(options.base, "components"))
    states = {name: state(name, options) for name in names if not name.startswith(".")}
    replace(options.output, exposition(states))
    return 0


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Write the state of rollouts.")
    parser.add_argument("--output", required=True, help="file of metrics to write")
    for option, default in (
        ("--base", "/opt/monitoring"),
        ("--run", "/run/monitoring"),
        ("--units", "/etc/systemd/system.attached"),
        ("--overrides", "/etc/systemd/system"),
    ):
        parser.add_argument(option, default=default, help=f"default: {default}")
    return parser.parse_args(arguments)


def exposition(states: dict[str, dict[str, Any]]) -> str:
    """Return the metrics of all components in Prometheus' format. Pure."""
    lines = []
    for metric, meaning in HELP.items():
        lines += [
            f"# HELP {PREFIX}{metric} {meaning}",
            f"# TYPE {PREFIX}{metric} gauge",
        ]
        for name, values in sorted(states.items()):
            labels = {"name": name}
            if metric == "info":
                labels.update(values["info"])
            value = 1 if metric == "info" else values[metric]
            lines.append(f"{PREFIX}{metric}{{{pairs(labels)}}} {value}")
    lines += [
        f"# HELP {EXPIRY} End of the first certificate of a component to expire.",
        f"# TYPE {EXPIRY} gauge",
    ]
    for name, values in sorted(states.items()):
        if values["expiry"] is not None:
            lines.append(f"{EXPIRY}{{{pairs({'name': name})}}} {values['expiry']}")
    return "\n".join(lines) + "\n"


def pairs(labels: dict[str, str]) -> str:
    """Return labels in Prometheus' format. Pure."""
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(
        f'{key}="{value.translate(escapes)}"' for key, value in labels.items()
    )


def state(name: str, paths: argparse.Namespace) -> dict[str, Any]:
    """Return the values of a component's metrics."""
    root = os.path.join(paths.base, "components", name)
    current, verified, left = (
        linked(os.path.join(root, link))
        for link in ("current", "last-known-good", "rolled-back-from")
    )
    directory = os.path.join(root, "generations", current)
    manifest = read_json(os.path.join(directory, "manifest.json"))
    component = (read(os.path.join(root, "component")) or b"").decode(
        "utf-8", "replace"
    )
    unfinished = (
        os.path.join(paths.run, name + ".pending"),
        os.path.join(paths.base, "unfinished", (component.strip() or name) + ".json"),
    )
    release = RELEASE.match(str(manifest.get("release", "")))
    is_verified = current != "" and current == verified
    is_open = not is_verified or any(map(os.path.exists, unfinished))
    return {
        "info": {"version": release[1] if release else "", "generation": current},
        "timestamp_seconds": changed_at(os.path.join(root, "current")),
        "drift": drift(directory, manifest, paths) if current else 0,
        "unverified": int(is_open),
        "rolled_back": int(left not in ("", current)),
        "expiry": expiry(os.path.join(directory, path) for path in CERTIFICATES),
    }


def expiry(paths: Iterable[str]) -> int | None:
    """Return the first end of the certificates in files, None without any."""
    texts = [text for path in paths for text in PEM.findall(read(path) or b"")]
    ends = []
    for text in texts:
        try:
            ends.append(not_after(base64.b64decode(text)))
        except (ValueError, IndexError):
            # The program's own checker refuses it.
            continue
    return min(ends, default=None)


def not_after(certificate: bytes) -> int:
    """Return the end of a certificate in DER. Pure; raises ValueError or IndexError."""
    signed = elements(elements(certificate)[0][1])[0][1]
    parts = [content for tag, content in elements(signed) if tag != VERSION]
    # Serial number, algorithm, issuer, validity.
    tag, content = elements(parts[3])[1]
    digits = content.decode("ascii")
    if tag == UTC_TIME:
        # RFC 5280: two digits from 50 on are of the last century.
        digits = ("19" if digits >= "50" else "20") + digits
    return calendar.timegm(time.strptime(digits, "%Y%m%d%H%M%SZ"))


def elements(content: bytes) -> list[tuple[int, bytes]]:
    """Return the tags and contents of consecutive elements in DER. Pure."""
    found, position = [], 0
    while position < len(content):
        tag, length = content[position], content[position + 1]
        position += 2
        if length > 127:
            count = length & 127
            length = int.from_bytes(content[position : position + count], "big")
            position += count
        found.append((tag, content[position : position + length]))
        position += length
    return found


def drift(directory: str, manifest: dict[str, Any], paths: argparse.Namespace) -> int:
    """Return how many files and units differ from those of a generation."""
    if "files" not in manifest or "units" not in manifest:
        return 1
    recorded = os.lstat(os.path.join(directory, "manifest.json"))
    files = manifest["files"]
    changed = [
        path
        for path, record in files.items()
        if is_changed(os.path.join(directory, path), record, recorded)
    ]
    tracked = {*files, "manifest.json", "release"}
    changed += [path for path in tree(directory) if path not in tracked]
    if linked(os.path.join(directory, "release")) != manifest["release"]:
        changed.append("release")
    changed += [
        unit
        for unit in manifest["units"]
        if read(os.path.join(directory, unit)) != read(os.path.join(paths.units, unit))
    ]
    # A mask, or a unit that was edited in full. Rollouts leave drop-ins, which do not count.
    overrides = [os.path.join(paths.overrides, unit) for unit in manifest["units"]]
    changed += filter(os.path.lexists, overrides)
    return len(changed)


def is_changed(path: str, record: dict[str, Any], manifest: os.stat_result) -> bool:
    """Return whether a file differs from its record, or a secret is younger than the manifest."""
    try:
        found = os.lstat(path)
    except OSError:
        return True
    is_regular = stat.S_ISREG(found.st_mode) and found.st_uid == manifest.st_uid
    if not is_regular or stat.S_IMODE(found.st_mode) != int(record["mode"], 8):
        return True
    if "sha256" not in record:
        return found.st_mtime > manifest.st_mtime
    return hashlib.sha256(read(path) or b"").hexdigest() != record["sha256"]


def tree(directory: str) -> list[str]:
    """Return the relative paths of all files and links below a directory."""
    found = []
    for parent, directories, files in os.walk(directory):
        links = [
            each for each in directories if os.path.islink(os.path.join(parent, each))
        ]
        found += [
            os.path.relpath(os.path.join(parent, each), directory)
            for each in (*files, *links)
        ]
    return found


def linked(path: str) -> str:
    """Return the name to which a link leads, or an empty string."""
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return ""


def changed_at(path: str) -> float:
    """Return the time at which a link was made, 0 without it."""
    try:
        return round(os.lstat(path).st_mtime, 3)
    except OSError:
        return 0


def listing(directory: str) -> list[str]:
    """Return the sorted names in a directory; none without it."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def read(path: str) -> bytes | None:
    """Return the content of a file; None if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return None


def read_json(path: str) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if it is missing or damaged."""
    try:
        value = json.loads(read(path) or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def replace(path: str, content: str) -> None:
    """Replace a file atomically: readers see either the old or the new content."""
    # The exporter reads names that end in .prom only.
    new = path + ".new"
    with open(new, "w", encoding="utf-8") as stream:
        stream.write(content)
    os.rename(new, path)


if __name__ == "__main__":
    sys.exit(main())
