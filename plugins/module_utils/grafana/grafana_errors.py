# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Errors that the Grafana modules report."""

from __future__ import annotations


class GrafanaError(Exception):
    """What stops a run; the message names the object and the request, and holds no secret.

    ``result`` is what was done before, where anything was (a reconcile.Result).
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class Refused(GrafanaError):
    """Grafana answered a request with an error; ``status`` is its code."""

    def __init__(self, message: str, status: int, text: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.text = text


class Unauthorized(Refused):
    """The credentials are wrong. Nothing may be sent after it: five failures lock the account."""


class Uncertain(GrafanaError):
    """A write may have been carried out or not, or lost a race: look again before writing again."""
