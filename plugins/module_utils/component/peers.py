# SPDX-License-Identifier: GPL-3.0-or-later
"""Require that all other hosts of a group are ready before the program of this one stops."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from . import layout, local_http
from .component_errors import ComponentError

if TYPE_CHECKING:
    from .spec import Peer, ReadyProbe

# A busy host may miss an answer.
PATIENCE_SECONDS = 15
INTERVAL_SECONDS = 1
REMEDY = "that first, or roll out once with -e monitoring_without_peers=true"
# The address of a peer, and the directory that has the credentials for it.
Way = tuple[str, "Peer"]


def require(name: str, generation: str, ready: ReadyProbe, former: ReadyProbe) -> None:
    """Raise ComponentError unless each peer of before is ready, at its new or its former address.

    A rollout may change the address or the TLS of the whole group, one host after another. A host
    that joins the group may come later in the same run.
    """
    known_before = {peer["host"]: peer for peer in former.get("peers", ())}
    ways: dict[str, list[Way]] = {
        peer["host"]: [
            (os.path.join(generation, "etc"), peer),
            (layout.etc(name), known_before[peer["host"]]),
        ]
        for peer in ready["peers"]
        if peer["host"] in known_before
    }
    deadline = time.monotonic() + PATIENCE_SECONDS
    for host, known in ways.items():
        reason = _refusal(known)
        while reason and time.monotonic() < deadline:
            time.sleep(INTERVAL_SECONDS)
            reason = _refusal(known)
        if reason:
            raise ComponentError(
                f"{name}: is not stopped while {name} on {host} is not ready ({reason}); repair"
                f" {REMEDY}. Nothing was changed."
            )


def _refusal(ways: list[Way]) -> str:
    """Return why a peer is not ready by any of its addresses, empty if it is."""
    reason = ""
    for etc, peer in ways:
        status, body = local_http.ask_with(etc, peer)
        if 200 <= status < 300:
            return ""
        answer = f"{status or 'nothing'}: {body.strip()[:200]}"
        reason = reason or f"{peer['url']} answers {answer}"
    return reason
