# SPDX-License-Identifier: GPL-3.0-or-later
"""Failpoints of a rollout, at which a test can kill it."""

from __future__ import annotations

import os
import signal

# Set by tests only: at this failpoint the module kills itself, as a crash of the host would, or
# sends itself the signal after a colon.
KILL_AT = "HIPPIUS_MONITORING_FAILPOINT"


def failpoint(name: str) -> None:
    """Signal the process when ``name`` is the failpoint in the environment."""
    point, _colon, number = os.environ.get(KILL_AT, "").partition(":")
    if point == name:
        os.kill(os.getpid(), getattr(signal, number or "SIGKILL"))
