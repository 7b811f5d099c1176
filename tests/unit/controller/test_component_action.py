# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugin of the component module adds on the controller."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ansible_collections.hippius.monitoring.plugins.action.component import ActionModule

NETWORKS = ["172.30.0.0/24"]


@pytest.fixture
def action() -> ActionModule:
    """Return a plugin whose templating changes nothing."""
    plugin = ActionModule.__new__(ActionModule)
    plugin._templar = SimpleNamespace(template=lambda value: value)
    return plugin


@pytest.mark.parametrize(
    ("variables", "exposure"),
    [
        pytest.param({}, None, id="no environment"),
        pytest.param({"monitoring_environment": "dev"}, None, id="dev"),
        pytest.param(
            {"monitoring_environment": "prod"},
            {"networks": [], "addresses": []},
            id="prod",
        ),
        pytest.param(
            {
                "monitoring_environment": "staging",
                "monitoring_plaintext_networks": "172.30.0.0/24",
                "monitoring_open_addresses": ["0.0.0.0:1514"],
            },
            {"networks": NETWORKS, "addresses": ["0.0.0.0:1514"]},
            id="networks and addresses",
        ),
    ],
)
def test_programs_are_limited_to_what_the_inventory_allows_outside_of_dev(
    action: ActionModule, variables: dict[str, Any], exposure: dict[str, Any] | None
) -> None:
    assert action._exposure(variables) == exposure


def test_archives_have_the_checksum_and_the_size_of_the_lock(
    action: ActionModule, tmp_path: Path
) -> None:
    entries = {"amd64": {"url": "https://up.example/loki.zip", "sha256": "1" * 64}}
    entries["arm64"] = {**entries["amd64"], "size": 77}
    lock = tmp_path / "lock.yml"
    lock.write_text(yaml.safe_dump({"loki": {"3.7.8": entries}}))
    release: dict[str, Any] = {"name": "loki", "version": "3.7.8"}
    variables = {
        "monitoring_releases_lock": str(lock),
        "monitoring_mirrors": ["http://m"],
    }
    action._add_archives(release, variables)
    urls = ["http://m/up.example/loki.zip"]
    assert release["archives"] == {
        "amd64": {"urls": urls, "sha256": "1" * 64},
        "arm64": {"urls": urls, "sha256": "1" * 64, "size": 77},
    }
