# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How what crosses hosts is protected: by TLS with certificates on both sides, and passwords where programs know them.

Pure. What is not reached from elsewhere, or only by a network that is trusted, speaks plain text.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

HTTP, HTTPS = "http", "https"
# Below /etc/<component> of whoever serves or asks by TLS.
CERTIFICATE, KEY, AUTHORITY, PASSWORD = (
    "tls/certificate.pem",
    "tls/key.pem",
    "tls/ca.pem",
    "tls/password",
)
CERTIFICATE_VARIABLE = "monitoring_tls_certificate"
TLS_VARIABLES = (CERTIFICATE_VARIABLE, "monitoring_tls_key", "monitoring_tls_ca")
PASSWORD_VARIABLES = (
    "monitoring_basic_auth_username", "monitoring_basic_auth_password", "monitoring_basic_auth_hash",
)  # fmt: skip
NETWORKS_VARIABLE = "monitoring_plaintext_networks"


class TransportError(ValueError):
    """A variable does not hold what it should."""


@dataclass(frozen=True)
class Credentials:
    """What a host shows to others: texts, empty where it has none."""

    certificate: str = ""
    key: str = ""
    authority: str = ""
    username: str = ""
    password: str = ""
    # The same password as Prometheus' own programs keep it, by bcrypt.
    password_hash: str = ""


def allows_plaintext(bind_address: str, networks: object) -> bool:
    """Whether plain text will do on an address: others do not reach it, or by these networks only."""
    address = ip(bind_address)
    return is_loopback(bind_address) or bool(
        address and any(address in network for network in _networks(networks))
    )


def is_loopback(host: str) -> bool:
    """Whether a host or IP address means the machine itself."""
    address = ip(host)
    return host == "localhost" or bool(address and address.is_loopback)


def ip(host: str) -> object:
    """The IP address that a text is, or None."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _networks(value: object) -> list:
    value = [value] if isinstance(value, str) else value or []
    try:
        return [ipaddress.ip_network(network) for network in value]
    except (TypeError, ValueError) as error:
        raise TransportError(
            f"{NETWORKS_VARIABLE}: {error}; write networks as 172.30.0.0/24."
        ) from error


def files(own: Credentials, password: bool) -> dict:
    """The files of a component that serves or asks by TLS, and has passwords to tell or to give."""
    return {
        "config": [
            {"path": CERTIFICATE, "content": own.certificate},
            {"path": AUTHORITY, "content": own.authority},
        ],
        "secrets": {KEY: own.key, **({PASSWORD: own.password} if password else {})},
    }


def probe_auth(own: Credentials, password: bool) -> dict:
    """What a component of this host is asked with whether it is ready, beside the address."""
    found = {"certificate_file": CERTIFICATE, "key_file": KEY}
    return {**found, "username": own.username, "password_file": PASSWORD} if password else found


def web(own: Credentials) -> dict:
    """The configuration file of the web server that Prometheus' own programs share."""
    tls = {"cert_file": CERTIFICATE, "key_file": KEY, "client_ca_file": AUTHORITY}
    if not own.password:
        return {"tls_server_config": {**tls, "client_auth_type": "RequireAndVerifyClientCert"}}
    # The password lets people in who have no certificate, so a certificate is only verified where there is one.
    return {
        "tls_server_config": {**tls, "client_auth_type": "VerifyClientCertIfGiven"},
        "basic_auth_users": {own.username: own.password_hash},
    }


def client(own: Credentials, etc: str, password: bool) -> dict:
    """What a client needs, in the form of Prometheus; ``etc`` is the directory of its files."""
    below = f"{etc}/" if etc else ""
    tls = {"ca_file": below + AUTHORITY, "cert_file": below + CERTIFICATE, "key_file": below + KEY}
    if not password:
        return {"tls_config": tls}
    return {
        "tls_config": tls,
        "basic_auth": {"username": own.username, "password_file": below + PASSWORD},
    }
