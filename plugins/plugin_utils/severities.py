# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Receivers of alerts by severity, from data in the format of their program. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

SEVERITIES = ("critical", "high", "medium")
# Key of the receivers of every severity.
ALL = "all"
Receivers = TypeVar("Receivers", bound="dict[str, Any] | list[Any]")


def check(notify: Mapping[str, Any]) -> None:
    """Raise ValueError for a key that is no severity."""
    unknown = sorted(set(notify) - {*SEVERITIES, ALL})
    if unknown:
        known = ", ".join((ALL, *SEVERITIES))
        raise ValueError(
            f"{', '.join(unknown)}: is no severity; write one of: {known}."
        )


def completed(receivers: Mapping[str, Receivers]) -> dict[str, Receivers]:
    """Return receivers of every severity; one without any gets those of another.

    An alert that nobody receives would be lost.
    """
    by_urgency = (receivers[severity] for severity in ("high", "critical", "medium"))
    substitute = next(filter(None, by_urgency), receivers["high"])
    return {severity: receivers[severity] or substitute for severity in SEVERITIES}
