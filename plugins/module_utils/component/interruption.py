# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn signals between switch and commit into an error, so that they end in a rollback."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from .component_errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# A closed terminal (ssh without pipelining uses one), Ctrl-C, and a service manager's stop.
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Raise InterruptedRunError at the first signal in this block and ignore all further ones.

    Programs that the engine starts inherit ignored signals, so that a rollback's systemctl
    survives the terminal as well.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in handlers.items():
        # nohup(1) ignores SIGHUP, and that stays so.
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def ignore() -> None:
    """Ignore the signals until the block ends: what follows takes no time and is not undone."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    ignore()
    raise InterruptedRunError(
        f"the rollout was interrupted by {signal.Signals(number).name}"
    )
