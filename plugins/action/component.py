# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the component module needs from the controller: the release's lock entry, files, archives."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils import releases

COLLECTION = Path(__file__).resolve().parents[2]
# Every task would read and parse the lock again otherwise.
_locks: dict = {}


class ActionModule(ActionBase):
    """Fill in what the module cannot see from the host, and bring an archive when the host lacks it."""

    # With True, Ansible would make a directory on the host for each task, which costs three round trips.
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        """Run the module once, and once more when it asks for an archive."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = plain(self._task.args)
        args["holder"] = holder()
        args.setdefault("adopt", self._templar.template(task_vars.get("monitoring_adopt") or False))
        for item in _files_of(args):
            self._read_source(item)
        release = args.get("release")
        if isinstance(release, dict) and args.get("state", "present") == "present":
            self._lock(release, task_vars)
        result = self._execute(args, task_vars)
        if result.get("archive_wanted") and not result.get("failed"):
            return self._push(args, task_vars, result["archive_wanted"])
        return result

    def _execute(self, args: dict, task_vars: dict) -> dict:
        return self._execute_module(
            module_name="hippius.monitoring.component",
            module_args=args,
            task_vars=task_vars,
            wrap_async=self._task.async_val,
        )

    def _read_source(self, item: dict) -> None:
        """Put a file of the controller in place of ``source``, byte for byte and never through Jinja."""
        source = item.pop("source", None)
        if source:
            path = self._find_needle("files", source)
            item["content"] = Path(path).read_bytes().decode("utf-8", "surrogateescape")
        elif isinstance(item.get("content"), (dict, list)):
            item["content"] = yaml.safe_dump(item["content"], sort_keys=False, allow_unicode=True, width=160)

    def _lock(self, release: dict, task_vars: dict) -> None:
        """Add the release's archives to the module's arguments, with the addresses to try."""
        wanted = self._templar.template(
            task_vars.get("monitoring_releases_lock") or str(COLLECTION / "releases.lock.yml")
        )
        paths = [wanted] if isinstance(wanted, str) else list(wanted)
        mirrors = plain(self._templar.template(task_vars.get("monitoring_mirrors") or []))
        found: dict = {}
        for path in paths:
            found.update(releases.archives(read_lock(str(path)), release.get("name"), str(release.get("version"))))
        release["archives"] = {
            architecture: {"urls": releases.mirrored(entry["url"], mirrors), "sha256": entry["sha256"]}
            for architecture, entry in found.items()
        }
        folder = self._templar.template(task_vars.get("monitoring_archives_dir") or "")
        self._pushable = {
            architecture: os.path.join(folder, releases.mirror_path(entry["url"]))
            for architecture, entry in found.items()
            if folder and os.path.isfile(os.path.join(folder, releases.mirror_path(entry["url"])))
        }
        release["pushable"] = sorted(self._pushable)

    def _push(self, args: dict, task_vars: dict, architecture: str) -> dict:
        directory = self._make_tmp_path()
        try:
            remote = self._connection._shell.join_path(directory, "archive")
            self._transfer_file(self._pushable[architecture], remote)
            self._fixup_perms2((directory, remote))
            args["release"] = {**args["release"], "pushed": remote}
            return self._execute(args, task_vars)
        finally:
            self._remove_tmp_path(directory)


def read_lock(path: str) -> dict:
    """A release lock file, parsed once for each of its versions."""
    try:
        key = (path, os.stat(path).st_mtime_ns)
        if key not in _locks:
            _locks[key] = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise AnsibleActionFail(f"monitoring_releases_lock: {path} cannot be read: {error}") from error
    return _locks[key]


def holder() -> str:
    """Who runs this, for the message to others that find the component locked."""
    return f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}"


def plain(value: Any) -> Any:
    """Ansible's own strings and containers as Python's, which is what a YAML writer and JSON take."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        # Texts of ansible-core before 2.19 keep their mark through their own str().
        return str.__str__(value)
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return None if value is None else str(value)


def _files_of(args: dict) -> list:
    """Every item of ``config`` and ``programs``, those of the instances included."""
    owners = [args, *(args.get("instances") or [])]
    lists = [owner.get(key) or [] for owner in owners if isinstance(owner, dict) for key in ("config", "programs")]
    return [item for items in lists if isinstance(items, list) for item in items if isinstance(item, dict)]
