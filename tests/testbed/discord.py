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
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, NamedTuple

# The most characters of each string, by its path.
MESSAGE_LIMITS = {"content": 2000, "username": 80}
EMBED_LIMITS = {
    "title": 256,
    "description": 4096,
    "author.name": 256,
    "footer.text": 2048,
}
FIELD_LIMITS = {"name": 256, "value": 1024}
MOST_EMBEDS, MOST_FIELDS, MOST_EMBED_CHARACTERS = 10, 25, 6000
MOST_COLOR = 0xFFFFFF
# Discord refuses names of webhooks that contain them.
FORBIDDEN_NAMES = ("clyde", "discord")
# A mention calls somebody in the content of a message only, never in an embed.
MENTION = re.compile(r"@everyone|@here|<@[!&]?\d+>")
RATE, RETRY_AFTER = 5, 0.3
NOT_FOUND = {"message": "404: Not Found", "code": 0}
UNKNOWN_WEBHOOK = {"message": "Unknown Webhook", "code": 10015}
INVALID_JSON = {"message": "The request body contains invalid JSON.", "code": 50109}
EMPTY = {"message": "Cannot send an empty message", "code": 50006}
RATE_LIMITED = {
    "message": "You are being rate limited.",
    "retry_after": RETRY_AFTER,
    "global": False,
}


class Limited(NamedTuple):
    """A string of a message with the most characters that it may have."""

    path: str
    value: str
    limit: int


def limited_strings(message: dict[str, Any]) -> Iterator[Limited]:
    """Yield each string of a message with its path and limit."""
    for key, limit in MESSAGE_LIMITS.items():
        yield Limited(key, message.get(key) or "", limit)
    for number, embed in enumerate(message.get("embeds") or []):
        for key, limit in EMBED_LIMITS.items():
            outer, _dot, inner = key.partition(".")
            value = embed.get(outer) or ""
            if inner:
                value = (value or {}).get(inner) or ""
            yield Limited(f"embeds.{number}.{key}", value, limit)
        for position, field in enumerate(embed.get("fields") or []):
            for key, limit in FIELD_LIMITS.items():
                path = f"embeds.{number}.fields.{position}.{key}"
                yield Limited(path, field.get(key) or "", limit)


def errors_of(message: dict[str, Any]) -> list[str]:
    """Return the errors that Discord reports about a message, as `path: words`."""
    strings = list(limited_strings(message))
    errors = [
        f"{string.path}: Must be {string.limit} or fewer in length."
        for string in strings
        if len(string.value) > string.limit
    ]
    embeds = message.get("embeds") or []
    if len(embeds) > MOST_EMBEDS:
        errors.append(f"embeds: Must be {MOST_EMBEDS} or fewer in length.")
    size = sum(
        len(string.value) for string in strings if string.path.startswith("embeds")
    )
    if size > MOST_EMBED_CHARACTERS:
        errors.append(
            f"embeds: Embed size exceeds maximum size of {MOST_EMBED_CHARACTERS}."
        )
    for number, embed in enumerate(embeds):
        if len(embed.get("fields") or []) > MOST_FIELDS:
            errors.append(
                f"embeds.{number}.fields: Must be {MOST_FIELDS} or fewer in length."
            )
    return [*errors, *wrong_values(message)]


def wrong_values(message: dict[str, Any]) -> Iterator[str]:
    """Yield the errors of a message besides those of its lengths."""
    name = (message.get("username") or "").lower()
    for word in FORBIDDEN_NAMES:
        if word in name:
            yield f'username: Username cannot contain "{word}".'
    for number, embed in enumerate(message.get("embeds") or []):
        path = f"embeds.{number}"
        if not (embed.get("url") or "http").startswith("http"):
            yield f"{path}.url: Scheme must be one of ('http', 'https')."
        if not 0 <= int(embed.get("color") or 0) <= MOST_COLOR:
            yield f"{path}.color: Must be between 0 and {MOST_COLOR}."
        for position, field in enumerate(embed.get("fields") or []):
            missing = [key for key in FIELD_LIMITS if not field.get(key)]
            for key in missing:
                yield f"{path}.fields.{position}.{key}: This field is required."


def mentions_of(message: dict[str, Any]) -> list[str]:
    """Return the mentions by which a message calls somebody."""
    return MENTION.findall(message.get("content") or "")


def is_empty(message: dict[str, Any]) -> bool:
    """Return whether a message has no content."""
    strings = limited_strings(message)
    return not any(
        string.value.strip() for string in strings if string.path != "username"
    )


def error_body(errors: list[str]) -> dict[str, Any]:
    """Return Discord's answer to an invalid message."""
    tree: dict[str, Any] = {}
    for error in errors:
        path, _colon, words = error.partition(": ")
        node = tree
        for part in path.split("."):
            node = node.setdefault(part, {})
        node.setdefault("_errors", []).append(
            {"code": "BASE_TYPE_MAX_LENGTH", "message": words}
        )
    return {"message": "Invalid Form Body", "code": 50035, "errors": tree}


class Handler(BaseHTTPRequestHandler):
    """Answers with 204, 400, 404 or 429."""

    server: FakeDiscord

    def do_GET(self) -> None:
        """Send the received messages."""
        if self.path == "/messages":
            self.answer(200, self.server.messages)
        else:
            self.answer(404, NOT_FOUND)

    def do_POST(self) -> None:
        """Receive one message."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _mark, query = self.path.partition("?")
        if path == "/limit":
            self.server.limited = int(body)
            self.answer(200, self.server.limited)
        elif path != self.server.path:
            self.answer(404, UNKNOWN_WEBHOOK)
        elif self.server.is_limited():
            headers = {"Retry-After": "1", "X-RateLimit-Scope": "user"}
            self.answer(429, RATE_LIMITED, headers, remaining=0)
        else:
            self.receive(body, wait="wait=true" in query)

    def receive(self, body: bytes, *, wait: bool) -> None:
        """Store a message and answer whether it is valid."""
        try:
            message = json.loads(body)
            errors = errors_of(message)
            empty = is_empty(message)
        except (ValueError, AttributeError, TypeError):
            self.answer(400, INVALID_JSON)
            return
        if empty:
            errors = ["content: Cannot send an empty message"]
        self.server.keep(message | {"refused": errors})
        if empty:
            self.answer(400, EMPTY)
        elif errors:
            self.answer(400, error_body(errors))
        elif wait:
            self.answer(200, {"id": str(len(self.server.messages))} | message)
        else:
            self.answer(204, None)

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
        every = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "X-RateLimit-Limit": str(RATE),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset-After": str(RETRY_AFTER),
            "X-RateLimit-Bucket": "fake",
        }
        for name, value in (every | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep addresses with the token out of the journal."""


class FakeDiscord(ThreadingHTTPServer):
    """The server: `messages` are oldest first, `limited` counts the posts yet to get status 429."""

    daemon_threads = False

    def __init__(
        self, token: str = "token", port: int = 0, file: Path | None = None
    ) -> None:
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
                with self.file.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(message) + "\n")

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


def main(port: str, token_file: str, messages: str) -> None:
    """Serve until the process is killed."""
    token = Path(token_file).read_text("utf-8").strip()
    FakeDiscord(token, int(port), Path(messages)).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
