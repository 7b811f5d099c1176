# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Add the controller's part to the component module: lock entry, files and archives."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ..module_utils import upstream_releases
from ..module_utils.component.component_errors import ComponentError
from ..module_utils.grafana.files.documents import DocumentError
from ..plugin_utils import (
    catalog,
    component_calls,
    controller_files,
    desired_instances,
    journal,
    lock_files,
    observations,
    own_file_checks,
    own_files,
    pinned_releases,
    transport,
    unchanged,
)
from ..plugin_utils.action_helpers import (
    VAULT_HEADER,
    action_host,
    find_file,
    lock_owner,
    plain,
    run_component,
)
from ..plugin_utils.role_variables import Role
from ..plugin_utils.yaml_documents import parse_document
from ..plugin_utils.yaml_writer import to_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..module_utils.component.observation import HostObservation
    from ..module_utils.component.spec import Exposure, Instance
    from ..plugin_utils.component_calls import Call

ARCHITECTURES = ("amd64", "arm64")
Values = dict[str, Any]


@dataclass(frozen=True)
class FileOption:
    """An entry of ``config`` or ``scripts``; ``owner`` is the component or instance that has it."""

    owner: Values
    option: str
    entry: Values


class ActionModule(ActionBase):
    """Complete the module's arguments, and stage a release on a host that lacks it."""

    # With True, Ansible would create a directory on the host for each task by three round trips.
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Values | None = None) -> Values:
        """Run the module, and again when the release that it requires is staged."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        self._notices: list[str] = []
        args = self._completed(plain(self._task.args), variables)
        main_file = next(iter(_dicts_in(args.get("config"))), {})
        generated = main_file.get("content")
        self._add_controllers_part(args, variables)
        try:
            result = self._of_state(
                args, variables, partial(_prerequisites, args, main_file, generated)
            )
        except ComponentError as error:
            raise AnsibleActionFail(str(error)) from None
        for name, address in addresses_of(args).items():
            result.get("instances", {}).get(name, {})["address"] = address
        if result.get("changed") and not self._task.check_mode:
            journal.add(str(variables.get("inventory_hostname")), result)
        notices = self._notices + (result.get("notices") or [])
        if notices:
            result["warnings"] = result.get("warnings", []) + notices
        return result

    def _completed(self, args: Values, variables: Values) -> Values:
        """Return the options with those of the variable that one of them names."""
        if not args.get("options_from"):
            return args
        role = str(args.get("name")).replace("-", "_")
        own = Role(role, variables, self._loader, self._templar)
        return own.completed(args)

    def _add_controllers_part(self, args: Values, variables: Values) -> None:
        """Add to the options what only the controller knows."""
        args["lock_owner"] = lock_owner()
        args.setdefault("adopt", self._variable(variables, "monitoring_adopt", False))
        without_peers = self._variable(variables, catalog.WITHOUT_PEERS)
        if without_peers is not None:
            args.setdefault("without_peers", without_peers)
        for file in _files_of(args):
            self._read_source(file, variables)
        release = args.get("release")
        if isinstance(release, dict) and args.get("state", "present") == "present":
            self._add_archives(release, variables)

    def _decided(
        self, component: str, desired: Sequence[Instance], variables: Values
    ) -> Values | None:
        """Return the module's result if the host was observed to be as desired, else None."""
        observed = self._observed(component, variables)
        if observed is None:
            return None
        return unchanged.result_of(component, desired, *observed)

    def _of_state(
        self, args: Values, variables: Values, requirements: Callable[[], list[Any]]
    ) -> Values:
        """Bring the component to its state, and stage a release that the host lacks."""
        is_present = args.get("state", "present") == "present"
        params = component_calls.validated(args)
        desired = desired_instances.instances(params) if is_present else []
        if is_present:
            decided = self._decided(params["name"], desired, variables)
            if decided is not None:
                return decided
        observations.mark(action_host(self, variables), params["name"])
        if params["requires"] is None:
            desired = [
                replace(instance, requires=(*instance.requires, *requirements()))
                for instance in desired
            ]
        if params["exposure"] is None:
            exposure = self._exposure(variables)
            desired = [replace(instance, exposure=exposure) for instance in desired]
        call = component_calls.call_of(params, desired)
        result = run_component(self, call.options, variables, call.module)
        if result.get("release_required") and not result.get("failed"):
            required = result["release_required"]
            result = self._stage_release(params, call, variables, required)
        return result

    def _observed(
        self, component: str, variables: Values
    ) -> tuple[HostObservation, bytes] | None:
        """Return the observation of the host and the key of its fingerprints, if there is one."""
        host = action_host(self, variables)
        observation = observations.of_host(
            host, component, partial(self._observe, variables)
        )
        if observation and observation.state:
            return observation.state, observation.nonce
        return None

    def _observe(self, variables: Values, nonce: str) -> Values:
        """Observe the host; a failure has no observation, and the module will say more."""
        result: Values = self._execute_module(
            module_name="hippius.monitoring.component_observation",
            module_args={"nonce": nonce},
            task_vars=variables,
        )
        return {} if result.get("failed") else result

    def _variable(self, variables: Values, name: str, default: Any = None) -> Any:
        return self._templar.template(variables.get(name) or default)

    def _exposure(self, variables: Values) -> Exposure | None:
        """Return what a program may open to other hosts; None for anything, as in dev."""
        if self._variable(variables, catalog.ENVIRONMENT, catalog.DEV) == catalog.DEV:
            return None
        return {
            "networks": self._strings(variables, transport.NETWORKS_VARIABLE),
            "addresses": self._strings(variables, transport.OPEN_VARIABLE),
        }

    def _read_source(self, file: FileOption, variables: Values) -> None:
        """Replace ``source`` by the content of that file, byte for byte and without templating.

        A file of ``config`` that Ansible Vault encrypted becomes a secret, which is never shown.
        """
        entry = file.entry
        source = entry.pop("source", None)
        if not source:
            if isinstance(entry.get("content"), (dict, list)):
                entry["content"] = to_yaml(entry["content"])
            return
        try:
            path = Path(self._find(source, variables))
            content = path.read_bytes()
            secret = file.option == "config" and content.startswith(VAULT_HEADER)
            if secret:
                content = self._decrypted(path)
        except controller_files.MissingFile as error:
            raise AnsibleActionFail(f"{error}.") from None
        except (AnsibleError, OSError) as error:
            raise AnsibleActionFail(
                f"{source}: it cannot be read on the controller: {error}"
            ) from error
        decoded = content.decode("utf-8", "surrogateescape")
        if secret:
            file.owner[file.option].remove(entry)
            secrets = file.owner.get("secrets") or {}
            file.owner["secrets"] = {**secrets, entry["path"]: decoded}
        else:
            entry["content"] = decoded

    def _find(self, source: str, variables: Values) -> str:
        """Return the path of a file of the controller; raise MissingFile if there is none."""
        return find_file(self, source, variables)

    def _decrypted(self, path: Path) -> bytes:
        """Return the content of a file that Ansible Vault encrypted; remove Ansible's copy."""
        copy = self._loader.get_real_file(str(path))
        try:
            return Path(copy).read_bytes()
        finally:
            self._loader.cleanup_tmp_file(copy)

    def _add_archives(self, release: Values, variables: Values) -> None:
        """Add the release's archives to its option, with the URLs to try."""
        name, version = str(release.get("name")), str(release.get("version"))
        mirrors = self._strings(variables, "monitoring_mirrors")
        entries = self._locked_archives(name, version, mirrors, variables)
        paths = self._archive_paths(entries, variables)
        self._pushable = {
            key: path for key, path in paths.items() if os.path.isfile(path)
        }
        release["pushable"] = sorted(self._pushable)
        release["archives"] = {}
        for architecture, entry in entries.items():
            urls = upstream_releases.mirrored(entry["url"], mirrors)
            archive: Values = {"urls": urls, "sha256": entry["sha256"]}
            if "size" in entry:
                archive["size"] = entry["size"]
            if (
                architecture in paths
                and architecture not in self._pushable
                and not mirrors
            ):
                # A directory of archives without a mirror means that nothing is downloaded.
                archive.update(urls=[], missing=paths[architecture])
            release["archives"][architecture] = archive

    def _archive_paths(
        self, entries: upstream_releases.Archives, variables: Values
    ) -> dict[str, str]:
        """Return the path of each archive in the controller's directory of archives, if any."""
        directory = self._variable(variables, "monitoring_archives_dir", "")
        if not directory:
            return {}
        directory = _beside_inventory(directory, variables)
        if not os.path.isdir(directory):
            raise AnsibleActionFail(
                f"monitoring_archives_dir: {directory!r} is not a directory on the controller;"
                " create or correct it."
            )
        return {
            architecture: os.path.join(
                directory, upstream_releases.mirror_path(entry["url"])
            )
            for architecture, entry in entries.items()
        }

    def _locked_archives(
        self, name: str, version: str, mirrors: list[str], variables: Values
    ) -> upstream_releases.Archives:
        """Return the archives of a release from the lock files, or from upstream if allowed."""
        names = self._strings(variables, pinned_releases.FILES)
        files = [_beside_inventory(name, variables) for name in names]
        files = files or [
            *pinned_releases.default_files(variables.get("inventory_dir"))
        ]
        try:
            locked = lock_files.archives(files, name, version)
            if locked:
                return locked
            allow = self._variable(variables, pinned_releases.ALLOW)
            environment = self._variable(variables, "monitoring_environment")
            if not pinned_releases.allowed(allow, environment):
                message = pinned_releases.refusal(name, version, files, bool(allow))
                raise AnsibleActionFail(message)
            build = str(self._variable(variables, f"{name}_build", ""))
            published = self._published(name, version, build, mirrors)
        except upstream_releases.ReleaseError as error:
            raise AnsibleActionFail(str(error)) from error
        self._notices.append(
            f"Release {name} {version} is not locked: its checksum was read from upstream just now."
        )
        return published

    def _published(
        self, name: str, version: str, build: str, mirrors: list[str]
    ) -> upstream_releases.Archives:
        """Return the archives of a release from upstream."""
        # Loading it costs time, and most runs do not need it.
        from ..module_utils import upstream_checksums

        architectures = list(ARCHITECTURES)
        return upstream_checksums.archives(name, version, build, architectures, mirrors)

    def _strings(self, variables: Values, name: str) -> list[str]:
        """Return a variable that is a list of str, or one str as --extra-vars may have it."""
        value = plain(self._variable(variables, name, []))
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not all(
            isinstance(entry, str) for entry in value
        ):
            raise AnsibleActionFail(f"{name}: must be a list of str, not {value!r}.")
        return value

    def _stage_release(
        self, params: Values, call: Call, variables: Values, required: Values
    ) -> Values:
        """Stage the release on the host, and run the module with it."""
        release = params["release"]
        options = {
            "name": required["name"],
            "component": params["name"],
            "program": required["program"],
            "release": {key: release[key] for key in ("name", "version", "archives")},
            "lock_owner": params["lock_owner"],
            "lock_timeout": params["lock_timeout"],
        }
        architecture = required["architecture"]
        if architecture in self._pushable:
            staged = self._push(options, variables, self._pushable[architecture])
        else:
            self._show(variables, release, "downloads")
            staged = run_component(self, options, variables, "release_stage")
        if staged.get("failed"):
            return staged
        result = run_component(self, call.options, variables, call.module)
        if result.get("release_required"):
            message = (
                f"{release['name']} {release['version']}: was unpacked, but another run has"
                " removed or something has changed it since; run again. Nothing was changed."
            )
            result = {"failed": True, "msg": message}
        return result

    def _push(self, options: Values, variables: Values, archive: str) -> Values:
        """Copy an archive to the host and stage its release."""
        self._show(variables, options["release"], "receives")
        directory = self._make_tmp_path()
        try:
            remote = self._connection._shell.join_path(directory, "archive")
            self._transfer_file(archive, remote)
            self._fixup_perms2((directory, remote))
            release = {**options["release"], "pushed": remote}
            options = {**options, "release": release}
            return run_component(self, options, variables, "release_stage")
        finally:
            self._remove_tmp_path(directory)

    def _show(self, variables: Values, release: Values, verb: str) -> None:
        """Show a step that takes long; on standard error, since callbacks may print JSON."""
        host = variables.get("inventory_hostname", "")
        message = f"{host}: {verb} {release['name']} {release['version']}"
        self._display.display(message, stderr=True)


