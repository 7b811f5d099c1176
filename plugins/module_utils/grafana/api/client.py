# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to one Grafana: one session that is kept alive, safe repetitions, errors that name their request."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Callable
from urllib.parse import quote

from ..grafana_errors import GrafanaError, Refused, Unauthorized, Uncertain

try:
    import requests
    from requests.adapters import HTTPAdapter
except (
    ImportError
):  # told when a client is made, so that documentation and pure code work without it
    requests = None

# A request that a proxy or Grafana's own database refused for the moment.
BUSY = (502, 503, 504)
# Grafana says 500 for a state that passes: SQLite's lock, an Alertmanager that starts, a cancelled query.
PASSING = ("database is locked", "alertmanager", "context canceled", "context deadline exceeded")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
# What Grafana says of a conflict that stays.
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


def path(*parts: str) -> str:
    """A path below /api, each part quoted."""
    for part in parts:
        if part in ("", ".", ".."):
            raise GrafanaError(
                f"{part!r} cannot be the name of anything, since it would be another address."
            )
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def is_token(text: str) -> bool:
    """Whether a text can be a token, which stands in a header."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


class Client:
    """A Grafana at ``url``, seen by a user with a password or by a service account with a token.

    ``org_id`` chooses the organization by a header, where it is not 0; a token knows its own. Temporary errors
    are met with repetitions for ``patience`` seconds; a read is then given up, a write is reported as Uncertain.
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
                "The Python library requests is missing where the module runs: install python3-requests there."
            )
        if token and not is_token(token):
            # Requests would tell the token along with what is wrong with it.
            raise GrafanaError("The token holds spaces or other characters that no token has.")
        self.url = url.rstrip("/")
        self.concurrency = concurrency
        # Both are known once the client has probed.
        self.org, self.namespace = 0, ""
        self.warnings: list = []
        self.secrets = {value for value in (password, token) if value}
        self._timeout = (min(timeout, 10), timeout)
        self._patience = patience
        self._sleep = sleep
        self._stopped: GrafanaError | None = None
        self._probed = False
        self._version: int | None = None
        self._lock = threading.Lock()
        self._session = session = requests.Session()
        # Neither a proxy nor a .netrc of the user who runs this: the address is meant as it is.
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.verify = (ca_path or True) if validate_certs else False
        if not validate_certs:
            # Whoever asks for it knows.
            requests.packages.urllib3.disable_warnings()
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
        """Prove the credentials by one request, before any others are made side by side."""
        if not self._probed:
            self.org = self.get("/api/org")["id"]
            self.namespace = "default" if self.org == 1 else f"org-{self.org}"
            self._probed = True

    def major_version(self) -> int:
        """Grafana's major version, or 0 where it does not tell."""
        if self._version is None:
            text = str((self.find("/api/health") or {}).get("version", ""))
            major = text.split(".", maxsplit=1)[0]
            self._version = int(major) if major.isdigit() else 0
        return self._version

    def get(self, where: str, about: str = "", **query: Any) -> Any:
        """The parsed answer of a read."""
        return self._until_it_passes("GET", where, about, None, {}, query)

    def find(self, where: str, about: str = "", absent: tuple = (404,), **query: Any) -> Any:
        """The parsed answer of a read, or None where Grafana has no such thing."""
        try:
            return self.get(where, about, **query)
        except Refused as refused:
            if refused.status in absent:
                return None
            raise

    def write(
        self, method: str, where: str, about: str, body: Any = None, headers: dict | None = None
    ) -> Any:
        """Send a write once. It is repeated only where it was not carried out for certain, else Uncertain."""
        return self._until_it_passes(method, where, about, body, headers or {}, {})

    def warn(self, text: str) -> None:
        """Note what the user should know of the answers."""
        self.warnings.append(text)

    def each(self, call: Callable[[Any], Any], items: list) -> list:
        """Results of a call for each item, some at a time, in the order of the items."""
        if len(items) < 2 or self.concurrency < 2:
            return [call(item) for item in items]
        with ThreadPoolExecutor(self.concurrency) as pool:
            return list(pool.map(call, items))

    def pause(self, number: int) -> None:
        """Wait before a repetition, longer each time."""
        self._sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) * random.uniform(0.75, 1))

    def scrub(self, text: str) -> str:
        """A text without the secrets that this run knows."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "********")
        return text

    def _until_it_passes(
        self, method: str, where: str, about: str, body: Any, headers: dict, query: dict
    ) -> Any:
        waited, number = 0.0, 0
        while True:
            try:
                return self._once(method, where, about, body, headers, query)
            except _Passing as passing:
                pause = passing.after or min(
                    LONGEST_PAUSE, FIRST_PAUSE * 2**number
                ) * random.uniform(0.75, 1)
                waited, number = waited + pause + passing.spent, number + 1
                if waited > self._patience:
                    raise GrafanaError(f"{passing}; given up after {number} attempts") from None
                self._sleep(pause)

    def _once(
        self, method: str, where: str, about: str, body: Any, headers: dict, query: dict
    ) -> Any:
        if self._stopped:
            raise self._stopped
        what = f"{about}: {method} {where}" if about else f"{method} {where}"
        reading = method == "GET"
        try:
            answer = self._session.request(
                method,
                self.url + where,
                params=query or None,
                json=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise GrafanaError(self.scrub(f"{what} at {self.url}: TLS: {_root(error)}")) from None
        except requests.exceptions.ConnectTimeout:
            raise _Passing(f"{what}: no connection to {self.url}", spent=self._timeout[0]) from None
        except requests.exceptions.RequestException as error:
            told = self.scrub(f"{what} at {self.url}: {_root(error)}")
            if isinstance(error, ValueError):
                # The address or a header is none, and nothing was sent.
                raise GrafanaError(told) from None
            if reading or _not_sent(error):
                spent = (
                    self._timeout[1] if isinstance(error, requests.exceptions.ReadTimeout) else 0.0
                )
                raise _Passing(told, spent=spent) from None
            raise Uncertain(told) from None
        except (OSError, ValueError) as error:
            raise GrafanaError(self.scrub(f"{what} at {self.url}: {error}")) from None
        return self._judge(answer, what, reading)

    def _judge(self, answer: Any, what: str, reading: bool) -> Any:
        status = answer.status_code
        if 200 <= status < 300:
            return self._parsed(answer, what, reading)
        text = self.scrub(_message(answer))
        told = f"{what} answered {status}: {text}" if text else f"{what} answered {status}"
        if status == 401:
            with self._lock:
                hint = "wrong or locked credentials; nothing more was sent, since failures lock the account"
                self._stopped = self._stopped or Unauthorized(f"{told} ({hint})", status, text)
            raise self._stopped
        if status == 429:
            raise _Passing(told, _seconds(answer.headers.get("Retry-After")))
        if status in BUSY or (status == 500 and any(sign in text.lower() for sign in PASSING)):
            if reading:
                raise _Passing(told, _seconds(answer.headers.get("Retry-After")))
            raise Uncertain(told)
        if status in (409, 412) and not reading:
            raise Raced(told, status, text)
        if 300 <= status < 400:
            target = answer.headers.get("Location", "")
            raise Refused(
                f"{told}: it redirects to {target}; give the address that Grafana serves",
                status,
                text,
            )
        raise Refused(told, status, text)

    def _parsed(self, answer: Any, what: str, reading: bool) -> Any:
        if not answer.content and (answer.status_code == 204 or not reading):
            return None
        try:
            return answer.json()
        except ValueError:
            if _is_page(answer):
                raise GrafanaError(f"{what} answered a web page: is {self.url} Grafana?") from None
            if reading:
                raise _Passing(
                    f"{what} answered {len(answer.content)} bytes that are no whole JSON"
                ) from None
            raise Uncertain(
                f"{what} answered {len(answer.content)} bytes that are no whole JSON"
            ) from None


class Raced(Uncertain, Refused):
    """Grafana refused a write since the object is not what the writer believed (409, 412)."""

    def __init__(self, message: str, status: int, text: str) -> None:
        Refused.__init__(self, message, status, text)

    @property
    def is_final(self) -> bool:
        """Whether it would be refused again: not for a version that was overtaken, but for a name that is taken."""
        told = self.text.lower()
        # As Grafana 13 says of a dashboard whose version was overtaken: "already exists. Use overwrite flag to update."
        return "use overwrite" not in told and any(sign in told for sign in FINAL)


class _Passing(Exception):
    """A request that may be repeated as it is, ``after`` as many seconds as the server asks for, ``spent`` waiting."""

    def __init__(self, message: str, after: float = 0.0, spent: float = 0.0) -> None:
        super().__init__(message)
        self.after = after
        self.spent = spent


def _not_sent(error: Exception) -> bool:
    """Whether no connection came about, so that nothing was sent."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return any(layer.__name__ == "NewConnectionError" for layer in type(reason).__mro__)


def _root(error: Exception) -> str:
    """The reason of a failed request without the layers around it."""
    inner = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    return str(getattr(inner, "reason", None) or inner)


def _is_page(answer: Any) -> bool:
    return answer.content.lstrip()[:1] == b"<"


def _message(answer: Any) -> str:
    """What Grafana says of an error, in one line."""
    try:
        told = answer.json()
    except ValueError:
        return "a web page" if _is_page(answer) else answer.text.strip()[:300]
    if not isinstance(told, dict):
        return str(told)[:300]
    parts = [str(told[key]) for key in ("message", "error") if told.get(key)]
    return ": ".join(dict.fromkeys(parts))[:600]


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0
