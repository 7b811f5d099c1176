# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of hippius.monitoring; a package, so that `python3 -m tests.testbed` finds this one and no installed `tests`."""
