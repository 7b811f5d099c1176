# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host sends and asks, with real sockets and files."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.verify import (
    docker_log,
    flow_queries,
    grpc_client,
    otlp,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Server(BaseHTTPRequestHandler):
    """Answers each request with the next of its answers, and keeps the requests."""

    answers: list[tuple[int, str]]
    requests: list[tuple[str, str, bytes, dict[str, str]]]

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.requests.append((self.command, self.path, body, dict(self.headers)))
        status, text = self.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_GET  # noqa: N815  as the base class calls it

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    monkeypatch.setattr(flow_queries, "INTERVAL_SECONDS", 0)
    handler = type("Handler", (Server,), {"answers": [], "requests": [], "url": ""})
    http = HTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield handler
    http.shutdown()
    thread.join()
    http.server_close()


def query(url: str, **values: Any) -> dict[str, Any]:
    return {
        "id": "a",
        "url": url,
        "form": {},
        "tls": {},
        "is_grafana": False,
        "contains": [],
        "lacks": [],
        "keep": [],
        "seconds": 5,
        **values,
    }


def run(**params: Any) -> dict[str, Any]:
    empty = {
        "marks": [],
        "queries": [],
        "remove": [],
        "receivers": [],
        "grafana_username": "admin",
        "grafana_password": None,
        "grafana_token_path": None,
    }
    return flow_queries.run({**empty, **params})


def test_a_query_is_repeated_until_its_answer_is_right(server: type[Server]):
    server.answers += [(503, "no"), (200, "not yet"), (200, "here it is")]
    result = run(queries=[query(server.url, contains=["here"])])
    [answer] = result["answers"]
    assert answer["at"] >= result["started"]
    assert len(server.requests) == 3


def test_a_query_without_time_is_asked_once(server: type[Server]):
    server.answers += [(404, "unknown trace")]
    [answer] = run(queries=[query(server.url, seconds=0)])["answers"]
    assert (answer["at"], answer["status"], answer["error"]) == (
        0,
        404,
        "unknown trace",
    )


def test_only_the_keys_that_are_asked_for_come_back(server: type[Server]):
    body = {"data": [{"health": "up", "params": {"token": "canary"}}], "x": "canary"}
    server.answers += [(200, json.dumps(body))]
    asked = query(server.url, keep=["data", "health"], contains=['{"health":"up"}'])
    [answer] = run(queries=[asked])["answers"]
    assert answer["values"] == {"data": [{"health": "up"}]}
    assert answer["at"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Post https://discord.com/api/webhooks/1/canary: 404",
            "Post https://discord.com 404",
        ),
        ("http://user:canary@db.example:1/x refused", "http://db.example:1 refused"),
        ('Get "http://h/m?token=canary": no', 'Get "http://h": no'),
        ("two\nlines", "two lines"),
    ],
)
def test_messages_lose_the_secret_parts_of_addresses(text: str, shown: str):
    assert flow_queries.plain(text) == shown


def test_grafana_is_asked_with_the_token_of_its_content(
    server: type[Server], tmp_path: Path
):
    token = tmp_path / "token"
    options = {"grafana_password": "word", "grafana_token_path": str(token)}
    server.answers += [(200, ""), (200, "")]
    run(queries=[query(server.url, is_grafana=True)], **options)
    token.write_text("abc\n", encoding="utf-8")
    run(queries=[query(server.url, is_grafana=True)], **options)
    logins = [headers["Authorization"] for *_rest, headers in server.requests]
    assert logins == ["Basic YWRtaW46d29yZA==", "Bearer abc"]


def test_a_form_is_posted(server: type[Server]):
    server.answers += [(200, "")]
    run(queries=[query(server.url, form={"query": "a == 1"})])
    assert server.requests[0][:3] == ("POST", "/", b"query=a+%3D%3D+1")


def mark(kind: str, url: str, token: str = TRACE) -> dict[str, Any]:
    return {
        "id": kind,
        "kind": kind,
        "url": url,
        "tls": {},
        "host": "web1",
        "environment": "dev",
        "token": token,
    }


