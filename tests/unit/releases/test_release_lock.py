# SPDX-License-Identifier: GPL-3.0-or-later
"""The module release_lock against a mirror on the loopback address."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils import (
    upstream_checksums,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.upstream_releases import (
    ReleaseError,
)
from ansible_collections.hippius.monitoring.plugins.modules import release_lock

ONE, TWO = "1" * 64, "a" * 64
FOLDER = "github.com/grafana/loki/releases/download/v3.7.8"
URL = f"https://{FOLDER}/loki-linux-amd64.zip"


class Handler(SimpleHTTPRequestHandler):
    """Serve files, except below /broken/, which answers 503."""

    def do_GET(self) -> None:
        if self.path.startswith("/broken/"):
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *words: object) -> None:
        """Log nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """Serve the directory `mirror`; return its URL."""
    (tmp_path / "mirror").mkdir()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "mirror"))
    )
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}
    )
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def publish(tmp_path: Path, mirror: str) -> Callable:
    """Return a function that writes a checksum file into the mirror."""

    def publish(path: str, content: str) -> None:
        (tmp_path / "mirror" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mirror" / path).write_text(content)

    return publish


@pytest.fixture
def lock(tmp_path: Path, mirror: str) -> Callable:
    """Return a function that runs the module on `lock.yml` with a fake AnsibleModule."""

    def run(check_mode: bool = False, **changes: object) -> dict:
        params = {
            "path": str(tmp_path / "lock.yml"),
            "name": "loki",
            "version": "3.7.8",
            "build": None,
        }
        params |= {
            "architectures": ["amd64", "arm64"],
            "mirrors": [mirror],
            "replace": False,
        }
        module = SimpleNamespace(
            params={**params, **changes},
            check_mode=check_mode,
            tmpdir=str(tmp_path),
            atomic_move=os.replace,
        )
        return release_lock.lock(module)

    return run


def test_a_lock_has_published_urls_and_the_mirror_s_checksums(
    tmp_path: Path, publish: Callable, lock: Callable
) -> None:
    publish(
        f"{FOLDER}/SHA256SUMS",
        f"{ONE}  loki-linux-amd64.zip\n{TWO}  loki-linux-arm64.zip\n",
    )
    result = lock()
    content = (tmp_path / "lock.yml").read_text()
    assert content.startswith("---\n# Releases")
    assert yaml.safe_load(content) == {"loki": {"3.7.8": result["archives"]}}
    assert result["changed"]
    assert result["archives"]["amd64"] == {"url": URL, "sha256": ONE}
    assert result["archives"]["arm64"]["sha256"] == TWO
    assert (result["diff"]["before"], result["diff"]["after"]) == ("", content)


def test_a_second_run_changes_nothing_and_keeps_comments(
    tmp_path: Path, publish: Callable, lock: Callable
) -> None:
    publish(f"{FOLDER}/SHA256SUMS", f"{ONE}  loki-linux-amd64.zip\n")
    lock()
    path = tmp_path / "lock.yml"
    path.write_text(path.read_text() + "# a comment\n")
    before = path.stat()
    result = lock()
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]
    assert path.stat() == before


def test_check_mode_reports_and_writes_nothing(
    tmp_path: Path, publish: Callable, lock: Callable
) -> None:
    publish(f"{FOLDER}/SHA256SUMS", f"{ONE}  loki-linux-amd64.zip\n")
    result = lock(check_mode=True)
    assert result["changed"]
    assert URL in result["diff"]["after"]
    assert not (tmp_path / "lock.yml").exists()


def test_other_releases_are_kept(
    tmp_path: Path, publish: Callable, lock: Callable
) -> None:
    others = {
        "tempo": {"2.10.7": {"amd64": {"url": "u", "sha256": TWO}}},
        "own": {"1.0": {"amd64": {"url": "v", "sha256": ONE}}},
    }
    (tmp_path / "lock.yml").write_text(yaml.safe_dump(others))
    publish(f"{FOLDER}/SHA256SUMS", f"{ONE}  loki-linux-amd64.zip\n")
    lock()
    written = yaml.safe_load((tmp_path / "lock.yml").read_text())
    assert {key: written[key] for key in others} == others
    assert list(written) == ["loki", "own", "tempo"]


def test_a_changed_checksum_is_refused_unless_replace_is_set(
    tmp_path: Path, publish: Callable, lock: Callable
) -> None:
    publish(f"{FOLDER}/SHA256SUMS", f"{ONE}  loki-linux-amd64.zip\n")
    lock()
    publish(f"{FOLDER}/SHA256SUMS", f"{TWO}  loki-linux-amd64.zip\n")
    before = (tmp_path / "lock.yml").read_text()
    with pytest.raises(
        ReleaseError, match=f"locked with {ONE}, and {TWO} is published now"
    ):
        lock()
    assert (tmp_path / "lock.yml").read_text() == before
    assert lock(replace=True)["archives"]["amd64"]["sha256"] == TWO


def test_mirrors_are_tried_in_order(
    mirror: str, publish: Callable, lock: Callable
) -> None:
    publish(f"second/{FOLDER}/SHA256SUMS", f"{ONE}  loki-linux-amd64.zip\n")
    assert lock(mirrors=[f"{mirror}/first", f"{mirror}/second/"])["changed"]


