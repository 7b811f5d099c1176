# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Service accounts, and one token of each that is made once and kept in a file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from typing import Any, Callable

from .. import redact
from ..grafana_errors import GrafanaError, Unauthorized
from .client import Client, is_token, path

ALL = 1000
TOKEN_MODE = 0o400


@dataclass(frozen=True)
class Account:
    """A service account as it is wanted; without ``token_path`` it gets no token."""

    name: str
    role: str = "Viewer"
    disabled: bool = False
    token_path: str | None = None
    token_name: str = "automation"

    @property
    def about(self) -> str:
        """The account, for messages."""
        return f"service account {self.name}"


def converge(
    client: Client, with_token: Callable[[str], Client], desired: Account, check: bool
) -> dict:
    """Have the account and its token; ``with_token`` makes a client that logs in with a token."""
    client.probe()
    live = _find(client, desired)
    before = (
        {} if live is None else {"role": live["role"], "disabled": bool(live.get("isDisabled"))}
    )
    after = {"role": desired.role, "disabled": desired.disabled}
    # Grafana refuses each token of a disabled account, so whether one is good cannot be told.
    needs_token = bool(desired.token_path) and not desired.disabled
    needs_token = needs_token and not (live and working_token(with_token, desired.token_path))
    if not check:
        if live is None:
            sent = {"name": desired.name, "role": desired.role, "isDisabled": desired.disabled}
            live = client.write("POST", path("serviceaccounts"), desired.about, sent)
        elif before != after:
            sent = {"name": desired.name, "role": desired.role, "isDisabled": desired.disabled}
            client.write("PATCH", path("serviceaccounts", str(live["id"])), desired.about, sent)
        if needs_token:
            _make_token(client, desired, live["id"])
    return _values(desired, before, after, needs_token)


def remove(client: Client, desired: Account, check: bool) -> dict:
    """Have neither the account, nor its tokens, nor the file."""
    client.probe()
    live = _find(client, desired)
    held = bool(desired.token_path) and os.path.lexists(desired.token_path)
    if not check:
        if live is not None:
            client.write("DELETE", path("serviceaccounts", str(live["id"])), desired.about)
        if held:
            try:
                os.unlink(desired.token_path)
            except OSError as error:
                raise GrafanaError(f"{desired.token_path}: {error.strerror}") from None
    before = (
        {} if live is None else {"role": live["role"], "disabled": bool(live.get("isDisabled"))}
    )
    return _values(desired, before, {}, held)


def _values(desired: Account, before: dict, after: dict, token: bool) -> dict:
    diff = [redact.entry(desired.about, before or None, after or None)] if before != after else []
    return {"changed": before != after or token, "token_changed": token, "diff": diff}


def _find(client: Client, desired: Account) -> dict | None:
    found = client.get(
        "/api/serviceaccounts/search", desired.about, query=desired.name, perpage=ALL
    )
    return next(
        (one for one in found.get("serviceAccounts") or [] if one["name"] == desired.name), None
    )


def working_token(with_token: Callable[[str], Client], where: str) -> str:
    """The token in a file, if only its owner can read it and Grafana takes it; else nothing."""
    try:
        with open(where, encoding="ascii", errors="replace") as file:
            token = file.read().strip()
            mode = os.fstat(file.fileno()).st_mode & 0o777
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise GrafanaError(f"{where}: {error.strerror}") from None
    if not is_token(token) or mode != TOKEN_MODE:
        return ""
    try:
        with_token(token).probe()
    except Unauthorized:
        return ""
    return token


def _make_token(client: Client, desired: Account, number: int) -> None:
    """Make a token, in the place of one whose file was lost, and keep it."""
    where = path("serviceaccounts", str(number), "tokens")
    for token in client.get(where, desired.about) or []:
        if token["name"] == desired.token_name:
            client.write("DELETE", f"{where}/{token['id']}", desired.about)
    made: Any = client.write("POST", where, desired.about, {"name": desired.token_name})
    _keep(desired.token_path, made["key"])


def _keep(where: str, token: str) -> None:
    """Write a file that only its owner can read, or leave the old one."""
    directory = os.path.dirname(where) or "."
    try:
        number, name = tempfile.mkstemp(dir=directory, prefix=".token-")
    except OSError as error:
        raise GrafanaError(f"{where}: {error.strerror}") from None
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), TOKEN_MODE)
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, where)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise GrafanaError(f"{where}: {error.strerror}") from None
