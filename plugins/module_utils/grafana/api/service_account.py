# SPDX-License-Identifier: GPL-3.0-or-later
"""Service accounts, each with one token that is created once and kept in a file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import redact
from ..grafana_errors import GrafanaError, Unauthorized
from .client import Client, is_token, path

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model import Body

ALL = 1000
TOKEN_MODE = 0o400


@dataclass(frozen=True)
class Account:
    """A desired service account; without ``token_path`` it gets no token."""

    name: str
    role: str = "Viewer"
    disabled: bool = False
    token_path: str | None = None
    token_name: str = "automation"

    @property
    def about(self) -> str:
        """Return the account, for messages."""
        return f"service account {self.name}"

    @property
    def state(self) -> Body:
        """Return the compared values."""
        return {"role": self.role, "disabled": self.disabled}


def converge(
    client: Client, with_token: Callable[[str], Client], desired: Account, check: bool
) -> dict[str, Any]:
    """Create or change the account and its token; ``with_token`` returns a client for a token."""
    client.probe()
    live = _find(client, desired)
    needs_token = _needs_token(with_token, desired, live)
    if not check:
        number = _save(client, desired, live)
        if desired.token_path and needs_token:
            _create_token(client, desired, number, desired.token_path)
    return _values(desired, _state(live), desired.state, needs_token)


def _needs_token(
    with_token: Callable[[str], Client], desired: Account, live: Body | None
) -> bool:
    # Grafana refuses each token of a disabled account, so its file cannot be verified.
    if not desired.token_path or desired.disabled:
        return False
    return live is None or working_token(with_token, desired.token_path) is None


def _save(client: Client, desired: Account, live: Body | None) -> int:
    """Create or update the account, and return its id."""
    sent = {"name": desired.name, "role": desired.role, "isDisabled": desired.disabled}
    if live is None:
        live = client.write("POST", path("serviceaccounts"), desired.about, sent)
    elif _state(live) != desired.state:
        client.write(
            "PATCH", path("serviceaccounts", str(live["id"])), desired.about, sent
        )
    return int((live or {})["id"])


def remove(client: Client, desired: Account, check: bool) -> dict[str, Any]:
    """Delete the account with its tokens, and the file of its token."""
    client.probe()
    live = _find(client, desired)
    token_path = desired.token_path
    has_file = token_path is not None and os.path.lexists(token_path)
    if not check:
        if live is not None:
            client.write(
                "DELETE", path("serviceaccounts", str(live["id"])), desired.about
            )
        if token_path is not None and has_file:
            _unlink(token_path)
    return _values(desired, _state(live), {}, has_file)


def _unlink(token_path: str) -> None:
    try:
        os.unlink(token_path)
    except OSError as error:
        raise GrafanaError(f"{token_path}: {error.strerror}") from None


def _state(live: Body | None) -> Body:
    """Return the compared values of a live account, none if it does not exist."""
    if live is None:
        return {}
    return {"role": live["role"], "disabled": bool(live.get("isDisabled"))}


def _values(
    desired: Account, before: Body, after: Body, token_changed: bool
) -> dict[str, Any]:
    changed = before != after
    diff = (
        [redact.entry(desired.about, before or None, after or None)] if changed else []
    )
    return {
        "changed": changed or token_changed,
        "token_changed": token_changed,
        "diff": diff,
    }


def _find(client: Client, desired: Account) -> Body | None:
    where = "/api/serviceaccounts/search"
    page = client.get(where, desired.about, query=desired.name, perpage=ALL)
    for account in page.get("serviceAccounts") or []:
        if account["name"] == desired.name:
            found: Body = account
            return found
    return None


def working_token(with_token: Callable[[str], Client], token_path: str) -> str | None:
    """Return the token in a file, None unless Grafana accepts it and only its owner can read it."""
    try:
        with open(token_path, encoding="ascii", errors="replace") as file:
            token = file.read().strip()
            mode = os.fstat(file.fileno()).st_mode & 0o777
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GrafanaError(f"{token_path}: {error.strerror}") from None
    if not is_token(token) or mode != TOKEN_MODE:
        return None
    try:
        with_token(token).probe()
    except Unauthorized:
        return None
    return token


def _create_token(
    client: Client, desired: Account, number: int, token_path: str
) -> None:
    """Create a token, in place of one whose file was lost, and write it to its file."""
    where = path("serviceaccounts", str(number), "tokens")
    for token in client.get(where, desired.about) or []:
        if token["name"] == desired.token_name:
            client.write("DELETE", f"{where}/{token['id']}", desired.about)
    created = client.write("POST", where, desired.about, {"name": desired.token_name})
    _write(token_path, created["key"])


def _write(token_path: str, token: str) -> None:
    """Write a file that only its owner can read; on an error the old one stays."""
    directory = os.path.dirname(token_path) or "."
    try:
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".token-")
    except OSError as error:
        raise GrafanaError(f"{token_path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), TOKEN_MODE)
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, token_path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise GrafanaError(f"{token_path}: {error.strerror}") from None
