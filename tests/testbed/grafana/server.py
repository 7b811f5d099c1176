# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: who asks, what may be done, and by whom it is done. `StandIn` runs it within a test."""

from __future__ import annotations

import base64
import binascii
import ssl
import sys
import threading
import time
import traceback
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.testbed.grafana import (
    access,
    dashboards,
    datasources,
    library_panels,
    notifications,
    rules,
)
from tests.testbed.grafana.store import Store, Undecryptable
from tests.testbed.grafana.web import (
    FAULTS,
    ROLES,
    Answer,
    Fault,
    Logged,
    Refused,
    Request,
    Server,
    find,
)

# These register their routes when they are imported.
KINDS = (access, datasources, dashboards, library_panels, rules, notifications)
LOCKOUT_ATTEMPTS, LOCKOUT_SECONDS = 5, 300


class Grafana:
    """One Grafana of a version: state, log and faults. `options` are the few settings that matter to its answers."""

    def __init__(self, version: str, store: Store, **options: Any) -> None:
        self.version, self.store = version, store
        self.release = tuple(
            int(part) for part in version.partition("+")[0].partition("-")[0].split(".")
        )
        self.hide_version = options.get("hide_version", False)
        self.legacy_ids = options.get("legacy_ids", self.release < (13,))
        self.kubernetes = options.get("kubernetes", self.release >= (12,))
        self.lockout = options.get("lockout", True)
        self.basic_auth = options.get("basic_auth", True)
        # None, or user and password of /metrics, which may be empty.
        self.metrics = options.get("metrics", ("", ""))
        self.page_bytes = options.get("page_bytes", 2 << 20)
        # How long a notification write takes between reading and storing the configuration.
        self.notification_delay = options.get("notification_delay", 0.002)
        # How many counts of folders still see what was deleted, by the folder's uid.
        self.index_lag = options.get("index_lag", 0)
        self.unseen: dict[str, int] = defaultdict(int)
        self.requests: list[Logged] = []
        self.faults: list[Fault] = []
        self.stop_after: int | None = None
        # Times that the state of a rule's alerts was thrown away, by the rule's uid.
        self.state_resets: dict[str, int] = defaultdict(int)
        self.failures: dict[str, list[float]] = defaultdict(list)
        self.broken: list[str] = []
        self.guard = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Carry a request out."""
        try:
            return self.route(request)
        except Refused as refused:
            return Answer(refused.code, refused.body or None)
        except Undecryptable:
            return Answer(
                500, {"message": "Failed to decrypt secret: cipher: message authentication failed"}
            )
        except Exception:
            # A fault of the stand-in's own, which the test that met it has to tell.
            self.broken.append(traceback.format_exc())
            print(self.broken[-1], file=sys.stderr)
            return Answer(500, {"message": "the stand-in is broken"})

    def route(self, request: Request) -> Answer:
        """Find what answers, and let it, if the user may."""
        if request.path.startswith("/-/stand-in/"):
            return backdoor(self, request)
        found = find(request.method, request.path, self.release)
        if found is None or found[0].role:
            self.log_in(request)
        if found is None:
            raise Refused(404, "Not found")
        chosen, request.params = found
        self.admit(request, chosen.role, chosen.needs)
        if chosen.family == "proxy":
            result = chosen.handler(request)
        elif chosen.family == "notifications":
            result = notifications.guarded(request, chosen.handler)
        else:
            with self.store.transaction():
                result = chosen.handler(request)
        return result if isinstance(result, Answer) else Answer(200, result)

    def log_in(self, request: Request) -> None:
        """Find out who asks and for which organization."""
        scheme, _space, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic" and self.basic_auth:
            request.user = self.basic(credentials)
        elif scheme.lower() == "bearer":
            request.user = access.by_token(self.store, credentials)
        else:
            raise Refused(
                401, "Unauthorized", messageId="auth.unauthorized", statusCode=401, traceID=""
            )
        wanted = request.headers.get("X-Grafana-Org-Id", "") or str(request.user["orgId"])
        request.org = int(wanted) if wanted.isdigit() else request.user["orgId"]
        if request.user.get("bound") and request.org != request.user["orgId"]:
            raise Refused(
                401,
                "API key does not belong to the requested organization",
                statusCode=401,
                traceID="",
            )
        if self.store.get(0, "org", str(request.org)) is None:
            raise Refused(404, "Organization not found", traceID="")
        request.user["role"] = access.role_in(self.store, request.user, request.org)

    def basic(self, credentials: str) -> dict[str, Any]:
        """A user by name and password; after too many failures a user is refused like one with a wrong password."""
        wrong = Refused(
            401,
            "Invalid username or password",
            messageId="password-auth.failed",
            statusCode=401,
            traceID="",
        )
        try:
            login, _colon, password = (
                base64.b64decode(credentials, validate=True).decode().partition(":")
            )
        except (binascii.Error, UnicodeDecodeError) as error:
            raise wrong from error
        with self.guard:
            since = time.monotonic() - LOCKOUT_SECONDS
            recent = self.failures[login] = [
                moment for moment in self.failures[login] if moment > since
            ]
            if self.lockout and len(recent) >= LOCKOUT_ATTEMPTS:
                raise wrong
        user = access.by_password(self.store, login, password)
        with self.guard:
            if user is None:
                self.failures[login].append(time.monotonic())
                raise wrong
            self.failures[login].clear()
        return user

    def admit(self, request: Request, role: str, needs: str) -> None:
        """Refuse who lacks the role."""
        held = (
            "Server"
            if request.user and request.user.get("isGrafanaAdmin")
            else (request.user or {}).get("role", "")
        )
        if ROLES.index(held if held in ROLES else "") < ROLES.index(role):
            needed = f"Permissions needed: {needs}" if needs else ""
            message = f"You'll need additional permissions to perform this action. {needed}".strip()
            raise Refused(403, message, title="Access denied", accessErrorId="ACE0000000000")

    def fault_for(self, request: Request) -> Fault | None:
        """The fault that this request meets."""
        if request.path.startswith("/-/stand-in/"):
            return None
        with self.guard:
            written = sum(line.is_write and 200 <= line.status < 300 for line in self.requests)
            if self.stop_after is not None and written >= self.stop_after:
                return Fault(reset=True)
            due = [fault for fault in self.faults if fault.strikes(request.method, request.path)]
            return due[0] if due else None

    def log(self, request: Request, status: int, seconds: float) -> None:
        """Keep a line about a request."""
        if request.path.startswith("/-/stand-in/"):
            return
        headers = {
            name: request.headers[name]
            for name in ("X-Disable-Provenance",)
            if name in request.headers
        }
        login = (request.user or {}).get("login", "")
        query = request.target.partition("?")[2]
        body = request.raw.decode("utf-8", "replace")
        line = Logged(request.method, request.path, query, body, status, login, headers, seconds)
        with self.guard:
            self.requests.append(line)

    def fail(self, name: str = "500", **changes: Any) -> Fault:
        """Inject one of FAULTS, changed by fields of Fault: which requests (`method`, `path`), `first` and `times`."""
        fault = Fault(**(FAULTS[name] | changes))
        with self.guard:
            self.faults.append(fault)
        return fault


def backdoor(grafana: Grafana, request: Request) -> Answer:
    """What a test on another machine may do: read the log, inject faults, say who made an object."""
    what = request.path.removeprefix("/-/stand-in/")
    if what == "requests":
        if request.method == "DELETE":
            grafana.requests.clear()
        return Answer(
            200, [asdict(line) | {"is_write": line.is_write} for line in grafana.requests]
        )
    if what == "fail":
        if request.method == "DELETE":
            grafana.faults.clear()
        else:
            grafana.fail(**request.json())
        return Answer(200, len(grafana.faults))
    if what == "provenance":
        set_provenance(grafana, **request.json())
        return Answer(200, {})
    return Answer(404, {"message": "no such thing at the stand-in's back door"})


def set_provenance(grafana: Grafana, kind: str, key: str, provenance: str, org: int = 1) -> None:
    """Say that an object was made by "file", by "api" or ("") by hand. Datasources and dashboards know file or not."""
    with grafana.store.transaction():
        if kind in ("datasource", "dashboard", "rule"):
            document = grafana.store.get(org, kind, key)
            if document is None:
                raise LookupError(f"{kind} {key}")
            field = {"datasource": "readOnly", "dashboard": "provisioned", "rule": "provenance"}[
                kind
            ]
            document[field] = provenance if kind == "rule" else provenance == "file"
            grafana.store.put(org, kind, key, document)
        else:
            notifications.set_provenance(grafana.store, org, kind, key, provenance)


class StandIn:
    """A Grafana within the test, in memory: `with StandIn(version="13.2.3") as grafana: ... grafana.url`.

    Passwords are hashed with one round unless `rounds` says otherwise; the user is admin with password `password`.
    """

    username = "admin"

    def __init__(
        self,
        version: str = "13.2.3",
        *,
        password: str = "admin",
        secret_key: str = "stand-in",
        path: Path | str = ":memory:",
        rounds: int = 1,
        **options: Any,
    ) -> None:
        self.password = password
        self.store = Store(path, secret_key, version, rounds=rounds)
        access.first_start(self.store, self.username, password)
        self.grafana = Grafana(version, self.store, **options)
        self.fail, self.faults = self.grafana.fail, self.grafana.faults

    @property
    def requests(self) -> list[Logged]:
        """What was asked so far."""
        return self.grafana.requests

    @property
    def writes(self) -> list[Logged]:
        """What was written so far, or tried to be."""
        return [line for line in self.requests if line.is_write]

    def clear(self) -> None:
        """Forget requests, faults and failed logins."""
        self.requests.clear()
        self.faults.clear()
        self.grafana.failures.clear()
        self.grafana.stop_after = None

    def stop_after_writes(self, count: int) -> None:
        """Cut every connection once so many writes have succeeded since the log was cleared, until `clear`."""
        self.grafana.stop_after = count

    def set_provenance(self, kind: str, key: str, provenance: str, org: int = 1) -> None:
        """Say by what an object was made; kind and key are those of the store."""
        set_provenance(self.grafana, kind, key, provenance, org)

    def add_user(self, login: str, password: str, role: str, org: int = 1) -> None:
        """Have another user: Viewer, Editor or Admin."""
        with self.store.transaction():
            access.make_user(self.store, login, password, {str(org): role})

    def add_org(self, name: str) -> int:
        """Have another organization, of which admin is Admin."""
        with self.store.transaction():
            return access.make_org(self.store, name)

    @property
    def state_resets(self) -> dict[str, int]:
        """How often the alert state of a rule was lost, by uid."""
        return self.grafana.state_resets

    def __enter__(self) -> StandIn:
        self.http, self.thread = start(self.grafana, ("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.http.close()
        self.thread.join()
        self.store.close()
        if self.grafana.broken:
            raise RuntimeError("\n".join(self.grafana.broken))


def start(
    grafana: Grafana, address: tuple[str, int], tls: tuple[str, str] | None = None
) -> tuple[Server, threading.Thread]:
    """Serve in a thread; `tls` is certificate and key."""
    http = Server(address, grafana)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        # The handshake belongs to the connection's own thread: one that never begins must not hold the others up.
        http.socket = context.wrap_socket(
            http.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    return http, thread
