# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit for the duration of whatever waits, such as for a server that sends its headers slowly.

A socket's timeout is one of each packet, so that a byte now and then defeats it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in this block after some seconds; only the main thread can be limited."""

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"it did not end within {seconds:g} s")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, expire)
    # Ansible uses the same timer for the keyword timeout of a task.
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
