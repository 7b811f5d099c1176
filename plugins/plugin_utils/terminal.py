# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text that plugins print themselves, beside the results of tasks."""

from __future__ import annotations

import shutil
import sys

from ansible import constants
from ansible.utils.display import Display


def is_for_people() -> bool:
    """Return whether the output is text; another program reads the JSON of a callback."""
    return "json" not in str(
        constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK")
    )


def width() -> int | None:
    """Return the number of columns of the terminal, None for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def show(text: str) -> None:
    """Print text, unless the output is JSON."""
    if is_for_people():
        Display().display(text)