def addresses_of(args: Values) -> dict[str, str]:
    """Return the first listener of each instance, as a URL where it has one. Pure."""
    component = str(args.get("name"))
    named = {f"{component}-{own['name']}": own for own in args.get("instances") or []}
    addresses = {}
    for name, own in (named or {component: args}).items():
        listeners = own.get("listen_addresses") or args.get("listen_addresses")
        ready = own.get("ready") or args.get("ready") or {}
        scheme = str(ready.get("url", "")).partition("://")[0]
        if listeners:
            prefix = f"{scheme}://" if scheme else ""
            addresses[name] = f"{prefix}{listeners[0]}"
    return addresses


def _beside_inventory(path: str, variables: Values) -> str:
    return controller_files.beside_inventory(path, variables.get("inventory_dir"))


def _files_of(args: Values) -> list[FileOption]:
    """Return every entry of ``config`` and ``scripts``, of the instances as well."""
    owners = [args, *(args.get("instances") or [])]
    return [
        FileOption(owner, option, entry)
        for owner in owners
        if isinstance(owner, dict)
        for option in ("config", "scripts")
        for entry in _dicts_in(owner.get(option))
    ]


def _prerequisites(
    args: Values, main_file: Values, generated: Any
) -> list[own_file_checks.Requirement]:
    """Return what the main configuration requires of the host; nothing for a vaulted one."""
    role = str(args.get("name")).replace("-", "_")
    content = main_file.get("content")
    has_reader = role in own_files.READERS and role != own_file_checks.PROMETHEUS
    if not has_reader or not isinstance(content, str):
        return []
    if not isinstance(generated, dict):
        try:
            generated = parse_document(main_file["path"], content.encode()).content
        except (DocumentError, UnicodeError):
            # The program's own checker has a better message.
            return []
    return own_file_checks.prerequisites(role, generated, str(main_file["path"]))


def _dicts_in(value: Any) -> list[Values]:
    """Return the dicts of a list; the module refuses other values with a better message."""
    if not isinstance(value, list):
        return []
    return [element for element in value if isinstance(element, dict)]
