# SPDX-License-Identifier: GPL-3.0-or-later
"""The host and the rollout of the resilience tests, for longer sweeps."""

from __future__ import annotations

from tests.resilience.conftest import host, rollout, undisturbed

__all__ = ["host", "rollout", "undisturbed"]
