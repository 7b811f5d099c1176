# SPDX-License-Identifier: GPL-3.0-or-later
"""Print how many bytes Ansible sends to a host for a module: `python -m tests.benchmarks.payload`.

Ansible packs a module with all of module_utils that it imports; the host unpacks and compiles that
in each run. For each module: bytes of the packed files as they are, and zipped.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "component_rollout",
    "component_rollback",
    "component_removal",
    "component_observation",
    "component_status",
    "grafana_content",
    "grafana_datasource",
)
# The wrapper holds the archive as one quoted string.
ARCHIVE = re.compile(rb"[\"']([A-Za-z0-9+/=]{1000,})[\"']")


class Payload(NamedTuple):
    """Bytes of our files, of all files, of all files zipped, and the number of files."""

    ours: int
    total: int
    zipped: int
    files: int


def archive_of(module: str) -> zipfile.ZipFile:
    """Return the archive that Ansible makes of a module and its utilities."""
    from ansible.executor.module_common import modify_module
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar

    path = (
        ROOT
        / f"collections/ansible_collections/hippius/monitoring/plugins/modules/{module}.py"
    )
    built = modify_module(
        module_name=f"ansible_collections.hippius.monitoring.plugins.modules.{module}",
        module_path=str(path),
        module_args={},
        templar=Templar(loader=DataLoader()),
        module_compression="ZIP_DEFLATED",
        task_vars={"ansible_python_interpreter": "/usr/bin/python3"},
    )
    data = built.b_module_data if hasattr(built, "b_module_data") else built[0]
    found = ARCHIVE.search(data)
    if found is None:
        raise SystemExit(f"{module}: Ansible's wrapper holds no archive")
    return zipfile.ZipFile(io.BytesIO(base64.b64decode(found.group(1))))


def measure() -> dict[str, Payload]:
    """Return what Ansible sends for each module."""
    sys.path.insert(0, str(ROOT / "collections"))
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / "collections")
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([str(ROOT / "collections")])
    payloads = {}
    for module in MODULES:
        members = archive_of(module).infolist()
        ours = [member for member in members if "hippius" in member.filename]
        payloads[module] = Payload(
            sum(member.file_size for member in ours),
            sum(member.file_size for member in members),
            sum(member.compress_size for member in members),
            len(members),
        )
    return payloads


def main() -> int:
    """Print a line for each module."""
    print("module                ours, bytes  all, bytes  zipped, bytes  files")
    for module, sizes in measure().items():
        ours, total, zipped, files = sizes
        print(f"{module:21} {ours:11}  {total:10}  {zipped:13}  {files:5}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
