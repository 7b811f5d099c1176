# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for Discord: `discord.py PORT TOKEN_FILE MESSAGES`.

It takes messages for the webhook whose token is in TOKEN_FILE, appends them to MESSAGES, one JSON object a line, and
refuses what is over Discord's limits, as Discord does.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PORT, TOKEN, MESSAGES = int(sys.argv[1]), Path(sys.argv[2]).read_text(encoding="utf-8").strip(), Path(sys.argv[3])
LIMITS = {"title": 256, "description": 4096}


def problems(message: dict) -> list[str]:
    """What Discord would refuse about a message."""
    embeds = message.get("embeds") or []
    texts = [(key, embed.get(key) or "", limit) for embed in embeds for key, limit in LIMITS.items()]
    texts.append(("content", message.get("content") or "", 2000))
    found = [f"{key}: Must be {limit} or fewer in length." for key, text, limit in texts if len(text) > limit]
    if len(embeds) > 10 or sum(len(text) for key, text, _limit in texts if key != "content") > 6000:
        found.append("embeds: Embed size exceeds maximum size of 6000.")
    if not any(text for _key, text, _limit in texts):
        found.append("Cannot send an empty message.")
    return found


class Discord(BaseHTTPRequestHandler):
    """Answers with 204, 400 or 404."""

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != f"/api/webhooks/1/{TOKEN}":
            self.answer(404, {"message": "Unknown Webhook", "code": 10015})
            return
        message = json.loads(body)
        wrong = problems(message)
        with MESSAGES.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**message, "refused": wrong}) + "\n")
        self.answer(400 if wrong else 204, {"code": 50035, "errors": wrong} if wrong else None)

    def answer(self, status: int, content: dict | None) -> None:
        """Send a status and a JSON body."""
        body = json.dumps(content).encode() if content else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep addresses with the token out of the journal."""


HTTPServer(("127.0.0.1", PORT), Discord).serve_forever()
