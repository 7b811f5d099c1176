# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where releases are published, and what the lock file says of them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

UPSTREAM = "upstream"
GITHUB = "https://github.com/{}/releases/download/v{{version}}"
SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
LISTED = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(\S.*)\Z")


class ReleaseError(Exception):
    """A release that is not known, or a checksum file that does not say what it should."""


@dataclass(frozen=True)
class Source:
    """Where one program is published.

    ``checksums`` are files beside the archive, in the order in which they are tried: lists of many archives, or with
    ``{file}`` in the name one for the archive itself.
    """

    folder: str
    file: str
    checksums: tuple


def _promu(repository: str) -> Source:
    file = repository.rpartition("/")[2] + "-{version}.linux-{architecture}.tar.gz"
    return Source(GITHUB.format(repository), file, ("sha256sums.txt",))


SOURCES = {
    "prometheus": _promu("prometheus/prometheus"),
    "alertmanager": _promu("prometheus/alertmanager"),
    "node_exporter": _promu("prometheus/node_exporter"),
    "postgres_exporter": _promu("prometheus-community/postgres_exporter"),
    "redis_exporter": Source(
        GITHUB.format("oliver006/redis_exporter"),
        "redis_exporter-v{version}.linux-{architecture}.tar.gz",
        ("sha256sums.txt",),
    ),
    "loki": Source(GITHUB.format("grafana/loki"), "loki-linux-{architecture}.zip", ("SHA256SUMS",)),
    # Published with Loki's releases, the last time with 3.6.11.
    "promtail": Source(
        GITHUB.format("grafana/loki"), "promtail-linux-{architecture}.zip", ("SHA256SUMS",)
    ),
    "tempo": Source(
        GITHUB.format("grafana/tempo"),
        "tempo_{version}_linux_{architecture}.tar.gz",
        ("SHA256SUMS",),
    ),
    # Since 0.158.0 each archive has a file of its own, with nothing in it but the checksum.
    "otel_collector": Source(
        GITHUB.format("open-telemetry/opentelemetry-collector-releases"),
        "otelcol-contrib_{version}_linux_{architecture}.tar.gz",
        ("opentelemetry-collector-releases_otelcol-contrib_checksums.txt", "{file}.sha256"),
    ),
    # The shorter address without the build's number was seen to change its content after a release.
    "grafana": Source(
        "https://dl.grafana.com/grafana/release/{version}",
        "grafana_{version}_{build}_linux_{architecture}.tar.gz",
        ("{file}.sha256",),
    ),
}


def archive_url(name: str, version: str, architecture: str, build: str = "") -> str:
    """Published address of an archive; raises ReleaseError when the release is not known or its build is missing."""
    source = _source(name)
    if "{build}" in source.file and not build:
        raise ReleaseError(
            f"{name} {version}: the number of the build is part of the address, so build is needed."
        )
    values = {
        "version": quote(version, safe=""),
        "architecture": architecture,
        "build": quote(build, safe=""),
    }
    return f"{source.folder}/{source.file}".format(**values)


def checksum_urls(name: str, archive: str) -> list:
    """Published addresses at which the checksum of an archive may stand, to be tried in turn."""
    folder, _slash, file = archive.rpartition("/")
    return [f"{folder}/{checksums.format(file=file)}" for checksums in _source(name).checksums]


def checksum_in(text: str, file: str) -> str:
    """The SHA-256 of ``file`` that a checksum file tells, or nothing: a line ``hash  file``, or a hash alone.

    Raises ReleaseError when it tells two.
    """
    if SHA256.match(text.strip()):
        return text.strip().lower()
    lines = (LISTED.match(line.strip()) for line in text.splitlines())
    found = {
        line.group(1).lower() for line in lines if line and line.group(2).rpartition("/")[2] == file
    }
    if len(found) > 1:
        raise ReleaseError(f"{file} is listed with {len(found)} checksums.")
    return found.pop() if found else ""


