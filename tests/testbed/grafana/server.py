# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: authentication, authorization and dispatch; `FakeGrafana` runs it in a test."""

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
    annotations,
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
KINDS = (
    access,
    annotations,
    datasources,
    dashboards,
    library_panels,
    rules,
    notifications,
)
LOCKOUT_ATTEMPTS, LOCKOUT_SECONDS = 5, 300


class Grafana:
    """One Grafana of a version: state, log and faults.

    `options` are the settings that affect its answers.
    """

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
        # Seconds of a notification write between reading and storing the configuration.
        self.notification_delay = options.get("notification_delay", 0.002)
        # Deleted objects that counts of a folder still include, by the folder's uid.
        self.index_lag = options.get("index_lag", 0)
        self.unseen: dict[str, int] = defaultdict(int)
        self.requests: list[Logged] = []
        self.faults: list[Fault] = []
        self.stop_after: int | None = None
        # How often the state of a rule's alerts was lost, by the rule's uid.
        self.state_resets: dict[str, int] = defaultdict(int)
        self.failures: dict[str, list[float]] = defaultdict(list)
        self.broken: list[str] = []
        self.guard = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Carry out a request and return its answer."""
        try:
            return self.route(request)
        except Refused as refused:
            return Answer(refused.code, refused.body or None)
        except Undecryptable:
            return Answer(
                500,
                {
                    "message": "Failed to decrypt secret: cipher: message authentication failed"
                },
            )
        except Exception:
            # An error of the fake itself, which the test must report.
            self.broken.append(traceback.format_exc())
            print(self.broken[-1], file=sys.stderr)
            return Answer(500, {"message": "the fake is broken"})

    def route(self, request: Request) -> Answer:
        """Call the function of a request if the user has the role."""
        if request.path.startswith("/-/fake/"):
            return backdoor(self, request)
        match = find(request.method, request.path, self.release)
        if match is None or match[0].role:
            self.log_in(request)
        if match is None:
            raise Refused(404, "Not found")
        chosen, request.params = match
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
        """Set the user and the organization of a request."""
        scheme, _space, credentials = request.headers.get(
            "Authorization", ""
        ).partition(" ")
        if scheme.lower() == "basic" and self.basic_auth:
            request.user = self.basic(credentials)
        elif scheme.lower() == "bearer":
            request.user = access.by_token(self.store, credentials)
        else:
            raise Refused(
                401,
                "Unauthorized",
                messageId="auth.unauthorized",
                statusCode=401,
                traceID="",
            )
        requested = request.headers.get("X-Grafana-Org-Id", "") or str(
            request.user["orgId"]
        )
        request.org = int(requested) if requested.isdigit() else request.user["orgId"]
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
        """Return a user by name and password.

        After too many failures a user is rejected as with a wrong password.
        """
        rejection = Refused(
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
            raise rejection from error
        with self.guard:
            since = time.monotonic() - LOCKOUT_SECONDS
            recent = self.failures[login] = [
                moment for moment in self.failures[login] if moment > since
            ]
            if self.lockout and len(recent) >= LOCKOUT_ATTEMPTS:
                raise rejection
        user = access.by_password(self.store, login, password)
        with self.guard:
            if user is None:
                self.failures[login].append(time.monotonic())
                raise rejection
            self.failures[login].clear()
        return user

    def admit(self, request: Request, role: str, needs: str) -> None:
        """Reject a user without the role."""
        user = request.user or {}
        granted = "Server" if user.get("isGrafanaAdmin") else user.get("role", "")
        if ROLES.index(granted if granted in ROLES else "") < ROLES.index(role):
            needed = f"Permissions needed: {needs}" if needs else ""
            message = f"You'll need additional permissions to perform this action. {needed}".strip()
            raise Refused(
                403, message, title="Access denied", accessErrorId="ACE0000000000"
            )

    def fault_for(self, request: Request) -> Fault | None:
        """Return the fault that applies to this request."""
        if request.path.startswith("/-/fake/"):
            return None
        with self.guard:
            written = sum(
                line.is_write and 200 <= line.status < 300 for line in self.requests
            )
            if self.stop_after is not None and written >= self.stop_after:
                return Fault(reset=True)
            due = [
                fault
                for fault in self.faults
                if fault.strikes(request.method, request.path)
            ]
            return due[0] if due else None

    def log(self, request: Request, status: int, seconds: float) -> None:
        """Add a line about a request to the log."""
        if request.path.startswith("/-/fake/"):
            return
        headers = {
            name: request.headers[name]
            for name in ("X-Disable-Provenance",)
            if name in request.headers
        }
        login = (request.user or {}).get("login", "")
        query = request.target.partition("?")[2]
        body = request.raw.decode("utf-8", "replace")
        line = Logged(
            request.method, request.path, query, body, status, login, headers, seconds
        )
        with self.guard:
            self.requests.append(line)

    def fail(self, name: str = "500", **changes: Any) -> Fault:
        """Inject one of FAULTS, changed by fields of Fault.

        They select requests by `method` and `path`, from the `first` on, `times` times.
        """
        fault = Fault(**(FAULTS[name] | changes))
        with self.guard:
            self.faults.append(fault)
        return fault


def backdoor(grafana: Grafana, request: Request) -> Answer:
    """Answer a test on another machine: read the log, inject faults, set provenance."""
    what = request.path.removeprefix("/-/fake/")
    if what == "requests":
        if request.method == "DELETE":
            grafana.requests.clear()
        return Answer(
            200,
            [asdict(line) | {"is_write": line.is_write} for line in grafana.requests],
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
    return Answer(404, {"message": "no such thing at the fake's back door"})


def set_provenance(
    grafana: Grafana, kind: str, key: str, provenance: str, org: int = 1
) -> None:
    """Set the provenance of an object: "file", "api" or "" for manual.

    Datasources and dashboards distinguish only "file" from the others.
    """
    with grafana.store.transaction():
        if kind in ("datasource", "dashboard", "rule"):
            document = grafana.store.get(org, kind, key)
            if document is None:
                raise LookupError(f"{kind} {key}")
            field = {
                "datasource": "readOnly",
                "dashboard": "provisioned",
                "rule": "provenance",
            }[kind]
            document[field] = provenance if kind == "rule" else provenance == "file"
            grafana.store.put(org, kind, key, document)
        else:
            notifications.set_provenance(grafana.store, org, kind, key, provenance)


class FakeGrafana:
    """A Grafana in the test's process: `with FakeGrafana(version="13.2.3") as grafana: ...`.

    Its address is `grafana.url`, its user admin with the password `password`. Passwords are hashed
    with `rounds` rounds.
    """

    username = "admin"

    def __init__(
        self,
        version: str = "13.2.3",
        *,
        password: str = "admin",
        secret_key: str = "fake",
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
        """Return the requests so far."""
        return self.grafana.requests

    @property
    def writes(self) -> list[Logged]:
        """Return the writing requests so far, including failed ones."""
        return [line for line in self.requests if line.is_write]

    def clear(self) -> None:
        """Forget requests, faults and failed logins."""
        self.requests.clear()
        self.faults.clear()
        self.grafana.failures.clear()
        self.grafana.stop_after = None

    def stop_after_writes(self, count: int) -> None:
        """Cut every connection after that many successful writes, until `clear`.

        The count starts when the log was last cleared.
        """
        self.grafana.stop_after = count

    def set_provenance(
        self, kind: str, key: str, provenance: str, org: int = 1
    ) -> None:
        """Set the provenance of an object, by kind and key of the store."""
        set_provenance(self.grafana, kind, key, provenance, org)

    def add_user(self, login: str, password: str, role: str, org: int = 1) -> None:
        """Add a user with the role Viewer, Editor or Admin."""
        with self.store.transaction():
            access.make_user(self.store, login, password, {str(org): role})

    def add_org(self, name: str) -> int:
        """Add an organization, in which admin is Admin."""
        with self.store.transaction():
            return access.make_org(self.store, name)

    @property
    def state_resets(self) -> dict[str, int]:
        """Return how often the alert state of each rule was lost, by uid."""
        return self.grafana.state_resets

    def __enter__(self) -> FakeGrafana:
        self.http, self.thread = start(self.grafana, ("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        return self

    def __exit__(
        self, *_error: type[BaseException] | BaseException | TracebackType | None
    ) -> None:
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
        # The handshake takes place in the connection's own thread, so that a client that never
        # starts one does not block the others.
        http.socket = context.wrap_socket(
            http.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    return http, thread
