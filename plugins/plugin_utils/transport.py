# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Transport security between hosts: mutual TLS, and basic authentication where supported. Pure.

Listeners that other hosts cannot reach, or reach by a trusted network only, use plain text.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, TypedDict

HTTP = "http"
HTTPS = "https"
# Paths below /etc/<component> of each server and client that uses TLS.
CERTIFICATE = "tls/certificate.pem"
KEY = "tls/key.pem"
AUTHORITY = "tls/ca.pem"
PASSWORD = "tls/password"
CERTIFICATE_VARIABLE = "monitoring_tls_certificate"
TLS_VARIABLES = (CERTIFICATE_VARIABLE, "monitoring_tls_key", "monitoring_tls_ca")
LOGIN_VARIABLES = ("monitoring_basic_auth_username", "monitoring_basic_auth_password")
PASSWORD_VARIABLES = (*LOGIN_VARIABLES, "monitoring_basic_auth_hash")
NETWORKS_VARIABLE = "monitoring_plaintext_networks"
OPEN_VARIABLE = "monitoring_open_addresses"


class TransportError(ValueError):
    """A variable has a value that cannot be used."""


class ConfigFile(TypedDict):
    """An element of the option ``config`` of the component module."""

    path: str
    content: str


class ProbeAuth(TypedDict, total=False):
    """Client certificate and login of a probe, as paths below /etc/<component>."""

    certificate_file: str
    key_file: str
    username: str
    password_file: str


class WebConfig(TypedDict, total=False):
    """Web configuration file that Prometheus and its exporters share."""

    tls_server_config: dict[str, str]
    basic_auth_users: dict[str, str]


class ClientConfig(TypedDict, total=False):
    """TLS and login settings of a client, as Prometheus spells them."""

    tls_config: dict[str, str]
    basic_auth: dict[str, str]


class PeerAuth(ProbeAuth, total=False):
    """Those of a probe of another host, whose certificate is verified."""

    ca_file: str


@dataclass(frozen=True)
class Credentials:
    """Certificate and login of a host; empty strings for what it lacks."""

    certificate: str = ""
    key: str = ""
    authority: str = ""
    username: str = ""
    password: str = ""
    # The bcrypt hash of the password, for the web configuration of Prometheus and its exporters.
    password_hash: str = ""


def allows_plaintext(bind_host: str, networks: Any) -> bool:
    """Return whether plain text is safe on an address: loopback, or in one of ``networks``."""
    if is_loopback(bind_host):
        return True
    address = parse_ip(bind_host)
    if address is None:
        return False
    return any(address in network for network in parse_networks(networks))


def is_loopback(host: str) -> bool:
    """Return whether a host name or IP address is that of the machine itself."""
    address = parse_ip(host)
    if address is None:
        return host == "localhost"
    return address.is_loopback


def is_wildcard(host: str) -> bool:
    """Return whether a bind address stands for every address of its machine."""
    address = parse_ip(host)
    if address is None:
        return host == ""
    return address.is_unspecified


def parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a string as an IP address, None if it is none."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def parse_networks(value: Any) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return one network or a list of networks, parsed; raise TransportError for anything else."""
    networks = [value] if isinstance(value, str) else value or []
    try:
        return [ipaddress.ip_network(network) for network in networks]
    except (TypeError, ValueError) as error:
        raise TransportError(f"{error}; write networks as 172.30.0.0/24") from error


def config_files(credentials: Credentials) -> list[ConfigFile]:
    """Return the certificate and its authority as files of the component module."""
    return [
        {"path": CERTIFICATE, "content": credentials.certificate},
        {"path": AUTHORITY, "content": credentials.authority},
    ]


def secret_files(
    credentials: Credentials,
    with_password: bool,
) -> dict[str, str]:
    """Return the contents of the secret files by path: the key, and the password on request."""
    secrets = {KEY: credentials.key}
    if with_password:
        secrets[PASSWORD] = credentials.password
    return secrets


def probe_auth(
    credentials: Credentials,
    with_password: bool,
) -> ProbeAuth:
    """Return the settings by which a component of this host is probed."""
    auth: ProbeAuth = {"certificate_file": CERTIFICATE, "key_file": KEY}
    if with_password:
        auth["username"] = credentials.username
        auth["password_file"] = PASSWORD
    return auth


def peer_auth(client: ClientConfig) -> PeerAuth:
    """Return the settings of a client as those of a probe, empty for plain text."""
    tls, login = client.get("tls_config"), client.get("basic_auth")
    auth = PeerAuth()
    if tls:
        auth = PeerAuth(
            ca_file=tls["ca_file"],
            certificate_file=tls["cert_file"],
            key_file=tls["key_file"],
        )
    if login:
        auth["username"] = login["username"]
        auth["password_file"] = login["password_file"]
    return auth


def web_config(credentials: Credentials) -> WebConfig:
    """Return the web configuration that Prometheus and its exporters share."""
    tls = {"cert_file": CERTIFICATE, "key_file": KEY, "client_ca_file": AUTHORITY}
    if not credentials.password:
        tls["client_auth_type"] = "RequireAndVerifyClientCert"
        return {"tls_server_config": tls}
    # A client may log in by password instead, so only a certificate that it presents is verified.
    tls["client_auth_type"] = "VerifyClientCertIfGiven"
    return {
        "tls_server_config": tls,
        "basic_auth_users": {credentials.username: credentials.password_hash},
    }


def client_config(
    credentials: Credentials,
    etc: str,
    with_password: bool,
) -> ClientConfig:
    """Return the settings of a client; ``etc`` is the directory of its files, or empty."""
    prefix = f"{etc}/" if etc else ""
    tls = {
        "ca_file": prefix + AUTHORITY,
        "cert_file": prefix + CERTIFICATE,
        "key_file": prefix + KEY,
    }
    if not with_password:
        return {"tls_config": tls}
    login = {"username": credentials.username, "password_file": prefix + PASSWORD}
    return {"tls_config": tls, "basic_auth": login}
