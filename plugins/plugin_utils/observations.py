# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observations of the hosts of a run, which save work and never decide a change.

Each task runs in a process of its own. All of them share a directory that Ansible creates for the
run, for nobody else, and removes after it. A run without this directory observes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible import constants

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..module_utils.component.observation import HostObservation

NAME = "hippius-monitoring-observations"
# Seconds. A host may change in any way while a long run is busy with others.
LONGEST_USE = 600.0
NONCE_BYTES = 32


class Observation(NamedTuple):
    """The state of a host, none if it could not be observed, and the key of its fingerprints."""

    state: HostObservation | None
    nonce: bytes


def enable() -> None:
    """Let the tasks of this run observe hosts."""
    os.makedirs(_directory(), mode=0o700, exist_ok=True)


def is_enabled() -> bool:
    """Return whether the tasks of this run observe hosts."""
    return os.path.isdir(_directory())


def of_host(
    host: str,
    component: str,
    observe: Callable[[str], dict[str, Any]],
) -> Observation | None:
    """Return the observation of a host, made by ``observe`` unless there is a recent one.

    Return None where hosts are not observed, or the module has run for the component since.
    """
    if not is_enabled() or os.path.exists(_mark(host, component)):
        return None
    return _load(host) or _save(host, observe)


def known(host: str) -> HostObservation | None:
    """Return the observation of a host if there is a recent one."""
    observation = _load(host)
    return observation.state if observation else None


def save_unchanged(host: str, names: list[str]) -> None:
    """Record what a run does not have to do on a host, as long as its observation may be used."""
    _write(_path(host) + ".unchanged", {"time": _time_of(host), "names": names})


def unchanged(host: str) -> list[str]:
    """Return what this run does not have to do on a host."""
    try:
        with open(_path(host) + ".unchanged", encoding="utf-8") as stream:
            saved = json.load(stream)
    except FileNotFoundError:
        return []
    return list(saved["names"]) if _is_recent(saved["time"]) else []


def mark(host: str, component: str) -> None:
    """Record that the module runs for a component, whose observation is out of date from now."""
    if is_enabled():
        with open(_mark(host, component), "wb"):
            pass


def _directory() -> str:
    return os.path.join(constants.DEFAULT_LOCAL_TMP, NAME)


def _path(host: str) -> str:
    # Any character may be in the name of a host.
    return os.path.join(_directory(), hashlib.sha256(host.encode()).hexdigest())


def _mark(host: str, component: str) -> str:
    return _path(f"{host}\n{component}") + ".run"


def _load(host: str) -> Observation | None:
    try:
        with open(_path(host), encoding="utf-8") as stream:
            saved = json.load(stream)
    except FileNotFoundError:
        return None
    if not _is_recent(saved["time"]):
        return None
    return Observation(saved["state"], bytes.fromhex(saved["nonce"]))


def _save(host: str, observe: Callable[[str], dict[str, Any]]) -> Observation:
    """Observe a host, and save what it returns; a failure is saved as well, and not repeated."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    start = time.time()
    state = observe(nonce.hex()).get("observation")
    saved = {"time": start, "nonce": nonce.hex(), "state": state}
    _write(_path(host), saved)
    return Observation(state, nonce)


def _time_of(host: str) -> float:
    with open(_path(host), encoding="utf-8") as stream:
        return float(json.load(stream)["time"])


def _is_recent(start: float) -> bool:
    return 0 <= time.time() - start < LONGEST_USE


def _write(path: str, saved: dict[str, Any]) -> None:
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump(saved, stream)
    os.rename(temporary, path)
