# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes, inhibition, muted times and messages of the role, in a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.testbed import discord
from tests.testbed.releases.build import build_all
from tests.unit.roles.rendering import rollout

Alert = dict[str, Any]
QUICK = {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"}
NOW = {
    "name": "now",
    "severities": ["high"],
    "time_intervals": [{"years": ["2000:3000"]}],
}
MENTION = "<@&42>"


class Ping(BaseHTTPRequestHandler):
    """The service outside: it counts requests."""

    count = 0

    def do_POST(self) -> None:
        """Count a request."""
        Ping.count += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


class Alerting(NamedTuple):
    """A running Alertmanager, and the channel to which it sends."""

    url: str
    channel: discord.FakeDiscord

    def send(self, *alerts: Alert) -> None:
        """Send alerts as Prometheus does."""
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts",
            json.dumps(alerts).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()

    def messages(self, word: str) -> list[dict[str, Any]]:
        """Wait until the title of a message has a word, and return all messages since the start."""
        wait_until(lambda: any(word in title(each) for each in self.channel.messages))
        # Those of the same second follow.
        time.sleep(1)
        return list(self.channel.messages)


def title(message: dict[str, Any]) -> str:
    return str(message["embeds"][0]["title"])


def wait_until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with HTTPServer(("127.0.0.1", 0), Ping) as unused:
        return unused.server_port


@contextmanager
def outside() -> Iterator[str]:
    """Yield the address of a service outside that expects regular requests."""
    Ping.count = 0
    with HTTPServer(("127.0.0.1", 0), Ping) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ping/canary"
        server.shutdown()
        thread.join()


def write_configuration(folder: Path, etc: str, options: dict[str, Any]) -> None:
    """Write the files of a rollout below a folder in place of /etc/alertmanager."""
    for item in options["config"]:
        content = item.get("content")
        text = content or Path(item["source"]).read_text()
        if not isinstance(text, str):
            text = yaml.safe_dump(text)
        path = folder / item["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace(etc, str(folder)), encoding="utf-8")
    for name, secret in options["secrets"].items():
        (folder / name).write_text(secret)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Alertmanager of the test bed's release."""
    [archive] = build_all(["alertmanager"]).values()
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(archive) as opened:
        [member] = [
            each for each in opened.getmembers() if each.name.endswith("/alertmanager")
        ]
        member.name = "alertmanager"
        opened.extract(member, folder, filter="data")
    return folder / "alertmanager"


@pytest.fixture
def alerting(program: Path, tmp_path: Path) -> Iterator[Alerting]:
    """Run Alertmanager with the role's configuration, quick routes and `high` muted."""
    routes = {
        f"alertmanager_{severity}_route": QUICK for severity in ("critical", "medium")
    }
    with discord.FakeDiscord() as channel, outside() as url:
        options = rollout(
            "alertmanager",
            alertmanager_discord_webhook=channel.webhook,
            alertmanager_critical_mention=MENTION,
            monitoring_mute_timings=[NOW],
            monitoring_heartbeat_url=url,
            **routes,
        )
        write_configuration(tmp_path, "/etc/alertmanager", options)
        address = f"127.0.0.1:{free_port()}"
        command = [
            program,
            f"--config.file={tmp_path}/alertmanager.yml",
            f"--storage.path={tmp_path}/data",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
        ]
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: answers(f"http://{address}/-/ready"))
            yield Alerting(f"http://{address}", channel)
        finally:
            process.terminate()
            process.wait()


def alert(name: str, severity: str, **labels: str) -> Alert:
    fixed = {"alertname": name, "severity": severity, "env": "prod", "service": "s"}
    return {"labels": {**fixed, **labels}, "annotations": {"summary": f"{name} is up"}}


def test_one_fault_says_one_thing_and_others_are_heard(alerting: Alerting) -> None:
    alerting.send(
        # A host is down, and with it all that runs there.
        alert("HostDown", "critical", host="a", service="host"),
        alert("LokiDown", "critical", host="a", service="logs", component="loki"),
        alert("TargetDown", "medium", host="a", service="monitoring"),
        # A store is down, and with it who sends to it in its environment.
        alert("TempoDown", "critical", host="b", service="traces", component="tempo"),
        alert("QueueFills", "medium", host="c", component="otel-collector"),
        alert("QueueFills", "medium", host="c", component="otel-collector", env="dev"),
        # A worse alert of the same name, and one of its service.
        alert("Full", "critical", host="d", service="redis"),
        alert("Full", "medium", host="d", service="redis"),
        alert("Slow", "medium", host="d", service="redis"),
        alert("Slow", "medium", host="e", service="redis"),
        # Objectives have no host.
        alert("ErrorBudgetBurn", "critical", slo="fast", service="api"),
        alert("ErrorBudgetBurn", "medium", slo="fast", service="api"),
        alert("ErrorBudgetBurn", "medium", slo="good", service="web"),
        # These times are muted.
        alert("Muted", "high", host="f"),
        alert("Watchdog", "none"),
    )
    titles = sorted(title(each) for each in alerting.messages("Slow"))
    assert titles == [
        "🔴 [FIRING:1] ErrorBudgetBurn · prod · api",
        "🔴 [FIRING:1] Full · prod · redis",
        "🔴 [FIRING:1] HostDown · prod · host",
        "🔴 [FIRING:1] TempoDown · prod · traces",
        "🟡 [FIRING:1] ErrorBudgetBurn · prod · web",
        "🟡 [FIRING:1] QueueFills · dev · s",
        "🟡 [FIRING:1] Slow · prod · redis",
    ]
    wait_until(lambda: Ping.count > 0)


HOSTILE = [
    "@everyone @here <@&1> <@2>",
    "line\n# heading\n✅ [RESOLVED] all is well\r\n> quote",
    "[click](https://evil.example) https://evil.example <https://evil.example>",
    "**bold** __under__ ~~strike~~ `code` ```block``` ||spoiler||",
    "\u202eright to left\u2066",
    "{{ .Labels }} $HOME ${x}",
    "👩‍👩‍👧‍👦😀🏳️‍🌈" * 60,
    "x" * 5000,
]


@pytest.mark.parametrize("count", [1, 200])
def test_messages_keep_to_the_limits_and_call_nobody(
    alerting: Alerting, count: int
) -> None:
    # Each text is an annotation and a label of some alerts.
    alerts = [
        {
            "labels": {
                "alertname": "Many",
                "severity": "critical",
                "service": HOSTILE[0],
                "env": "prod",
                "host": HOSTILE[number % len(HOSTILE)],
                "instance": f"{number}",
            },
            "annotations": {
                "summary": HOSTILE[(number + 1) % len(HOSTILE)],
                "description": HOSTILE[(number + 2) % len(HOSTILE)],
                "runbook_url": f"https://h.example/ {HOSTILE[0]}",
            },
        }
        for number in range(count)
    ]
    alerting.send(*alerts)
    [message] = alerting.messages("Many")
    assert message["refused"] == []
    assert discord.mentions_of(message) == [MENTION]
    [embed] = message["embeds"]
    text = embed["title"] + embed["description"]
    assert discord.mentions_of({"content": text}) == []
    # A value formats nothing and begins no line.
    lines = embed["description"].splitlines()
    started = [line for line in lines if line.startswith(("#", ">", "✅", "["))]
    assert started == []
    assert "](http" not in text and "\u202e" not in text
    assert ("These are 10 of 200" in text) == (count > 10 and len(text) < 4000)


def test_a_resolved_alert_calls_nobody(alerting: Alerting) -> None:
    over = alert("Over", "critical", host="a")
    alerting.send(over)
    alerting.messages("FIRING:1] Over")
    alerting.send({**over, "endsAt": "2020-01-01T00:00:00Z"})
    message = alerting.messages("RESOLVED] Over")[-1]
    assert discord.mentions_of(message) == []
