# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write random secrets to a file of variables that Ansible Vault encrypts, once."""

from __future__ import annotations

import os
import secrets
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ..plugin_utils import action_helpers

OPTIONS = {
    "path": {"type": "str", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
}
# Random bytes of a secret, 32 characters.
BYTES = 24


class ActionModule(ActionBase):
    """Create the file unless it exists; the secrets are never shown."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self,
        tmp: str | None = None,
        task_vars: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return whether the file was created."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=OPTIONS)
        path, names = options["path"], action_helpers.plain(options["names"])
        if os.path.exists(path):
            self._require(path, names)
            return {"changed": False, "path": path}
        content = self._encrypted(text_of(names))
        if not self._task.check_mode:
            write(path, content)
        return {"changed": True, "path": path}

    def _require(self, path: str, names: list[str]) -> None:
        """Refuse a file without one of the variables, which is not ours."""
        variables = self._loader.load_from_file(path, cache="none") or {}
        missing = [name for name in names if not variables.get(name)]
        if missing:
            raise AnsibleActionFail(
                f"{path}: exists without {' and '.join(missing)}; add them, or pass the path of"
                " another file as secrets_file."
            )

    def _encrypted(self, text: str) -> bytes:
        vault = self._loader._vault
        if not vault.secrets:
            raise AnsibleActionFail(
                "vault password: is not given; add --ask-vault-pass or --vault-password-file."
            )
        try:
            return bytes(vault.encrypt(text))
        except AnsibleError as error:
            raise AnsibleActionFail(
                f"vault: the file was not encrypted: {error}"
            ) from None


def text_of(names: list[str]) -> str:
    """Return a file of variables with a random value for each name."""
    values = {name: secrets.token_urlsafe(BYTES) for name in names}
    return "---\n" + str(yaml.safe_dump(values))


def write(path: str, content: bytes) -> None:
    """Create a file that only its owner can read; do not replace one that appears meanwhile."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(os.open(path, flags, 0o600), "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise AnsibleActionFail(
            f"{path}: cannot be written: {error.strerror}; name another file in secrets_file."
        ) from None
