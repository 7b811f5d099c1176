# SPDX-License-Identifier: GPL-3.0-or-later
"""Failpoints of a rollout, at which a test can kill it."""

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
