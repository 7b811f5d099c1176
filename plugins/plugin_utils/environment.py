# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names and values of environment variables that systemd passes to a program. Pure."""

from __future__ import annotations

import re
from typing import Any

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def problem(name: Any, value: Any) -> str | None:
    """Return why systemd or a program cannot read a variable, without its value, or None."""
    if not _NAME.fullmatch(str(name)):
        return "is not a name; use letters, digits and _"
    is_scalar = isinstance(value, (str, int, float))
    if not is_scalar or "\0" in str(value):
        return "has no value that a program can read; set a string"
    return None
