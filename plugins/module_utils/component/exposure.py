# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the sockets that a program opens with those that it may open to other hosts."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
from typing import TYPE_CHECKING, NamedTuple

from . import probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .spec import Exposure

TABLES = ("tcp", "tcp6", "udp", "udp6")
# The state of a UDP socket without a peer. The kernel takes ports of clients from 32768 on.
UDP_STATE = "07"
FIRST_CLIENT_PORT = 32768
SECONDS = 3
# First byte of a TLS server's answer: an alert or a handshake.
TLS_RECORDS = (b"\x15", b"\x16")


class Socket(NamedTuple):
    """A socket that accepts data: tcp or udp, its IP address and port."""

    protocol: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """The socket as host:port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def require_private(
    unit_name: str,
    pid: int,
    addresses: Sequence[str],
    exposure: Exposure,
) -> None:
    """Raise HealthCheckFailed when a unit opens to other hosts what it may not."""
    opened = sockets(pid)
    trusted = exposure.get("addresses") or []
    networks = exposure.get("networks") or []
    listed = [*addresses, *trusted]
    wrong = unlisted(opened, listed, networks)
    if wrong:
        names = ", ".join(f"{one.address} ({one.protocol})" for one in wrong)
        raise probe.HealthCheckFailed(
            f"{unit_name} listens on {names}, but may listen on {', '.join(listed)} only; correct"
            " the address in its configuration, or list it in monitoring_open_addresses."
        )
    plain = [
        one.address
        for one in unlisted(opened, trusted, networks)
        if one.protocol == "tcp" and answers_in_plain_text(one)
    ]
    if plain:
        raise probe.HealthCheckFailed(
            f"{unit_name} answers other hosts in plain text on {', '.join(plain)}; configure TLS"
            " for it, or add a trusted network to monitoring_plaintext_networks."
        )


def unlisted(
    opened: Sequence[Socket],
    listed: Sequence[str],
    networks: Sequence[str],
) -> list[Socket]:
    """Return the sockets that other hosts reach, except those listed or in the networks. Pure."""
    trusted = [ipaddress.ip_network(network) for network in networks]
    allowed = {_host_and_port(address) for address in listed}
    result = []
    for one in opened:
        host = ipaddress.ip_address(one.host)
        names = ("*" if host.is_unspecified else one.host, "*")
        is_listed = any((name, str(one.port)) in allowed for name in names)
        is_trusted = any(host in network for network in trusted)
        if not (host.is_loopback or is_listed or is_trusted):
            result.append(one)
    return result


def _host_and_port(address: str) -> tuple[str, str]:
    """Return host and port; the host is an IP address, or * for every one."""
    name, _colon, port = address.rpartition(":")
    name = name.strip("[]")
    if name in probe.EVERY_ADDRESS:
        return "*", port
    try:
        return str(ipaddress.ip_address(name)), port
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(name, 0)[0][4][0]), port
    except OSError:
        return name, port


def sockets(pid: int) -> list[Socket]:
    """Return the sockets on which the processes of a unit accept data, sorted."""
    inodes: set[str] = set()
    for process in probe.group_processes(pid):
        inodes |= probe.socket_inodes(process)
    found = set()
    for table in TABLES:
        protocol = table[:3]
        state = probe.LISTEN_STATE if protocol == "tcp" else UDP_STATE
        for host, port, inode in probe.listeners(f"/proc/net/{table}", state):
            is_client = protocol == "udp" and port >= FIRST_CLIENT_PORT
            if inode in inodes and not is_client:
                found.add(Socket(protocol, ip_address(host), port))
    return sorted(found)


def ip_address(kernel_notation: str) -> str:
    """Return an address of a kernel table as it is usually written. Pure."""
    words = [
        int(kernel_notation[index : index + 8], 16)
        for index in range(0, len(kernel_notation), 8)
    ]
    packed = struct.pack(f"={len(words)}I", *words)
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def answers_in_plain_text(listener: Socket) -> bool:
    """Return whether a listener answers the start of a TLS connection with anything but TLS."""
    host = ipaddress.ip_address(listener.host)
    loopback = "::1" if host.version == 6 else "127.0.0.1"
    address = (loopback if host.is_unspecified else listener.host, listener.port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    try:
        with socket.create_connection(address, SECONDS) as connection:
            # An HTTP server answers at the end of a line.
            connection.sendall(outgoing.read() + b"\r\n\r\n")
            answer = connection.recv(1)
    except OSError:
        return False
    return bool(answer) and answer not in TLS_RECORDS
