# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Load content for the grafana_content module on the controller, and write its exports."""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ..module_utils.grafana import payload
from ..module_utils.grafana.files.documents import DocumentError
from ..module_utils.grafana.files.folders import titles
from ..plugin_utils.action_helpers import VAULT_HEADER, find_file, plain
from ..plugin_utils.content import SUFFIXES, ContentLoader, Source, rules_of
from ..plugin_utils.controller_files import MissingFile
from ..plugin_utils.export_files import serialize

if TYPE_CHECKING:
    from typing import NoReturn

    from ..module_utils.grafana.files.documents import JsonObject
    from ..module_utils.grafana.files.schema import Diagnostics
    from ..module_utils.grafana.model import DesiredObject, RequiredObject


# Similarity above which a reference is a likely misspelling of another object, for an error and for
# a warning.
SIMILARITY = 0.85
SIMILARITY_OF_WARNING = 0.7
NUMBER = re.compile(r"\d+")


class ActionModule(ActionBase):
    """Run the module once, with all desired objects."""

    # With True, Ansible would create a directory on the host for each task, in three round trips.
    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: JsonObject | None = None
    ) -> JsonObject:
        """Load the content and run the module with it, or write the files that it exports."""
        super().run(tmp, task_vars)
        self._variables = task_vars or {}
        args = plain(self._task.args)
        options = self._controller_options(args)
        if args.get("state", "present") == "exported":
            return self._export(args, options["export_directory"], task_vars)
        loader = self._content_loader(options, args)
        diagnostics = loader.diagnostics
        sources = self._sources(options["content"], diagnostics)
        desired, required = loader.load(sources)
        is_check = args.get("state") == "checked"
        if is_check:
            diagnostics.errors += misspelled_references(desired, required)
            diagnostics.warnings += misspelled_references(desired, required, True)
        diagnostics.errors[:] = dict.fromkeys(diagnostics.errors)
        if diagnostics.errors:
            message = "\n".join(diagnostics.errors)
            return {
                "failed": True,
                "changed": False,
                "msg": f"Nothing was changed; correct these errors:\n{message}",
                "warnings": diagnostics.warnings,
            }
        if is_check:
            # Ansible shows a warning once, though the task that applies the content repeats it.
            result: JsonObject = {"changed": False, "warnings": diagnostics.warnings}
            return {**result, "rules": rules_of(desired)}
        try:
            args["payload"] = payload.encode_content(desired, required)
        except ValueError as error:
            raise AnsibleActionFail(
                f"content: a number cannot be written as JSON ({error}); replace it."
            ) from error
        result = self._run_module(args, task_vars)
        _add_warnings(result, diagnostics.warnings)
        return result

    def _run_module(self, args: JsonObject, task_vars: JsonObject | None) -> JsonObject:
        result: JsonObject = self._execute_module(
            module_name="hippius.monitoring.grafana_content",
            module_args=args,
            task_vars=task_vars or {},
            wrap_async=self._task.async_val,
        )
        return result

    def _controller_options(self, args: JsonObject) -> JsonObject:
        """Remove the options that only the controller uses, and return them with their defaults."""
        options = {key: args.pop(key) for key in payload.CONTROLLER if key in args}
        validation = ArgumentSpecValidator(payload.CONTROLLER).validate(options)
        if validation.error_messages:
            raise AnsibleActionFail(" ".join(validation.error_messages))
        validated: JsonObject = validation.validated_parameters
        return validated

    def _content_loader(self, options: JsonObject, args: JsonObject) -> ContentLoader:
        org_id = args.get("org_id") or 1
        if not str(org_id).isdigit():
            raise AnsibleActionFail(f"org_id: {org_id!r} is not an int; write an int.")
        environment = {
            name: _variable(value) for name, value in options["environment"].items()
        }
        return ContentLoader(
            environment=environment,
            org_id=int(org_id),
            inputs=_strings(options["inputs"]),
            datasource_uids=_strings(options["datasource_uids"]),
            strict=options["strict"],
            read_file=self._read_secret,
            list_directory=self._read_provided_directory,
        )

    def _sources(
        self, elements: list[JsonObject], diagnostics: Diagnostics
    ) -> list[Source]:
        """Return the sources that can be read; add an error for each of the others."""
        sources = []
        for element in elements:
            try:
                sources.append(self._source(element))
            except AnsibleActionFail as error:
                diagnostics.errors.append(error.message)
        return sources

    def _source(self, element: JsonObject) -> Source:
        objects, file, directory = (
            element["objects"],
            element["file"],
            element["directory"],
        )
        root = ""
        files: dict[str, bytes] = {}
        if file is not None:
            root = os.path.dirname(file)
            files = {os.path.basename(file): self._read(self._find(file))}
        elif objects is None:
            root = directory
            path = self._find(directory)
            if not path.is_dir():
                raise AnsibleActionFail(
                    f"{directory}: not a directory; name it in file instead."
                )
            files = self._read_directory(path)
        return Source(
            root,
            files,
            objects,
            title=element["title"],
            folder=titles(element["folder"]),
            datasource_uid=element["datasource_uid"],
            datasource_type=element["datasource_type"] or "",
            exec_error=element["exec_error"],
            documentation_url=element["documentation_url"],
            paths=element["paths"],
        )

    def _find(self, name: str) -> Path:
        """Return the path of a file or directory, found as ``files`` of roles and playbooks are."""
        try:
            return Path(find_file(self, name, self._variables))
        except MissingFile as error:
            raise AnsibleActionFail(f"{error}.") from None

    def _read_directory(self, directory: Path) -> dict[str, bytes]:
        """Return the content of the files below a directory by their path in it."""
        return {path: self._read(file) for path, file in _files(directory).items()}

    def _read(self, path: Path) -> bytes:
        """Return the content of a file; Ansible's plain copy of an encrypted one is removed."""
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
            raise AnsibleActionFail(
                f"{path}: cannot be read; correct the cause. {error}"
            ) from error

    def _read_secret(self, name: str) -> str:
        """Return the content of the file that ``$__file{name}`` stands for."""
        try:
            return self._read(self._find(name)).decode()
        except (AnsibleActionFail, UnicodeDecodeError) as error:
            raise DocumentError(
                f"$__file{{{name}}} cannot be read on the controller; correct the path or the file."
            ) from error

    def _read_provided_directory(self, name: str) -> dict[str, bytes] | None:
        """Return the files of a path that a dashboard provider names; None when missing."""
        try:
            path = self._find(name)
        except AnsibleActionFail:
            return None
        return self._read_directory(path) if path.is_dir() else {"": self._read(path)}

    def _export(
        self, args: JsonObject, directory: str | None, task_vars: JsonObject | None
    ) -> JsonObject:
        """Write the objects of Grafana to files; files with the same content stay untouched."""
        if not directory:
            raise AnsibleActionFail(
                "export_directory: not set; state=exported requires it."
            )
        result = self._run_module(args, task_vars)
        exported = (
            payload.decode(result.pop("payload")) if result.get("payload") else None
        )
        if result.get("failed") or exported is None:
            return result
        root = Path(self._loader.path_dwim(directory))
        contents = serialize(exported["files"])
        changed = {
            path: content
            for path, content in contents.items()
            if not _has_content(root / path, content)
        }
        existing = set(_files(root)) if root.is_dir() else set()
        untracked = sorted(existing - set(contents))
        if untracked:
            paths = ", ".join(untracked)
            warning = f"Files in {directory} that are not of this export stay as they are: {paths}."
            _add_warnings(result, [warning])
        if not self._task.check_mode:
            for path, content in changed.items():
                _write(root / path, content)
        return {
            **result,
            "changed": bool(changed),
            "files": sorted(changed),
            "variables": exported["variables"],
        }


