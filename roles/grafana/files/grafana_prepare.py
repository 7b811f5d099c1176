# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge before a rollout, and make ready before each start, what Grafana itself would not take care of.

grafana-prepare --check --version VERSION [--accept-secret-key] ...   refuse a rollout that would lose data
grafana-prepare --version VERSION --release DIRECTORY ...             before a start, as Grafana's user
grafana-prepare --restore                                             by hand: back to the backup of the last upgrade

What it knows is kept in the data directory, readable by Grafana's user only: the version that used the database last,
and fingerprints of secret key and administrator's password, which are of no use to find these.
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

COMPONENT = Path("/opt/monitoring/components/grafana")
STATE = "grafana-prepare.json"
KEPT = 2
CLI_SECONDS = 300
# Of a fingerprint, in 1 KiB of memory: some 50 ms for one try.
COST = 2**14
# How Grafana keeps a password (util.EncodePassword): PBKDF2 with SHA-256, as so many hex digits.
ROUNDS, HASH_BYTES = 10_000, 50


class Refused(Exception):
    """What was asked for would lose data; the text tells people what to do."""


class Place:
    """Where one Grafana keeps its things; ``database`` is None for one that is not SQLite."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.etc, self.data = Path(options.etc), Path(options.data)
        self.database = self.data / options.database if options.database else None
        self.backups = self.data / "backups"
        self.last_known_good, self.login = Path(options.last_known_good), options.login

    def secret(self, name: str) -> str:
        """A secret as Grafana reads it, empty where the configuration does without."""
        try:
            text = (self.etc / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        if text != text.strip():
            raise Refused(
                f"{self.etc / name} begins or ends with a blank, which Grafana would cut off."
            )
        return text

    def has_database(self) -> bool:
        """Whether there is something to lose."""
        return bool(self.database and self.database.exists() and self.database.stat().st_size)


class State:
    """What is remembered of earlier starts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.values = {}
        except ValueError:
            raise Refused(
                f"{path} is damaged. Remove it; then what it knew is not known any more."
            ) from None

    def get(self, name: str) -> str:
        """A remembered text, or nothing."""
        return self.values.get(name) or ""

    def remember(self, **values: str) -> None:
        """Write these down at once."""
        self.values.update(values)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.values, indent=1) + "\n", encoding="utf-8")
        sync(new)
        new.replace(self.path)

    def fingerprint(self, name: str, secret: str) -> str:
        """What tells a secret from another one; costly enough that nobody finds it by trying."""
        salt = bytes.fromhex(self.values.setdefault("salt", secrets.token_hex(16)))
        return hashlib.scrypt(
            f"{name}:{secret}".encode(), salt=salt, n=COST, r=8, p=1, dklen=32
        ).hex()

    def differs(self, name: str, secret: str) -> bool:
        """Whether a secret is not the one that is remembered."""
        return not hmac.compare_digest(self.get(name), self.fingerprint(name, secret))


def check(place: Place, state: State, version: str, accept_secret_key: bool) -> None:
    """Refuse what would lose data or could not start."""
    refuse_missing_files(place.etc / "grafana.ini")
    refuse_other_key(place, state, accept_secret_key)
    if place.has_database():
        if is_older(version, state.get("version")):
            backup_to_restore(place, state, version)
        if place.secret("admin-password"):
            account(place)


def refuse_missing_files(ini: Path) -> None:
    """Refuse a configuration that takes a value from a file which Grafana cannot read: it would not start."""
    lines = [
        line
        for line in ini.read_text(encoding="utf-8").splitlines()
        if not line.lstrip().startswith(("#", ";"))
    ]
    for path in re.findall(r"\$__file{([^}]+)}", "\n".join(lines)):
        if not os.access(path, os.R_OK):
            raise Refused(
                f"{ini} takes a value from {path}, which is missing or not readable for Grafana."
            )


def refuse_other_key(place: Place, state: State, accept: bool) -> None:
    """Refuse another secret key than that with which the database's secrets are encrypted."""
    key = place.secret("secret-key")
    lose = "passwords of data sources and contact points that are encrypted with another key cannot be read"
    remedy = "-e grafana_accept_secret_key=true for one run"
    if not key or accept:
        return
    if state.get("secret_key"):
        # Of a database elsewhere it is not known whether it is empty.
        if state.differs("secret_key", key) and (place.has_database() or not place.database):
            raise Refused(
                f"grafana_secret_key was changed, and {lose}. Put the old one back, or add"
                f" {remedy} and enter them anew."
            )
    elif place.has_database():
        raise Refused(
            f"{place.database} was not made by this role, so its secret key is not known, and {lose}. Set"
            " grafana_secret_key to the one that it was used with (secret_key in the old grafana.ini), and add"
            f" {remedy}."
        )


