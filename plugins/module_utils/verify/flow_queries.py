# SPDX-License-Identifier: GPL-3.0-or-later
"""Send marked data to programs of this host, and query servers of this host until they have it."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import time
import urllib.parse
from typing import TYPE_CHECKING

from ..component import local_http
from . import docker_log, grpc_client, otlp

if TYPE_CHECKING:
    from typing import Any, TypedDict

    class Mark(TypedDict, total=False):
        """A piece of data that is sent; its token, trace id or value is found behind.

        ``kind`` is metric, span, direct or line. ``url`` is an address without a scheme for
        direct, and a directory for line. ``error`` and ``at`` are results.
        """

        id: str
        kind: str
        url: str
        tls: dict[str, Any]
        host: str
        environment: str
        token: str
        at: float
        error: str

    class Query(TypedDict, total=False):
        """A request that is repeated until its answer is right, for some seconds at most.

        The body of an answer has to contain all strings of ``contains`` and none of ``lacks``.
        With ``keep`` that is compact JSON of these keys, which is returned too.
        """

        id: str
        url: str
        form: dict[str, str]
        document: dict[str, Any]
        tls: dict[str, Any]
        is_grafana: bool
        contains: list[str]
        lacks: list[str]
        keep: list[str]
        seconds: float

    class Receivers(TypedDict):
        """A server on this host, Grafana or Alertmanager, that sends messages."""

        server: str
        url: str
        tls: dict[str, Any]
        environment: str

    class Message(TypedDict):
        """The outcome of a message to a receiver; the error is empty if it was taken."""

        server: str
        receiver: str
        error: str

    class Found(TypedDict):
        """The last answer to a query; ``at`` is the time of the right one, 0 without."""

        id: str
        status: int
        at: float
        values: Any
        error: str


INTERVAL_SECONDS = 1
# Grafana answers when a receiver has, or does not in its own 10 seconds.
MESSAGE_SECONDS = 20
LONGEST_ERROR = 300
# Addresses in messages may have a login, and a path that is a secret, as a webhook has.
ADDRESS = re.compile(r"(\w+://)(?:[^/\s\"'@]*@)?([^/\s\"'?]+)[^\s\"']*")
MESSAGES = ("lastError", "message", "error")


def run(params: dict[str, Any]) -> dict[str, Any]:
    """Return the module's values; the host's clock is read before and after."""
    started = time.time()
    marks = [send(mark) for mark in params["marks"]]
    answers = find(params["queries"], grafana_headers(params))
    messages = [
        message
        for receiver in params["receivers"]
        for message in notify(receiver, grafana_headers(params))
    ]
    for mark in params["remove"]:
        docker_log.remove(mark["url"], mark["token"])
    return {
        "changed": False,
        "started": started,
        "ended": time.time(),
        "marks": marks,
        "answers": answers,
        "messages": messages,
    }


def send(mark: Mark) -> Mark:
    """Send a mark; return it with its time, and an error unless it was accepted."""
    now = time.time()
    try:
        error = SENDERS[mark["kind"]](mark, now)
    except (OSError, ValueError, grpc_client.GrpcError) as problem:
        error = str(problem)
    shown = {key: value for key, value in mark.items() if key != "tls"}
    result: Mark = {**shown, "at": now, "error": plain(error)}  # type: ignore[typeddict-item]
    return result


def _send_metric(mark: Mark, now: float) -> str:
    body = otlp.metric_body(int(mark["token"]), mark["host"], int(now * 1e9))
    return _post(mark, body)


def _send_span(mark: Mark, now: float) -> str:
    return _post(mark, otlp.span_body(mark["token"], mark["host"], int(now * 1e9)))


def _post(mark: Mark, body: bytes) -> str:
    headers = {"Content-Type": "application/json"}
    context = tls_context(mark["url"], mark["tls"])
    status, answer = local_http.get(mark["url"], headers, context, body)
    return "" if status == 200 else f"{status or 'no answer'}: {answer}"


def _send_directly(mark: Mark, now: float) -> str:
    message = otlp.span_message(
        mark["token"], mark["host"], mark["environment"], int(now * 1e9)
    )
    scheme, _slashes, address = mark["url"].rpartition("://")
    context = tls_context(scheme, mark["tls"])
    grpc_client.call(address, grpc_client.EXPORT, message, context)
    return ""


def _write_line(mark: Mark, now: float) -> str:
    docker_log.remove(mark["url"], mark["token"])
    docker_log.write(mark["url"], mark["token"], now)
    return ""


SENDERS = {
    "metric": _send_metric,
    "span": _send_span,
    "direct": _send_directly,
    "line": _write_line,
}


def find(queries: list[Query], grafana: dict[str, str]) -> list[Found]:
    """Ask all queries again and again until each has its answer or its time is over."""
    begun = time.monotonic()
    found: dict[str, Found] = {}
    pending = list(queries)
    while pending:
        for query in pending:
            found[query["id"]] = ask(query, grafana if query["is_grafana"] else {})
        passed = time.monotonic() - begun
        pending = [
            query
            for query in pending
            if not found[query["id"]]["at"] and passed < query["seconds"]
        ]
        if pending:
            time.sleep(INTERVAL_SECONDS)
    return [found[query["id"]] for query in queries]


def notify(server: Receivers, grafana: dict[str, str]) -> list[Message]:
    """Send a message to each receiver of a server of this host."""
    # Nearly no run asks for it.
    from . import receivers

    is_grafana = server["server"] == "grafana"

    def request(path: str, document: Any) -> tuple[int, str]:
        headers = dict(grafana) if is_grafana else login_headers(server["tls"])
        body = None
        if document is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(document).encode()
        url = server["url"] + path
        seconds = MESSAGE_SECONDS
        context = tls_context(url, server["tls"])
        return local_http.get(url, headers, context, body, seconds)

    try:
        send_all = receivers.of_grafana if is_grafana else receivers.of_alertmanager
        errors = send_all(request, server["environment"])
    except (OSError, ValueError) as problem:
        errors = {"receivers": str(problem)}
    return [
        {"server": server["server"], "receiver": name, "error": plain(error)}
        for name, error in errors.items()
    ]


def ask(query: Query, headers: dict[str, str]) -> Found:
    """Return the answer to a query at this moment."""
    body = None
    headers = dict(headers)
    if query.get("form"):
        body = urllib.parse.urlencode(query["form"]).encode()
    elif query.get("document"):
        body = json.dumps(query["document"]).encode()
        headers["Content-Type"] = "application/json"
    try:
        headers.update(login_headers(query["tls"]))
        context = tls_context(query["url"], query["tls"])
        status, text = local_http.get(query["url"], headers, context, body)
    except (OSError, ValueError) as problem:
        status, text = 0, str(problem)
    values = kept(text, query["keep"]) if query["keep"] else None
    answer = text
    if query["keep"]:
        answer = json.dumps(values, sort_keys=True, separators=(",", ":"))
    is_right = 200 <= status < 300 and is_complete(query, answer)
    return {
        "id": query["id"],
        "status": status,
        "at": time.time() if is_right else 0,
        "values": values,
        "error": "" if 200 <= status < 300 else plain(text),
    }


def is_complete(query: Query, answer: str) -> bool:
    """Return whether the body of an answer has all that it should. Pure."""
    return all(text in answer for text in query["contains"]) and not any(
        text in answer for text in query["lacks"]
    )


def kept(answer: str, keys: list[str]) -> Any:
    """Return the JSON of an answer with some keys only, at each depth. Pure."""

    def reduced(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                name: reduced(inner, name)
                for name, inner in value.items()
                if name in keys
            }
        if isinstance(value, list):
            return [reduced(inner, key) for inner in value]
        return plain(value) if key in MESSAGES and isinstance(value, str) else value

    try:
        return reduced(json.loads(answer))
    except (ValueError, RecursionError):
        return None


def plain(text: str) -> str:
    """Return a message as one limited line, with the hosts of its addresses only. Pure."""
    return ADDRESS.sub(r"\1\2", " ".join(text.split()))[:LONGEST_ERROR]


def login_headers(client: dict[str, Any]) -> dict[str, str]:
    """Return the login of a client that has one."""
    login = (client or {}).get("basic_auth")
    if not login:
        return {}
    password = _read(login["password_file"])
    return {"Authorization": basic(login["username"], password)}


def tls_context(url: str, client: dict[str, Any]) -> ssl.SSLContext | None:
    """Return the settings of a client with its certificate, None for plain text."""
    if not url.startswith("https"):
        return None
    files = (client or {}).get("tls_config") or {}
    context = ssl.create_default_context(cafile=files.get("ca_file"))
    # The certificate may be for the name that other hosts use.
    context.check_hostname = False
    if files.get("cert_file"):
        context.load_cert_chain(files["cert_file"], files["key_file"])
    return context


def grafana_headers(params: dict[str, Any]) -> dict[str, str]:
    """Return the login for Grafana: the token of its content, or else the administrator's."""
    path = params["grafana_token_path"]
    if path and os.path.exists(path):
        return {"Authorization": f"Bearer {_read(path)}"}
    if not params["grafana_password"]:
        return {}
    return {
        "Authorization": basic(params["grafana_username"], params["grafana_password"])
    }


def basic(username: str, password: str) -> str:
    """Return a header of basic authentication. Pure."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read().strip()
