# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake Discord."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import discord


def post(webhook: str, message: object) -> tuple[int, Any, http.client.HTTPMessage]:
    address, _slash, path = webhook.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request(
            "POST",
            f"/{path}",
            message if isinstance(message, str) else json.dumps(message),
        )
        with connection.getresponse() as response:
            body = response.read()
    finally:
        connection.close()
    return response.status, json.loads(body) if body else None, response.headers


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"content": "a" * 2001}, "content"),
        ({"content": "a", "username": "a" * 81}, "username"),
        ({"embeds": [{"title": "😀" * 257}]}, "embeds.0.title"),
        ({"embeds": [{}, {"description": "a" * 4097}]}, "embeds.1.description"),
        (
            {
                "embeds": [
                    {"title": "a", "fields": [{"name": "a", "value": "b" * 1025}]}
                ]
            },
            "embeds.0.fields.0.value",
        ),
        (
            {"embeds": [{"title": "a", "fields": [{"name": "a"}] * 26}]},
            "embeds.0.fields",
        ),
        ({"embeds": [{"title": "a"}] * 11}, "embeds"),
        ({"embeds": [{"description": "a" * 3001}] * 2}, "embeds"),
        ({"content": "a", "username": "My Discord"}, "username"),
        ({"embeds": [{"title": "a", "url": "javascript:1"}]}, "embeds.0.url"),
        ({"embeds": [{"title": "a", "color": 1 << 24}]}, "embeds.0.color"),
        (
            {"embeds": [{"title": "a", "fields": [{"name": "a"}]}]},
            "embeds.0.fields.0.value",
        ),
    ],
)
def test_it_refuses_too_long_a_message(message, path):
    with discord.FakeDiscord() as channel:
        status, answer, _headers = post(channel.webhook, message)
        errors = answer["errors"]
        for part in path.split("."):
            errors = errors[part]
        assert (status, answer["code"]) == (400, 50035) and errors["_errors"]
        assert [stored["refused"] != [] for stored in channel.messages] == [True]


def test_it_accepts_the_longest_message():
    largest = {
        "content": "😀" * 2000,
        "embeds": [{"title": "a" * 256, "description": "b" * 4096}],
    }
    with discord.FakeDiscord() as channel:
        status, answer, headers = post(channel.webhook, largest)
        assert (status, answer, headers["X-RateLimit-Limit"]) == (204, None, "5")
        assert (
            post(f"{channel.webhook}?wait=true", largest)[1]["content"]
            == largest["content"]
        )
        assert channel.messages == [largest | {"refused": []}] * 2


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 50109),
        ("[]", 50109),
        ({}, 50006),
        ({"embeds": [{"color": 1}]}, 50006),
        ({"content": " \n"}, 50006),
    ],
)
def test_it_refuses_an_invalid_message(message, code):
    with discord.FakeDiscord() as channel:
        status, answer, _headers = post(channel.webhook, message)
        assert (status, answer["code"]) == (400, code)


@pytest.mark.parametrize(
    ("content", "called"),
    [
        ("@everyone and \\@here", ["@everyone", "@here"]),
        ("<@&1> <@2> <@!3>", ["<@&1>", "<@2>", "<@!3>"]),
        ("@\u200beveryone, a@b.example, <@\u200b1>", []),
    ],
)
def test_it_tells_whom_a_message_calls(content: str, called: list[str]) -> None:
    assert discord.mentions_of({"content": content}) == called
    assert discord.mentions_of({"embeds": [{"description": content}]}) == []


def test_it_serves_one_webhook_and_limits_on_demand():
    with discord.FakeDiscord(token="right") as channel:
        assert (
            post(channel.webhook.replace("right", "wrong"), {"content": "a"})[1]["code"]
            == 10015
        )
        channel.limited = 2
        answers = [post(channel.webhook, {"content": "a"}) for _post in range(3)]
        assert [status for status, _answer, _headers in answers] == [429, 429, 204]
        assert answers[0][1]["retry_after"] > 0 and answers[0][2]["Retry-After"] == "1"
        assert len(channel.messages) == 1


def test_it_is_a_program_for_hosts(tmp_path):
    with discord.FakeDiscord() as unused:
        port = unused.server_address[1]
    (tmp_path / "token").write_text("abc\n")
    command = [
        sys.executable,
        "-I",
        str(Path(discord.__file__)),
        str(port),
        "token",
        "messages",
    ]
    server = subprocess.Popen(command, cwd=tmp_path)
    try:
        webhook = f"http://127.0.0.1:{port}/api/webhooks/1/abc"
        for _try in range(100):
            try:
                assert post(webhook, {"content": "a"})[0] == 204
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        assert json.loads((tmp_path / "messages").read_text()) == {
            "content": "a",
            "refused": [],
        }
    finally:
        server.kill()
        server.wait()
