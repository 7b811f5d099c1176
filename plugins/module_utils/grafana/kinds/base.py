# SPDX-License-Identifier: GPL-3.0-or-later
"""Base class of all kinds of objects, and the values that kinds and the sync exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..api.client import Client
    from ..model import Body, Reference

    # A name that must be unique, with the folder in which it must be so.
    Name = tuple[Any, ...]

NO_PROVENANCE, API = "", "api"
CREATE, UPDATE, KEEP, DELETE = "create", "update", "keep", "delete"
# Created manually, or impossible: nothing is written, and the run fails.
UNMANAGED, CONFLICT = "unmanaged", "conflict"
# Ways in which Grafana says "in no folder".
TOP_LEVEL = ("", "general", None)


@dataclass(frozen=True)
class Live:
    """One object as Grafana has it; ``body`` is canonical, as in model.DesiredObject.

    ``version`` must be named by a write that replaces exactly this state, ``locked`` is the reason
    why the API cannot change the object, ``facts`` are particular to the kind.
    """

    body: Body
    provenance: str = NO_PROVENANCE
    version: int = 0
    locked: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """Settings of a run that change what is written; ``salt`` is fresh for each run."""

    editable: bool = False
    fingerprint_key: str = ""
    salt: str = ""
    exact_json_data: bool = False

    @property
    def provenance(self) -> str:
        """Return the provenance that our writes leave behind."""
        return NO_PROVENANCE if self.editable else API


@dataclass(frozen=True)
class Step:
    """Action for one object; ``before`` and ``after`` are what was compared, None if not there.

    ``asked`` is the body that was asked for, ``body`` the one that is sent, ``moves`` are the uids
    of parts that change their object in this run (see Kind.stages_moves).
    """

    kind: str
    identity: str
    action: str
    source: str
    asked: Body = field(default_factory=dict)
    body: Body = field(default_factory=dict)
    live: Live | None = None
    before: Body | None = None
    after: Body | None = None
    reason: str = ""
    moves: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """Return the object in words."""
        return title(self.kind, self.identity)

    @property
    def about(self) -> str:
        """Return the object and its source, for messages."""
        return f"{self.title} ({self.source})"

    @property
    def writes(self) -> bool:
        """Return whether the step sends anything."""
        return self.action in (CREATE, UPDATE, DELETE)


class Kind:
    """A kind of object: its relations, how its objects compare, and how Grafana stores them.

    The attributes and all methods without a client are pure.
    """

    name = ""
    # Grafana records the provenance of its objects.
    has_provenance = False
    # A write of the same content would change the provenance, so it is compared.
    provenance_is_compared = False
    # Grafana loses or refuses writes of this kind that run in parallel.
    serial = True
    # A read of some objects returns at least the names of all.
    lists_everything = False
    prunable = True
    # Kinds that `references` may return, and kinds that `definitions_used` may.
    refers_to: tuple[str, ...] = ()
    uses_definitions_of: tuple[str, ...] = ()
    # Field of the body with the uid of the folder.
    parent_field = ""
    # Objects of other kinds are in it, and it is deleted only when empty.
    is_container = False
    # Names of the kind in Grafana's counts of what a container holds, in older and newer storage.
    count_names: tuple[str, ...] = ()
    # Field of the body with a list of parts that have uids of their own, and the name of a part.
    parts = ""
    part_label = ""
    # A part cannot be in two objects, so one that moves gets a substitute until `finish`.
    stages_moves = False
    # Field of the body that may identify an absent object in place of the identity.
    lookup_field = ""
    # Why an object that is still referred to is not deleted, for kinds that Grafana protects.
    in_use_blocker = ""
    # Grafana's major version from which `unique_names` may repeat, None if they never may.
    names_repeat_since: int | None = None
    # Two objects must not have the same name even for a moment.
    renames_in_order = True
    # Kinds whose uids a new object must not have.
    uids_differ_from: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return the name of the kind in words."""
        return self.name.replace("_", " ")

    def references(self, body: Body) -> list[Reference]:
        """Return the objects that must exist before this body is written."""
        return []

    def unlisted_references(self, body: Body) -> list[Reference]:
        """Return references of a stored body to objects that exist but that no list has."""
        return []

    def definitions(self, body: Body) -> list[str]:
        """Return the names by which other objects use a body, beside its identity."""
        return []

    def definitions_used(self, body: Body) -> list[Reference]:
        """Return the definitions of other objects that a body uses."""
        return []

    def unique_names(self, identity: str, body: Body) -> dict[str, Name]:
        """Return the names that only one object may have: uid of the object or part -> name."""
        return {}

    def parent(self, body: Body) -> str:
        """Return the uid of the folder of a body, "" for none."""
        uid = body.get(self.parent_field)
        return "" if uid in TOP_LEVEL else str(uid)

    def is_initial(self, live: Live) -> bool:
        """Return whether an object is as Grafana created it, so that nothing is lost with it."""
        return False

    def deletion_blocker(self, identity: str) -> str | None:
        """Return why Grafana needs this object, or None."""
        return None

    def blocker(self, body: Body, live: Live | None) -> str | None:
        """Return why Grafana would refuse this body or store it wrongly, or None."""
        return None

    def server_blocker(
        self, body: Body, release: Callable[[], int], existing: Existing
    ) -> str | None:
        """Return why this release, with its other objects, would take the body wrongly, or None."""
        return None

    def refusal(self, client: Client, step: Step) -> str | None:
        """Return why the server refuses what only it can judge, by a request without effect."""
        return None

    def prepared(self, body: Body, live: Live | None, settings: Settings) -> Body:
        """Return the body that is sent: the one that was asked for, completed for the API.

        Raises ValueError for a body that cannot be read.
        """
        return body

    def expected(self, body: Body) -> Body:
        """Return what Grafana stores when it is sent this body."""
        return body

    def comparable(self, body: Body, like: Body) -> Body:
        """Return the part of a body that is compared when ``like`` was asked for."""
        raise NotImplementedError

    def secrets(self, body: Body) -> set[str]:
        """Return the secret strings in a body."""
        return set()

    def redacted(self, comparable: Body) -> Body:
        """Return a comparable without its secrets, for a diff."""
        return comparable

    def order(self, steps: Sequence[Step]) -> list[Step]:
        """Return steps in the order of their writes; deletions run in the opposite order."""
        return list(steps)

    def read(
        self, client: Client, identities: frozenset[str] | None
    ) -> dict[str, Live]:
        """Return all objects by identity, or at least the named ones."""
        raise NotImplementedError

    def named_bodies(self, client: Client) -> dict[str, Body] | None:
        """Return bodies of all objects with their names only, None if only `read` has them."""
        return None

    def contents(self, client: Client, identity: str) -> dict[str, int]:
        """Return the number of objects in a container by the `count_names` of their kinds."""
        return {}

    def write(self, client: Client, step: Step, settings: Settings) -> None:
        """Create or update the object of a step."""
        raise NotImplementedError

    def delete(self, client: Client, step: Step) -> None:
        """Delete the object of a step."""
        raise NotImplementedError

    def finish(self, client: Client, step: Step, settings: Settings) -> None:
        """Complete a write after everything that refers to the object is in place."""