def test_checksums_of_single_archives_are_read_when_there_is_no_list(
    publish: Callable, lock: Callable
) -> None:
    folder = "github.com/open-telemetry/opentelemetry-collector-releases/releases/download/v0.158.0"
    publish(f"{folder}/otelcol-contrib_0.158.0_linux_amd64.tar.gz.sha256", ONE)
    result = lock(name="otel_collector", version="0.158.0")
    assert {name: entry["sha256"] for name, entry in result["archives"].items()} == {
        "amd64": ONE
    }
    folder = "dl.grafana.com/grafana/release/13.2.3"
    publish(f"{folder}/grafana_13.2.3_77_linux_arm64.tar.gz.sha256", f"{TWO}\n")
    assert lock(name="grafana", version="13.2.3", build="77")["archives"].keys() == {
        "arm64"
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "",
            "no checksum is published for amd64, arm64 .*SHA256SUMS: HTTP 404",
            id="no file",
        ),
        pytest.param(
            "<html>Sign in</html>", "no checksum is published", id="an HTML page"
        ),
        pytest.param(
            f"{ONE}  promtail-linux-amd64.zip\n",
            "no checksum is published",
            id="another archive",
        ),
    ],
)
def test_a_release_without_a_published_checksum_is_refused(
    tmp_path: Path, publish: Callable, lock: Callable, content: str, message: str
) -> None:
    if content:
        publish(f"{FOLDER}/SHA256SUMS", content)
    with pytest.raises(ReleaseError, match=message):
        lock()
    assert not (tmp_path / "lock.yml").exists()


def test_a_mirror_that_fails_is_named(
    mirror: str, publish: Callable, lock: Callable
) -> None:
    publish(f"{FOLDER}/SHA256SUMS", f"{ONE}  loki-linux-amd64.zip\n")
    for url, reason in (
        (f"{mirror}/broken", "HTTP 503"),
        ("http://127.0.0.1:9", "refused"),
        ("nonsense", "unknown url type"),
    ):
        with pytest.raises(ReleaseError, match=f"{url}/github.com.*{reason}"):
            lock(mirrors=[url, mirror])


def test_a_mirror_that_fails_does_not_spoil_the_others(
    mirror: str, publish: Callable, lock: Callable
) -> None:
    listed = f"{ONE}  loki-linux-amd64.zip\n{TWO}  loki-linux-arm64.zip\n"
    publish(f"page/{FOLDER}/SHA256SUMS", "<html>Sign in</html>")
    publish(f"double/{FOLDER}/SHA256SUMS", f"{listed}{TWO}  loki-linux-amd64.zip\n")
    publish(f"{FOLDER}/SHA256SUMS", listed)
    bad = [f"{mirror}/{name}" for name in ("broken", "page", "double", "missing")]
    result = lock(mirrors=["nonsense", "http://127.0.0.1:9", *bad, mirror])
    assert result["archives"]["amd64"] == {"url": URL, "sha256": ONE}
    assert result["archives"]["arm64"]["sha256"] == TWO


def test_the_size_is_locked_beside_the_checksum_and_kept(
    tmp_path: Path, mirror: str, publish: Callable, lock: Callable
) -> None:
    publish(f"{FOLDER}/SHA256SUMS", f"{ONE}  loki-linux-amd64.zip\n")
    publish(f"{FOLDER}/loki-linux-amd64.zip", "an archive")
    entry = {"url": URL, "sha256": ONE, "size": len("an archive")}
    mirrors = [f"{mirror}/broken", mirror]
    assert lock(mirrors=mirrors, architectures=["amd64"])["archives"]["amd64"] == entry
    archive = tmp_path / "mirror" / FOLDER / "loki-linux-amd64.zip"
    archive.unlink()
    again = lock(architectures=["amd64"])
    assert (again["changed"], again["archives"]["amd64"]) == (False, entry)
    # Another archive has another size, which nobody has told.
    publish(f"{FOLDER}/SHA256SUMS", f"{TWO}  loki-linux-amd64.zip\n")
    replaced = lock(architectures=["amd64"], replace=True)
    assert replaced["archives"]["amd64"] == {"url": URL, "sha256": TWO}


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({"Content-Range": "bytes 0-0/77", "Content-Length": "1"}, 77),
        ({"Content-Range": "bytes 0-0/*", "Content-Length": "1"}, 0),
        ({"Content-Length": "77"}, 77),
        ({"Content-Length": "77", "Content-Encoding": "gzip"}, 0),
        ({"Content-Length": "-77"}, 0),
        ({"Content-Length": "many"}, 0),
        ({}, 0),
    ],
)
def test_a_size_is_taken_from_what_a_server_tells(
    headers: dict[str, str], size: int
) -> None:
    assert upstream_checksums._told_size(headers) == size


def test_the_documented_choices_are_the_known_releases() -> None:
    documentation = Path(release_lock.__file__).with_suffix(".yml")
    written = yaml.safe_load(documentation.read_text(encoding="utf-8"))
    options = written["DOCUMENTATION"]["options"]
    assert options["name"]["choices"] == release_lock.OPTIONS["name"]["choices"]
    assert options.keys() == release_lock.OPTIONS.keys()
