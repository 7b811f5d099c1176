#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collect the archives of locked releases in one directory."""

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

from ..module_utils import upstream_releases
from ..module_utils.component import download, files
from ..module_utils.component.component_errors import ComponentError

HEADER = """\
---
# Releases of this bundle; set monitoring_releases_lock to this file.
# yamllint disable rule:line-length
"""
OPTIONS = {
    "path": {"type": "path", "required": True},
    "releases": {"type": "dict", "required": True},
    "architectures": {
        "type": "list",
        "elements": "str",
        "choices": ["amd64", "arm64"],
    },
    "mirrors": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    if YAML_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_ERROR)
    try:
        module.exit_json(**collect(module))
    except OSError as error:
        reason = f"{error.strerror or error}; choose another directory"
        module.fail_json(msg=f"{error.filename or module.params['path']}: {reason}.")
    except (
        upstream_releases.ReleaseError,
        ComponentError,
        yaml.YAMLError,
    ) as error:
        module.fail_json(msg=str(error))


def collect(module: AnsibleModule) -> dict[str, Any]:
    """Update the directory and its lock file; return the module's values."""
    directory = module.params["path"]
    lock = upstream_releases.chosen(
        module.params["releases"], module.params["architectures"]
    )
    entries = {
        upstream_releases.mirror_path(entry["url"]): entry
        for entry in upstream_releases.entries_of(lock)
    }
    missing = [
        name
        for name, entry in sorted(entries.items())
        if not _is_intact(os.path.join(directory, name), entry)
    ]
    if not module.check_mode:
        _download_all(module, directory, {name: entries[name] for name in missing})
    path = os.path.join(directory, "releases.lock.yml")
    before = (files.read(path) or b"").decode("utf-8", "replace")
    after = HEADER + yaml.safe_dump(lock, sort_keys=True, width=1000)
    if before != after and not module.check_mode:
        _write(module, path, after)
    return {
        "changed": bool(missing) or before != after,
        "archives": sorted(entries),
        "downloaded": missing,
        "lock": path,
        "diff": {
            "before_header": path,
            "after_header": path,
            "before": before,
            "after": after,
        },
    }


def _is_intact(path: str, entry: upstream_releases.Archive) -> bool:
    return os.path.isfile(path) and download.sha256_of(path) == entry["sha256"]


def _download_all(
    module: AnsibleModule,
    directory: str,
    entries: dict[str, upstream_releases.Archive],
) -> None:
    """Download archives by their path in the directory; name the variable that selects some."""
    try:
        for name, entry in entries.items():
            _download(entry, os.path.join(directory, name), module.params["mirrors"])
    except ComponentError as error:
        if module.params["architectures"]:
            raise
        hint = "-e monitoring_bundle_architectures=amd64 omits other architectures"
        raise ComponentError(f"{str(error).removesuffix('.')}; {hint}.") from error


def _download(entry: upstream_releases.Archive, path: str, mirrors: list[str]) -> None:
    # Created here, since the rollout engine would give the directory to root.
    os.makedirs(os.path.dirname(path), exist_ok=True)
    urls = upstream_releases.mirrored(entry["url"], mirrors)
    download.fetch(urls, entry["sha256"], path, entry.get("size"))


def _write(module: AnsibleModule, path: str, content: str) -> None:
    temporary = os.path.join(module.tmpdir, "bundle.lock.yml")
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(content)
    module.atomic_move(temporary, os.path.abspath(path))


if __name__ == "__main__":
    main()
