# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that programs of one transaction hand over to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import observe, probe, systemd
from .component_errors import ComponentError
from .rollout_plan import INSTALL, RESTART
from .spec import overlap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .removal import Removal
    from .transaction import Rollout


@dataclass(frozen=True)
class Handover:
    """A unit that is stopped before another one starts on its address."""

    giver: str
    taker: str


def handovers(
    rollouts: Sequence[Rollout], removals: Sequence[Removal]
) -> tuple[Handover, ...]:
    """Return the handovers of a transaction; refuse an address that anything else holds."""
    result = []
    for rollout in rollouts:
        if rollout.plan.action not in (INSTALL, RESTART):
            continue
        for address in rollout.desired.listen_addresses:
            holders = probe.listening_processes(address)
            if holders:
                givers = _givers(address, holders, rollout, rollouts, removals)
                result += [Handover(unit, rollout.desired.main_unit) for unit in givers]
    return tuple(dict.fromkeys(result))


def _givers(
    address: str,
    holders: set[int],
    taker: Rollout,
    rollouts: Sequence[Rollout],
    removals: Sequence[Removal],
) -> list[str]:
    """Return the units that give an address up; refuse it when others hold it."""
    giving = [unit for removal in removals for unit in _units_of(removal)]
    for rollout in rollouts:
        kept = any(overlap(address, own) for own in rollout.desired.listen_addresses)
        if rollout.plan.action in (INSTALL, RESTART) and not kept:
            giving += rollout.observed.units
    own = list(taker.observed.units)
    givers = []
    for unit_name, state in systemd.show([*own, *giving]).items():
        # A socket unit's listener belongs to the manager itself.
        socket = unit_name.endswith(".socket") and state.active == "active"
        processes = {1} if socket else probe.group_processes(state.main_pid)
        if holders & processes:
            holders = holders - processes
            if unit_name not in own:
                givers.append(unit_name)
    if holders:
        raise ComponentError(
            f"{address}: in use by {probe.described(holders)}, but required by {taker.name};"
            f" {_remedy(holders)} or choose another address. Nothing was changed."
        )
    return givers


def _units_of(removal: Removal) -> list[str]:
    return list(removal.manifest["units"]) if removal.manifest else []


def _remedy(holders: set[int]) -> str:
    """Return what to do about the processes; another component may only have to go first."""
    units = {probe.unit_of(pid) for pid in holders}
    for component, names in observe.components().items():
        if units & {name + ".service" for name in names}:
            return f"roll {component} out or remove it first,"
    return "stop that process"
