# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all kinds of objects have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NO_PROVENANCE, API = "", "api"


@dataclass(frozen=True)
class Live:
    """One object as Grafana has it; ``body`` is canonical, as in model.Wanted.

    ``version`` is what a write must name to be sure that nobody wrote since, ``locked`` says why the API cannot
    change the object, ``facts`` are the kind's own.
    """

    body: dict
    provenance: str = NO_PROVENANCE
    version: int = 0
    locked: str = ""
    facts: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """What decides, beside the objects, what is written; ``salt`` is fresh for each run."""

    editable: bool = False
    fingerprint_key: str = ""
    salt: str = ""
    exact_json_data: bool = False

    @property
    def provenance(self) -> str:
        """What our writes leave behind."""
        return NO_PROVENANCE if self.editable else API


class Kind:
    """A kind of object. The first group of methods is pure, the second sends requests."""

    name = ""
    # Whether Grafana keeps where its objects come from.
    stamped = False
    # Whether a write of the same content would change the provenance, so that it can be compared.
    provenance_is_compared = False
    # Whether writes must follow one after the other.
    serial = True

    def prepared(self, body: dict, live: Live | None, settings: Settings) -> dict:
        """The body that is sent: what was asked for, with what Grafana insists on."""
        return body

    def expected(self, body: dict) -> dict:
        """What Grafana will have stored when it was sent this body."""
        return body

    def comparable(self, body: dict, like: dict) -> dict:
        """The part of a body that is compared, when ``like`` was asked for."""
        raise NotImplementedError

    def problem(self, body: dict, live: Live | None) -> str:
        """Why Grafana would not take this body, or nothing."""
        return ""

    def secrets(self, body: dict) -> set:
        """Texts in a body that nobody may read."""
        return set()

    def shown(self, comparable: dict) -> dict:
        """What people may see of a comparable."""
        return comparable

    def order(self, steps: list) -> list:
        """The order of writes within the kind."""
        return steps

    def read(self, client: Any, identities: frozenset | None) -> dict:
        """Identity -> Live of all objects, or at least of those that are named."""
        raise NotImplementedError

    def write(self, client: Any, step: Any, settings: Settings) -> None:
        """Create or update the object of a plan.Step."""
        raise NotImplementedError

    def delete(self, client: Any, step: Any) -> None:
        """Delete the object of a plan.Step."""
        raise NotImplementedError

    def finish(self, client: Any, step: Any, settings: Settings) -> None:
        """What is left of a write once everything that refers to the object is in place."""


def stamp(provenance: str) -> dict:
    """Headers of a write that leaves this provenance."""
    return {} if provenance else {"X-Disable-Provenance": "true"}


def of_value(provenance: Any) -> str:
    """A provenance as the API tells it, where none has two spellings."""
    return "" if provenance in (None, "none") else str(provenance)
