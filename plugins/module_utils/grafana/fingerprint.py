# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Digests of secrets that Grafana accepts and never shows again, so that a rotated one is noticed. Pure.

The record is kept in the datasource's jsonData, which each of its users can read, so it is never a bare hash: with a
key it is an HMAC, without one a slow hash with a salt. It is bound to the datasource and to the version that the
write made: whoever else writes the datasource makes the record void, and the secrets are written once more.
"""

from __future__ import annotations

import hashlib
import hmac

# Key of the record in jsonData.
RECORD = "hippiusMonitoringSecrets"
FORMAT = 1
# Cost of the slow hash: 16 MiB and some 50 ms for each secret.
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}


def digest(key: str, salt: str, uid: str, field: str, secret: str) -> str:
    """Digest of one secret."""
    message = "\0".join((uid, field, secret)).encode()
    if key:
        return hmac.new(key.encode(), salt.encode() + message, hashlib.sha256).hexdigest()
    return hashlib.scrypt(message, salt=salt.encode(), **SCRYPT).hex()


def record(secrets: dict, uid: str, key: str, salt: str, version: int) -> dict:
    """What is stored beside secrets that are written as ``version`` of the datasource."""
    digests = {
        field: digest(key, salt, uid, field, secret) for field, secret in sorted(secrets.items())
    }
    return {"v": FORMAT, "keyed": bool(key), "salt": salt, "version": version, "digests": digests}


def holds(kept: object, secrets: dict, uid: str, key: str, version: int) -> bool:
    """Whether a stored record says that Grafana has exactly these secrets."""
    if not isinstance(kept, dict) or kept.get("v") != FORMAT or kept.get("keyed") is not bool(key):
        return False
    if kept.get("version") != version or not isinstance(kept.get("salt"), str):
        return False
    desired = record(secrets, uid, key, kept["salt"], version)["digests"]
    return isinstance(kept.get("digests"), dict) and kept["digests"] == desired
