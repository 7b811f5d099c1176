# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Errors that a rollout reports."""

from __future__ import annotations


class ComponentError(Exception):
    """A rollout that must stop; the message is written for the person who reads it at night.

    ``rolled_back`` names what was put back before the error was raised, ``notices`` tell what a person should know
    all the same, such as where a file that was changed by hand is kept.
    """

    def __init__(self, message: str, rolled_back: tuple = ()) -> None:
        super().__init__(message)
        self.rolled_back = tuple(rolled_back)
        self.notices: tuple = ()
