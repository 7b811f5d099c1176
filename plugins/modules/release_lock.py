#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the published checksums of a release into a lock file."""

from __future__ import annotations

import os
import traceback
from typing import Any

YAML_ERROR: str | None = None
try:
    import yaml
except ImportError:
    YAML_ERROR = traceback.format_exc()

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import upstream_checksums, upstream_releases
from ..module_utils.upstream_releases import ReleaseError

HEADER = """\
---
# Releases that may be rolled out, with the URL and SHA-256 of each archive.
# The playbook lock adds releases.
# yamllint disable rule:line-length
"""
OPTIONS = {
    "path": {"type": "path", "required": True},
    "name": {
        "type": "str",
        "required": True,
        "choices": sorted(upstream_releases.SOURCES),
    },
    "version": {"type": "str", "required": True},
    "build": {"type": "str"},
    "architectures": {"type": "list", "elements": "str", "default": ["amd64", "arm64"]},
    "mirrors": {"type": "list", "elements": "str", "default": []},
    "replace": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    if YAML_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_ERROR)
    try:
        module.exit_json(**lock(module))
    except (ReleaseError, OSError, yaml.YAMLError) as error:
        module.fail_json(msg=str(error))


def lock(module: AnsibleModule) -> dict[str, Any]:
    """Update the lock file; return the module's values."""
    params = module.params
    path, name, version = params["path"], params["name"], params["version"]
    before = read(path)
    locked = yaml.safe_load(before) or {}
    entries = upstream_checksums.archives(
        name, version, params["build"] or "", params["architectures"], params["mirrors"]
    )
    conflicts = upstream_releases.conflicts(locked, name, version, entries)
    if conflicts and not params["replace"]:
        raise ReleaseError(
            f"{', '.join(conflicts)}; nothing was changed, replace: true takes the published one."
        )
    desired = upstream_releases.merged(locked, name, version, entries)
    after = before
    if desired != locked:
        after = HEADER + yaml.safe_dump(desired, sort_keys=False, width=1000)
    if after != before and not module.check_mode:
        write(module, path, after)
    return {
        "changed": after != before,
        "archives": desired[name][version],
        "diff": {
            "before_header": path,
            "after_header": path,
            "before": before,
            "after": after,
        },
    }


def read(path: str) -> str:
    """Return the content of the lock file, empty when it is missing."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def write(module: AnsibleModule, path: str, content: str) -> None:
    """Replace the lock file by one rename."""
    temporary = os.path.join(module.tmpdir, "releases.lock.yml")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(content)
    module.atomic_move(temporary, os.path.abspath(path))


if __name__ == "__main__":
    main()
