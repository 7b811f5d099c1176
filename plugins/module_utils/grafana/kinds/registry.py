# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry of all kinds, in the order of creation."""

from __future__ import annotations

from .base import Kind
from .contact_point import ContactPoint
from .dashboard import Dashboard
from .datasource import Datasource
from .folder import Folder
from .library_panel import LibraryPanel
from .mute_timing import MuteTiming
from .policy import Policy
from .rule_group import RuleGroup
from .template import Template

# Each kind may refer to those before it. Deletion goes in the opposite order.
_IN_ORDER_OF_CREATION: tuple[Kind, ...] = (
    Folder(),
    Datasource(),
    LibraryPanel(),
    Dashboard(),
    Template(),
    MuteTiming(),
    ContactPoint(),
    Policy(),
    RuleGroup(),
)
REGISTRY = {kind.name: kind for kind in _IN_ORDER_OF_CREATION}
KINDS = tuple(REGISTRY)


def referrers(name: str) -> list[str]:
    """Return the kinds whose objects may refer to objects of a kind."""
    return [kind.name for kind in REGISTRY.values() if name in kind.refers_to]


def definition_users(name: str) -> list[str]:
    """Return the kinds whose objects may use what objects of a kind define."""
    return [kind.name for kind in REGISTRY.values() if name in kind.uses_definitions_of]
