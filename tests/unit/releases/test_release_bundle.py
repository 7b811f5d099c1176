# SPDX-License-Identifier: GPL-3.0-or-later
"""The module release_bundle against a mirror on the loopback address."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.module_utils.component.component_errors import (
    ComponentError,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.upstream_releases import (
    ReleaseError,
)
from ansible_collections.hippius.monitoring.plugins.modules import release_bundle
from tests.unit.component.conftest import Web, web

__all__ = ["web"]
CONTENT = b"an archive" * 1000
NAME = "releases.example/loki/loki-linux-amd64.zip"
LOCK = {
    "loki": {
        "3.7.8": {
            "amd64": {
                "url": f"https://{NAME}",
                "sha256": hashlib.sha256(CONTENT).hexdigest(),
            }
        }
    }
}
Collect = Callable[..., dict]


@pytest.fixture
def collect(tmp_path: Path, web: Web) -> Collect:
    """Return a function that runs the module with a fake AnsibleModule."""
    web.answers = [web.file(CONTENT)]

    def run(check_mode: bool = False, **changes: object) -> dict:
        params = {
            "path": str(tmp_path / "bundle"),
            "releases": LOCK,
            "architectures": None,
            "mirrors": [web.url],
        }
        module = SimpleNamespace(
            params={**params, **changes},
            check_mode=check_mode,
            tmpdir=str(tmp_path),
            atomic_move=os.replace,
        )
        return release_bundle.collect(module)

    return run


def test_a_bundle_is_a_mirror_with_its_lock(
    tmp_path: Path, web: Web, collect: Collect
) -> None:
    result = collect()
    assert (result["changed"], result["archives"], result["downloaded"]) == (
        True,
        [NAME],
        [NAME],
    )
    assert web.requests == [(f"/{NAME}", None)]
    assert (tmp_path / "bundle" / NAME).read_bytes() == CONTENT
    assert yaml.safe_load(Path(result["lock"]).read_text()) == LOCK
    assert sorted(
        path.name for path in (tmp_path / "bundle").rglob("*") if path.is_file()
    ) == [
        "loki-linux-amd64.zip",
        "releases.lock.yml",
    ]


def test_a_second_run_verifies_and_downloads_nothing(
    tmp_path: Path, web: Web, collect: Collect
) -> None:
    collect()
    before = {path: path.stat() for path in (tmp_path / "bundle").rglob("*")}
    result = collect()
    assert (result["changed"], result["downloaded"], len(web.requests)) == (
        False,
        [],
        1,
    )
    assert {path: path.stat() for path in (tmp_path / "bundle").rglob("*")} == before


def test_check_mode_reports_and_writes_nothing(
    tmp_path: Path, web: Web, collect: Collect
) -> None:
    result = collect(check_mode=True)
    assert (result["changed"], result["downloaded"], web.requests) == (True, [NAME], [])
    assert not (tmp_path / "bundle").exists()


def test_the_download_of_a_killed_run_is_resumed(
    tmp_path: Path, web: Web, collect: Collect
) -> None:
    path = tmp_path / "bundle" / NAME
    path.parent.mkdir(parents=True)
    path.with_name(path.name + ".part").write_bytes(CONTENT[:4000])
    collect()
    assert web.requests == [(f"/{NAME}", "bytes=4000-")]
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == [path.name]


def test_a_damaged_archive_is_downloaded_again(
    tmp_path: Path, collect: Collect
) -> None:
    collect()
    (tmp_path / "bundle" / NAME).write_bytes(b"half an archive")
    assert collect()["downloaded"] == [NAME]
    assert (tmp_path / "bundle" / NAME).read_bytes() == CONTENT


def test_an_archive_with_another_checksum_is_refused(
    tmp_path: Path, web: Web, collect: Collect
) -> None:
    web.answers = [web.file(b"<html>Sign in")]
    with pytest.raises(
        ComponentError, match=f"{web.url}/{NAME}: SHA-256 is .*, expected .*HTML page"
    ):
        collect()
    assert [path for path in (tmp_path / "bundle").rglob("*") if path.is_file()] == []


def test_an_architecture_without_a_checksum_is_refused_in_one_line(
    collect: Collect,
) -> None:
    with pytest.raises(
        ReleaseError, match=r"Release loki 3\.7\.8 on arm64: .*lock"
    ) as refused:
        collect(architectures=["amd64", "arm64"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("architectures", "is_named"), [(None, True), (["amd64"], False)]
)
def test_a_mirror_without_an_archive_names_the_variable_that_omits_architectures(
    web: Web, collect: Collect, architectures: list[str] | None, is_named: bool
) -> None:
    web.answers = [web.status(404)]
    with pytest.raises(ComponentError) as refused:
        collect(architectures=architectures)
    assert "HTTP 404" in str(refused.value)
    hint = "-e monitoring_bundle_architectures=amd64 omits other architectures."
    assert str(refused.value).endswith(hint) == is_named
