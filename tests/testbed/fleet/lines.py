# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines of the fleet's containers, as Loki takes them. Pure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import NamedTuple

from tests.testbed.fleet.metrics import CONTAINERS
from tests.testbed.fleet.series import HOUR, phase

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TEMPLATES = (
    ("info", '"GET /{bucket}/{key} HTTP/1.1" 200 OK duration=0.04'),
    ("info", "Uploaded part 7 of object backup/2026-11-27.tar to 3 nodes"),
    ("debug", "Connection from pool 'accounts' returned after 12 ms"),
    (
        "warn",
        (
            "Retrying request to node 12D3KooWJ8dFk3pV9aQy7sE2mX4cT6uB1nL5hR0gZiCwYtKvNoPq in"
            " 2 s (attempt 2 of 5): connection reset by peer"
        ),
    ),
    (
        "error",
        (
            "Traceback (most recent call last): redis.exceptions.OutOfMemoryError: command not"
            " allowed when used memory > 'maxmemory'."
        ),
    ),
)
# Lines of a level among hundred.
SHARES = {"info": 70, "debug": 20, "warn": 7, "error": 3}


class Line(NamedTuple):
    """A log line with the time in seconds."""

    time: int
    text: str


def container_lines(container: str, now: int, ahead: int, step: int) -> list[Line]:
    """Return the lines of a container of the last two hours and some time ahead."""
    made = []
    for time in range(now - 2 * HOUR, now + ahead, step):
        number = int(phase(f"{container} {time}") * 100)
        # Errors are frequent while requests are slow.
        if -50 * 60 <= time - now < -20 * 60 and number % 4 == 0:
            number = 99
        made.append(Line(time, line_text(number)))
    return made


def line_text(number: int) -> str:
    """Return a line by a number from 0 to 99, with the level that is due to it."""
    limits = itertools.accumulate(SHARES.values())
    level = next(
        name for name, limit in zip(SHARES, limits, strict=True) if number < limit
    )
    texts = [text for known, text in TEMPLATES if known == level]
    text = texts[number % len(texts)]
    return (
        f"level={level} logger=hippius_s3.api trace_id={TRACE[:-2]}{number:02d} {text}"
    )


def pushed(now: int, ahead: int) -> Iterator[str]:
    """Yield the bodies of the requests that give Loki all lines: one for each container."""
    for index, labels in enumerate(CONTAINERS):
        name = f"{labels['env']} {labels['host']} {labels['container_name']}"
        step = (5, 10, 20, 60)[index % 4]
        values = [
            [str(line.time * 10**9), line.text]
            for line in container_lines(name, now, ahead, step)
        ]
        yield json.dumps({"streams": [{"stream": labels, "values": values}]})
