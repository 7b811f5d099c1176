# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration takes published archives where it can, and compiles only the others."""

from __future__ import annotations

import functools
import hashlib
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils import (
    upstream_releases,
)
from tests.conftest import ROOT
from tests.testbed import cache, demo
from tests.testbed.releases import published

CONTENT = b"an archive" * 1000
NAMES = ("loki", "tempo")
VERSIONS = {"loki": "3.7.8", "tempo": "2.10.7"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server without a log."""

    def log_message(self, *_arguments: Any) -> None:
        """Drop the message."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a directory, and return it with its base address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the archives of a test apart."""
    monkeypatch.setenv("HIPPIUS_MONITORING_CACHE", str(tmp_path / "cache"))
    assert cache.directory().is_relative_to(tmp_path)


def lock_of(*names: str, version: str = "", content: bytes = CONTENT) -> dict[str, Any]:
    """Return a lock of releases with this content."""
    sha256 = hashlib.sha256(content).hexdigest()
    lock = {}
    for name in names:
        number = version or VERSIONS[name]
        url = upstream_releases.archive_url(name, number, "amd64")
        lock[name] = {number: {"amd64": {"url": url, "sha256": sha256}}}
    return lock


def publish(folder: Path, lock: dict[str, Any]) -> None:
    """Put the archives of a lock into a mirror."""
    for entry in upstream_releases.entries_of(lock):
        path = folder / upstream_releases.mirror_path(entry["url"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the releases that were built; nothing is compiled."""
    names: list[str] = []
    monkeypatch.setattr(demo, "build_all", names.extend)
    monkeypatch.setattr(demo.site, "GROUPS", ("monitoring", *NAMES))
    return names


def write_lock(folder: Path, lock: dict[str, Any], monkeypatch: Any) -> None:
    path = folder / "lock.yml"
    path.write_text(yaml.safe_dump(lock), encoding="utf-8")
    monkeypatch.setenv("MONITORING_RELEASES_LOCK", str(path))


def test_nothing_is_compiled_where_a_mirror_has_all_archives(
    served: tuple[Path, str],
    built: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, url = served
    lock = lock_of(*NAMES)
    publish(folder, lock)
    write_lock(folder, lock, monkeypatch)
    monkeypatch.setenv("MONITORING_MIRRORS", f"http://127.0.0.1:9, {url}")
    archives = demo.obtain_archives(VERSIONS)
    assert (archives.lock, archives.missing, built) == (lock, [], [])
    variables = demo.release_variables(archives)
    assert variables["loki_version"] == "3.7.8"
    directory = Path(variables["monitoring_archives_dir"])
    for entry in upstream_releases.entries_of(lock):
        path = directory / upstream_releases.mirror_path(entry["url"])
        assert path.read_bytes() == CONTENT
    (lock_file,) = variables["monitoring_releases_lock"]
    assert yaml.safe_load(Path(lock_file).read_text()) == lock
    assert variables["monitoring_mirrors"] == []
    shown = capsys.readouterr().err
    assert shown.count("127.0.0.1:9 cannot be reached") == 1
    assert "loki 3.7.8: 0 MB downloaded" in shown


def test_archives_of_an_earlier_run_are_used_without_a_network(
    served: tuple[Path, str], built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = served
    lock = lock_of(*NAMES)
    publish(folder, lock)
    assert published.obtain(NAMES, lock, VERSIONS, [url]).missing == []
    assert published.obtain(NAMES, lock, VERSIONS, ["http://127.0.0.1:9"]).lock == lock
    changed = lock_of(*NAMES, content=b"other")
    unreachable = published.obtain(NAMES, changed, VERSIONS, ["http://127.0.0.1:9"])
    assert unreachable.missing == list(NAMES)


def test_only_the_release_that_cannot_be_downloaded_is_compiled(
    served: tuple[Path, str],
    built: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, url = served
    write_lock(folder, lock_of(*NAMES), monkeypatch)
    publish(folder, lock_of("loki"))
    monkeypatch.setenv("MONITORING_MIRRORS", url)
    archives = demo.obtain_archives(VERSIONS)
    assert (list(archives.lock), built) == (["loki"], ["tempo"])
    variables = demo.release_variables(archives)
    assert len(variables["monitoring_releases_lock"]) == 2
    assert "monitoring_mirrors" not in variables
    shown = capsys.readouterr().err
    assert "tempo 2.10.7: " in shown and "HTTP 404" in shown
    assert "1 of 2 releases are not downloaded (tempo)" in shown


def test_an_archive_with_another_checksum_is_not_used(
    served: tuple[Path, str], built: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = served
    lock = lock_of("loki", content=b"other")
    publish(folder, lock)
    assert published.obtain(["loki"], lock, VERSIONS, [url]).missing == ["loki"]
    assert "expected" in capsys.readouterr().err
    assert not [path for path in published.directory().rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("locked", "expected"),
    [
        pytest.param(["3.7.8", "3.8.0"], "3.7.8", id="the role's version"),
        pytest.param(["1.5.0", "2.9.0"], "2.9.0", id="the last locked one"),
        pytest.param([], "", id="none"),
    ],
)
def test_the_version_is_that_of_the_role_unless_the_lock_lacks_it(
    locked: list[str], expected: str
) -> None:
    lock: dict[str, Any] = {"loki": {}}
    for version in locked:
        lock["loki"] |= lock_of("loki", version=version)["loki"]
    assert published.choose(lock, VERSIONS, "loki") == expected


def test_every_role_of_the_demonstration_has_a_locked_release() -> None:
    versions = published.default_versions()
    lock = published.read_lock()
    for name in demo.site.GROUPS[1:]:
        assert published.choose(lock, versions, name) == versions[name]


@pytest.mark.parametrize(
    ("present", "size", "expected"),
    [
        (0, 0, "0 MB"),
        (5_000_000, 0, "5 MB"),
        (0, 20_000_000, "0 of 20 MB"),
        (5_000_000, 20_000_000, "5 of 20 MB, 30 s left"),
    ],
)
def test_progress_has_sizes_and_an_estimate(
    present: int, size: int, expected: str
) -> None:
    assert published.progress(present, size, 10) == expected


def test_the_demonstration_needs_only_the_packages_of_its_own_list() -> None:
    own, tests = (
        {line for line in (ROOT / name).read_text("utf-8").splitlines() if "==" in line}
        for name in ("tests/testbed/requirements.txt", "tests/requirements.txt")
    )
    assert own < tests
    others = ["docker", "hypothesis", "molecule", "promql_parser", "pytest", "requests"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({others}));"
        "import tests.testbed.__main__, tests.testbed.demo"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "collections")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
