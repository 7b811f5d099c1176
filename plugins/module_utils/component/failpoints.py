# SPDX-License-Identifier: GPL-3.0-or-later
"""Failpoints of a rollout, at which a test can kill it."""

from __future__ import annotations

import os
import signal

# In the order in which a first rollout with a reloadable change reaches them.
FAILPOINTS = (
    "after-lock",
    "after-download",
    "after-unpack",
    "after-user",
    "after-generation",
    "after-check",
    "after-pending-mark",
    "after-switch",
    "after-links",
    "after-manager-reload",
    "after-process-action",
    "after-verify",
    "after-commit",
    "after-cleanup",
    "after-prune",
    # A successful rollout does not reach these.
    "after-restore",
    "after-unlink",
    "after-set-aside",
)
# Set by tests only: at this failpoint the module kills itself, as a crash of the host would, or
# sends itself the signal after a colon.
KILL_AT = "HIPPIUS_MONITORING_FAILPOINT"


def failpoint(name: str) -> None:
    """Signal the process when ``name`` is the failpoint in the environment."""
    if name not in FAILPOINTS:
        raise ValueError(name)
    point, _colon, number = os.environ.get(KILL_AT, "").partition(":")
    if point == name:
        os.kill(os.getpid(), getattr(signal, number or "SIGKILL"))
