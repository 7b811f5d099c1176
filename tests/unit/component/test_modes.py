# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners and modes of everything that a rollout writes are observed and given back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    layout,
    status,
)
from tests.unit.component.fake_host import FakeHost

# The same host and options as for undisturbed rollouts.
from tests.unit.component.test_transaction import options  # noqa: F401

STRANGER = 1000


@pytest.fixture
def rolled_out(host: FakeHost, options: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    """Return the options of a component that is on the host."""
    options = {
        **options,
        "config": [
            {"path": "loki.yml", "content": "a: 1\n"},
            {"path": "rules/own/a.yml", "content": "b: 1\n"},
        ],
        "scripts": [{"path": "tools/sweep", "content": "#!/bin/sh\n"}],
        "secrets": {"password": "s3cret"},
    }
    host.good(options)
    return options


def managed() -> Iterator[Path]:
    """Yield every path that a rollout has written and whose mode counts."""
    current = Path(os.path.realpath(layout.current("loki")))
    release = Path(os.path.realpath(current / "release"))
    for top in (current, release):
        yield top
        yield from (path for path in top.rglob("*") if not path.is_symlink())
    for name in (layout.BASE, layout.COMPONENTS, layout.RELEASES, layout.RUN):
        yield Path(name)
    yield Path(layout.component("loki"))
    yield Path(layout.generations("loki"))
    yield Path(layout.owner("loki"))
    yield Path(layout.FINGERPRINT_KEY)


def test_no_change_of_a_mode_goes_unnoticed(
    host: FakeHost,
    rolled_out: dict[str, Any],
) -> None:
    paths = list(managed())
    assert len(paths) > 18
    for path in paths:
        mode = path.stat().st_mode & 0o777
        for changed in (mode | 0o022, mode & 0o700):
            if changed == mode:
                continue
            path.chmod(changed)
            assert host.good(rolled_out, check=True).changed, (path, oct(changed))
            path.chmod(mode)
        assert host.good(rolled_out, check=True).changed is False, path


def test_no_change_of_an_owner_goes_unnoticed(
    host: FakeHost,
    rolled_out: dict[str, Any],
) -> None:
    for path in managed():
        owner = path.stat()
        for changed in ((STRANGER, owner.st_gid), (owner.st_uid, STRANGER)):
            os.chown(path, *changed)
            assert host.good(rolled_out, check=True).changed, (path, changed)
            os.chown(path, owner.st_uid, owner.st_gid)
        assert host.good(rolled_out, check=True).changed is False, path


def test_the_next_run_gives_all_modes_and_owners_back(
    host: FakeHost,
    rolled_out: dict[str, Any],
) -> None:
    before = host.tree()
    for path in list(managed()):
        os.chown(path, STRANGER, STRANGER)
        path.chmod(0o777)
    host.good(rolled_out)
    assert {
        path: text for path, text in host.tree().items() if "/edited" not in path
    } == before
    assert host.good(rolled_out).changed is False


@pytest.mark.parametrize(
    ("path", "action", "reason"),
    [
        ("etc", "reload", "etc/ was changed manually"),
        ("etc/rules/own", "reload", "etc/rules/own/ was changed manually"),
        (".", "switch", "./ was changed manually"),
        ("bin/tools", "switch", "bin/tools/ was changed manually"),
        ("manifest.json", "switch", "manifest.json was changed manually"),
        ("../..", "switch", "loki has another owner or mode"),
        ("release", "restart", "the unpacked release is damaged"),
    ],
)
def test_a_changed_mode_is_a_reason(
    host: FakeHost,
    rolled_out: dict[str, Any],
    path: str,
    action: str,
    reason: str,
) -> None:
    current = Path(os.path.realpath(layout.current("loki")))
    Path(os.path.realpath(current / path)).chmod(0o700)
    planned = host.good(rolled_out, check=True)
    reasons = " ".join(planned.values["instances"]["loki"]["reasons"])
    assert (planned.action, reason in reasons) == (action, True)


def test_a_link_to_another_disk_is_no_change(
    host: FakeHost,
    rolled_out: dict[str, Any],
    tmp_path: Path,
) -> None:
    Path(layout.BASE).rename(tmp_path / "disk")
    Path(layout.BASE).symlink_to(tmp_path / "disk")
    assert host.good(rolled_out).changed is False
    (tmp_path / "disk/components").chmod(0o777)
    assert host.good(rolled_out).action == "switch"
    assert (tmp_path / "disk/components").stat().st_mode & 0o777 == 0o755


def test_the_status_names_a_changed_mode(
    host: FakeHost,
    rolled_out: dict[str, Any],
) -> None:
    Path(os.path.realpath(layout.current("loki")), "etc/rules").chmod(0o700)
    Path(layout.generations("loki")).chmod(0o777)
    drift = status.status({"expected": None}, False)["instances"]["loki"]["drift"]
    assert f"{layout.etc('loki')}/rules/ was changed manually" in drift
    assert f"{layout.generations('loki')} has another owner or mode" in drift


def test_a_data_directory_that_everybody_may_write_is_closed(
    host: FakeHost,
    rolled_out: dict[str, Any],
) -> None:
    data = Path(layout.data("loki"))
    before = data.stat()
    data.chmod(0o757)
    assert host.good(rolled_out).action == "switch"
    after = data.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_mode & 0o777 == 0o755
    assert host.good(rolled_out).changed is False
