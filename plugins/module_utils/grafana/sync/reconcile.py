# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a Grafana to its desired state: load, plan, check, report, apply."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..grafana_errors import GrafanaError
from ..kinds.base import Settings
from ..kinds.registry import REGISTRY
from ..model import PRESENT, DesiredObject, RequiredObject
from . import ownership
from .apply import apply
from .check import check
from .load import Loader
from .report import Result, report_plan
from .sync_plan import Rules, make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..api.client import Client

# A shorter string is no secret, and would be hidden wherever it occurs.
SHORTEST_SECRET = 3


@dataclass(frozen=True)
class Options:
    """Options of a run.

    ``owner`` is the name under which it owns what it creates; without one it owns nothing, and so
    prunes nothing. ``prune`` are the kinds of which it deletes owned objects that are no longer
    desired, ``required`` the objects that must exist though they are not desired.
    """

    check: bool = False
    owner: str = ""
    fingerprint_key: str = ""
    editable: bool = False
    adopt: bool = False
    prune: tuple[str, ...] = ()
    prune_max: int = 10
    exact_json_data: bool = False
    required: tuple[RequiredObject, ...] = ()


def reconcile(
    client: Client, desired: Sequence[DesiredObject], options: Options
) -> Result:
    """Bring Grafana to the desired state, and return what was done.

    Raises GrafanaError, whose ``result`` is what was done before it.
    """
    ownership.check_owner(options.owner)
    client.secrets |= secrets_of(desired)
    client.probe()
    loader = Loader(client)
    rules, record = _rules(options), ownership.Record()
    if options.owner:
        record, others = loader.load_ownership(options.owner)
        rules = replace(rules, owned=record.owned, others=others)
    loader.load_planned(desired, options.required, rules)

    plan = check(make_plan(desired, loader.existing, rules), loader, options.required)
    plan.raise_if_unsafe(options.prune_max)
    plan.raise_if_blocked()

    result = report_plan(plan, desired, client.scrub)
    owned_after = ownership.owned_after(plan, desired, loader.existing)
    try:
        if not options.check:
            apply(client, plan, record, owned_after, result)
        else:
            for step in plan.changes:
                result.add_change(step)
            if options.owner and owned_after != record.owned:
                result.add_ownership_change(options.owner)
    except GrafanaError as error:
        error.result = result
        raise
    finally:
        result.add_warnings(client.warnings)
    return result


def secrets_of(desired: Sequence[DesiredObject]) -> set[str]:
    """Return the secrets in desired objects that are long enough to be hidden."""
    values: set[str] = set()
    for item in desired:
        if item.state == PRESENT:
            values |= REGISTRY[item.kind].secrets(item.body)
    return {value for value in values if len(value) >= SHORTEST_SECRET}


def _rules(options: Options) -> Rules:
    settings = Settings(
        editable=options.editable,
        fingerprint_key=options.fingerprint_key,
        salt=secrets.token_hex(8),
        exact_json_data=options.exact_json_data,
    )
    return Rules(
        settings, options.adopt, bool(options.owner), prune=tuple(options.prune)
    )
