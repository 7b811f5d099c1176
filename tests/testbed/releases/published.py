# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the published release archives where they can be reached, so that nothing is compiled.

An archive is kept as `<cache>/published/<host>/<path>`, which is the layout of
`monitoring_archives_dir`. Two environment variables serve machines that reach upstream by a mirror
only: `MONITORING_MIRRORS` (base addresses, as in the inventory) and `MONITORING_RELEASES_LOCK` (the
lock file of the archives on it). The usual proxy variables apply.
"""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils import (
    upstream_releases,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    download,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from tests.testbed import cache, console

ROOT = Path(__file__).parents[3]
ARCHITECTURE = "amd64"
# A server that has not answered by then is not reachable; the download itself is more patient.
REACHABLE_SECONDS = 8
PROGRESS_SECONDS = 2
MEGABYTE = 1_000_000

Lock = upstream_releases.Lock


@dataclass
class Published:
    """The archives that were obtained, as a lock, and the releases that were not."""

    lock: Lock = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def version(self, name: str) -> str:
        """Return the version of an obtained release."""
        return next(iter(self.lock[name]))


def directory() -> Path:
    """Return the directory of the archives."""
    return cache.directory("published")


def mirrors() -> list[str]:
    """Return the base addresses to download from; none stands for upstream."""
    return os.environ.get("MONITORING_MIRRORS", "").replace(",", " ").split()


def read_lock() -> Lock:
    """Return the content of the lock file."""
    path = os.environ.get("MONITORING_RELEASES_LOCK") or ROOT / "releases.lock.yml"
    lock: Lock = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return lock


def default_versions() -> dict[str, str]:
    """Return the version that each role installs, by the release's name."""
    versions = {}
    for facts in sorted((ROOT / "roles").glob("*/meta/component.yml")):
        role = facts.parents[1]
        release = yaml.safe_load(facts.read_text(encoding="utf-8"))["release"]
        defaults = yaml.safe_load((role / "defaults/main.yml").read_text("utf-8"))
        versions[release] = str(defaults[f"{role.name}_version"])
    return versions


def choose(lock: Lock, versions: Mapping[str, str], name: str) -> str:
    """Return the version to take: the role's, else the last one in the lock, else ''."""
    locked = [
        str(version)
        for version in lock.get(name) or {}
        if ARCHITECTURE in upstream_releases.archives(lock, name, str(version))
    ]
    if versions.get(name) in locked:
        return versions[name]
    return locked[-1] if locked else ""


def obtain(
    names: Iterable[str], lock: Lock, versions: Mapping[str, str], bases: list[str]
) -> Published:
    """Download each release that can be reached; a release that cannot is listed as missing."""
    result = Published()
    unreachable: set[str] = set()
    for name in names:
        version = choose(lock, versions, name)
        if not version:
            result.missing.append(name)
            continue
        entry = upstream_releases.archives(lock, name, version)[ARCHITECTURE]
        path = directory() / upstream_releases.mirror_path(entry["url"])
        urls = [
            url
            for url in upstream_releases.mirrored(entry["url"], bases)
            if urlsplit(url).netloc not in unreachable
        ]
        if is_intact(path, entry) or fetch(
            f"{name} {version}", urls, entry, path, unreachable
        ):
            result.lock[name] = {version: {ARCHITECTURE: dict(entry)}}
        else:
            result.missing.append(name)
    return result


def is_intact(path: Path, entry: Mapping[str, str]) -> bool:
    """Return whether an archive is there with its checksum."""
    return path.is_file() and download.sha256_of(str(path)) == entry["sha256"]


def fetch(
    title: str,
    urls: list[str],
    entry: Mapping[str, str],
    path: Path,
    unreachable: set[str],
) -> bool:
    """Download an archive and return whether it is there; add hosts that do not answer."""
    answering = []
    size = 0
    for url in urls:
        try:
            size = size_at(url) or size
            answering.append(url)
        except urllib.error.HTTPError as error:
            console.progress(f"{title}: {url}: HTTP {error.code}")
        except (OSError, ValueError) as error:
            unreachable.add(urlsplit(url).netloc)
            reason = getattr(error, "reason", error)
            console.progress(f"{urlsplit(url).netloc} cannot be reached: {reason}")
    if not answering:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    done = threading.Event()
    watch = threading.Thread(
        target=report_progress, args=(title, path, size, done), daemon=True
    )
    watch.start()
    try:
        download.fetch(answering, entry["sha256"], str(path))
    except ComponentError as error:
        console.progress(f"{title}: {error}")
        return False
    finally:
        done.set()
        watch.join()
    console.progress(f"{title}: {path.stat().st_size / MEGABYTE:.0f} MB downloaded")
    return True


def size_at(url: str) -> int:
    """Return the size that a server announces for a URL, 0 without one.

    Raises urllib.error.HTTPError or OSError.
    """
    request = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(request, timeout=REACHABLE_SECONDS) as response:
        return int(response.headers.get("Content-Length") or 0)


def report_progress(title: str, path: Path, size: int, done: threading.Event) -> None:
    """Report the growth of an archive, with the time that is left, until ``done``."""
    part = path.with_name(path.name + ".part")
    started = time.monotonic()
    while not done.wait(PROGRESS_SECONDS):
        present = part.stat().st_size if part.exists() else 0
        console.progress(
            f"{title}: {progress(present, size, time.monotonic() - started)}"
        )


def progress(present: int, size: int, seconds: float) -> str:
    """Return how much of a download is there, and an estimate of the time that is left."""
    if not size:
        return f"{present / MEGABYTE:.0f} MB"
    shown = f"{present / MEGABYTE:.0f} of {size / MEGABYTE:.0f} MB"
    if not present:
        return shown
    return f"{shown}, {seconds * (size - present) / present:.0f} s left"
