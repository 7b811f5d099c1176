# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances and observations that the tests of the engine start from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.hippius.monitoring.plugins.module_utils.component import manifest, spec
from ansible_collections.hippius.monitoring.plugins.module_utils.component.rollout_plan import (
    ObservedState,
    Unit,
)

KEY = b"the host's own key"
SHA256 = "0123456789abcdef" * 4
RELEASE = {
    "name": "loki",
    "version": "3.7.8",
    "archives": {"amd64": {"urls": ["http://mirror/loki"], "sha256": SHA256}},
}
RELEASE_DIRECTORY = "loki-3.7.8-01234567"
CONFIG = [{"path": "loki-config.yml", "content": "a: 1\n"}]
RELOAD = {"url": "http://127.0.0.1/metrics", "success": "ok", "timestamp": "at"}


def options(**changes: Any) -> dict:
    """Options of the module for a component of one instance."""
    own = {
        "name": "loki",
        "release": RELEASE,
        "command": ["{release}/loki", "-config.file={etc}/loki-config.yml"],
    }
    return {**own, "config": CONFIG, **changes}


def instance(**changes: Any) -> spec.Instance:
    """The first instance that these options ask for."""
    return spec.instances(options(**changes))[0]


def built(desired: spec.Instance, release_directory: str = RELEASE_DIRECTORY) -> dict:
    """The manifest of an instance."""
    return manifest.build(desired, release_directory, KEY)


def running(desired: spec.Instance, **changes: Any) -> ObservedState:
    """What is seen of a host on which an instance was rolled out and nothing happened since."""
    known = built(desired)
    name = "1-" + known["id"]
    state = Unit(active="active", sub="running", main_pid=7, invocation="i")
    told = ObservedState(
        current=name,
        manifest=known,
        last_known_good=name,
        last_known_good_manifest=known,
        running=name,
        running_unit=known["unit"],
        running_manifest=known,
        contents={path: entry.content for path, entry in desired.files.items() if not entry.secret},
        units=dict.fromkeys(desired.units, state),
    )
    return replace(told, **changes)
