# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Print after the recap what a run changed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Table of the components that a run changed
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Prints one table after the recap, with host, component, action, version, state, address and
    duration of each component that was changed, removed or failed, and the next step.
  - Prints nothing after a run without a component, and beside a callback that prints JSON.
requirements:
  - C(callbacks_enabled = hippius.monitoring.summary) in the section C([defaults]) of
    C(ansible.cfg). The checkout has it.
"""

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from ansible import constants, context
from ansible.plugins.callback import CallbackBase

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    rollout_table,
    terminal,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.controller_files import (
    encrypted_variables,
)

MODULES = "hippius.monitoring."
COMPONENT_MODULES = ("component", "component_prune", "component_plan")
LEFT = ("the host has left its group",)
LOOPBACK = re.compile(r"\w+://(127\.[\d.]+|\[::1\]|localhost):(\d+)")


class CallbackModule(CallbackBase):
    """Collect the outcome of each component, and print all of them at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hippius.monitoring.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._changes: list[rollout_table.Change] = []
        self._starts: dict[tuple[str, str], float] = {}
        # Whether a task of this run is one of this collection.
        self._is_own = False

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Name the encrypted files of variables, at which Ansible ends without a password."""
        loader = playbook.get_loader()
        if getattr(getattr(loader, "_vault", None), "secrets", None):
            return
        sources = context.CLIARGS.get("inventory") or constants.DEFAULT_HOST_LIST
        encrypted = encrypted_variables([str(source) for source in sources])
        if encrypted:
            self._display.warning(
                f"{', '.join(encrypted)}: encrypted by Ansible Vault; add --ask-vault-pass or"
                " --vault-password-file."
            )

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Remember when a task began on a host."""
        self._starts[host.get_name(), task._uuid] = time.monotonic()
        self._is_own = self._is_own or bool(_module_of(task))

    def v2_runner_on_ok(self, result: Any) -> None:
        """Add the outcome of a task."""
        task, host = _task_of(result), _host_of(result)
        module = _module_of(task)
        seconds = self._seconds(host, task)
        items = _items_of(result)
        if _is_loop(result):
            # The duration is that of the whole loop.
            seconds = None
        for item in items:
            if item.get("skipped") or item.get("failed"):
                continue
            if module in COMPONENT_MODULES:
                changes = rollout_table.changes_of(
                    host, item, seconds, bool(task.check_mode)
                )
                if module == "component_prune":
                    changes = [change._replace(reasons=LEFT) for change in changes]
                self._changes += changes
            elif module == "grafana_content" and "changes" in item:
                self._changes.append(
                    rollout_table.content_change(
                        host, item, seconds, bool(task.check_mode)
                    )
                )

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Add the failure of a component."""
        task, host = _task_of(result), _host_of(result)
        module = _module_of(task)
        if ignore_errors or module not in (*COMPONENT_MODULES, "grafana_content"):
            return
        name = _component_of(task, module)
        seconds = self._seconds(host, task)
        failures = _items_of(result)
        if _is_loop(result):
            self.v2_runner_on_ok(result)
            failures = [item for item in failures if item.get("failed")]
        # Ansible's own callback has removed the mark of a failure without a loop.
        for item in failures:
            known = item.get("item") if isinstance(item.get("item"), str) else name
            self._changes.append(
                rollout_table.failed_change(host, known or name, item, seconds)
            )

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Add a component whose host does not answer."""
        task, host = _task_of(result), _host_of(result)
        module = _module_of(task)
        if module in (*COMPONENT_MODULES, "grafana_content"):
            # Ansible's own callback may have removed the mark.
            values = {**_values_of(result), "unreachable": True}
            name = _component_of(task, module)
            seconds = self._seconds(host, task)
            change = rollout_table.failed_change(host, name, values, seconds)
            self._changes.append(change)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the table and the next step."""
        is_cut_off = self._is_own and bool(stats.dark)
        if not (self._changes or is_cut_off) or not terminal.is_for_people():
            return
        unreachable = sorted(set(stats.dark) - rollout_table.unreachable(self._changes))
        lines = rollout_table.summary(self._changes, terminal.width())
        if unreachable:
            lines.append(f"Unreachable: {', '.join(unreachable)}.")
        lines.append(self._next_step(bool(stats.failures or stats.dark)))
        self._display.display("\n".join(lines))

    def _seconds(self, host: str, task: Any) -> float | None:
        start = self._starts.get((host, task._uuid))
        return None if start is None else time.monotonic() - start

    def _next_step(self, is_failed: bool) -> str:
        status = f"state of all hosts: {_status_command()}"
        if is_failed:
            return f"Next: correct the errors above and run again; {status}"
        if context.CLIARGS.get("check"):
            return "Next: run without --check to apply this."
        for change in self._changes:
            if change.component == "grafana" and change.address:
                return f"Next: {_opening(change)}; {status}"
        return f"Next: {status}"


def _opening(grafana: rollout_table.Change) -> str:
    """Return how to open Grafana, which by default listens on its own host alone."""
    text = f"open Grafana at {grafana.address}"
    match = LOOPBACK.match(grafana.address)
    if not match or grafana.host == "localhost":
        return text
    port = match[2]
    tunnel = f"ssh -L {port}:{match[1]}:{port} {grafana.host}"
    return f"{text} on {grafana.host} (elsewhere after {tunnel})"


def _status_command() -> str:
    playbooks = [str(name) for name in context.CLIARGS.get("args") or ()]
    is_installed = any(name.startswith(MODULES) for name in playbooks)
    status = f"{MODULES}status" if is_installed else "playbooks/status.yml"
    return " ".join(["ansible-playbook", status, *_inventories()])


def _inventories() -> list[str]:
    paths = [str(path) for path in context.CLIARGS.get("inventory") or ()]
    return [f"-i {min(path, _relative(path), key=len)}" for path in paths]


def _relative(path: str) -> str:
    """Return a path from the working directory; a list of hosts, with commas, is none."""
    return path if "," in path else os.path.relpath(path)


def _task_of(result: Any) -> Any:
    return result.task if hasattr(result, "task") else result._task


def _host_of(result: Any) -> str:
    host = result.host if hasattr(result, "host") else result._host
    return str(host.get_name())


def _values_of(result: Any) -> Any:
    return result.result if hasattr(result, "result") else result._result


def _is_loop(result: Any) -> bool:
    return isinstance(_values_of(result).get("results"), list)


def _items_of(result: Any) -> list[Any]:
    """Return the results of a loop, or the one of a task without a loop."""
    values = _values_of(result)
    if not _is_loop(result):
        return [values]
    return [item for item in values["results"] if isinstance(item, Mapping)]


def _module_of(task: Any) -> str:
    """Return the name of one of our modules without the collection, or an empty string."""
    name = str(getattr(task, "resolved_action", None) or task.action)
    return name.removeprefix(MODULES) if name.startswith(MODULES) else ""


def _component_of(task: Any, module: str) -> str:
    if module == "grafana_content":
        return "grafana-content"
    return str(task.args.get("name", "")) if module == "component" else "removal"
