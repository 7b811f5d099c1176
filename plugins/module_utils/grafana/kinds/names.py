# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the kinds of Grafana objects, by which one kind refers to another. Pure."""

from __future__ import annotations

FOLDER = "folder"
DATASOURCE = "datasource"
LIBRARY_PANEL = "library_panel"
DASHBOARD = "dashboard"
TEMPLATE = "template"
MUTE_TIMING = "mute_timing"
CONTACT_POINT = "contact_point"
POLICY = "policy"
RULE_GROUP = "rule_group"
