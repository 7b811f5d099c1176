# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake's storage: documents in SQLite, encrypted secrets, hashed passwords and tokens."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Grafana's rounds for passwords and tokens, so that a request costs as much as there.
ROUNDS = 10_000


class Undecryptable(Exception):
    """A secret that was stored under another secret_key."""


class Store:
    """Documents by organization, kind and key, in order; one transaction at a time."""

    def __init__(
        self,
        path: Path | str,
        secret_key: str,
        version: str,
        *,
        wal: bool = False,
        rounds: int = ROUNDS,
    ):
        self.lock = threading.RLock()
        self.rounds = rounds
        self.database = sqlite3.connect(
            str(path), check_same_thread=False, isolation_level=None
        )
        if wal:
            self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS document"
            " (org INTEGER, kind TEXT, key TEXT, number INTEGER, body TEXT,"
            " PRIMARY KEY (org, kind, key))"
        )
        # Named and structured as in Grafana, for programs that read the database.
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS user"
            " (id INTEGER PRIMARY KEY AUTOINCREMENT, login TEXT UNIQUE, email TEXT,"
            " password TEXT, salt TEXT, is_admin INTEGER, uid TEXT, created TEXT, roles TEXT)"
        )
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS counter (kind TEXT PRIMARY KEY, last INTEGER)"
        )
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS migration_log (version TEXT PRIMARY KEY, timestamp TEXT)"
        )
        self.migrated_by = [
            row[0] for row in self.database.execute("SELECT version FROM migration_log")
        ]
        self.database.execute(
            "INSERT OR IGNORE INTO migration_log VALUES (?, ?)", (version, now())
        )
        self.begun_by = (
            self.database.execute(
                "SELECT version FROM migration_log ORDER BY rowid"
            ).fetchone()
        )[0]
        self.key = hashlib.pbkdf2_hmac("sha256", secret_key.encode(), b"fake", rounds)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything or nothing; other threads wait."""
        with self.lock:
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.database.execute("ROLLBACK")
                raise
            self.database.execute("COMMIT")

    def get(self, org: int, kind: str, key: str) -> dict[str, Any] | None:
        """Return one document."""
        query = "SELECT body FROM document WHERE org = ? AND kind = ? AND key = ?"
        with self.lock:
            row = self.database.execute(query, (org, kind, key)).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, org: int, kind: str) -> list[dict[str, Any]]:
        """Return all documents of a kind, oldest first."""
        query = "SELECT body FROM document WHERE org = ? AND kind = ? ORDER BY number"
        with self.lock:
            return [
                json.loads(row[0])
                for row in self.database.execute(query, (org, kind)).fetchall()
            ]

    def put(self, org: int, kind: str, key: str, body: dict[str, Any]) -> None:
        """Store a document; a new one comes last."""
        with self.lock:
            number = body.get("id") or self.next(f"{kind} order")
            self.database.execute(
                "INSERT INTO document VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET body = excluded.body",
                (org, kind, key, number, json.dumps(body)),
            )

    def users(self, where: str = "1", *values: Any) -> list[dict[str, Any]]:
        """Return the users that match a condition of SQL."""
        columns = "id, login, password, salt, is_admin, uid, created, roles"
        query = f"SELECT {columns} FROM user WHERE {where} ORDER BY id"
        names = (
            "id",
            "login",
            "password",
            "salt",
            "isGrafanaAdmin",
            "uid",
            "created",
            "roles",
        )
        with self.lock:
            rows = [
                dict(zip(names, row, strict=True))
                for row in self.database.execute(query, values).fetchall()
            ]
        return [
            row
            | {
                "roles": json.loads(row["roles"]),
                "isGrafanaAdmin": bool(row["isGrafanaAdmin"]),
            }
            for row in rows
        ]

    def put_user(self, user: dict[str, Any]) -> None:
        """Store a user; the login is its key."""
        login = user["login"]
        values = (
            login,
            f"{login}@localhost",
            user["password"],
            user["salt"],
            user["isGrafanaAdmin"],
            user["uid"],
        )
        with self.lock:
            self.database.execute(
                "INSERT INTO user (login, email, password, salt, is_admin, uid, created, roles)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (login) DO UPDATE"
                " SET password = excluded.password, roles = excluded.roles",
                (*values, user["created"], json.dumps(user["roles"])),
            )

    def delete(self, org: int, kind: str, key: str) -> None:
        """Delete a document, if it exists."""
        with self.lock:
            self.database.execute(
                "DELETE FROM document WHERE org = ? AND kind = ? AND key = ?",
                (org, kind, key),
            )

    def next(self, kind: str) -> int:
        """Return the next number of a kind."""
        with self.lock:
            self.database.execute(
                "INSERT INTO counter VALUES (?, 1) ON CONFLICT DO UPDATE SET last = last + 1",
                (kind,),
            )
            return self.database.execute(
                "SELECT last FROM counter WHERE kind = ?", (kind,)
            ).fetchone()[0]

    def encrypt(self, text: str) -> str:
        """Return a string in its stored form.

        The standard library has no cipher: a keyed hash produces the stream and the seal.
        """
        nonce = os.urandom(16)
        sealed = bytes(
            a ^ b
            for a, b in zip(
                text.encode(), self._stream(nonce, len(text.encode())), strict=True
            )
        )
        seal = hmac.digest(self.key, nonce + sealed, "sha256")
        return base64.b64encode(nonce + seal + sealed).decode()

    def decrypt(self, stored: str) -> str:
        """Return the original string; raise Undecryptable with another secret_key."""
        raw = base64.b64decode(stored)
        nonce, seal, sealed = raw[:16], raw[16:48], raw[48:]
        if not hmac.compare_digest(
            seal, hmac.digest(self.key, nonce + sealed, "sha256")
        ):
            raise Undecryptable
        return bytes(
            a ^ b for a, b in zip(sealed, self._stream(nonce, len(sealed)), strict=True)
        ).decode()

    def _stream(self, nonce: bytes, length: int) -> bytes:
        return hashlib.shake_256(self.key + nonce).digest(length)

    def hashed(self, secret: str, salt: str) -> str:
        """Return a password or token in its stored form."""
        return hashlib.pbkdf2_hmac(
            "sha256", secret.encode(), salt.encode(), self.rounds, 50
        ).hex()

    def close(self) -> None:
        """Close the database."""
        with self.lock:
            self.database.close()


def now() -> str:
    """Return the current time in Grafana's form."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid() -> str:
    """Return a uid in Grafana's form: 14 lower-case letters and digits."""
    return "".join(
        secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(14)
    )
