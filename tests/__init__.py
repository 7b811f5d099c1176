# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of hippius.monitoring, as a package: `python3 -m tests.testbed` must not find another."""
