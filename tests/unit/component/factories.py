# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances and observed states that the tests of the engine start from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    manifest,
    spec,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.component.observed_state import (
    ObservedState,
    Unit,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    desired_instances,
)

if TYPE_CHECKING:
    from ansible_collections.hippius.monitoring.plugins.module_utils.component.manifest import (
        Manifest,
    )

KEY = b"the host's own key"
FACTS = {"python": "/usr/bin/python3", "user_namespaces": True}
SHA256 = "0123456789abcdef" * 4
RELEASE = {
    "name": "loki",
    "version": "3.7.8",
    "archives": {"amd64": {"urls": ["http://mirror/loki"], "sha256": SHA256}},
}
RELEASE_DIRECTORY = "loki-3.7.8-01234567"
CONFIG = [{"path": "loki-config.yml", "content": "a: 1\n"}]
RELOAD = {"url": "http://127.0.0.1/metrics", "success": "ok", "timestamp": "at"}


def options(**changes: Any) -> dict[str, Any]:
    """Return the module's options for a component of one instance."""
    required = {
        "name": "loki",
        "release": RELEASE,
        "command": ["{release}/loki", "-config.file={etc}/loki-config.yml"],
    }
    return {**required, "config": CONFIG, **changes}


def instance(**changes: Any) -> spec.Instance:
    """Return the first instance that these options describe, as it is on a host."""
    return instances(options(**changes))[0]


def instances(params: dict[str, Any], **facts: Any) -> list[spec.Instance]:
    """Return the instances that the controller describes, as they are on a host."""
    described = desired_instances.instances(params)
    return [spec.fitted(instance, {**FACTS, **facts}) for instance in described]


def built(
    desired: spec.Instance, release_directory: str = RELEASE_DIRECTORY
) -> Manifest:
    """Return the manifest of an instance."""
    return manifest.build(desired, release_directory, KEY)


def running(desired: spec.Instance, **changes: Any) -> ObservedState:
    """Return the observed state of a host since whose rollout nothing has happened."""
    manifest_of_desired = built(desired)
    name = "1-" + manifest_of_desired["id"]
    state = Unit(active="active", sub="running", main_pid=7, invocation="i")
    converged = ObservedState(
        current=name,
        manifest=manifest_of_desired,
        last_known_good=name,
        last_known_good_manifest=manifest_of_desired,
        running=name,
        running_unit=manifest_of_desired["unit"],
        running_manifest=manifest_of_desired,
        contents={
            path: file.content
            for path, file in desired.files.items()
            if not file.secret
        },
        units=dict.fromkeys(desired.units, state),
    )
    return replace(converged, **changes)
