# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs of published releases, and the content of release locks. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict
from urllib.parse import quote

UPSTREAM = "upstream"
GITHUB = "https://github.com/{}/releases/download/v{{version}}"
SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
LISTED = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(\S.*)\Z")


class Archive(TypedDict, total=False):
    """An entry of a release lock; older ones have no ``size`` in bytes."""

    url: str
    sha256: str
    size: int


# The archives of a release by architecture.
Archives = dict[str, Archive]
# A release lock: archives by name and version.
Lock = dict[str, dict[str, Archives]]


class ReleaseError(Exception):
    """An unknown release, or a lock or checksum file without valid content."""


@dataclass(frozen=True)
class Source:
    """The URL of a program's releases.

    ``checksums`` are files beside the archive in the order in which they are tried: lists of
    many archives, or with ``{file}`` in the name one for the archive itself.
    """

    folder: str
    file: str
    checksums: tuple[str, ...]


def _promu(repository: str) -> Source:
    """Return the source of a program that is built by Prometheus' promu."""
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
    "loki": Source(
        GITHUB.format("grafana/loki"), "loki-linux-{architecture}.zip", ("SHA256SUMS",)
    ),
    # Published with Loki's releases until 3.6.11.
    "promtail": Source(
        GITHUB.format("grafana/loki"),
        "promtail-linux-{architecture}.zip",
        ("SHA256SUMS",),
    ),
    "tempo": Source(
        GITHUB.format("grafana/tempo"),
        "tempo_{version}_linux_{architecture}.tar.gz",
        ("SHA256SUMS",),
    ),
    # Since 0.158.0 each archive has its own file, which contains only the checksum.
    "otel_collector": Source(
        GITHUB.format("open-telemetry/opentelemetry-collector-releases"),
        "otelcol-contrib_{version}_linux_{architecture}.tar.gz",
        (
            "opentelemetry-collector-releases_otelcol-contrib_checksums.txt",
            "{file}.sha256",
        ),
    ),
    # The content of the shorter URL without the build number has changed after a release.
    "grafana": Source(
        "https://dl.grafana.com/grafana/release/{version}",
        "grafana_{version}_{build}_linux_{architecture}.tar.gz",
        ("{file}.sha256",),
    ),
}


def archive_url(name: str, version: str, architecture: str, build: str = "") -> str:
    """Return the published URL of an archive.

    Raises ReleaseError for an unknown release, and for a missing build.
    """
    source = _source(name)
    if "{build}" in source.file and not build:
        raise ReleaseError(
            f"{name} {version}: its URL contains a build number; set build."
        )
    values = {
        "version": quote(version, safe=""),
        "architecture": architecture,
        "build": quote(build, safe=""),
    }
    return f"{source.folder}/{source.file}".format(**values)


def checksum_urls(name: str, archive: str) -> list[str]:
    """Return the published URLs of an archive's checksum, in the order in which to try them."""
    folder, _slash, file = archive.rpartition("/")
    return [
        f"{folder}/{checksums.format(file=file)}"
        for checksums in _source(name).checksums
    ]


def checksum_in(content: str, file: str) -> str | None:
    """Return the SHA-256 of ``file`` in a checksum file, or None.

    The content is lines ``hash  file``, or a hash alone. Raises ReleaseError for two hashes.
    """
    if SHA256.match(content.strip()):
        return content.strip().lower()
    checksums = set()
    for line in content.splitlines():
        listed = LISTED.match(line.strip())
        if listed and listed[2].rpartition("/")[2] == file:
            checksums.add(listed[1].lower())
    if len(checksums) > 1:
        raise ReleaseError(f"{file}: it is listed with {len(checksums)} checksums.")
    return checksums.pop() if checksums else None


def lock_entries(
    name: str,
    version: str,
    build: str,
    contents: Mapping[str, str | None],
    failures: list[str],
    sizes: Mapping[str, int] | None = None,
) -> Archives:
    """Return the archives that have a checksum, from the checksum file of each architecture.

    ``sizes`` are those that a server has told. Raises ReleaseError with ``failures`` when there
    is no checksum.
    """
    entries: Archives = {}
    for architecture, content in contents.items():
        url = archive_url(name, version, architecture, build)
        checksum = checksum_in(content or "", url.rpartition("/")[2])
        if checksum:
            entries[architecture] = {"url": url, "sha256": checksum}
            if sizes and sizes.get(architecture):
                entries[architecture]["size"] = sizes[architecture]
    if not entries:
        reasons = f" ({'; '.join(dict.fromkeys(failures))})" if failures else ""
        raise ReleaseError(
            f"{name} {version}: no checksum is published for {', '.join(contents)}{reasons}."
        )
    return entries


