# SPDX-License-Identifier: GPL-3.0-or-later
"""`bin/grafana`: the commands of the real program that the role uses; it rejects all others."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sqlite3
import sys
from pathlib import Path
from typing import NoReturn

from tests.testbed.grafana import access, server
from tests.testbed.grafana.settings import Settings, SettingsError, read
from tests.testbed.grafana.store import Store

# The packed program contains this module with its version.
try:
    from tests.testbed.grafana.packed import VERSION
except ImportError:
    VERSION = "13.2.3"


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] in (["--version"], ["-v"]):
        print(f"grafana version {VERSION}")
        return 0
    commands = {"server": serve, "cli": cli}
    if not arguments or arguments[0] not in commands:
        print(
            f"NAME:\n   grafana - Grafana server and command line interface (fake), {VERSION}",
            file=sys.stderr,
        )
        return 1
    try:
        return commands[arguments[0]](arguments[1:])
    except (SettingsError, sqlite3.Error, OSError) as error:
        say("error", str(error))
        return 1


def say(level: str, message: str) -> None:
    """Print a line of the log."""
    print(f'logger=fake level={level} msg="{message}"', file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """Reports errors as the real command line does."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 1."""
        print(f"Incorrect Usage: {message}", file=sys.stderr)
        sys.exit(1)


def common(parser: argparse.ArgumentParser) -> None:
    """Add the options that server and cli share; Go's flags take one dash or two."""
    for name in ("homepath", "config", "configOverrides"):
        parser.add_argument(f"--{name}", f"-{name}", default="", dest=name)


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the configuration that the options select."""
    home = Path(options.homepath or os.getcwd()).resolve()
    if options.configOverrides:
        raise SettingsError("configOverrides is beyond this fake")
    return read(home, Path(options.config) if options.config else None)


def open_store(settings: Settings) -> Store:
    """Return the database of the configuration, created if it is missing."""
    if settings.get("database", "type") != "sqlite3" or settings.get("database", "url"):
        raise SettingsError("this fake has no database but sqlite3")
    data = settings.path("paths", "data")
    data.mkdir(parents=True, exist_ok=True)
    path = settings.path("database", "path", data)
    store = Store(
        path,
        settings.get("security", "secret_key"),
        VERSION,
        wal=settings.flag("database", "wal"),
    )
    path.chmod(0o640)
    return store


def serve(arguments: list[str]) -> int:
    """Run the server until SIGTERM or SIGINT."""
    parser = Parser(prog="grafana server", allow_abbrev=False)
    common(parser)
    parser.add_argument("--pidfile", "-pidfile", default="")
    parser.add_argument("--packaging", "-packaging", default="unknown")
    parser.add_argument("-v", "--version", "-version", action="store_true")
    options = parser.parse_args(arguments)
    if options.version:
        print(f"Version {VERSION} (commit: fake, branch: HEAD, enterprise-commit: NA)")
        return 0
    settings = settings_of(options)
    protocol = settings.get("server", "protocol")
    if protocol not in ("http", "https"):
        raise SettingsError(f"this fake does not serve {protocol}")
    store = open_store(settings)
    newer = [
        version for version in store.migrated_by if parts(version) > parts(VERSION)
    ]
    if newer:
        say(
            "warn",
            f"the database was migrated by {max(newer, key=parts)}, which is newer than {VERSION}",
        )
    access.first_start(
        store,
        settings.get("security", "admin_user"),
        settings.get("security", "admin_password"),
        admin=not settings.flag("security", "disable_initial_admin_creation"),
    )
    grafana = server.Grafana(
        VERSION,
        store,
        hide_version=settings.flag("auth.anonymous", "hide_version"),
        lockout=not settings.flag("security", "disable_brute_force_login_protection"),
        metrics=metrics_of(settings),
        basic_auth=settings.flag("auth.basic", "enabled"),
        legacy_ids=parts(VERSION) < (13,)
        or "datasourceLegacyIdApi" in toggles(settings),
    )
    tls = (
        (settings.get("server", "cert_file"), settings.get("server", "cert_key"))
        if protocol == "https"
        else None
    )
    address = (
        settings.get("server", "http_addr") or "0.0.0.0",
        int(settings.get("server", "http_port")),
    )
    stopped = [signal.SIGTERM, signal.SIGINT]
    # Blocked before any thread starts, so that only the main thread receives them.
    signal.pthread_sigmask(signal.SIG_BLOCK, stopped)
    http, _thread = server.start(grafana, address, tls)
    if options.pidfile:
        Path(options.pidfile).write_text(str(os.getpid()), encoding="ascii")
    listener = f"address={address[0]}:{address[1]} protocol={protocol}"
    say("info", f"HTTP Server Listen {listener} version={VERSION}")
    notify("READY=1")
    signal.sigwait(stopped)
    say("info", "Shutdown started")
    http.close()
    store.close()
    return 0


def parts(version: str) -> tuple[int, ...]:
    """Return a version as comparable numbers."""
    return tuple(int(part) for part in version.partition("+")[0].split("."))


def metrics_of(settings: Settings) -> tuple[str, str] | None:
    """Return the user and password for /metrics, or None if it is disabled."""
    if not settings.flag("metrics", "enabled"):
        return None
    user = settings.get("metrics", "basic_auth_username")
    return user, settings.get("metrics", "basic_auth_password")


def toggles(settings: Settings) -> set[str]:
    """Return the enabled feature toggles."""
    section = settings.values.get("feature_toggles", {})
    named = section.get("enable", "").replace(",", " ").split()
    return {*named, *(key for key, value in section.items() if value.lower() == "true")}


def notify(state: str) -> None:
    """Report readiness to systemd if it waits for that."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        # An abstract socket is written with @ in place of its NUL byte.
        path = "\0" + address[1:] if address.startswith("@") else address
        with contextlib.closing(
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ) as channel:
            channel.sendto(state.encode(), path)


def cli(arguments: list[str]) -> int:
    """Run `cli [global options] admin reset-admin-password`.

    Options of one command are rejected after the other.
    """
    parser = Parser(prog="grafana cli", allow_abbrev=False)
    common(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.words[:2] != ["admin", "reset-admin-password"]:
        parser.error(f"this fake supports no command {' '.join(options.words[:2])}")
    command = Parser(prog="grafana cli admin reset-admin-password", allow_abbrev=False)
    command.add_argument(
        "--password-from-stdin", "-password-from-stdin", action="store_true"
    )
    command.add_argument("--user-id", "-user-id", type=int, default=1)
    command.add_argument("password", nargs="?", default="")
    chosen = command.parse_args(options.words[2:])
    password = (
        sys.stdin.readline().rstrip("\r\n")
        if chosen.password_from_stdin
        else chosen.password
    )
    store = open_store(settings_of(options))
    try:
        return reset_password(store, chosen.user_id, password)
    finally:
        store.close()


def reset_password(store: Store, number: int, password: str) -> int:
    """Set the password of a user, by default the first one."""
    if len(password) < 4:
        print("Error: ✗ new password is too short", file=sys.stderr)
        return 1
    users = store.users("id = ?", number)
    if not users:
        print(
            f"Error: ✗ could not read user from database. Error: user not found (id: {number})",
            file=sys.stderr,
        )
        return 1
    with store.transaction():
        access.change_password(store, users[0]["login"], password)
    print("\nAdmin password changed successfully ✔")
    return 0


if __name__ == "__main__":
    sys.exit(main())
