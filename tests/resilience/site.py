# SPDX-License-Identifier: GPL-3.0-or-later
"""Roll the whole site out to a test host, by ansible-playbook over SSH, and observe it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.resilience.rollout import JSON_OUTPUT, ROOT, ansible_environment
from tests.testbed import hosts
from tests.testbed import site as whole
from tests.testbed.app import flows
from tests.testbed.releases import recipe

ROLES = whole.GROUPS[1:]
# Every secret of the tests begins with it; no run may show it.
CANARY = "c4n4ry"
# Unit -> URL of its readiness.
READY = {
    "loki": "http://127.0.0.1:3100/ready",
    "tempo": "http://127.0.0.1:3200/ready",
    "prometheus": "http://127.0.0.1:9090/-/ready",
    "alertmanager": "http://127.0.0.1:9093/-/ready",
    "otel-collector": "http://127.0.0.1:13133/",
    "promtail": "http://127.0.0.1:9080/ready",
    "redis-exporter-main": "http://127.0.0.1:9121/health",
    "redis-exporter-accounts": "http://127.0.0.1:9122/health",
    "redis-exporter-chain": "http://127.0.0.1:9123/health",
    "postgres-exporter-main": "http://127.0.0.1:9187/",
    "node-exporter": "http://127.0.0.1:9100/",
    "grafana": "http://127.0.0.1:3000/api/health",
}
UNITS = [f"{name}.service" for name in READY]
GREETING = "greeting"
# Port -> unit, request, and the beginning of the line with the program's name and version.
# The ports are the architecture's and our own.
PORTS = {
    # The fake Grafana.
    3000: ("grafana", "/metrics", r'grafana_build_info\{.*version="VERSION"'),
    3100: ("loki", "/metrics", r'loki_build_info\{.*version="VERSION"'),
    3200: ("tempo", "/status/version", r"tempo, version VERSION "),
    4317: ("otel-collector", GREETING, "HTTP/2 settings"),
    4318: ("otel-collector", "/v1/traces", r'\{"partialSuccess":'),
    4319: ("tempo", GREETING, "HTTP/2 settings"),
    8888: (
        "otel-collector",
        "/metrics",
        r'target_info\{.*service_name="otelcol-contrib",service_version="VERSION"',
    ),
    # It is empty until applications have sent something.
    8889: ("otel-collector", "/metrics", ""),
    9080: ("promtail", "/metrics", r'promtail_build_info\{.*version="VERSION"'),
    9090: ("prometheus", "/metrics", r'prometheus_build_info\{.*version="VERSION"'),
    9093: ("alertmanager", "/metrics", r'alertmanager_build_info\{.*version="VERSION"'),
    9100: (
        "node-exporter",
        "/metrics",
        r'node_exporter_build_info\{.*version="VERSION"',
    ),
    9121: (
        "redis-exporter-main",
        "/metrics",
        r'redis_exporter_build_info\{.*version="vVERSION"',
    ),
    9122: (
        "redis-exporter-accounts",
        "/metrics",
        r'redis_exporter_build_info\{.*version="vVERSION"',
    ),
    9123: (
        "redis-exporter-chain",
        "/metrics",
        r'redis_exporter_build_info\{.*version="vVERSION"',
    ),
    9187: (
        "postgres-exporter-main",
        "/metrics",
        r'postgres_exporter_build_info\{.*version="VERSION"',
    ),
}
# Queries each port on its address; a POST for OTLP.
ASK = """
import json, socket, sys, urllib.request
answers = {}
for port, (address, question) in json.load(sys.stdin).items():
    try:
        if question == "greeting":
            with socket.create_connection((address, int(port)), 5) as connection:
                preface = b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"
                connection.sendall(preface + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
                is_settings = connection.recv(9)[3:4] == b"\\4"
                answers[port] = "HTTP/2 settings" if is_settings else "something else"
        else:
            asked = urllib.request.Request(f"http://{address}:{port}{question}")
            if question.startswith("/v1/"):
                asked.data = b"{}"
                asked.add_header("Content-Type", "application/json")
            answers[port] = urllib.request.urlopen(asked, timeout=10).read().decode()
    except OSError as error:
        answers[port] = str(error)
print(json.dumps(answers))
"""


@dataclass
class Outcome:
    """Result of one run of site.yml."""

    returncode: int
    stdout: str
    stats: dict
    messages: list = field(default_factory=list)


class Site:
    """A host with every component, and the playbook that rolls them out."""

    def __init__(self, host: hosts.Host, folder: Path, **variables: object) -> None:
        self.host, self.folder = host, folder
        self.variables = whole.variables(host) | variables
        self.predicted, self.untouched, self.first, self.bare = 0, False, 0, ""
        self.inventory = folder / "inventory.json"
        self.inventory.write_text(
            json.dumps(hosts.inventory([host], whole.GROUPS)), encoding="utf-8"
        )

    def run(
        self, *flags: str, playbook: str = "site.yml", **variables: object
    ) -> Outcome:
        """Run site.yml or another playbook with changed variables.

        No run may show a secret.
        """
        (self.folder / "variables.json").write_text(
            json.dumps({**self.variables, **variables}), encoding="utf-8"
        )
        command = [
            playbook,
            "-i",
            self.inventory,
            "-e",
            f"@{self.folder}/variables.json",
            "-vvvv",
            "--diff",
            *flags,
        ]
        cached, temporary = self.folder / "facts", self.folder / "tmp"
        own_files = {
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(cached),
            "ANSIBLE_LOCAL_TEMP": str(temporary),
        }
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), *command],
            cwd=ROOT, env={**os.environ, **ansible_environment(), **JSON_OUTPUT, **own_files},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        lines = (done.stdout + done.stderr).splitlines()
        assert [
            line.partition(CANARY)[0][-200:] for line in lines if CANARY in line
        ] == []
        assert [path for path in cached.glob("*") if CANARY in path.read_text()] == []
        assert list(temporary.glob("*")) == []
        try:
            told = json.loads(done.stdout[done.stdout.index("{\n") :])
        except ValueError:
            raise AssertionError(f"{done.stdout}\n{done.stderr}") from None
        results = [
            host
            for play in told["plays"]
            for task in play["tasks"]
            for host in task["hosts"].values()
        ]
        messages = [result["msg"] for result in results if result.get("failed")]
        return Outcome(
            done.returncode, done.stdout, told["stats"][self.host.name], messages
        )

    def good(self, *flags: str, **settings: object) -> Outcome:
        """Run a playbook, which must not fail."""
        outcome = self.run(*flags, **settings)
        assert outcome.returncode == 0, outcome.messages or outcome.stdout
        return outcome

    def pids(self) -> dict[str, str]:
        """Return the main process of each unit."""
        told = self.host.run(
            ["systemctl", "show", "--property=MainPID", "--value", *UNITS]
        ).stdout.split()
        return dict(zip(READY, told, strict=True))

    def ready(self, name: str) -> bool:
        """Return whether a component is ready."""
        return (
            self.host.run(
                ["python3", "-c", flows.GET, READY[name]], check=False
            ).returncode
            == 0
        )

    def snapshot(self, times: bool = True) -> str:
        """Return path, mode, owner, time and content of all files that a rollout may change.

        Lock files are left out.
        """
        time = "%T@ " if times else ""
        roots = "/etc /opt /usr /var/lib/systemd /run/monitoring"
        excluded = (
            "! -name '*.lock' ! -name '*.pyc' ! -path /run/monitoring"
            " ! -path '*/systemd/timers*'"
        )
        listing = (
            f"find {roots} -xdev {excluded} -printf '%p %M %U %G {time}%l\\n' | sort"
        )
        hashes = (
            "find /etc /opt/monitoring /usr/local -xdev -type f ! -name '*.lock'"
            " -exec sha256sum {} + | sort"
        )
        return self.host.run(f"{listing}; {hashes}", check=False).stdout

    def wrong_ports(self) -> dict[int, str]:
        """Return the ports without the right program, with the program that answers instead."""
        listeners = {}
        for line in self.host.run(
            "ss --no-header --listening --tcp --numeric --processes"
        ).stdout.splitlines():
            address, port = line.split()[3].rsplit(":", 1)
            # Of several addresses any one is enough.
            listeners[int(port)] = (
                address,
                next(iter(re.findall(r"pid=(\d+)", line)), ""),
            )
        there = {
            port: (listeners[port][0], asked[1])
            for port, asked in PORTS.items()
            if port in listeners
        }
        answers = json.loads(
            self.host.run(["python3", "-c", ASK], input=json.dumps(there)).stdout
        )
        units, wrong = {pid: name for name, pid in self.pids().items()}, {}
        for port, (name, _question, expected) in PORTS.items():
            unit, answer = (
                units.get(listeners.get(port, ("", ""))[1]),
                answers.get(str(port), "nothing"),
            )
            if unit != name or not re.search(
                "^" + expected.replace("VERSION", version(name)), answer, re.MULTILINE
            ):
                wrong[port] = f"{unit}: {answer[:500]}"
        return wrong

    def refusals(self) -> str:
        """Return the journal's lines about denied system calls and missing capabilities."""
        units = " ".join(f"--unit='{name}*'" for name in READY)
        words = "SIGSYS|status=31/SYS|operation not permitted|permission denied|EPERM"
        return self.host.run(
            f"journalctl --no-pager {units} | grep -iE '{words}'", check=False
        ).stdout


def version(unit: str) -> str:
    """Return the test bed's version of a unit's program, as a regular expression."""
    return re.escape(next(
        release.version
        for name, release in recipe.read_all().items()
        if unit == name.replace("_", "-") or unit.startswith(name.replace("_", "-") + "-")
    ))  # fmt: skip
