# SPDX-License-Identifier: GPL-3.0-or-later
"""Load existing objects and ownership records from Grafana, no further than a run needs them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ..kinds.names import TEMPLATE
from ..kinds.registry import KINDS, REGISTRY
from . import ownership

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..api.client import Client
    from ..kinds.base import Live, Name
    from ..model import Body, DesiredObject, Reference, RequiredObject
    from .sync_plan import Owned, Rules


class Loader:
    """Reads objects into ``existing``: kind -> identity -> Live."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.existing: dict[str, dict[str, Live]] = {kind: {} for kind in KINDS}
        self._listed: set[str] = set()

    def load_ownership(self, owner: str) -> tuple[ownership.Record, Owned]:
        """Return an owner's record, and all that other owners have recorded.

        Their templates are removed from the existing ones.
        """
        self.ensure_listed(TEMPLATE)
        templates = self.existing[TEMPLATE]
        own = templates.get(ownership.template_name(owner))
        template = own.body["template"] if own else ""
        others = {live.body["template"] for live in templates.values()} - {template}
        records = [
            ownership.decode(other) for other in others if ownership.is_record(other)
        ]
        shared = {
            kind: frozenset().union(*(record[kind] for record in records))
            for kind in KINDS
        }
        self.existing[TEMPLATE] = _without_records(templates)
        return ownership.Record(owner, template, ownership.decode(template)), shared

    def load_planned(
        self,
        desired: Iterable[DesiredObject],
        required: Iterable[RequiredObject],
        rules: Rules,
    ) -> None:
        """Read the objects that a plan compares: desired, required, and owned ones to prune."""
        identities: dict[str, set[str]] = defaultdict(set)
        for item in desired:
            identities[item.kind].add(item.identity)
        for kind, identity, *_details in required:
            identities[kind].add(identity)
        for kind in KINDS:
            if kind in identities and kind not in self._listed:
                owned = (
                    rules.owned.get(kind, frozenset())
                    if kind in rules.prune
                    else frozenset()
                )
                self._load(kind, owned | identities[kind])

    def ensure_listed(self, *kinds: str) -> None:
        """Read all objects of these kinds, unless that was done."""
        for kind in kinds:
            if kind not in self._listed:
                self._load(kind, None)

    def ensure_loaded(self, references: Iterable[Reference]) -> None:
        """Read the objects that are referred to, unless that was done."""
        missing: dict[str, set[str]] = defaultdict(set)
        for kind, identity in references:
            if kind not in self._listed and identity not in self.existing[kind]:
                missing[kind].add(identity)
        for kind, identities in missing.items():
            self._load(kind, frozenset(identities))

    def name_owners(self, kinds: Iterable[str]) -> dict[str, dict[Name, list[str]]]:
        """Return the uids of all objects by their names, for kinds whose names must be unique."""
        owners: dict[str, dict[Name, list[str]]] = {}
        for kind in kinds:
            repeat_since = REGISTRY[kind].names_repeat_since
            if repeat_since is not None and self.client.major_version() >= repeat_since:
                continue
            owners[kind] = {}
            for identity, body in self._named_bodies(kind).items():
                for uid, name in REGISTRY[kind].unique_names(identity, body).items():
                    owners[kind].setdefault(name, []).append(uid)
        return owners

    def _named_bodies(self, kind: str) -> dict[str, Body]:
        bodies = REGISTRY[kind].named_bodies(self.client)
        if bodies is None:
            self.ensure_listed(kind)
            bodies = {
                identity: live.body for identity, live in self.existing[kind].items()
            }
        return bodies

    def _load(self, kind: str, identities: frozenset[str] | None) -> None:
        self.existing[kind].update(REGISTRY[kind].read(self.client, identities))
        if identities is None or REGISTRY[kind].lists_everything:
            self._listed.add(kind)


def read_existing(
    client: Client, kinds: tuple[str, ...] = KINDS
) -> dict[str, dict[str, Live]]:
    """Return all objects by kind and identity, without the records of this library."""
    client.probe()
    existing = {kind: REGISTRY[kind].read(client, None) for kind in kinds}
    if TEMPLATE in existing:
        existing[TEMPLATE] = _without_records(existing[TEMPLATE])
    return existing


def _without_records(templates: dict[str, Live]) -> dict[str, Live]:
    return {
        name: live
        for name, live in templates.items()
        if not ownership.is_record(live.body["template"])
    }