def lock_entries(name: str, version: str, build: str, texts: dict, failures: list) -> dict:
    """For each architecture of ``texts``, which maps it to a checksum file's content, the archive's lock entry.

    An architecture that upstream does not publish is left out; raises ReleaseError, which tells ``failures``, when
    nothing is left.
    """
    entries = {}
    for architecture, text in texts.items():
        url = archive_url(name, version, architecture, build)
        checksum = checksum_in(text, url.rpartition("/")[2])
        if checksum:
            entries[architecture] = {"url": url, "sha256": checksum}
    if not entries:
        why = f" ({'; '.join(dict.fromkeys(failures))})" if failures else ""
        raise ReleaseError(
            f"{name} {version}: no checksum is published for {', '.join(texts)}{why}."
        )
    return entries


def conflicts(lock: dict, name: str, version: str, entries: dict) -> list:
    """What speaks against taking ``entries`` into a lock: archives that were locked with another checksum."""
    locked = archives(lock, name, version)
    return [
        f"{name} {version} on {architecture} is locked with {locked[architecture]['sha256']}, and"
        f" {entry['sha256']} is published now"
        for architecture, entry in entries.items()
        if architecture in locked and locked[architecture]["sha256"] != entry["sha256"]
    ]


def merged(lock: dict, name: str, version: str, entries: dict) -> dict:
    """A lock with the entries of one release added, in order of names, versions and architectures."""
    versions = {str(key): value for key, value in (lock.get(name) or {}).items()}
    known = {**versions.get(version, {}), **entries}
    versions[version] = {key: known[key] for key in sorted(known)}
    result = {**lock, name: {key: versions[key] for key in sorted(versions, key=_version_order)}}
    return {key: result[key] for key in sorted(result)}


def archives(lock: dict, name: str, version: str) -> dict:
    """For each architecture the ``url`` and ``sha256`` that a lock file holds of one release.

    Raises ReleaseError where the file is not what a lock is.
    """
    versions = lock.get(name) or {} if isinstance(lock, dict) else None
    if not isinstance(versions, dict):
        raise ReleaseError(
            f"A release lock maps names to versions, architectures, url and sha256; {name} does not."
        )
    # A version such as 1.10 that somebody wrote without quotes is a number.
    found = {str(key): value for key, value in versions.items()}.get(version) or {}
    for architecture, entry in (
        found.items() if isinstance(found, dict) else [("every architecture", found)]
    ):
        if (
            not isinstance(entry, dict)
            or not entry.get("url")
            or not SHA256.match(str(entry.get("sha256")))
        ):
            raise ReleaseError(
                f"{name} {version} on {architecture} needs url and sha256, the latter as 64 hex digits."
            )
    return {
        key: {"url": str(entry["url"]), "sha256": entry["sha256"].lower()}
        for key, entry in found.items()
    }


def chosen(locked: dict, architectures: list | None) -> dict:
    """What a lock holds for these architectures, for all that it has where none are given.

    Raises ReleaseError, which names every release that is not locked for one of them.
    """
    result: dict = {}
    missing = []
    for name, versions in locked.items():
        for version in versions:
            known = archives(locked, name, str(version))
            desired = architectures or sorted(known)
            result.setdefault(name, {})[str(version)] = {
                key: known[key] for key in desired if key in known
            }
            missing += [
                f"No checksum is known for release {name} {version} on {key}:"
                f" ansible-playbook hippius.monitoring.lock -e {name}_version={version} adds it where it is published."
                for key in desired
                if key not in known
            ]
    if missing:
        raise ReleaseError(" ".join(missing))
    return result


def entries_of(locked: dict) -> list:
    """Every archive of a lock, as its ``url`` and ``sha256``."""
    return [
        entry
        for versions in locked.values()
        for known in versions.values()
        for entry in known.values()
    ]


def mirror_path(url: str) -> str:
    """Path of a published address below a mirror or a folder of archives: the address without its scheme."""
    return url.split("://", 1)[-1]


def mirrored(url: str, mirrors: list) -> list:
    """The addresses to try in turn; the word ``upstream`` among the mirrors stands for the published address."""
    if not mirrors:
        return [url]
    return [
        url if mirror == UPSTREAM else f"{mirror.rstrip('/')}/{mirror_path(url)}"
        for mirror in mirrors
    ]


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise ReleaseError(
            f"Release {name!r} is not known; there are {', '.join(sorted(SOURCES))}."
        )
    return SOURCES[name]


def _version_order(version: str) -> list:
    return [
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.+-]", version)
    ]
