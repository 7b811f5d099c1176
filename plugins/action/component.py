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
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ..module_utils import upstream_releases
from ..plugin_utils import lock_files, pinned_releases

VAULT_HEADER = b"$ANSIBLE_VAULT;"
ARCHITECTURES = ("amd64", "arm64")


class ActionModule(ActionBase):
    """Fill in what the module cannot see from the host, and bring an archive when the host lacks it."""

    # With True, Ansible would make a directory on the host for each task, which costs three round trips.
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        """Run the module once, and once more when it asks for an archive."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        self._notices: list = []
        args = plain(self._task.args)
        args["lock_owner"] = lock_owner()
        args.setdefault("adopt", self._templar.template(task_vars.get("monitoring_adopt") or False))
        for owner, key, item in _files_of(args):
            self._read_source(owner, key, item)
        release = args.get("release")
        if isinstance(release, dict) and args.get("state", "present") == "present":
            self._lock(release, task_vars)
        result = self._execute(args, task_vars)
        if result.get("archive_wanted") and not result.get("failed"):
            result = self._push(args, task_vars, result["archive_wanted"])
        notices = [*self._notices, *(result.get("notices") or [])]
        if notices:
            result["warnings"] = [*result.get("warnings", []), *notices]
        return result

    def _execute(self, args: dict, task_vars: dict) -> dict:
        return self._execute_module(
            module_name="hippius.monitoring.component",
            module_args=args,
            task_vars=task_vars,
            wrap_async=self._task.async_val,
        )

    def _read_source(self, owner: dict, key: str, item: dict) -> None:
        """Put a file of the controller in place of ``source``, byte for byte and never through Jinja.

        A file that Ansible Vault encrypted becomes one of the secrets, which are never shown.
        """
        source = item.pop("source", None)
        if isinstance(item.get("content"), (dict, list)) and not source:
            item["content"] = yaml.safe_dump(
                item["content"], sort_keys=False, allow_unicode=True, width=160
            )
        if not source:
            return
        try:
            path = Path(self._find_needle("files", source))
            content = path.read_bytes()
            secret = key == "config" and content.startswith(VAULT_HEADER)
            content = self._decrypted(path) if secret else content
        except (AnsibleError, OSError) as error:
            raise AnsibleActionFail(
                f"{source}, which is to be rolled out, cannot be read: {error}"
            ) from error
        text = content.decode("utf-8", "surrogateescape")
        if secret:
            owner[key].remove(item)
            owner["secrets"] = {**(owner.get("secrets") or {}), item["path"]: text}
        else:
            item["content"] = text

    def _decrypted(self, path: Path) -> bytes:
        """Content of a file that Ansible Vault encrypted; the copy that Ansible makes of it is removed at once."""
        copy = self._loader.get_real_file(str(path))
        try:
            return Path(copy).read_bytes()
        finally:
            self._loader.cleanup_tmp_file(copy)

    def _lock(self, release: dict, task_vars: dict) -> None:
        """Add the release's archives to the module's arguments, with the addresses to try."""
        name, version = str(release.get("name")), str(release.get("version"))
        mirrors = self._texts(task_vars, "monitoring_mirrors")
        found = self._locked(name, version, mirrors, task_vars)
        folder = self._templar.template(task_vars.get("monitoring_archives_dir") or "")
        if folder and not os.path.isdir(folder):
            raise AnsibleActionFail(
                f"monitoring_archives_dir: {folder} is not a directory on the controller."
            )
        paths = {
            key: os.path.join(folder, upstream_releases.mirror_path(entry["url"]))
            for key, entry in found.items()
            if folder
        }
        self._pushable = {
            architecture: path for architecture, path in paths.items() if os.path.isfile(path)
        }
        release["pushable"] = sorted(self._pushable)
        release["archives"] = {
            architecture: {
                "urls": upstream_releases.mirrored(entry["url"], mirrors),
                "sha256": entry["sha256"],
            }
            for architecture, entry in found.items()
        }
        for architecture in set(paths) - set(self._pushable):
            # Who names a folder and no mirror wants nothing to be downloaded.
            if not mirrors:
                release["archives"][architecture].update(urls=[], missing=paths[architecture])

    def _locked(self, name: str, version: str, mirrors: list, task_vars: dict) -> dict:
        """What the lock files hold of a release; in dev, where that is allowed, what upstream publishes."""
        files = self._texts(task_vars, pinned_releases.FILES)
        environment = self._templar.template(task_vars.get("monitoring_environment"))
        wish = self._templar.template(task_vars.get(pinned_releases.ALLOW))
        try:
            found = lock_files.archives(files, name, version)
            if found:
                return found
            if not pinned_releases.allowed(wish, environment):
                raise AnsibleActionFail(pinned_releases.refusal(name, version, files, bool(wish)))
            build = str(self._templar.template(task_vars.get(f"{name}_build") or ""))
            # Loading what downloads costs each run time, and hardly any needs it.
            from ..module_utils import upstream_checksums

            found = upstream_checksums.archives(name, version, build, list(ARCHITECTURES), mirrors)
        except upstream_releases.ReleaseError as error:
            raise AnsibleActionFail(str(error)) from error
        self._notices.append(
            f"Release {name} {version} is not locked: its checksum was read from upstream just now."
        )
        return found

    def _texts(self, task_vars: dict, variable: str) -> list:
        """A variable that is a list of texts; one text alone is a list of one, as it comes from --extra-vars."""
        value = plain(self._templar.template(task_vars.get(variable) or []))
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise AnsibleActionFail(f"{variable} must be a list of texts, not {value!r}.")
        return value

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


def lock_owner() -> str:
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
    """Every item of ``config`` and ``scripts`` with its owner and key, those of the instances included."""
    owners = [owner for owner in (args, *(args.get("instances") or [])) if isinstance(owner, dict)]
    lists = [
        (owner, key, owner[key])
        for owner in owners
        for key in ("config", "scripts")
        if owner.get(key)
    ]
    return [
        (owner, key, item)
        for owner, key, items in lists
        if isinstance(items, list)
        for item in items
        if isinstance(item, dict)
    ]