if TYPE_CHECKING:
    # Kind -> identity -> object.
    Existing = Mapping[str, Mapping[str, Live]]


def address_problem(name: str) -> str | None:
    """Return why a name cannot stand in an address, or None."""
    return (
        f"{name!r} would be another address: rename it" if name in (".", "..") else None
    )


def title(kind: str, identity: str) -> str:
    """Return an object in words; only the policy tree has no identity."""
    return f"{kind.replace('_', ' ')} {identity or 'tree'}"


def provenance_headers(provenance: str) -> dict[str, str]:
    """Return the headers of a write that leaves this provenance."""
    return {} if provenance else {"X-Disable-Provenance": "true"}


def deletion_headers(step: Step) -> dict[str, str]:
    """Return the headers of a deletion, which must match the provenance of the object."""
    return provenance_headers(step.live.provenance if step.live else API)


def provenance_of(value: Any) -> str:
    """Return a provenance of the API in one spelling; none has two."""
    return "" if value in (None, "none") else str(value)


def strictest_provenance(provenances: set[str]) -> str:
    """Return the provenance that is hardest to change among those of an object's parts."""
    others = sorted(provenances - {API, NO_PROVENANCE})
    if others:
        return others[0]
    return NO_PROVENANCE if NO_PROVENANCE in provenances else API
