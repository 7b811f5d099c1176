# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest that cannot be read never leads to a removal of what runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import layout
from tests.unit.component.fake_host import FakeHost

# The same host and options as for undamaged rollouts.
from tests.unit.component.test_transaction import config, options  # noqa: F401

BAD = "start: refuse\nreload: refuse\n"


def empty(manifest: Path) -> None:
    manifest.write_bytes(b"")


def cut(manifest: Path) -> None:
    manifest.write_bytes(manifest.read_bytes()[:40])


def from_an_older_release(manifest: Path) -> None:
    """An engine that computed the identity in another way wrote it."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["id"] = "0" * 12
    del content["reload"]
    manifest.write_text(json.dumps(content), encoding="utf-8")


def from_a_newer_release(manifest: Path) -> None:
    content = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**content, "format": 99}), encoding="utf-8")


def missing(manifest: Path) -> None:
    manifest.unlink()


DAMAGES = (empty, cut, from_an_older_release, from_a_newer_release, missing)


def manifests(name: str = "loki") -> list[Path]:
    return sorted(Path(layout.generations(name)).glob("*/manifest.json"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reach", ["current", "all"])
def test_a_refused_rollout_keeps_the_service_whose_manifest_is_unreadable(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    damage: Callable[[Path], None],
    reach: str,
) -> None:
    host.good(options, config=config("a: 0\n"))
    host.good(options)
    current = Path(layout.current("loki")).resolve() / "manifest.json"
    for manifest in [current] if reach == "current" else manifests():
        damage(manifest)
    refused = host.run(options, config=config(BAD))
    assert refused.error
    assert host.unit("loki.service")["active"] == "active"
    assert host.loaded()["loki.yml"] in ("a: 1\n", "a: 0\n")
    assert Path(layout.etc("loki")).exists()
    assert Path(layout.current("loki")).is_dir()
    host.good(options)
    assert host.loaded() == {"loki.yml": "a: 1\n"}
    assert host.good(options).changed is False


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_rollout_repairs_an_unreadable_manifest(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    damage: Callable[[Path], None],
) -> None:
    host.good(options)
    for manifest in manifests():
        damage(manifest)
    assert host.good(options, check=True).changed
    host.good(options)
    assert host.unit("loki.service")["active"] == "active"
    assert host.good(options).changed is False


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_instance_with_an_unreadable_manifest_still_belongs_to_its_component(
    host: FakeHost,
    options: dict[str, Any],  # noqa: F811
    damage: Callable[[Path], None],
) -> None:
    host.good(options, instances=[{"name": "main"}, {"name": "side"}])
    for manifest in manifests("loki-side"):
        damage(manifest)
    removed = host.good(options, instances=[{"name": "main"}])
    assert removed.values["instances"]["loki-side"]["action"] == "remove"
    assert host.unit("loki-side.service")["active"] == "inactive"
    assert not Path(layout.component("loki-side")).exists()
