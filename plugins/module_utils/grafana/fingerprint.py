# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of secrets that Grafana never shows again, to notice a rotated one. Pure.

The record stands in the datasource's jsonData, which all of its users can read, so it is never a
bare hash: with a key it is an HMAC, without one a slow hash with a salt. It is bound to the
datasource and to the version that the write made: any other write of the datasource voids the
record, and the secrets are written once more.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Body

# Key of the record in jsonData.
RECORD = "hippiusMonitoringSecrets"
FORMAT = 1
# Cost of the slow hash: 16 MiB and some 50 ms for each secret.
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}

ROUNDS = 500_000


def digest(key: str, salt: str, uid: str, field: str, secret: str) -> str:
    """Return the digest of one secret."""
    message = "\0".join((uid, field, secret)).encode()
    if key:
        return hmac.new(
            key.encode(), salt.encode() + message, hashlib.sha256
        ).hexdigest()
    try:
        return hashlib.scrypt(message, salt=salt.encode(), **SCRYPT).hex()
    except (AttributeError, ValueError):
        # OpenSSL in FIPS mode has no scrypt.
        return hashlib.pbkdf2_hmac("sha256", message, salt.encode(), ROUNDS).hex()


def record(
    secrets: dict[str, str], uid: str, key: str, salt: str, version: int
) -> Body:
    """Return the record of secrets that are written as ``version`` of the datasource."""
    digests = {
        field: digest(key, salt, uid, field, secret)
        for field, secret in sorted(secrets.items())
    }
    return {
        "v": FORMAT,
        "keyed": bool(key),
        "salt": salt,
        "version": version,
        "digests": digests,
    }


def holds(
    stored: Any, secrets: dict[str, str], uid: str, key: str, version: int
) -> bool:
    """Return whether a stored record says that Grafana has exactly these secrets."""
    if not isinstance(stored, dict) or stored.get("v") != FORMAT:
        return False
    if stored.get("keyed") is not bool(key) or stored.get("version") != version:
        return False
    salt, digests = stored.get("salt"), stored.get("digests")
    if not isinstance(salt, str) or not isinstance(digests, dict):
        return False
    desired = record(secrets, uid, key, salt, version)["digests"]
    return bool(digests == desired)
