# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The name of each kind of Grafana object, and the order in which objects are created. Pure."""

from __future__ import annotations

FOLDER = "folder"
DATASOURCE = "datasource"
DASHBOARD = "dashboard"
TEMPLATE = "template"
MUTE_TIMING = "mute_timing"
CONTACT_POINT = "contact_point"
POLICY = "policy"
RULE_GROUP = "rule_group"

# Order of creation: each kind may refer to those before it. Deletion goes in the opposite order.
KINDS = (
    FOLDER,
    DATASOURCE,
    DASHBOARD,
    TEMPLATE,
    MUTE_TIMING,
    CONTACT_POINT,
    POLICY,
    RULE_GROUP,
)
