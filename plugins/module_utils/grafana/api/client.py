# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to one Grafana: one session that is kept alive, safe retries, errors that name them."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import quote

from ..grafana_errors import GrafanaError, Refused, Unauthorized, Uncertain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

try:
    import requests
    from requests.adapters import HTTPAdapter
except ImportError:
    # Reported when a client is created, so that documentation and pure code work without it.
    requests = None  # type: ignore[assignment, unused-ignore]

# A request that a proxy or Grafana's own database refused for the moment.
BUSY = (502, 503, 504)
# Messages of a temporary 500: SQLite's lock, an Alertmanager that starts, a cancelled query.
TEMPORARY = (
    "database is locked",
    "alertmanager",
    "context canceled",
    "context deadline exceeded",
)
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
LONGEST_CONNECT = 10
LONGEST_MESSAGE = 600
# More than the largest list of dashboards; a body may take that many times its first byte's time.
LONGEST_BODY = 256 * 1024**2
SLOWEST_FACTOR = 5
CHUNK = 16 * 1024
# Messages of a conflict that stays.
FINAL = (
    "exists",
    "provenance",
    "plugin-dashboard",
    "in use",
    "is used",
    "used by",
    "used in",
    "referenced by",
)
LOCKOUT = "wrong or locked credentials; nothing more was sent, since failures lock the account"


class _Request(NamedTuple):
    """One request; ``about`` is its object, for messages."""

    method: str
    where: str
    about: str
    body: Any
    headers: dict[str, str]
    query: dict[str, Any]

    @property
    def title(self) -> str:
        line = f"{self.method} {self.where}"
        return f"{self.about}: {line}" if self.about else line

    @property
    def is_read(self) -> bool:
        return self.method == "GET"


def path(*parts: str) -> str:
    """Return a path below /api, with each part quoted."""
    for part in parts:
        if part in ("", ".", ".."):
            raise GrafanaError(
                f"{part!r} cannot be the name of anything, since it would be another address."
            )
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def is_token(value: str) -> bool:
    """Return whether a string can be a token, which stands in a header."""
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


