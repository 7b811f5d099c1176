# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All kinds by their names, in the order of creation."""

from __future__ import annotations

from .contact_point import CONTACT_POINT
from .dashboard import DASHBOARD
from .datasource import DATASOURCE
from .folder import FOLDER
from .mute_timing import MUTE_TIMING
from .names import KINDS
from .policy import POLICY
from .rule_group import RULE_GROUP
from .template import TEMPLATE

_ALL = (FOLDER, DATASOURCE, DASHBOARD, TEMPLATE, MUTE_TIMING, CONTACT_POINT, POLICY, RULE_GROUP)
REGISTRY = {name: next(kind for kind in _ALL if kind.name == name) for name in KINDS}
