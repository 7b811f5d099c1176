# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the grafana_content module needs from the controller: files, read, converted and checked; exports, written."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ..module_utils.grafana import payload
from ..module_utils.grafana.files.documents import Unreadable
from ..module_utils.grafana.files.folders import titles
from ..plugin_utils.content import SUFFIXES, Gathering, Source
from ..plugin_utils.export_files import rendered
from .component import VAULT_HEADER, plain


class ActionModule(ActionBase):
    """Run the module once, with all that is wanted."""

    # With True, Ansible would make a directory on the host for each task, which costs three round trips.
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        """Read and check the content, and hand it to the module; or write what the module gives back."""
        super().run(tmp, task_vars)
        args = plain(self._task.args)
        own = self._own({key: args.pop(key) for key in payload.CONTROLLER if key in args})
        if args.get("state", "present") == "exported":
            return self._export(args, own["export_directory"], task_vars)
        gathering = self._gathering(own, args)
        desired, required = gathering.desired([self._source(item) for item in own["content"]])
        problems = gathering.findings.errors
        if problems:
            return {
                "failed": True,
                "changed": False,
                "problems": problems,
                "msg": "Nothing was changed, since this is wrong:\n" + "\n".join(problems),
                "warnings": gathering.findings.warnings,
            }
        try:
            args["payload"] = payload.encode_content(desired, required)
        except ValueError as error:
            raise AnsibleActionFail(
                f"The content holds a number that is none in JSON: {error}"
            ) from error
        result = self._module(args, task_vars)
        result["warnings"] = [*result.get("warnings", []), *gathering.findings.warnings]
        return result

    def _module(self, args: dict, task_vars: dict | None) -> dict:
        return self._execute_module(
            module_name="hippius.monitoring.grafana_content",
            module_args=args,
            task_vars=task_vars or {},
            wrap_async=self._task.async_val,
        )

    def _own(self, given: dict) -> dict:
        result = ArgumentSpecValidator(payload.CONTROLLER).validate(given)
        if result.error_messages:
            raise AnsibleActionFail(" ".join(result.error_messages))
        return result.validated_parameters

    def _gathering(self, own: dict, args: dict) -> Gathering:
        org_id = args.get("org_id") or 1
        if not str(org_id).isdigit():
            raise AnsibleActionFail(f"org_id must be a number, not {org_id!r}.")
        return Gathering(
            environment={name: _variable(value) for name, value in own["environment"].items()},
            org_id=int(org_id),
            inputs={name: str(value) for name, value in own["inputs"].items()},
            read_file=self._read_text,
            list_directory=self._provided,
        )

    def _source(self, item: dict) -> Source:
        options = {
            "folder": titles(item["folder"]),
            "datasource_uid": item["datasource_uid"],
            "paths": item["paths"],
        }
        if item["objects"] is not None:
            return Source(objects=item["objects"], **options)
        if item["file"] is not None:
            data = {os.path.basename(item["file"]): self._read(self._found(item["file"]))}
            return Source(os.path.dirname(item["file"]), data, **options)
        path = self._found(item["directory"])
        if not path.is_dir():
            raise AnsibleActionFail(f"{item['directory']} is not a directory.")
        return Source(item["directory"], self._below(path), **options)

    def _found(self, name: str) -> Path:
        """A file or directory of the controller, looked for as ``files`` of roles and playbooks are."""
        try:
            return Path(self._find_needle("files", name))
        except AnsibleError as error:
            raise AnsibleActionFail(
                f"{name}, which is to be read, is not there: {error}"
            ) from error

    def _below(self, directory: Path) -> dict:
        """What the files below a directory hold, by their path in it."""
        return {name: self._read(file) for name, file in _files(directory).items()}

    def _read(self, path: Path) -> bytes:
        """A file's bytes; the copy that Ansible makes of an encrypted one is removed at once."""
        try:
            data = path.read_bytes()
            if not data.startswith(VAULT_HEADER):
                return data
            copy = self._loader.get_real_file(str(path))
            try:
                return Path(copy).read_bytes()
            finally:
                self._loader.cleanup_tmp_file(copy)
        except (AnsibleError, OSError) as error:
            raise AnsibleActionFail(f"{path} cannot be read: {error}") from error

    def _read_text(self, name: str) -> str:
        """The text of a file that ``$__file{name}`` stands for."""
        try:
            return self._read(self._found(name)).decode()
        except (AnsibleActionFail, UnicodeDecodeError) as error:
            raise Unreadable(f"$__file{{{name}}} cannot be read on the controller.") from error

    def _provided(self, name: str) -> dict | None:
        """The files below a directory that a provider of dashboards names, None where there is none."""
        try:
            path = self._found(name)
        except AnsibleActionFail:
            return None
        return self._below(path) if path.is_dir() else None

    def _export(self, args: dict, directory: str | None, task_vars: dict | None) -> dict:
        """Write what Grafana has into files; a file that is the same is left alone."""
        if not directory:
            raise AnsibleActionFail("state=exported needs export_directory.")
        result = self._module(args, task_vars)
        exported = payload.decode(result.pop("payload")) if result.get("payload") else None
        if result.get("failed") or exported is None:
            return result
        root = Path(self._loader.path_dwim(directory))
        texts = rendered(exported["files"])
        stale = {name: text for name, text in texts.items() if not _holds(root / name, text)}
        others = sorted(set(_files(root) if root.is_dir() else ()) - set(texts))
        if others:
            told = f"Files in {directory} that are not of this export stay as they are: {', '.join(others)}."
            result["warnings"] = [*result.get("warnings", []), told]
        if not self._task.check_mode:
            for name, text in stale.items():
                _write(root / name, text)
        return {
            **result,
            "changed": bool(stale),
            "files": sorted(stale),
            "variables": exported["variables"],
        }


def _variable(value: object) -> str:
    """The value of a variable as its environment would have it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _files(directory: Path) -> dict:
    """The files below a directory by their path in it."""
    found = {}
    for path, directories, names in os.walk(directory, onerror=_refuse, followlinks=True):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in directories:
            _refuse_loop(path, name)
        for name in names:
            if name.endswith(SUFFIXES) and not name.startswith("."):
                file = Path(path, name)
                found[file.relative_to(directory).as_posix()] = file
    return found


def _refuse(error: OSError) -> None:
    raise AnsibleActionFail(f"{error.filename} cannot be read: {error}") from error


def _refuse_loop(path: str, name: str) -> None:
    """A link to a directory that it is in would be followed without end."""
    link = os.path.join(path, name)
    if os.path.islink(link) and f"{os.path.realpath(path)}{os.sep}".startswith(
        f"{os.path.realpath(link)}{os.sep}"
    ):
        raise AnsibleActionFail(f"{link} leads back to a directory that it is in.")


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
