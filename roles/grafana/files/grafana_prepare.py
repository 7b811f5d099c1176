# SPDX-License-Identifier: GPL-3.0-or-later
"""Protect Grafana's data: check before a rollout, prepare before each start.

grafana-prepare --check --version VERSION [--accept-secret-key] ...
    Refuse a rollout that would lose data.
grafana-prepare --version VERSION --release DIRECTORY ...
    Prepare a start, as Grafana's user.
grafana-prepare --restore
    Restore the backup of the last upgrade, on manual request.

The state file in the data directory is readable by Grafana's user only. It holds the version that
used the database last, and fingerprints of the secret key and of the administrator's password, from
which neither can be derived.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

COMPONENT = Path("/opt/monitoring/components/grafana")
STATE = "grafana-prepare.json"
KEPT_COPIES = 2
# A rollout that fails returns to the older version within this time; its role allows 300 s.
ROLLOUT_SECONDS = 600
# Marks a line for the user of the rollout.
NOTICE = "notice: "
CLI_SECONDS = 300
# Files beside a database from which SQLite completes it when it is opened.
LOGS = ("-wal", "-journal")
# Cost of a fingerprint (scrypt's n): about 50 ms and 16 MiB for each guess.
COST = 2**14
# In FIPS mode: PBKDF2 with about 500,000 rounds.
FIPS, FIPS_ROUNDS = "pbkdf2:", 32
# Grafana stores a password (util.EncodePassword) as PBKDF2 with SHA-256, in hexadecimal digits.
ROUNDS, HASH_BYTES = 10_000, 50


class Refused(Exception):
    """Raised when an action would lose data; the message says what to do instead."""


class Account(NamedTuple):
    """The administrator in Grafana's database; ``password_matches`` is None if unknown."""

    user_id: int
    password_matches: bool | None


class Installation:
    """Paths and login of one Grafana; ``database`` is None unless it is SQLite."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.etc = Path(options.etc)
        self.data = Path(options.data)
        self.database = self.data / options.database if options.database else None
        self.backups = self.data / "backups"
        self.last_known_good = Path(options.last_known_good)
        self.login: str = options.login

    def secret(self, name: str) -> str:
        """Return a secret as Grafana reads it; empty if the configuration has none."""
        path = self.etc / name
        try:
            value = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        if value != value.strip():
            raise Refused(
                f"{path}: begins or ends with whitespace, which Grafana would strip; remove it."
            )
        return value

    def has_database(self) -> bool:
        """Return whether there is a database with content."""
        if self.database is None or not self.database.exists():
            return False
        return self.database.stat().st_size > 0


class State:
    """Facts that earlier starts have saved."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, str] = {}
        try:
            self.values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except ValueError:
            raise Refused(
                f"{path}: is damaged; remove it, which loses the record of earlier starts."
            ) from None

    def get(self, name: str) -> str:
        """Return a saved value; empty if there is none."""
        return self.values.get(name) or ""

    def remember(self, **values: str) -> None:
        """Save values at once."""
        self.values.update(values)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.values, indent=1) + "\n", encoding="utf-8")
        sync(new)
        new.replace(self.path)
        sync(self.path)

    def fingerprint(self, name: str, secret: str) -> str:
        """Return a hash that identifies a secret and is too costly to guess it from.

        OpenSSL in FIPS mode has no scrypt.
        """
        salt = bytes.fromhex(self.values.setdefault("salt", secrets.token_hex(16)))
        text = f"{name}:{secret}".encode()
        try:
            return hashlib.scrypt(text, salt=salt, n=COST, r=8, p=1, dklen=32).hex()
        except (AttributeError, ValueError):
            rounds = FIPS_ROUNDS * COST
            return FIPS + hashlib.pbkdf2_hmac("sha256", text, salt, rounds).hex()

    def differs(self, name: str, secret: str) -> bool:
        """Return whether a secret differs from the saved one.

        One that was saved before FIPS mode was turned on or off cannot be compared.
        """
        saved, actual = self.get(name), self.fingerprint(name, secret)
        if saved and saved.startswith(FIPS) != actual.startswith(FIPS):
            return False
        return not hmac.compare_digest(saved, actual)


def check(
    grafana: Installation, state: State, version: str, accept_secret_key: bool
) -> None:
    """Raise Refused if a rollout would lose data or Grafana could not start."""
    if state.get("restored"):
        # Its run may have been killed before it could say so.
        print(NOTICE + state.get("restored"))
    refuse_missing_files(grafana.etc / "grafana.ini")
    refuse_changed_key(grafana, state, accept_secret_key)
    if not grafana.has_database():
        return
    if is_older(version, state.get("version")):
        backup = backup_to_restore(grafana, state, version)
        print(
            f"{NOTICE}The database becomes that of Grafana {version} again, from {backup}; what"
            f" Grafana {state.get('version')} has saved since is kept in {grafana.backups}."
        )
    if grafana.secret("admin-password"):
        read_account(grafana)


