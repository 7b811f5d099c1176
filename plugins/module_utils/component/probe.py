# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify from the program's own behavior that it started or reloaded."""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from . import systemd
from .component_errors import ComponentError
from .observed_state import Unit

if TYPE_CHECKING:
    from .spec import ReadyProbe, ReloadProbe

INTERVAL_SECONDS = 0.2
# Consecutive probes that the same process has to pass.
STEADY_PROBES = 5
LISTEN_STATE = "0A"
LOGIN_REFUSED = "it refuses the login"
EVERY_ADDRESS = ("", "0.0.0.0", "::")
NOT_LISTENING = "it does not listen on "
# A program that is ready opens no further address.
PATIENCE_SECONDS = 5


class HealthCheckFailed(Exception):
    """A unit that did not become ready or did not reload."""


def started(
    unit_name: str,
    addresses: Sequence[str],
    ready: ReadyProbe,
    default_timeout: float = 40,
) -> Unit:
    """Wait until a unit that was just started is ready and stays so; return its state."""
    timeout = ready.get("timeout") or default_timeout
    deadline = time.monotonic() + timeout
    first: Unit | None = None
    passed = 0
    healthy_since = time.monotonic()
    while True:
        state = systemd.show([unit_name])[unit_name]
        first = first or state
        _require_alive(unit_name, state, first)
        reason = not_ready(unit_name, state, addresses, ready)
        if reason and reason.startswith(LOGIN_REFUSED):
            # Another attempt could lock the account.
            raise HealthCheckFailed(f"{unit_name} is not ready: {reason}")
        is_elsewhere = reason and reason.startswith(NOT_LISTENING) and ready.get("url")
        if not is_elsewhere or not_ready(unit_name, state, (), ready):
            healthy_since = time.monotonic()
        elif time.monotonic() - healthy_since > PATIENCE_SECONDS:
            raise HealthCheckFailed(
                f"{unit_name} is ready, but {reason}; add the address to its configuration, or"
                " correct the variable of the address"
            )
        passed = 0 if reason else passed + 1
        if passed >= STEADY_PROBES:
            return state
        if time.monotonic() > deadline:
            details = reason or "it did not stay so"
            raise HealthCheckFailed(
                f"{unit_name} was not ready after {timeout} s: {details}"
            )
        time.sleep(INTERVAL_SECONDS)


def _require_alive(unit_name: str, state: Unit, first: Unit) -> None:
    if (
        state.active in ("failed", "inactive", "deactivating")
        or state.sub == "auto-restart"
    ):
        raise HealthCheckFailed(f"{unit_name} ended right after its start")
    replaced = first.main_pid and state.main_pid != first.main_pid
    if replaced or state.restarts != first.restarts:
        raise HealthCheckFailed(f"{unit_name} ended and was started again")


def not_ready(
    unit_name: str, state: Unit, addresses: Sequence[str], ready: ReadyProbe
) -> str | None:
    """Return why a unit is not ready, or None."""
    if state.active != "active" or not state.main_pid:
        return f"it is {state.active}"
    for address in addresses:
        try:
            owned = listening_processes(address) & group_processes(state.main_pid)
        except ComponentError as error:
            return str(error)
        if not owned:
            return f"{NOT_LISTENING}{address}"
    if not ready.get("url"):
        return None
    status, body = ask(unit_name, ready, state.main_pid)
    excerpt = body.strip()[:200]
    if ready.get("username") and status in (401, 403):
        return f"{LOGIN_REFUSED} of {ready['username']} ({status}): {excerpt}"
    if not 200 <= status < 300:
        return f"{ready['url']} answers {status or 'nothing'}: {excerpt}"
    return None


def metric(unit_name: str, reload: ReloadProbe, name: str, pid: int) -> float | None:
    """Return the value of a metric without labels, or None."""
    return metric_value(_metrics(unit_name, reload, pid), name)


def _metrics(unit_name: str, reload: ReloadProbe, pid: int) -> str:
    status, body = ask(unit_name, reload, pid)
    return body if status == 200 else ""


def metric_value(exposition: str, name: str) -> float | None:
    """Return the value of a metric without labels in Prometheus' text format. Pure."""
    sample = re.search(rf"^{re.escape(name)}[ \t]+(\S+)", exposition, re.MULTILINE)
    try:
        return float(sample.group(1)) if sample else None
    except ValueError:
        return None