def prepare(place: Place, state: State, version: str, release: Path) -> None:
    """Have the database fit the version that starts, and the administrator's password that of the configuration."""
    if place.has_database() and version != state.get("version"):
        if is_older(version, state.get("version")):
            restore(place, state, backup_to_restore(place, state, version))
        else:
            back_up(place, state)
    key = place.secret("secret-key")
    if key:
        if state.get("secret_key") and state.differs("secret_key", key):
            print(
                "The secret key is another one; what was encrypted with the last one cannot be read."
            )
        state.remember(secret_key=state.fingerprint("secret_key", key))
    used = {
        "release": os.path.realpath(release).rpartition("/")[2],
        "database": str(place.database or ""),
    }
    state.remember(version=version, **used)
    password = place.secret("admin-password")
    if password:
        have_password(place, state, password, release)


def have_password(place: Place, state: State, password: str, release: Path) -> None:
    """Have the administrator's password be this one; a database that is not there yet gets it from Grafana."""
    if place.has_database() or not place.database:
        user, fits = account(place, password) if place.database else (1, None)
        if fits is False or (fits is None and state.differs("admin_password", password)):
            reset(place, password, release, user)
    state.remember(admin_password=state.fingerprint("admin_password", password))


def account(place: Place, password: str = "") -> tuple:
    """The administrator's number and whether the password is theirs, None where that cannot be told."""
    try:
        with closing(opened(place.database)) as connection:
            rows = connection.execute(
                'SELECT id, lower(login), password, salt FROM "user"'
            ).fetchall()
    except sqlite3.Error:
        # No table yet, or one of another shape: then only the fingerprint tells.
        return 1, None
    found = [row for row in rows if row[1] == place.login.lower()]
    if rows and not found:
        raise Refused(
            f"grafana_admin_user: Grafana's database has no user {place.login}. The name counts at the very first"
            " start only; rename the user in Grafana first."
        )
    if not found or len(found[0][2] or "") != 2 * HASH_BYTES:
        return (found[0][0] if found else 1), None
    user, _login, stored, salt = found[0]
    wanted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), salt.encode(), ROUNDS, HASH_BYTES
    ).hex()
    return user, hmac.compare_digest(wanted, stored)


def opened(database: Path) -> sqlite3.Connection:
    """A database to read, and no more, since SQLite would clean up beside one that is damaged.

    What a crash left half written has to be taken back first.
    """
    mode = "rw" if beside(database, "-journal").exists() else "ro"
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode={mode}", uri=True)


