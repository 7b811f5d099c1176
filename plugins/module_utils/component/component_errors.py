# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that stop a rollout."""

from __future__ import annotations


class ComponentError(Exception):
    """An error that stops a rollout; its message is written for an engineer at night.

    ``rolled_back`` names the instances that were restored before the error was raised.
    ``notices`` are shown with the error, such as the path of a saved manual change.
    """

    # Whether another run holds the component's lock, so that the controller may try again.
    locked = False

    def __init__(self, message: str, rolled_back: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.rolled_back = tuple(rolled_back)
        self.notices: tuple[str, ...] = ()


class InterruptedRunError(ComponentError):
    """A signal has ended the run."""


class LockedError(ComponentError):
    """Another run holds the component's lock."""

    locked = True
