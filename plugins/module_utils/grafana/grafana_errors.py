# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that the Grafana modules report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sync.report import Result


class GrafanaError(Exception):
    """An error that ends a run; the message names the object and the request, and no secret.

    ``result`` is what the run did before.
    """

    def __init__(self, message: str, result: Result | None = None) -> None:
        super().__init__(message)
        self.result = result


class Refused(GrafanaError):
    """An error answer of Grafana; ``status`` is its code, ``details`` its own message."""

    def __init__(self, message: str, status: int, details: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.details = details


class Unauthorized(Refused):
    """Wrong credentials. Nothing may be sent after it: five failures lock the account."""


class Uncertain(GrafanaError):
    """A write that may have been carried out or lost a race: read again before writing again."""