def test_metric_and_span_are_sent_as_json(server: type[Server]):
    server.answers += [(200, "{}"), (503, "memory limit")]
    marks = [mark("metric", server.url, "17"), mark("span", server.url)]
    sent = run(marks=marks)["marks"]
    bodies = [json.loads(body) for _method, _path, body, _headers in server.requests]
    [gauge] = bodies[0]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert gauge["gauge"]["dataPoints"][0]["asDouble"] == 17
    [span] = bodies[1]["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert span["traceId"] == TRACE
    assert [one["error"] for one in sent] == ["", "503: memory limit"]
    assert "tls" not in sent[0]


def test_a_program_that_is_down_is_no_crash():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    marks = [
        mark("metric", f"http://{address}", "1"),
        mark("direct", f"http://{address}"),
    ]
    sent = run(marks=marks)["marks"]
    assert all("refused" in one["error"] for one in sent)


def serve_once(answer: bytes) -> tuple[str, Callable[[], bytes]]:
    """Start a server of one connection; return its address, and what it received."""
    listener = socket.create_server(("127.0.0.1", 0))
    received = []

    def serve() -> None:
        connection, _peer = listener.accept()
        with connection, listener:
            received.append(connection.recv(65536))
            connection.sendall(answer)
            connection.recv(65536)

    thread = threading.Thread(target=serve)
    thread.start()

    def result() -> bytes:
        thread.join()
        return received[0]

    return f"127.0.0.1:{listener.getsockname()[1]}", result


SETTINGS = grpc_client.frame(grpc_client.SETTINGS, 0, 0, b"")
START = grpc_client.frame(grpc_client.HEADERS, grpc_client.END_HEADERS, 1, b"\x88")
END = grpc_client.frame(
    grpc_client.HEADERS, grpc_client.END_HEADERS | grpc_client.END_STREAM, 1, b"\x88"
)
MESSAGE = grpc_client.frame(grpc_client.DATA, 0, 1, bytes(5))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (SETTINGS + START + MESSAGE + END, ""),
        (SETTINGS + END, "it refused the call"),
        (SETTINGS + grpc_client.frame(7, 0, 0, bytes(8)), "it ended the connection"),
        (SETTINGS, "it closed the connection"),
    ],
    ids=["accepted", "refused", "goes away", "closes"],
)
def test_a_call_of_grpc_succeeds_with_a_message(answer: bytes, error: str):
    address, received = serve_once(answer)
    [sent] = run(marks=[mark("direct", f"http://{address}")])["marks"]
    assert sent["error"] == error
    assert received().startswith(grpc_client.PREFACE)


def test_a_span_is_encoded_as_the_protocol_has_it():
    message = otlp.span_message(TRACE, "web1", "dev", 2)
    # Tags and lengths of opentelemetry/proto/trace/v1/trace.proto.
    span = (
        bytes.fromhex("0a10" + TRACE + "1208" + TRACE[:16]) + b"\x2a\x06verify\x30\x01"
    )
    span += b"\x39" + (2).to_bytes(8, "little") + b"\x41" + (1002).to_bytes(8, "little")
    assert span in message
    assert b"\x0a\x03env\x12\x05\x0a\x03dev" in message


def test_a_line_is_written_as_docker_does_and_removed(tmp_path: Path):
    other = tmp_path / ("a" * 64)
    other.mkdir()
    docker_log.write(str(tmp_path), TRACE, 0)
    [directory] = [path for path in tmp_path.iterdir() if path != other]
    assert len(directory.name) == 64
    log = directory / f"{directory.name}-json.log"
    line = json.loads(log.read_text(encoding="utf-8"))
    assert line == {
        "log": f"{TRACE}\n",
        "stream": "stdout",
        "time": "1970-01-01T00:00:00.000000000Z",
    }
    assert "ID" not in json.loads((directory / "config.v2.json").read_text())
    docker_log.remove(str(tmp_path), TRACE)
    assert list(tmp_path.iterdir()) == [other]


def test_the_line_of_another_run_stays_unless_it_was_killed(tmp_path: Path):
    for token in ("a" * 32, "b" * 32):
        docker_log.write(str(tmp_path), token, 0)
    killed = tmp_path / docker_log.identifier("b" * 32)
    os.utime(killed, (0, 0))
    docker_log.remove(str(tmp_path), "")
    assert [path.name for path in tmp_path.iterdir()] == [
        docker_log.identifier("a" * 32)
    ]


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path):
    path = tmp_path / "a file"
    path.touch()
    [sent] = run(marks=[mark("line", str(path))])["marks"]
    assert "Not a directory" in sent["error"]
