# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake Discord: receives, validates, stores and shows the messages of a webhook.

As a program, with the standard library alone: `discord.py PORT TOKEN_FILE MESSAGES` serves the
webhook `/api/webhooks/1/<token>` on the loopback address and appends each message to the file
MESSAGES, one JSON object a line, with its errors under `refused`. In a test:
`with FakeDiscord() as discord: ... discord.webhook`. `GET /messages` returns the messages;
`POST /limit` with a number answers that many posts with status 429.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

# Characters of each text, by the path to it.
MESSAGE_LIMITS = {"content": 2000, "username": 80}
EMBED_LIMITS = {"title": 256, "description": 4096, "author.name": 256, "footer.text": 2048}
FIELD_LIMITS = {"name": 256, "value": 1024}
MOST_EMBEDS, MOST_FIELDS, MOST_TEXT = 10, 25, 6000
RATE, RETRY_AFTER = 5, 0.3


def texts(message: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Each text of a message: its path, itself, and how long it may be."""
    for key, limit in MESSAGE_LIMITS.items():
        yield key, message.get(key) or "", limit
    for number, embed in enumerate(message.get("embeds") or []):
        for key, limit in EMBED_LIMITS.items():
            outer, _dot, inner = key.partition(".")
            text = embed.get(outer) or ""
            yield f"embeds.{number}.{key}", (text or {}).get(inner) or "" if inner else text, limit
        for place, field in enumerate(embed.get("fields") or []):
            for key, limit in FIELD_LIMITS.items():
                yield f"embeds.{number}.fields.{place}.{key}", field.get(key) or "", limit


def problems(message: dict[str, Any]) -> list[str]:
    """Return the errors that Discord reports about a message, as `path: words`."""
    found = [
        f"{path}: Must be {limit} or fewer in length."
        for path, text, limit in texts(message)
        if len(text) > limit
    ]
    embeds = message.get("embeds") or []
    if len(embeds) > MOST_EMBEDS:
        found.append(f"embeds: Must be {MOST_EMBEDS} or fewer in length.")
    if (
        sum(len(text) for path, text, _limit in texts(message) if path.startswith("embeds"))
        > MOST_TEXT
    ):
        found.append(f"embeds: Embed size exceeds maximum size of {MOST_TEXT}.")
    for number, embed in enumerate(embeds):
        if len(embed.get("fields") or []) > MOST_FIELDS:
            found.append(f"embeds.{number}.fields: Must be {MOST_FIELDS} or fewer in length.")
    return found


def refusal(found: list[str]) -> dict[str, Any]:
    """Return Discord's answer to an invalid message."""
    errors: dict[str, Any] = {}
    for problem in found:
        path, _colon, words = problem.partition(": ")
        place = errors
        for part in path.split("."):
            place = place.setdefault(part, {})
        place.setdefault("_errors", []).append({"code": "BASE_TYPE_MAX_LENGTH", "message": words})
    return {"message": "Invalid Form Body", "code": 50035, "errors": errors}


class Handler(BaseHTTPRequestHandler):
    """Answers with 204, 400, 404 or 429."""

    server: FakeDiscord

    def do_GET(self) -> None:
        """Send the received messages."""
        if self.path == "/messages":
            self.answer(200, self.server.messages)
        else:
            self.answer(404, {"message": "404: Not Found", "code": 0})

    def do_POST(self) -> None:
        """Receive one message."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _mark, query = self.path.partition("?")
        if path == "/limit":
            self.server.limited = int(body)
            self.answer(200, self.server.limited)
        elif path != self.server.path:
            self.answer(404, {"message": "Unknown Webhook", "code": 10015})
        elif self.server.is_limited():
            words = {
                "message": "You are being rate limited.",
                "retry_after": RETRY_AFTER,
                "global": False,
            }
            self.answer(429, words, {"Retry-After": "1", "X-RateLimit-Scope": "user"}, remaining=0)
        else:
            self.take(body, wait="wait=true" in query)

    def take(self, body: bytes, *, wait: bool) -> None:
        """Store a message and answer whether it is valid."""
        try:
            message = json.loads(body)
            found = problems(message)
            empty = not any(text for path, text, _limit in texts(message) if path != "username")
        except (ValueError, AttributeError, TypeError):
            self.answer(400, {"message": "The request body contains invalid JSON.", "code": 50109})
            return
        if empty:
            found = ["content: Cannot send an empty message"]
        self.server.keep(message | {"refused": found})
        if empty:
            self.answer(400, {"message": "Cannot send an empty message", "code": 50006})
        elif found:
            self.answer(400, refusal(found))
        else:
            self.answer(
                200 if wait else 204,
                {"id": str(len(self.server.messages))} | message if wait else None,
            )

    def answer(
        self,
        status: int,
        content: Any,
        headers: dict[str, str] | None = None,
        remaining: int = RATE - 1,
    ) -> None:
        """Send a status and a JSON body, with Discord's headers about its rate limit."""
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        limits = {"X-RateLimit-Limit": str(RATE), "X-RateLimit-Remaining": str(remaining)}
        limits |= {"X-RateLimit-Reset-After": str(RETRY_AFTER), "X-RateLimit-Bucket": "fake"}
        kind = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in (kind | limits | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep addresses with the token out of the journal."""


class FakeDiscord(ThreadingHTTPServer):
    """The server: `messages` are oldest first, `limited` counts the posts yet to get status 429."""

    daemon_threads = False

    def __init__(self, token: str = "token", port: int = 0, file: Path | None = None) -> None:
        self.path, self.file = f"/api/webhooks/1/{token}", file
        self.messages: list[dict[str, Any]] = []
        self.limited = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        """Bind without a DNS query for this machine's name, unlike HTTPServer."""
        TCPServer.server_bind(self)

    @property
    def webhook(self) -> str:
        """Return the webhook's URL."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.path}"

    def keep(self, message: dict[str, Any]) -> None:
        """Store a message."""
        with self.lock:
            self.messages.append(message)
            if self.file:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(message) + "\n")

    def is_limited(self) -> bool:
        """Return whether the rate limit applies to this post."""
        with self.lock:
            self.limited = max(self.limited, 0)
            if self.limited:
                self.limited -= 1
                return True
            return False

    def __enter__(self) -> FakeDiscord:
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


if __name__ == "__main__":
    FakeDiscord(
        Path(sys.argv[2]).read_text("utf-8").strip(), int(sys.argv[1]), Path(sys.argv[3])
    ).serve_forever()
