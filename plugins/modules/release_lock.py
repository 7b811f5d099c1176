#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the published checksum of a release into a lock file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_lock
short_description: Lock a release to its published checksum
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Reads the checksum file that is published beside a release's archives and writes addresses and SHA-256 into a
    lock file, without which M(hippius.monitoring.component) refuses the release.
  - Runs where the lock file is, which is the controller. No archive is downloaded.
  - Other releases in the file stay as they are.
requirements:
  - PyYAML
attributes:
  check_mode:
    description: The checksums are read, and the file is left alone.
    support: full
  diff_mode:
    description: The lock file before and after.
    support: full
options:
  path:
    description: Lock file, made when it is not there.
    type: path
    required: true
  name:
    description: Release to lock.
    type: str
    required: true
    choices:
      - alertmanager
      - grafana
      - loki
      - node_exporter
      - otel_collector
      - postgres_exporter
      - prometheus
      - promtail
      - redis_exporter
      - tempo
  version:
    description: Version as upstream names it, without a leading C(v).
    type: str
    required: true
  build:
    description:
      - Number of the build, needed where it is part of the address (V(grafana)).
      - It stands in the name of the archive on Grafana's download page.
    type: str
  architectures:
    description: Architectures to lock. One that upstream does not publish is left out; one at least must be there.
    type: list
    elements: str
    default: [amd64, arm64]
  mirrors:
    description:
      - Mirrors to read the checksum file from, in turn. The address without its scheme is appended to each of them.
        V(upstream) stands for the published address, which alone is read when the list is empty.
      - The published address of the archive goes into the lock file all the same.
    type: list
    elements: str
    default: []
  replace:
    description:
      - Take a checksum that differs from the locked one.
      - A published archive should never change, so a difference is an error otherwise.
    type: bool
    default: false
seealso:
  - module: hippius.monitoring.component
"""

EXAMPLES = r"""
- name: Lock Loki
  hippius.monitoring.release_lock:
    path: inventories/prod/releases.lock.yml
    name: loki
    version: 3.7.8

- name: Lock Grafana
  hippius.monitoring.release_lock:
    path: inventories/prod/releases.lock.yml
    name: grafana
    version: 13.2.3
    build: "36482603486"
"""

RETURN = r"""
archives:
  description: For each architecture that is locked now its C(url) and C(sha256).
  returned: success
  type: dict
"""

import os
import traceback

try:
    import yaml
except ImportError:
    yaml = None
    YAML_ERROR = traceback.format_exc()
else:
    YAML_ERROR = None

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import upstream_checksums, upstream_releases

HEADER = """\
---
# Releases that may be rolled out, each archive with its published address and SHA-256. The lock playbook adds more.
# yamllint disable rule:line-length
"""
OPTIONS = {
    "path": {"type": "path", "required": True},
    "name": {"type": "str", "required": True, "choices": sorted(upstream_releases.SOURCES)},
    "version": {"type": "str", "required": True},
    "build": {"type": "str"},
    "architectures": {"type": "list", "elements": "str", "default": ["amd64", "arm64"]},
    "mirrors": {"type": "list", "elements": "str", "default": []},
    "replace": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    if yaml is None:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_ERROR)
    try:
        module.exit_json(**lock(module))
    except (upstream_releases.ReleaseError, OSError, yaml.YAMLError) as error:
        module.fail_json(msg=str(error))


def lock(module: AnsibleModule) -> dict:
    """Bring the lock file up to date; return the module's values."""
    path, name, version, build = (
        module.params[key] or "" for key in ("path", "name", "version", "build")
    )
    before = read(path)
    known = yaml.safe_load(before) or {}
    entries = upstream_checksums.archives(
        name, version, build, module.params["architectures"], module.params["mirrors"]
    )
    conflicts = upstream_releases.conflicts(known, name, version, entries)
    if conflicts and not module.params["replace"]:
        raise upstream_releases.ReleaseError(
            f"{'; '.join(conflicts)}. Nothing was changed; replace: true takes the new one."
        )
    desired = upstream_releases.merged(known, name, version, entries)
    after = (
        before
        if desired == known
        else HEADER + yaml.safe_dump(desired, sort_keys=False, width=1000)
    )
    if after != before and not module.check_mode:
        write(module, path, after)
    diff = {"before_header": path, "after_header": path, "before": before, "after": after}
    return {"changed": after != before, "archives": desired[name][version], "diff": diff}


def read(path: str) -> str:
    """Content of the lock file; nothing when it is not there."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def write(module: AnsibleModule, path: str, content: str) -> None:
    """Put the lock file in place by one rename."""
    temporary = os.path.join(module.tmpdir, "releases.lock.yml")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(content)
    module.atomic_move(temporary, os.path.abspath(path))


if __name__ == "__main__":
    main()
