# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Leave an annotation in Grafana about what a run has changed."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ..plugin_utils import journal

TIMEOUT = 10
OPTIONS = {
    "grafana_url": {"type": "str", "required": True},
    "username": {"type": "str", "default": "admin"},
    "password": {"type": "str", "required": True, "no_log": True},
    "ca_path": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    """Send one request, unless the run has changed nothing; a refusal is a warning."""

    TRANSFERS_FILES = False

    def run(
        self,
        tmp: str | None = None,
        task_vars: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Add the annotation; a record of the run is no change of Grafana's state."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=OPTIONS)
        changes = journal.read()
        if not changes or self._task.check_mode:
            return {"changed": False, "annotated": False}
        body = {
            "text": journal.text_of(changes, person()),
            "tags": journal.tags_of(changes),
        }
        try:
            answer = self._send(options, body, task_vars or {})
        except AnsibleError as error:
            answer = {"failed": True, "msg": str(error)}
        if answer.get("failed") or answer.get("unreachable"):
            reason = str(answer.get("msg", "no answer")).splitlines()[0]
            warning = f"The rollout left no annotation in Grafana: {reason}"
            return {"changed": False, "annotated": False, "warnings": [warning]}
        return {"changed": False, "annotated": True, "text": body["text"]}

    def _send(
        self, options: dict[str, Any], body: dict[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any]:
        request = {
            "url": f"{options['grafana_url'].rstrip('/')}/api/annotations",
            "method": "POST",
            "body": body,
            "body_format": "json",
            "url_username": options["username"],
            "url_password": options["password"],
            "force_basic_auth": True,
            "timeout": TIMEOUT,
        }
        if options["ca_path"]:
            request["ca_path"] = options["ca_path"]
        answer: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.uri", module_args=request, task_vars=variables
        )
        return answer


def person() -> str:
    """Return who started this run, and where."""
    name = os.environ.get("SUDO_USER") or getpass.getuser()
    return f"{name}@{socket.gethostname()}"
