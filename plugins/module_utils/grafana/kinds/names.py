# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
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