def refuse_missing_files(ini: Path) -> None:
    """Raise Refused if the configuration refers to a file that Grafana cannot read.

    Grafana would not start.
    """
    lines = ini.read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if not line.lstrip().startswith(("#", ";"))]
    for path in re.findall(r"\$__file{([^}]+)}", "\n".join(settings)):
        if not os.access(path, os.R_OK):
            raise Refused(
                f"{ini}: takes a value from {path}, which is missing or not readable for Grafana;"
                " create it, for example by grafana_secrets."
            )


def refuse_changed_key(grafana: Installation, state: State, accept: bool) -> None:
    """Raise Refused unless the secret key is accepted or encrypted the database's secrets."""
    key = grafana.secret("secret-key")
    if not key or accept:
        return
    loss = (
        "passwords of data sources and contact points that are encrypted with another key cannot"
        " be read"
    )
    remedy = "add -e grafana_accept_secret_key=true for one run"
    if state.get("secret_key"):
        # A database on another host may be empty or not.
        may_have_secrets = grafana.has_database() or grafana.database is None
        if may_have_secrets and state.differs("secret_key", key):
            raise Refused(
                f"grafana_secret_key was changed, and {loss}; set the previous key, or"
                f" {remedy} and enter the passwords again."
            )
    elif grafana.has_database():
        raise Refused(
            f"{grafana.database}: was not made by this role, so its secret key is unknown, and"
            f" {loss}; set grafana_secret_key to its key (secret_key in the old grafana.ini), and"
            f" {remedy}."
        )


def prepare(grafana: Installation, state: State, version: str, release: Path) -> None:
    """Match the database to the starting version and the password to the configuration."""
    if state.get("restored"):
        state.remember(restored="")
    match_database(grafana, state, version)
    remember_key(grafana, state)
    state.remember(
        version=version,
        release=os.path.realpath(release).rpartition("/")[2],
        database=str(grafana.database or ""),
    )
    password = grafana.secret("admin-password")
    if password:
        ensure_password(grafana, state, password, release)


def match_database(grafana: Installation, state: State, version: str) -> None:
    """Back the database up before a newer version, or restore the backup of an older one."""
    last_version = state.get("version")
    database = grafana.database
    if database is None or not grafana.has_database() or version == last_version:
        return
    if is_older(version, last_version):
        restore(grafana, state, database, backup_to_restore(grafana, state, version))
    else:
        back_up(grafana, state, database)


def remember_key(grafana: Installation, state: State) -> None:
    """Save the fingerprint of the secret key."""
    key = grafana.secret("secret-key")
    if not key:
        return
    if state.get("secret_key") and state.differs("secret_key", key):
        print(
            "The secret key was changed; secrets encrypted with the last one cannot be read."
        )
    state.remember(secret_key=state.fingerprint("secret_key", key))


def ensure_password(
    grafana: Installation, state: State, password: str, release: Path
) -> None:
    """Set the administrator's password unless it matches; Grafana sets it in a new database."""
    is_new_database = grafana.database is not None and not grafana.has_database()
    if not is_new_database:
        account = read_account(grafana, password)
        matches = account.password_matches
        if matches is None:
            matches = not state.differs("admin_password", password)
        if not matches:
            reset_password(grafana, password, release, account.user_id)
    state.remember(admin_password=state.fingerprint("admin_password", password))


def read_account(grafana: Installation, password: str = "") -> Account:
    """Return the administrator's account, compared with ``password``."""
    unknown = Account(user_id=1, password_matches=None)
    if grafana.database is None:
        return unknown
    try:
        with closing(open_database(grafana.database)) as connection:
            query = 'SELECT id, lower(login), password, salt FROM "user"'
            rows = connection.execute(query).fetchall()
    except sqlite3.Error:
        # There is no table yet, or one with other columns: only the fingerprint tells.
        return unknown
    if not rows:
        return unknown
    for user_id, login, stored, salt in rows:
        if login != grafana.login.lower():
            continue
        encoded = encode_password(password, salt)
        if len(stored or "") != 2 * HASH_BYTES or encoded is None:
            return Account(user_id, password_matches=None)
        return Account(user_id, hmac.compare_digest(encoded, stored))
    raise Refused(
        f"grafana_admin_user: Grafana's database has no user {grafana.login}; rename the user in"
        " Grafana first, since the name is applied at the very first start only."
    )