class Client:
    """A Grafana at ``url``, for a user with a password or a service account with a token.

    ``org_id`` chooses the organization by a header unless it is 0; a token has its own. Requests
    are repeated for ``patience`` seconds on temporary errors. After that a read raises
    GrafanaError; a write that may have been carried out raises Uncertain at once.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        token: str = "",
        org_id: int = 0,
        ca_path: str = "",
        client_cert: str = "",
        client_key: str = "",
        validate_certs: bool = True,
        timeout: float = 60,
        concurrency: int = 4,
        patience: float = 60,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if requests is None:
            raise GrafanaError(
                "The Python library requests is missing where the module runs: "
                "install python3-requests there."
            )
        if token and not is_token(token):
            # The error of requests would contain the token.
            raise GrafanaError(
                "The token holds spaces or other characters that no token has."
            )
        self.url = url.rstrip("/")
        self.concurrency = concurrency
        # Both are set by `probe`.
        self.org, self.namespace = 0, ""
        self.warnings: list[str] = []
        self.secrets = {value for value in (password, token) if value}
        self._timeout = (min(timeout, LONGEST_CONNECT), timeout)
        self._patience = patience
        self._sleep = sleep
        self._stopped: GrafanaError | None = None
        self._probed = False
        self._version: int | None = None
        self._lock = threading.Lock()
        self._session = session = requests.Session()
        # Neither a proxy nor a .netrc of the user applies: the address is meant as it is.
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.verify = (ca_path or True) if validate_certs else False
        if not validate_certs:
            # The user has asked for it, so a warning for each request adds nothing.
            packages: Any = requests.packages
            packages.urllib3.disable_warnings()
        if client_cert:
            session.cert = (client_cert, client_key) if client_key else client_cert
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        else:
            session.auth = (username.encode(), password.encode())
        session.headers["Accept"] = "application/json"
        if org_id:
            session.headers["X-Grafana-Org-Id"] = str(org_id)
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=max(concurrency, 1)))

    def probe(self) -> None:
        """Verify the credentials by one request, before any parallel ones."""
        if not self._probed:
            self.org = self.get("/api/org")["id"]
            self.namespace = "default" if self.org == 1 else f"org-{self.org}"
            self._probed = True

    def major_version(self) -> int:
        """Return Grafana's major version, 0 if Grafana hides it."""
        if self._version is None:
            health = self.find("/api/health") or {}
            major = str(health.get("version", "")).split(".", maxsplit=1)[0]
            self._version = int(major) if major.isdigit() else 0
        return self._version

    def get(self, where: str, about: str = "", **query: Any) -> Any:
        """Return the parsed answer of a read."""
        return self._send(_Request("GET", where, about, None, {}, query))

    def find(
        self,
        where: str,
        about: str = "",
        absent: tuple[int, ...] = (404,),
        **query: Any,
    ) -> Any:
        """Return the parsed answer of a read, None for an answer that means absent."""
        try:
            return self.get(where, about, **query)
        except Refused as refused:
            if refused.status in absent:
                return None
            raise

    def write(
        self,
        method: str,
        where: str,
        about: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a write, and repeat it only if it certainly was not carried out."""
        return self._send(_Request(method, where, about, body, headers or {}, {}))

    def warn(self, message: str) -> None:
        """Add a warning for the user."""
        self.warnings.append(message)

    def each(self, call: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """Return the results of a call for each item, in their order; some run in parallel."""
        if len(items) < 2 or self.concurrency < 2:
            return [call(item) for item in items]
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(call, items))

    def pause(self, number: int) -> None:
        """Wait before the repetition with this number, longer each time."""
        self._sleep(_pause(number))

    def scrub(self, text: str) -> str:
        """Return a string without the secrets of this run."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "********")
        return text

    def _send(self, request: _Request) -> Any:
        waited, attempts = 0.0, 0
        while True:
            try:
                return self._send_once(request)
            except _Temporary as temporary:
                pause = temporary.retry_after or _pause(attempts)
                waited += pause + temporary.spent
                attempts += 1
                if waited > self._patience:
                    message = f"{temporary}; given up after {attempts} attempts"
                    raise GrafanaError(message) from None
                self._sleep(pause)

    def _send_once(self, request: _Request) -> Any:
        if self._stopped:
            raise self._stopped
        try:
            answer = self._session.request(
                request.method,
                self.url + request.where,
                params=request.query or None,
                json=request.body,
                headers=request.headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
            self._read(request, answer)
        except requests.exceptions.SSLError as error:
            message = f"{request.title} at {self.url}: TLS: {_root_cause(error)}"
            raise GrafanaError(self.scrub(message)) from None
        except requests.exceptions.ConnectTimeout:
            message = f"{request.title}: no connection to {self.url}"
            raise _Temporary(message, spent=self._timeout[0]) from None
        except requests.exceptions.RequestException as error:
            self._raise_failed(request, error)
        except (OSError, ValueError) as error:
            message = f"{request.title} at {self.url}: {error}"
            raise GrafanaError(self.scrub(message)) from None
        return self._accept(request, answer)

    def _read(self, request: _Request, answer: Any) -> None:
        """Read a body; a service that floods or drips must not fill the memory or hold the run."""
        end = time.monotonic() + SLOWEST_FACTOR * self._timeout[1]
        body = bytearray()
        with answer:
            for chunk in answer.iter_content(CHUNK):
                body += chunk
                if len(body) > LONGEST_BODY or time.monotonic() > end:
                    raise GrafanaError(
                        f"{request.title} at {self.url}: the answer did not end after"
                        f" {len(body)} bytes"
                    )
        answer._content = bytes(body)

    def _raise_failed(self, request: _Request, error: Exception) -> NoReturn:
        message = self.scrub(f"{request.title} at {self.url}: {_root_cause(error)}")
        if isinstance(error, ValueError):
            # The address or a header is invalid, and nothing was sent.
            raise GrafanaError(message) from None
        if request.is_read or _not_sent(error):
            timed_out = isinstance(error, requests.exceptions.ReadTimeout)
            raise _Temporary(
                message, spent=self._timeout[1] if timed_out else 0.0
            ) from None
        raise Uncertain(message) from None

    def _accept(self, request: _Request, answer: Any) -> Any:
        """Return the parsed answer, or raise the error that it means."""
        status = answer.status_code
        if 200 <= status < 300:
            return self._parse(request, answer)
        details = self.scrub(_error_message(answer))
        message = f"{request.title} answered {status}"
        if details:
            message = f"{message}: {details}"
        if status == 401:
            self._stop(message, details)
        if status == 429:
            raise _Temporary(message, _seconds(answer.headers.get("Retry-After")))
        if status in BUSY or (status == 500 and _is_temporary(details)):
            if request.is_read:
                raise _Temporary(message, _seconds(answer.headers.get("Retry-After")))
            raise Uncertain(message)
        if status in (409, 412) and not request.is_read:
            raise Raced(message, status, details)
        if 300 <= status < 400:
            target = answer.headers.get("Location", "")
            message = f"{message}: it redirects to {target}; give the address that Grafana serves"
        raise Refused(message, status, details)

    def _stop(self, message: str, details: str) -> NoReturn:
        """Raise Unauthorized for this request and for all that follow."""
        with self._lock:
            if self._stopped is None:
                self._stopped = Unauthorized(f"{message} ({LOCKOUT})", 401, details)
        raise self._stopped

    def _parse(self, request: _Request, answer: Any) -> Any:
        if not answer.content and (answer.status_code == 204 or not request.is_read):
            return None
        try:
            return answer.json()
        except ValueError:
            if _is_page(answer):
                message = f"{request.title} answered a web page: is {self.url} Grafana?"
                raise GrafanaError(message) from None
            message = f"{request.title} answered {len(answer.content)} bytes of incomplete JSON"
            if request.is_read:
                raise _Temporary(message) from None
            raise Uncertain(message) from None


class Raced(Uncertain, Refused):
    """A write that Grafana refused: the object is not what the writer believed (409, 412)."""

    def __init__(self, message: str, status: int, details: str) -> None:
        Refused.__init__(self, message, status, details)

    @property
    def is_final(self) -> bool:
        """Return whether Grafana would refuse it again.

        True for a name that is taken, not for a version that was overtaken.
        """
        details = self.details.lower()
        if "use overwrite" in details:
            # Grafana 13, of a dashboard whose version was overtaken: "already exists. Use overwrite
            # flag to update."
            return False
        return any(sign in details for sign in FINAL)


class _Temporary(Exception):
    """A request that may be repeated as it is.

    ``retry_after`` are the seconds that the server asks for, ``spent`` those that passed waiting.
    """

    def __init__(
        self, message: str, retry_after: float = 0.0, spent: float = 0.0
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.spent = spent


def _pause(number: int) -> float:
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2**number)
    return longest * random.uniform(0.75, 1)


def _is_temporary(details: str) -> bool:
    return any(sign in details.lower() for sign in TEMPORARY)


def _not_sent(error: Exception) -> bool:
    """Return whether no connection came about, so that nothing was sent."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return any(layer.__name__ == "NewConnectionError" for layer in type(reason).__mro__)


def _root_cause(error: Exception) -> str:
    """Return the reason of a failed request without the layers around it."""
    inner = (
        error.args[0]
        if error.args and isinstance(error.args[0], BaseException)
        else error
    )
    return str(getattr(inner, "reason", None) or inner)


def _is_page(answer: Any) -> bool:
    return bool(answer.content.lstrip()[:1] == b"<")


def _error_message(answer: Any) -> str:
    """Return Grafana's message of an error, in one line."""
    try:
        details = answer.json()
    except ValueError:
        return "a web page" if _is_page(answer) else str(answer.text.strip())[:300]
    if not isinstance(details, dict):
        return str(details)[:300]
    parts = [str(details[key]) for key in ("message", "error") if details.get(key)]
    return ": ".join(dict.fromkeys(parts))[:LONGEST_MESSAGE]


def _seconds(value: str | None) -> float:
    try:
        return max(0.0, float(value or 0))
    except ValueError:
        return 0.0