def misspelled_references(
    desired: list[DesiredObject],
    required: list[RequiredObject],
    optional: bool = False,
) -> list[str]:
    """Return a message for each reference that is a misspelling of a desired object. Pure.

    Another name may be that of an object on the server, which is found out there. Grafana works
    without an object that is ``optional``.
    """
    names: dict[str, list[str]] = {}
    for item in desired:
        names.setdefault(item.kind, []).append(item.identity)
    cutoff = SIMILARITY_OF_WARNING if optional else SIMILARITY
    errors = []
    for reference in required:
        if reference.optional is not optional:
            continue
        known = names.get(reference.kind, [])
        closest = closest_name(reference.identity, known, cutoff)
        if closest:
            errors.append(
                f"{reference.source} is {reference.identity}, which this content does not have; did"
                f" you mean {closest}?"
            )
    return errors


def closest_name(name: str, names: list[str], cutoff: float = SIMILARITY) -> str:
    """Return the name that another one is a misspelling of, or an empty string. Pure.

    Names that differ by an ending or a number are rather those of several similar objects.
    """
    for known in difflib.get_close_matches(name, names, 1, cutoff):
        is_variant = name.startswith(known) or known.startswith(name)
        if not is_variant and NUMBER.sub("", name) != NUMBER.sub("", known):
            return known
    return ""


def _add_warnings(result: JsonObject, warnings: list[str]) -> None:
    result["warnings"] = [*result.get("warnings", []), *warnings]


def _strings(values: JsonObject) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}


def _variable(value: Any) -> str:
    """Return a variable as a process environment would contain it."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _files(directory: Path) -> dict[str, Path]:
    """Return the files below a directory by their path in it."""
    files = {}
    for path, directories, names in os.walk(directory, onerror=_fail, followlinks=True):
        directories[:] = sorted(
            name for name in directories if not name.startswith(".")
        )
        for name in directories:
            _check_loop(path, name)
        for name in names:
            if name.endswith(SUFFIXES) and not name.startswith("."):
                file = Path(path, name)
                files[file.relative_to(directory).as_posix()] = file
    return files


def _fail(error: OSError) -> NoReturn:
    raise AnsibleActionFail(
        f"{error.filename}: cannot be read; correct the cause. {error}"
    ) from error


def _check_loop(path: str, name: str) -> None:
    """Raise AnsibleActionFail for a link to a directory above it, which never ends."""
    link = os.path.join(path, name)
    if not os.path.islink(link):
        return
    target = f"{os.path.realpath(link)}{os.sep}"
    parent = f"{os.path.realpath(path)}{os.sep}"
    if parent.startswith(target):
        raise AnsibleActionFail(
            f"{link}: links to a directory above it; remove the link."
        )


def _has_content(path: Path, content: str) -> bool:
    return path.is_file() and path.read_bytes() == content.encode()


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    except OSError as error:
        raise AnsibleActionFail(
            f"{path}: cannot be written: {error.strerror}; export to another directory."
        ) from None