def reloaded(unit_name: str, reload: ReloadProbe, before: float, pid: int) -> Unit:
    """Wait until the program's metrics show a successful reload; return the unit's state.

    The timestamp has to differ from ``before`` and not to be later, as clocks are set back.
    """
    timeout = reload.get("timeout") or 30
    deadline = time.monotonic() + timeout
    while True:
        state = systemd.show([unit_name])[unit_name]
        if state.main_pid != pid:
            raise HealthCheckFailed(f"{unit_name} ended during the reload")
        metrics = _metrics(unit_name, reload, pid)
        timestamp = metric_value(metrics, reload["timestamp"])
        if metric_value(metrics, reload["success"]) == 1 and timestamp not in (
            None,
            before,
        ):
            return state
        if time.monotonic() > deadline:
            raise HealthCheckFailed(
                f"{unit_name}: {reload['success']} and {reload['timestamp']}"
                f" showed no successful reload in {timeout} s"
            )
        time.sleep(INTERVAL_SECONDS)


def ask(unit_name: str, probe: ReadyProbe, pid: int) -> tuple[int, str]:
    """Return status and body of a probe; see ``local_http.ask``.

    Credentials are sent only to a socket that belongs to process ``pid`` or its control group.
    """
    if probe.get("username"):
        address = probe["url"].split("/")[2]
        has_port = re.search(r":\d+$", address)
        if has_port and not listening_processes(address) & group_processes(pid):
            return 0, f"{address} does not belong to {unit_name}"
    # Most runs probe nothing, so they need not load HTTP.
    from . import local_http

    return local_http.ask(unit_name, probe)


def described(pids: set[int]) -> str:
    """Return processes in words."""
    words = []
    for pid in sorted(pids):
        unit = unit_of(pid)
        words.append(f"{_command(pid)} (process {pid}{', ' + unit if unit else ''})")
    return ", ".join(words)


def unit_of(pid: int) -> str:
    """Return the service that a process belongs to, or an empty string."""
    last = (_control_group(pid) or "").strip().rpartition("/")[2]
    return last if last.endswith(".service") else ""


def listening_processes(address: str) -> set[int]:
    """Return the processes that listen on an address or on every one."""
    inodes = _listening_inodes(address)
    if not inodes:
        return set()
    return {pid for pid in _process_ids() if inodes & socket_inodes(pid)}


def group_processes(pid: int) -> set[int]:
    """Return the processes of a process' control group; none when it has ended."""
    group = _control_group(pid)
    if group is None:
        return set()
    return {member for member in _process_ids() if _control_group(member) == group}


def _process_ids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _control_group(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as stream:
            return stream.read()
    except OSError:
        return None


def _listening_inodes(address: str) -> set[str]:
    host, _colon, port = address.rpartition(":")
    host = host.strip("[]")
    any_host = host in EVERY_ADDRESS
    hex_addresses = set() if any_host else _hex_addresses(host)
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for local_host, local_port, inode in listeners(table):
            # Zeros stand for every address.
            same_host = (
                any_host or local_host in hex_addresses or not local_host.strip("0")
            )
            if same_host and local_port == int(port):
                inodes.add(inode)
    return inodes


def listeners(table: str, state: str = LISTEN_STATE) -> Iterator[tuple[str, int, str]]:
    """Yield address in hex, port and inode of each socket of a state in a kernel table."""
    try:
        with open(table, encoding="ascii") as stream:
            lines = stream.readlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        host, port = fields[1].split(":")
        if fields[3] == state:
            yield host, int(port, 16), fields[9]


def _hex_addresses(host: str) -> set[str]:
    """Return a host's addresses in the kernel's notation, IPv4 ones also mapped to IPv6."""
    try:
        answers = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ComponentError(f"Host {host!r}: {error.strerror or error}.") from error
    addresses = set()
    for family, _type, _protocol, _name, socket_address in answers:
        packed = socket.inet_pton(family, str(socket_address[0]).partition("%")[0])
        addresses.add(_kernel_notation(packed))
        if family == socket.AF_INET:
            addresses.add(_kernel_notation(bytes(10) + b"\xff\xff" + packed))
    return addresses


def _kernel_notation(packed: bytes) -> str:
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words)


def socket_inodes(pid: int) -> set[str]:
    """Return the inodes of a process' sockets."""
    inodes = set()
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    except OSError:
        pass
    return inodes


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return "a process"
