# SPDX-License-Identifier: GPL-3.0-or-later
"""Contract tests: programs and recordings by others check the fake Grafana."""
