# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Believe that a program took a change only when the program itself shows it."""

from __future__ import annotations

import os
import re
import socket
import struct
import time

from . import systemd
from .component_errors import ComponentError
from .rollout_plan import Unit

INTERVAL_SECONDS = 0.2
# The same process has to be there over this many probes in turn.
STEADY_PROBES = 5
LISTEN_STATE = "0A"
REFUSED = "it refuses the login"
EVERY_ADDRESS = ("", "0.0.0.0", "::")


class HealthCheckFailed(Exception):
    """What was waited for did not happen."""


def started(
    unit_name: str, listen_addresses: list, ready: dict, default_timeout: float = 40
) -> Unit:
    """Wait until a freshly started unit is ready and stays, and return its state."""
    timeout = ready.get("timeout") or default_timeout
    deadline = time.monotonic() + timeout
    first: Unit | None = None
    steady, lacking = 0, ""
    while True:
        state = systemd.show([unit_name])[unit_name]
        first = first or state
        _require_alive(unit_name, state, first)
        lacking = missing(unit_name, state, listen_addresses, ready)
        if lacking.startswith(REFUSED):
            # Trying on would only lock the account.
            raise HealthCheckFailed(f"{unit_name} is not what was wanted: {lacking}")
        steady = 0 if lacking else steady + 1
        if steady >= STEADY_PROBES:
            return state
        if time.monotonic() > deadline:
            raise HealthCheckFailed(
                f"{unit_name} was not ready after {timeout} s: {lacking or 'it did not stay'}"
            )
        time.sleep(INTERVAL_SECONDS)


def _require_alive(unit_name: str, state: Unit, first: Unit) -> None:
    if state.active in ("failed", "inactive", "deactivating") or state.sub == "auto-restart":
        raise HealthCheckFailed(f"{unit_name} ended right after its start")
    if state.restarts != first.restarts or (first.main_pid and state.main_pid != first.main_pid):
        raise HealthCheckFailed(f"{unit_name} ended and was started again")


def missing(unit_name: str, state: Unit, listen_addresses: list, ready: dict) -> str:
    """What a unit that should be ready lacks, in words, or nothing."""
    if state.active != "active" or not state.main_pid:
        return f"it is {state.active}"
    for address in listen_addresses:
        try:
            listening = owners(address)
        except ComponentError as error:
            return str(error)
        if not (listening & processes(state.main_pid)):
            return f"it does not listen on {address}"
    if ready.get("url"):
        # Credentials are sent only after the socket was seen to belong to the unit.
        status, text = ask(unit_name, ready)
        if ready.get("username") and status in (401, 403):
            return f"{REFUSED} of {ready['username']} ({status}): {text.strip()[:200]}"
        if not 200 <= status < 300:
            return f"{ready['url']} answers {status or 'nothing'}: {text.strip()[:200]}"
    return ""


def metric(unit_name: str, reload: dict, name: str) -> float | None:
    """The value of a metric without labels, or None when it cannot be had."""
    status, text = ask(unit_name, reload)
    return value_of(text, name) if status == 200 else None


def value_of(text: str, name: str) -> float | None:
    """The value of a metric without labels in the text format of Prometheus. Pure."""
    found = re.search(rf"^{re.escape(name)}[ \t]+(\S+)", text, re.MULTILINE)
    try:
        return float(found.group(1)) if found else None
    except ValueError:
        return None


def reloaded(unit_name: str, reload: dict, before: float, pid: int) -> Unit:
    """Wait for the program's own proof that it took a reload; ``before`` is its timestamp before it.

    The timestamp has to differ, not to be later, since the clock may have been set back.
    """
    timeout = reload.get("timeout") or 30
    deadline = time.monotonic() + timeout
    while True:
        state = systemd.show([unit_name])[unit_name]
        if state.main_pid != pid:
            raise HealthCheckFailed(f"{unit_name} ended during the reload")
        status, text = ask(unit_name, reload)
        success, after = (
            value_of(text if status == 200 else "", reload[key]) for key in ("success", "timestamp")
        )
        if success == 1 and after not in (None, before):
            return state
        if time.monotonic() > deadline:
            raise HealthCheckFailed(
                f"{reload['success']} and {reload['timestamp']} showed no successful reload in {timeout} s"
            )
        time.sleep(INTERVAL_SECONDS)


def ask(unit_name: str, probe_options: dict) -> tuple:
    """Status and text that a program answers to ``ready`` or ``reload``; see ``web.ask``."""
    # Most runs change nothing and ask nobody, so they need not load what speaks HTTP.
    from . import local_http

    return local_http.ask(unit_name, probe_options)


def taken(address: str, own_pid: int) -> str:
    """Who else holds an address that a program needs, as text; nothing when it is free."""
    others = owners(address) - (processes(own_pid) if own_pid else set())
    return ", ".join(f"{_command(pid)} (process {pid})" for pid in sorted(others))


def owners(address: str) -> set:
    """Processes that listen on an address, or on its port on every address."""
    inodes = _listening_inodes(address)
    found = set()
    for pid in os.listdir("/proc") if inodes else ():
        if pid.isdigit() and inodes & _socket_inodes(pid):
            found.add(int(pid))
    return found


def processes(pid: int) -> set:
    """A process and those that share its control group."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as stream:
            group = stream.read()
    except OSError:
        return set()
    found = {pid}
    for other in os.listdir("/proc"):
        if other.isdigit():
            try:
                with open(f"/proc/{other}/cgroup", encoding="ascii") as stream:
                    if stream.read() == group:
                        found.add(int(other))
            except OSError:
                continue
    return found


def _listening_inodes(address: str) -> set:
    host, _colon, port = address.rpartition(":")
    host = host.strip("[]")
    desired = None if host in EVERY_ADDRESS else _hex_addresses(host)
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as stream:
                rows = [line.split() for line in stream.readlines()[1:]]
        except OSError:
            continue
        for row in rows:
            local, local_port = row[1].split(":")
            matches = desired is None or local in desired or not local.strip("0")
            if row[3] == LISTEN_STATE and int(local_port, 16) == int(port) and matches:
                inodes.add(row[9])
    return inodes


def _hex_addresses(host: str) -> set:
    """An address as the kernel's tables write it, also as IPv6 writes an IPv4 address."""
    found = set()
    try:
        answers = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ComponentError(f"Address {host} is not known: {error.strerror or error}.") from error
    for family, _type, _protocol, _name, where in answers:
        packed = socket.inet_pton(family, where[0].partition("%")[0])
        words = struct.unpack(f"={len(packed) // 4}I", packed)
        text = "".join(f"{word:08X}" for word in words)
        found.add(text)
        if family == socket.AF_INET:
            found.add(
                f"0000000000000000{struct.unpack('=I', struct.pack('>I', 0xFFFF))[0]:08X}" + text
            )
    return found


def _socket_inodes(pid: str) -> set:
    found = set()
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        pass
    return found


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return "a process"
