# SPDX-License-Identifier: GPL-3.0-or-later
"""Series whose values are functions of the time, and their text for Prometheus. Pure."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
Labels = dict[str, str]
# Seconds since now, negative before it -> value of a gauge, or rate per second of a counter.
Curve = Callable[[float], float]


@dataclass(frozen=True)
class Series:
    """One series. A counter adds its curve up; what is gone has no samples from then on."""

    name: str
    labels: Labels
    curve: Curve
    is_counter: bool = False
    # Seconds since now at which the series ends.
    gone: float = math.inf
    # Whether the curve is of the clock: its value is that of the Unix time.
    is_time: bool = False

    @property
    def text(self) -> str:
        """Return the series as Prometheus writes it."""
        labels = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        return f"{self.name}{{{labels}}}"


def phase(text: str) -> float:
    """Return a number from 0 to 1 that is always the same for a text."""
    return zlib.crc32(text.encode()) / 2**32


def wave(level: float, share: float, seed: str) -> Curve:
    """Return a curve around a level that rises and falls by a share of it."""
    start = phase(seed) * math.tau

    def value(seconds: float) -> float:
        slow = math.sin(seconds / (5 * HOUR) * math.tau + start)
        middle = math.sin(seconds / (23 * MINUTE) * math.tau + 3 * start)
        fast = math.sin(seconds / (97) * math.tau + 7 * start)
        swing = share * (0.6 * slow + 0.3 * middle + 0.1 * fast)
        return max(0.0, level * (1 + swing))

    return value


def flat(level: float) -> Curve:
    """Return a curve that stays."""
    return lambda _seconds: level


def within(start: float, end: float, inside: Curve, outside: Curve) -> Curve:
    """Return a curve that is another one for a while."""
    return lambda seconds: (inside if start <= seconds < end else outside)(seconds)


def ramp(start: float, end: float, first: float, last: float) -> Curve:
    """Return a curve that goes from one value to another between two times."""

    def value(seconds: float) -> float:
        share = min(1.0, max(0.0, (seconds - start) / (end - start)))
        return first + share * (last - first)

    return value


def times(curve: Curve, factor: float) -> Curve:
    """Return a curve that is a multiple of another one."""
    return lambda seconds: curve(seconds) * factor


def whole(curve: Curve) -> Curve:
    """Return a curve without fractions."""
    return lambda seconds: round(curve(seconds))


def since(start: float) -> Curve:
    """Return the time since a time, which is zero before it."""
    return lambda seconds: max(0.0, seconds - start)


def last_run(period: float) -> Curve:
    """Return the time of the last run of what runs periodically."""
    return lambda seconds: seconds - seconds % period


def samples(one: Series, spans: list[range], now: int) -> Iterator[tuple[int, float]]:
    """Yield the samples of a series as time and value."""
    total = 0.0
    for span in spans:
        for time in span:
            # A week ago was like today, except for its faults.
            seconds = time - now if span is spans[-1] else time - now - 10 * HOUR
            if seconds >= one.gone:
                break
            value = one.curve(seconds)
            if one.is_counter:
                total += value * span.step
                value = total
            if one.is_time:
                value += now
            yield time, value


def exposition(fleet: Iterable[Series], spans: list[range], now: int) -> Iterator[str]:
    """Yield the lines of all series in OpenMetrics' text format."""
    for one in fleet:
        text = one.text
        for time, value in samples(one, spans, now):
            yield f"{text} {value:.15g} {time}\n"
    yield "# EOF\n"