def reset(place: Place, password: str, release: Path, user: int) -> None:
    """Set the administrator's password by Grafana's own program, while no server uses the database."""
    command = [
        str(release / "bin/grafana"),
        "cli",
        f"--homepath={release}",
        f"--config={place.etc / 'grafana.ini'}",
    ]
    command += ["admin", "reset-admin-password", "--password-from-stdin"]
    command += [] if user == 1 else [f"--user-id={user}"]
    done = subprocess.run(
        command, input=password + "\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace", timeout=CLI_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        told = " ".join(done.stdout.replace(password, "...").split()[-60:])
        raise Refused(f"The administrator's password could not be set: {told}")
    print("The administrator's password was set.")


def is_older(version: str, than: str) -> bool:
    """Whether a version is older than another; a version that is not known is the oldest."""
    return numbers(version) < numbers(than)


def numbers(version: str) -> list[int]:
    """13.0.1+security-01 is newer than 13.0.1."""
    return [int(number) for number in re.findall(r"\d+", version)]


def backup_to_restore(place: Place, state: State, version: str) -> Path:
    """The backup that takes the database back to this version, where that loses nothing unseen.

    Only the version that was never proven to run may be undone without being asked: its rollout has failed.
    """
    newer, backup = state.get("version"), place.backups / (state.get("backup") or "none")
    if os.path.realpath(place.last_known_good).rpartition("/")[2] == state.get("release"):
        raise Refused(
            f"Grafana {newer} has used the database, and {version} is older and might damage it. Keep {newer}, or go"
            f" back to the backup in {place.backups} and lose what was saved since: systemctl stop grafana &&"
            f" runuser -u grafana -- python3 -IS {COMPONENT}/current/bin/grafana-prepare --restore"
        )
    if state.get("backup_version") != version or not backup.is_file():
        raise Refused(
            f"Grafana {newer} has used the database, and there is no backup for {version}, which is older."
        )
    return backup


def back_up(place: Place, state: State) -> None:
    """Keep a copy of the database, before a version touches it that cannot be undone."""
    version = state.get("version") or "unknown"
    target = copy(place.database, place.backups, version)
    state.remember(backup=target.name, backup_version=version)
    prune(place.backups, "grafana-*.db")
    print(f"The database of Grafana {version} was copied to {target}.")


def restore(place: Place, state: State, backup: Path) -> None:
    """Put a backup in place of the database, which is kept aside. Killed anywhere, it can be done again."""
    if beside(place.database, "-wal").exists() or not filecmp.cmp(
        backup, place.database, shallow=False
    ):
        replace(place, state, backup)
    state.remember(version=state.get("backup_version"), admin_password="", release="")


def replace(place: Place, state: State, backup: Path) -> None:
    """Keep the database aside and have a copy of a backup in its place."""
    try:
        aside = copy(place.database, place.backups, state.get("version"), "newer")
    except Refused:
        aside = place.backups / f"newer-{state.get('version')}-damaged.db"
        for suffix in filter(lambda suffix: beside(place.database, suffix).exists(), ("", "-wal")):
            shutil.copyfile(beside(place.database, suffix), beside(aside, suffix))
    new = beside(place.database, ".new")
    shutil.copyfile(backup, new)
    sync(new)
    for suffix in ("-wal", "-shm", "-journal"):
        # It belongs to the newer database and would spoil the other one.
        beside(place.database, suffix).unlink(missing_ok=True)
    new.replace(place.database)
    sync(place.database)
    prune(place.backups, "newer-*.db")
    print(f"The database of {backup} is in force again; the newer one was copied to {aside}.")


def copy(database: Path, folder: Path, version: str, prefix: str = "grafana") -> Path:
    """Copy a database with all that is still in its log, and read the copy over."""
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{prefix}-{version}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.db"
    new = folder / "unfinished"
    try:
        new.unlink(missing_ok=True)
        with closing(opened(database)) as source, closing(sqlite3.connect(new)) as sink:
            source.backup(sink)
            sink.execute("PRAGMA journal_mode = DELETE")
            told = sink.execute("PRAGMA quick_check").fetchone()[0]
        if told != "ok":
            raise Refused(f"{database} is damaged: {told}")
        sync(new)
        new.replace(target)
        sync(target)
    except sqlite3.Error as problem:
        raise Refused(f"{database} cannot be copied: {problem}.") from None
    finally:
        new.unlink(missing_ok=True)
    return target


def beside(path: Path, suffix: str) -> Path:
    """A path with something at its end."""
    return path.with_name(path.name + suffix)


def prune(folder: Path, pattern: str) -> None:
    """Remove all but the last copies."""
    for path in sorted(folder.glob(pattern), key=lambda found: found.stat().st_mtime)[:-KEPT]:
        path.unlink()


def sync(path: Path) -> None:
    """Have a file and its name on disk."""
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def restore_by_hand(place: Place, state: State) -> None:
    """Go back to the backup of the last upgrade, when somebody asks for it."""
    command = ["systemctl", "show", "--value", "--property=ActiveState", "grafana.service"]
    told = subprocess.run(
        command, stdout=subprocess.PIPE, encoding="utf-8", check=False
    ).stdout.strip()
    if told not in ("inactive", "failed"):
        raise Refused(f"Grafana is {told}. Stop it first: systemctl stop grafana")
    backup = place.backups / (state.get("backup") or "none")
    if not backup.is_file():
        raise Refused(f"There is no backup of an upgrade in {place.backups}.")
    # Who comes by hand does not say which one it is.
    place.database = Path(state.get("database") or place.database)
    restore(place, state, backup)


def parsed(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="grafana-prepare", allow_abbrev=False)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--restore", action="store_true")
    parser.add_argument("--accept-secret-key", action="store_true")
    parser.add_argument("--version", default="")
    parser.add_argument("--release", type=Path, default=COMPONENT / "current/release")
    parser.add_argument("--last-known-good", default=COMPONENT / "last-known-good/release")
    parser.add_argument("--etc", default="/etc/grafana")
    parser.add_argument("--data", default="/var/lib/grafana")
    parser.add_argument("--login", default="admin", help="name of the administrator")
    parser.add_argument("--database", default="grafana.db", help="empty where it is not SQLite")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Return 0, or 1 and one line that says what is wrong."""
    options = parsed(words)
    os.umask(0o077)
    place = Place(options)
    try:
        state = State(place.data / STATE)
        if options.check:
            check(place, state, options.version, options.accept_secret_key)
        elif options.restore:
            restore_by_hand(place, state)
        else:
            prepare(place, state, options.version, options.release)
    except (Refused, OSError, sqlite3.Error, subprocess.TimeoutExpired) as problem:
        print(f"grafana-prepare: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
