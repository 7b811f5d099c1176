# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges of the fake Grafana that nobody here wrote."""
