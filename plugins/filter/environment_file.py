# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write a secret environment as a file that systemd reads."""

from __future__ import annotations

DOCUMENTATION = r"""
name: environment_file
short_description: Write a secret environment as a file that systemd reads
version_added: 1.0.0
author:
  - Hippius (@hippius)
description:
  - Turns a dict of variables into an item of the option
    O(hippius.monitoring.component#module:secrets), to which C(EnvironmentFile) of the unit refers.
options:
  _input:
    description: Values by the names of the variables.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the file of one variable
  ansible.builtin.debug:
    msg: "{{ {'S3_KEY': vaulted_key} | hippius.monitoring.environment_file }}"
"""

RETURN = r"""
_value:
  description: Content by the name of the file, empty without variables.
  type: dict
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils import environment

# Characters with a meaning within double quotes; see systemd.exec(5), EnvironmentFile.
SPECIAL = re.compile(r'(["\\$`])')


def environment_file(
    variables: Mapping[str, Any],
) -> dict[str, str]:
    """Return the file ``environment`` with the variables, none without any."""
    lines = [_line(str(name), value) for name, value in sorted(variables.items())]
    return {"environment": "".join(lines)} if lines else {}


def _line(
    name: str,
    value: Any,
) -> str:
    problem = environment.problem(name, value)
    if problem:
        raise AnsibleFilterError(f"environment variable {name!r}: {problem}.")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    escaped = SPECIAL.sub(r"\\\1", text)
    return f'{name}="{escaped}"\n'


class FilterModule:
    """Ansible looks for this name."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        """Return the filters of this file by name."""
        return {"environment_file": environment_file}
