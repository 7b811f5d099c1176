# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of the test bed; standard output is reserved for results."""

from __future__ import annotations

import sys
from pathlib import Path


def progress(message: str) -> None:
    """Report a slow step on standard error."""
    print(f"testbed: {message}", file=sys.stderr, flush=True)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log file."""
    content = log.read_text(encoding="utf-8", errors="replace")
    return "\n".join(content.splitlines()[-lines:])
