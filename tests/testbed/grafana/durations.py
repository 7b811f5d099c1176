# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations in Prometheus' form: 90s is 1m30s, 24h is 1d."""

from __future__ import annotations

import re

UNITS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
FORM = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?",
    re.ASCII,
)
# Go counts nanoseconds in 63 bits.
LONGEST = (2**63 - 1) // 10**6


def milliseconds(text: object) -> int:
    """Return the length of a duration; raise ValueError for an invalid one."""
    match = FORM.fullmatch(text) if isinstance(text, str) else None
    if text == "0":
        return 0
    if not match or not text:
        raise ValueError(f"not a valid duration string: {text!r}")
    length = sum(
        int(number or 0) * factor
        for number, factor in zip(match.groups(), UNITS.values(), strict=True)
    )
    if length > LONGEST:
        raise ValueError("duration out of range")
    return length


def written(length: int) -> str:
    """Return a length in Prometheus' form, with years and weeks only if they are exact."""
    if not length:
        return "0s"
    text = ""
    for unit, factor in UNITS.items():
        if unit in ("y", "w") and length % factor:
            continue
        if length >= factor:
            text += f"{length // factor}{unit}"
            length %= factor
    return text


def normal(text: object) -> str:
    """Return a duration in its canonical form."""
    return written(milliseconds(text))
