#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collect the archives of locked releases in one folder."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_bundle
short_description: Collect the archives of locked releases in one folder
version_added: 0.1.0
author:
  - Hippius (@hippius)
description:
  - Downloads archives into a folder that is laid out like a mirror, each verified by the SHA-256 that the lock has,
    and writes a lock file of just these releases beside them.
  - The folder works as C(monitoring_archives_dir), from which archives are pushed, and as a mirror when any web server
    serves it.
  - An archive that is there already is verified and left alone. A run that was killed is finished by the next one,
    which resumes what was half downloaded. Archives that are no longer asked for stay.
  - Runs where the folder is, which is the controller.
requirements:
  - PyYAML
attributes:
  check_mode:
    description: Archives that are there are verified, and nothing is downloaded.
    support: full
  diff_mode:
    description: The lock file before and after.
    support: full
options:
  path:
    description: Folder, made when it is not there.
    type: path
    required: true
  releases:
    description: What to collect, as a lock file has it, by name, version and architecture with C(url) and C(sha256).
    type: dict
    required: true
  architectures:
    description:
      - Architectures to collect. Each release must be locked for all of them.
      - Without it, every architecture that a release is locked for is collected.
    type: list
    elements: str
  mirrors:
    description:
      - Mirrors to download from, in turn. The address without its scheme is appended to each of them.
        V(upstream) stands for the published address, which alone is used when the list is empty.
    type: list
    elements: str
    default: []
seealso:
  - module: hippius.monitoring.release_lock
  - module: hippius.monitoring.component
"""

EXAMPLES = r"""
- name: Collect what the inventory rolls out
  hippius.monitoring.release_bundle:
    path: /srv/bundle
    releases: "{{ lookup('hippius.monitoring.components', 'releases') }}"
    architectures: [amd64]
"""

RETURN = r"""
archives:
  description: Path of each archive below the folder.
  returned: success
  type: list
  elements: str
downloaded:
  description: Those that this run downloaded, or would have.
  returned: success
  type: list
  elements: str
lock:
  description: Path of the lock file.
  returned: success
  type: str
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

from ..module_utils import upstream_releases
from ..module_utils.component import download, files
from ..module_utils.component.component_errors import ComponentError

HEADER = "---\n# What this bundle holds: name it as monitoring_releases_lock.\n# yamllint disable rule:line-length\n"
OPTIONS = {
    "path": {"type": "path", "required": True},
    "releases": {"type": "dict", "required": True},
    "architectures": {"type": "list", "elements": "str"},
    "mirrors": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    if yaml is None:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_ERROR)
    try:
        module.exit_json(**collect(module))
    except (upstream_releases.ReleaseError, ComponentError, OSError, yaml.YAMLError) as error:
        module.fail_json(msg=str(error))


def collect(module: AnsibleModule) -> dict:
    """Bring the folder up to date; return the module's values."""
    folder, mirrors = module.params["path"], module.params["mirrors"]
    desired = upstream_releases.chosen(module.params["releases"], module.params["architectures"])
    entries = {
        upstream_releases.mirror_path(entry["url"]): entry
        for entry in upstream_releases.entries_of(desired)
    }
    paths = {name: os.path.join(folder, name) for name in entries}
    missing = [
        name for name, path in sorted(paths.items()) if not _there(path, entries[name]["sha256"])
    ]
    for name in missing:
        if not module.check_mode:
            # Made here, since the engine's own directories are root's.
            os.makedirs(os.path.dirname(paths[name]), exist_ok=True)
            download.fetch(
                upstream_releases.mirrored(entries[name]["url"], mirrors),
                entries[name]["sha256"],
                paths[name],
            )
    lock = os.path.join(folder, "releases.lock.yml")
    before = (files.read(lock) or b"").decode("utf-8", "replace")
    after = HEADER + yaml.safe_dump(desired, sort_keys=True, width=1000)
    if before != after and not module.check_mode:
        _write(module, lock, after)
    diff = {"before_header": lock, "after_header": lock, "before": before, "after": after}
    changed = bool(missing) or before != after
    return {
        "changed": changed,
        "archives": sorted(paths),
        "downloaded": missing,
        "lock": lock,
        "diff": diff,
    }


def _there(path: str, sha256: str) -> bool:
    return os.path.isfile(path) and download.sha256_of(path) == sha256


def _write(module: AnsibleModule, path: str, content: str) -> None:
    temporary = os.path.join(module.tmpdir, "bundle.lock.yml")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(content)
    module.atomic_move(temporary, os.path.abspath(path))


if __name__ == "__main__":
    main()
