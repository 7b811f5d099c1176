# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The points of a rollout at which it may be killed, and a hook that lets a test do so."""

from __future__ import annotations

import os
import signal

# In the order in which a first rollout with a reloadable change passes them.
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
    # Not passed by a rollout that goes well.
    "after-restore",
    "after-unlink",
    "after-set-aside",
)
# Set by the kill tests only: the module kills itself there, as a crash of the host would.
KILL_AT = "HIPPIUS_MONITORING_FAILPOINT"


def failpoint(point: str) -> None:
    """Pass a point; an unknown one is a mistake of ours."""
    if point not in FAILPOINTS:
        raise ValueError(point)
    if os.environ.get(KILL_AT) == point:
        os.kill(os.getpid(), signal.SIGKILL)