def conflicts(lock: Lock, name: str, version: str, entries: Archives) -> list[str]:
    """Return a message for each archive that is locked with another checksum."""
    locked = archives(lock, name, version)
    messages = []
    for architecture, entry in entries.items():
        previous = locked.get(architecture, entry)["sha256"]
        if previous != entry["sha256"]:
            messages.append(
                f"{name} {version} on {architecture}: it is locked with {previous}, and"
                f" {entry['sha256']} is published now"
            )
    return messages


def merged(lock: Lock, name: str, version: str, entries: Archives) -> Lock:
    """Return a lock with added archives, sorted by name, version and architecture."""
    versions = {str(key): value for key, value in (lock.get(name) or {}).items()}
    known = versions.get(version, {})
    for architecture, entry in entries.items():
        same = known.get(architecture, {}).get("sha256") == entry["sha256"]
        # A server may not have told the size this time.
        kept = known[architecture] if same else {}
        entries = {**entries, architecture: {**kept, **entry}}
    versions[version] = _sorted({**known, **entries})
    in_order = sorted(versions, key=_version_order)
    return _sorted({**lock, name: {key: versions[key] for key in in_order}})


def _sorted(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in sorted(value)}


def archives(lock: Lock, name: str, version: str) -> Archives:
    """Return the archives of a release in a lock file's content, none when it is not locked.

    Raises ReleaseError when the content is not that of a lock.
    """
    versions = lock.get(name) or {} if isinstance(lock, dict) else None
    if not isinstance(versions, dict):
        raise ReleaseError(
            f"{name}: invalid release lock; it maps names to versions, architectures, url and"
            " sha256."
        )
    # YAML reads a version such as 1.10 without quotes as a float.
    by_string = {str(key): value for key, value in versions.items()}
    entries = by_string.get(version) or {}
    if not isinstance(entries, dict):
        raise _invalid_entry(name, version, "every architecture")
    result: Archives = {}
    for architecture, entry in entries.items():
        if not _is_entry(entry):
            raise _invalid_entry(name, version, architecture)
        sha256 = str(entry["sha256"]).lower()
        result[architecture] = {"url": str(entry["url"]), "sha256": sha256}
        if "size" in entry:
            result[architecture]["size"] = entry["size"]
    return result


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not entry.get("url"):
        return False
    size = entry.get("size", 1)
    is_size = isinstance(size, int) and not isinstance(size, bool) and size > 0
    return is_size and bool(SHA256.match(str(entry.get("sha256"))))


def _invalid_entry(name: str, version: str, architecture: str) -> ReleaseError:
    return ReleaseError(
        f"{name} {version} on {architecture}: invalid release lock; url and sha256 (64 hex"
        " digits) are required, and size, if it is there, is a number of bytes."
    )


def chosen(lock: Lock, architectures: list[str] | None) -> Lock:
    """Return the part of a lock for these architectures, or for all when there are none.

    Raises ReleaseError naming every release that is not locked for one of them.
    """
    result: Lock = {}
    missing = []
    for name, versions in lock.items():
        for version in map(str, versions):
            locked = archives(lock, name, version)
            selected: Archives = {}
            for architecture in architectures or sorted(locked):
                if architecture in locked:
                    selected[architecture] = locked[architecture]
                else:
                    missing.append(_not_locked(name, version, architecture))
            result.setdefault(name, {})[version] = selected
    if missing:
        raise ReleaseError(" ".join(missing))
    return result


def _not_locked(name: str, version: str, architecture: str) -> str:
    return (
        f"Release {name} {version} on {architecture}: its checksum is unknown;"
        f" ansible-playbook hippius.monitoring.lock -e {name}_version={version} adds it if it is"
        " published."
    )


def entries_of(lock: Lock) -> list[Archive]:
    """Return every archive of a lock."""
    return [
        entry
        for versions in lock.values()
        for locked in versions.values()
        for entry in locked.values()
    ]


def mirror_path(url: str) -> str:
    """Return the path of a published URL in a mirror or a folder: the URL without its scheme."""
    return url.split("://", 1)[-1]


def mirrored(url: str, mirrors: list[str]) -> list[str]:
    """Return the URLs to try in order; the mirror ``upstream`` stands for the published URL."""
    if not mirrors:
        return [url]
    path = mirror_path(url)
    return [
        url if mirror == UPSTREAM else f"{mirror.rstrip('/')}/{path}"
        for mirror in mirrors
    ]


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise ReleaseError(
            f"Release {name!r}: unknown; use one of {', '.join(sorted(SOURCES))}."
        )
    return SOURCES[name]


def _version_order(version: str) -> list[tuple[int, str]]:
    """Return a sort key; other parts, such as rc, precede numbers."""
    parts = re.split(r"[.+-]", version)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
