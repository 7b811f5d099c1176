# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges of the stand-in for Grafana that nobody here wrote."""