def encode_password(password: str, salt: str) -> str | None:
    """Return a password as Grafana stores it, or None where FIPS mode refuses its short salt."""
    words = password.encode(), salt.encode()
    try:
        return hashlib.pbkdf2_hmac("sha256", *words, ROUNDS, HASH_BYTES).hex()
    except ValueError:
        return None


def open_database(database: Path) -> sqlite3.Connection:
    """Open a database for reading.

    Read-only, since SQLite would otherwise clean up beside a damaged one. Only a transaction that a
    crash left unfinished has to be rolled back first.
    """
    mode = "rw" if with_suffix(database, "-journal").exists() else "ro"
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode={mode}", uri=True)


def reset_password(
    grafana: Installation, password: str, release: Path, user_id: int
) -> None:
    """Set the administrator's password with Grafana's own CLI, while no server runs."""
    command = [
        str(release / "bin/grafana"),
        "cli",
        f"--homepath={release}",
        f"--config={grafana.etc / 'grafana.ini'}",
        "admin",
        "reset-admin-password",
        "--password-from-stdin",
    ]
    if user_id != 1:
        command.append(f"--user-id={user_id}")
    result = subprocess.run(
        command,
        input=password + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=CLI_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        words = result.stdout.replace(password, "...").split()
        message = " ".join(words[-60:])
        raise Refused(f"grafana_admin_password: could not be set: {message}")
    print("The administrator's password was set.")


def is_older(version: str, other_version: str) -> bool:
    """Return whether a version is older than another; an unknown version is the oldest."""
    return version_numbers(version) < version_numbers(other_version)


def version_numbers(version: str) -> list[int]:
    """Return the numbers of a version; 13.0.1+security-01 is newer than 13.0.1."""
    return [int(number) for number in re.findall(r"\d+", version)]


def backup_to_restore(grafana: Installation, state: State, version: str) -> Path:
    """Return the backup that an older version needs, unless changes since then would be lost.

    Only a newer version that was never verified, and that has not served since, is undone without
    confirmation: its rollout failed. A killed run leaves one that serves without being verified.
    """
    newer = state.get("version")
    backup = last_backup(grafana, state)
    verified_release = os.path.realpath(grafana.last_known_good).rpartition("/")[2]
    is_verified = verified_release == state.get("release")
    if not is_verified and (
        state.get("backup_version") != version or not backup.is_file()
    ):
        raise Refused(
            f"grafana_version: Grafana {newer} has used the database, and there is no backup for"
            f" the older {version}; keep {newer}."
        )
    if is_verified or seconds_of_use(grafana, backup) > ROLLOUT_SECONDS:
        raise Refused(
            f"grafana_version: Grafana {newer} has used the database, and the older {version} might"
            f" damage it; keep {newer}, or restore the backup in {grafana.backups} and lose all"
            " later changes: systemctl stop grafana && runuser -u grafana --"
            f" {sys.executable} -IS {COMPONENT}/current/bin/grafana-prepare --restore"
        )
    return backup


def seconds_of_use(grafana: Installation, backup: Path) -> float:
    """Return how long after its backup the database was changed for the last time."""
    database = grafana.database or backup
    files = [database, with_suffix(database, "-wal")]
    # Opening a database creates an empty log.
    used = [path.stat() for path in files if path.exists() and path.stat().st_size]
    changed = max((status.st_mtime for status in used), default=0.0)
    return changed - backup.stat().st_mtime


def last_backup(grafana: Installation, state: State) -> Path:
    """Return the path of the backup of the last upgrade; no file if there was none."""
    return grafana.backups / (state.get("backup") or "none")


def back_up(grafana: Installation, state: State, database: Path) -> None:
    """Copy the database before a version migrates it irreversibly."""
    version = state.get("version") or "unknown"
    target = copy(database, grafana.backups, version)
    state.remember(backup=target.name, backup_version=version)
    prune(grafana.backups, "grafana-*.db")
    print(f"The database of Grafana {version} was copied to {target}.")


def restore(grafana: Installation, state: State, database: Path, backup: Path) -> None:
    """Replace the database by a backup. After a crash at any point it can be repeated."""
    has_log = any(with_suffix(database, suffix).exists() for suffix in LOGS)
    if has_log or not filecmp.cmp(backup, database, shallow=False):
        replace(grafana, state, database, backup)
    state.remember(version=state.get("backup_version"), admin_password="", release="")


def replace(grafana: Installation, state: State, database: Path, backup: Path) -> None:
    """Copy the database to the backups, then replace it by a copy of ``backup``."""
    version = state.get("version")
    try:
        newer_copy = copy(database, grafana.backups, version, "newer")
    except Refused:
        newer_copy = grafana.backups / f"newer-{version}-damaged.db"
        copy_damaged(database, newer_copy)
    new = with_suffix(database, ".new")
    shutil.copyfile(backup, new)
    sync(new)
    for suffix in (*LOGS, "-shm"):
        # These files belong to the newer database and would damage the restored one.
        with_suffix(database, suffix).unlink(missing_ok=True)
    new.replace(database)
    sync(database)
    prune(grafana.backups, "newer-*.db")
    message = (
        f"The database was restored from {backup}; the one of Grafana {version}, with what was"
        f" saved since, was copied to {newer_copy}."
    )
    state.remember(restored=message)
    print(NOTICE + message)


def copy_damaged(database: Path, target: Path) -> None:
    """Copy the files of a database that SQLite cannot read."""
    for suffix in ("", "-wal"):
        source = with_suffix(database, suffix)
        if source.exists():
            shutil.copyfile(source, with_suffix(target, suffix))


def copy(database: Path, folder: Path, version: str, prefix: str = "grafana") -> Path:
    """Copy a database including its write-ahead log, verify the copy and return its path."""
    folder.mkdir(mode=0o700, exist_ok=True)
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = folder / f"{prefix}-{version}-{timestamp}.db"
    new = folder / "unfinished"
    try:
        new.unlink(missing_ok=True)
        with (
            closing(open_database(database)) as source,
            closing(sqlite3.connect(new)) as sink,
        ):
            source.backup(sink)
            sink.execute("PRAGMA journal_mode = DELETE")
            diagnosis = sink.execute("PRAGMA quick_check").fetchone()[0]
        if diagnosis != "ok":
            raise Refused(f"{database}: is damaged: {diagnosis}")
        sync(new)
        new.replace(target)
        sync(target)
    except sqlite3.Error as error:
        raise Refused(f"{database}: cannot be copied: {error}.") from None
    finally:
        new.unlink(missing_ok=True)
    return target


def with_suffix(path: Path, suffix: str) -> Path:
    """Return a path with ``suffix`` appended to its name."""
    return path.with_name(path.name + suffix)


def prune(folder: Path, pattern: str) -> None:
    """Remove all but the newest copies."""
    copies = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    for path in copies[:-KEPT_COPIES]:
        path.unlink()


def sync(path: Path) -> None:
    """Flush a file and its directory entry to disk."""
    for flushed in (path, path.parent):
        descriptor = os.open(flushed, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def restore_manually(grafana: Installation, state: State) -> None:
    """Restore the backup of the last upgrade on request."""
    command = [
        "systemctl",
        "show",
        "--value",
        "--property=ActiveState",
        "grafana.service",
    ]
    result = subprocess.run(
        command, stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    unit_state = result.stdout.strip()
    if unit_state not in ("inactive", "failed"):
        raise Refused(
            f"grafana.service: is {unit_state}; stop it first: systemctl stop grafana"
        )
    # The path of the database is saved, so that it need not be given.
    saved_path = state.get("database")
    database = Path(saved_path) if saved_path else grafana.database
    backup = last_backup(grafana, state)
    if database is None or not backup.is_file():
        raise Refused(
            f"{grafana.backups}: has no backup of an upgrade; nothing can be restored."
        )
    restore(grafana, state, database, backup)


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="grafana-prepare", allow_abbrev=False)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--restore", action="store_true")
    parser.add_argument("--accept-secret-key", action="store_true")
    parser.add_argument("--version", default="")
    parser.add_argument("--release", type=Path, default=COMPONENT / "current/release")
    parser.add_argument(
        "--last-known-good", default=COMPONENT / "last-known-good/release"
    )
    parser.add_argument("--etc", default="/etc/grafana")
    parser.add_argument("--data", default="/var/lib/grafana")
    parser.add_argument("--login", default="admin", help="name of the administrator")
    parser.add_argument(
        "--database", default="grafana.db", help="empty unless it is SQLite"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run the requested action; return 0, or 1 after one line about the error."""
    options = parse_options(arguments)
    os.umask(0o077)
    grafana = Installation(options)
    try:
        state = State(grafana.data / STATE)
        if options.check:
            check(grafana, state, options.version, options.accept_secret_key)
        elif options.restore:
            restore_manually(grafana, state)
        else:
            prepare(grafana, state, options.version, options.release)
    except (Refused, OSError, sqlite3.Error, subprocess.TimeoutExpired) as error:
        print(f"grafana-prepare: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
