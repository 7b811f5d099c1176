# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Print the status of all hosts as one table or one JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from ansible.plugins.action import ActionBase

from ..plugin_utils import rollout_table, terminal
from ..plugin_utils.action_helpers import plain

OPTIONS = {
    "results": {"type": "dict", "required": True},
    "format": {"type": "str", "choices": ["table", "json"], "default": "table"},
    "strict": {"type": "bool", "default": False},
}


class Status(TypedDict):
    """The status of all hosts: components by host, and the reason of each without an answer."""

    hosts: dict[str, Any]
    no_answer: dict[str, str]
    ready: bool


class ActionModule(ActionBase):
    """Print what the status module returned for each host."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self,
        tmp: str | None = None,
        task_vars: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Print the status; fail if a host did not answer or, if strict, is not as it should be."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=OPTIONS)
        status = status_of(plain(options["results"]))
        if options["format"] == "json":
            terminal.show(json.dumps(status, indent=2, sort_keys=True))
        else:
            terminal.show("\n".join(table_of(status, terminal.width())))
        errors = errors_of(status, options["strict"])
        if not errors:
            return {"changed": False, **status}
        failure = {"changed": False, "failed": True, "msg": "\n".join(errors)}
        # Ansible would print the values of a failure once more, below the table.
        return failure if terminal.is_for_people() else {**status, **failure}


def status_of(results: Mapping[str, Any]) -> Status:
    """Return the status of all hosts from the result of each. Pure."""
    hosts = {}
    no_answer = {}
    for host, result in sorted(results.items()):
        if "instances" in result and not result.get("failed"):
            hosts[host] = result["instances"]
        else:
            reason = rollout_table.old_python(result) or result.get("msg")
            lines = str(reason or "no answer").strip().splitlines()
            no_answer[host] = lines[-1].removeprefix("Task failed: ")
    attention = [
        sentence
        for host, instances in hosts.items()
        for sentence in rollout_table.attention(host, instances)
    ]
    return Status(hosts=hosts, no_answer=no_answer, ready=not (attention or no_answer))


def table_of(status: Status, width: int | None) -> list[str]:
    """Return the status as a table. Pure."""
    rows = [
        row
        for host, instances in status["hosts"].items()
        for row in rollout_table.status_rows(host, instances)
    ]
    rows += [
        (host, "unknown", "", "no answer", "", "", reason)
        for host, reason in status["no_answer"].items()
    ]
    return rollout_table.render(rollout_table.STATUS_HEADERS, rows, width)


def errors_of(status: Status, strict: bool) -> list[str]:
    """Return a sentence for each host without an answer, and if strict each problem. Pure."""
    errors = [
        f"{host}: did not answer: {reason}"
        for host, reason in status["no_answer"].items()
    ]
    if strict:
        for host, instances in status["hosts"].items():
            errors += rollout_table.attention(host, instances)
    return errors
