# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of docs/several-hosts.md on three real hosts: what arrives, who is let in, and who is left alone."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.bed import app, engine, hosts, site
from tests.bed.app import flows
from tests.faults.rollout import ROOT, ansible_environment

DOCUMENT = ROOT / "docs" / "several-hosts.md"
# Where containers reach the collector: in the example the bridge of their network, here one of the host's own.
BRIDGE = "172.31.254.1"
NAMES = ("app", "storage", "dashboards")
# What bcrypt makes of the password "of three test hosts".
HASH = "$2b$10$ofthreetesthostsofthrO0EgCPqQwA1mTyXsdR7eWCt45Bt8LySS"
# A service of the application that prints numbered lines.
PRINTER = "fleet"
WEBHOOK = "https://discord.example/api/webhooks/1/token"
POST = """
import sys, urllib.request
sender = urllib.request.Request(sys.argv[1], sys.stdin.buffer.read(), {"Content-Type": "application/json"})
urllib.request.urlopen(sender, timeout=20).read()
"""
# What listens beside loopback and SSH, by who needs it.
PROMETHEUS_ASKS = {
    "app": {8888, 8889, 9080, 9100, 9121, 9122, 9123, 9187},
    "dashboards": {3000, 9100},
    "storage": set(),
}
OTHERS_NEED = {"app": set(), "dashboards": set(), "storage": {3100, 3200, 4319, 9090, 9093}}


@dataclass
class Outcome:
    """What a run came to."""

    status: int
    stats: dict
    changes: set
    messages: list


@dataclass
class Fleet:
    """The hosts by their names in the inventory, and the folder with the inventory."""

    hosts: dict
    folder: Path
    inventory: Path

    def run(self, *flags: str, **variables: object) -> Outcome:
        """Run site.yml."""
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "site.yml", "-i", self.inventory,
             "-e", json.dumps(variables), *flags],
            cwd=ROOT, env={**os.environ, **ansible_environment(), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        try:
            told = json.loads(done.stdout[done.stdout.index("{\n") :])
        except ValueError:
            raise AssertionError(f"{done.stdout}\n{done.stderr}") from None
        tasks = [task for play in told["plays"] for task in play["tasks"]]
        messages = [result["msg"] for task in tasks for result in task["hosts"].values() if result.get("failed")]
        changes = {
            (name, task["task"]["name"]) for task in tasks for name, result in task["hosts"].items()
            if result.get("changed")
        }  # fmt: skip
        return Outcome(done.returncode, told["stats"], changes, messages)

    def changes(self, *flags: str, **variables: object) -> set:
        """Hosts and tasks with a change in a run, which must not fail."""
        outcome = self.run(*flags, **variables)
        assert outcome.status == 0, outcome.messages
        return outcome.changes

    def fetch(self, url: str, who: str = "dashboards", login: str = "") -> str:
        """Ask with the certificate of a host, or with name:password; the authority vouches for the answer."""
        context = ssl.create_default_context(cafile=self.folder / "tls/ca.pem")
        if who:
            context.load_cert_chain(self.folder / f"tls/{who}.pem", self.folder / f"tls/{who}.key")
        headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20, context=context) as told:
            return told.read().decode()

    def at(self, name: str, port: int) -> str:
        """The address of a listener of a host."""
        return f"https://{self.hosts[name].address}:{port}"

    def listening(self, name: str) -> set:
        """Addresses on which a host listens and which are not loopback."""
        told = self.hosts[name].run(["ss", "-Hltn"]).stdout
        return {line.split()[3] for line in told.splitlines()} - set(re.findall(r"(?:127\.\S+|\[::1\]):\d+", told))

    def pids(self, unit: str) -> dict:
        """The main process of a unit on each host."""
        show = ["systemctl", "show", "--property=MainPID", "--value", unit]
        return {name: host.run(show).stdout for name, host in self.hosts.items()}


@pytest.fixture(scope="module")
def fleet(bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three hosts after the first rollout."""
    folder = tmp_path_factory.mktemp("fleet")
    try:
        fleet = Fleet({name: hosts.up(f"fleet-{name}") for name in NAMES}, folder, folder / "hosts.yml")
        certify(fleet)
        fleet.inventory.write_text(yaml.safe_dump(inventory(fleet)), encoding="utf-8")
        bridge = f"ip link add br-app type bridge; ip address add {BRIDGE}/24 dev br-app; ip link set br-app up"
        fleet.hosts["app"].run(bridge)
        assert {name for name, _task in fleet.changes()} == set(NAMES)
        yield fleet
    finally:
        engine.docker("rm", "--force", app.container(PRINTER), check=False)
        for name in NAMES:
            hosts.down(f"fleet-{name}")


def blocks(language: str) -> list[str]:
    """The document's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)


def certify(fleet: Fleet) -> None:
    """Make certificates by the document's commands, the first of which is for all hosts."""
    folder = fleet.folder / "tls"
    folder.mkdir()
    authority, *for_each = re.split(r"(?<!\\)\n(?=\S)", blocks("sh")[0].strip())
    for commands, name in ([authority], "app"), *((for_each, name) for name in fleet.hosts):
        variables = {"host": name, "address": fleet.hosts[name].address}
        for command in commands:
            subprocess.run(
                ["sh", "-ec", command], cwd=folder, env={**os.environ, **variables}, check=True, capture_output=True
            )


def inventory(fleet: Fleet) -> dict:
    """The document's inventory with the addresses of the bed, and the bed's releases."""
    text = blocks("yaml")[0].replace("172.30.0.0/24", f"{BRIDGE}/32").replace("172.30.0.1", BRIDGE)
    for number, name in enumerate(NAMES, start=1):
        text = re.sub(rf"\b10\.0\.0\.{number}\b", fleet.hosts[name].address, text)
    found = yaml.safe_load(text)
    for name, host in fleet.hosts.items():
        found["monitoring"]["hosts"][name] |= host.variables()
    found["monitoring"]["vars"] |= {
        **hosts.variables(),
        **site.TEMPO,
        "monitoring_environment": "prod",
        "alertmanager_discord_webhook": WEBHOOK,
        "grafana_admin_password": "of three test hosts",
        "grafana_secret_key": "of three test hosts, too",
    }
    return found


def test_every_target_is_up(fleet):
    prometheus = fleet.at("storage", 9090)

    def states() -> dict:
        answer = json.loads(fleet.fetch(f"{prometheus}/api/v1/targets?state=active"))
        return {target["scrapeUrl"]: target["health"] for target in answer["data"]["activeTargets"]}

    found = flows.settle(states, lambda states: set(states.values()) == {"up"}, 40)
    assert {url for url, health in found.items() if health != "up"} == set()
    asked = {fleet.at(name, port) + "/metrics" for name, ports in PROMETHEUS_ASKS.items() for port in ports}
    own = {fleet.at("storage", port) + "/metrics" for port in (3100, 3200, 9090, 9093)}
    assert set(found) == asked | own | {"http://127.0.0.1:9100/metrics"}
    counted = {
        labels["job"]: labels["host"]
        for labels, _value in flows.series(
            fleet.fetch, '{__name__=~"redis_up|pg_up|otelcol_process_uptime"}', prometheus
        )
    }
    assert counted == dict.fromkeys(
        ("redis-main", "redis-accounts", "redis-chain", "postgres", "otel-collector-self"), "app"
    )


def test_a_span_of_the_application_host_is_found_in_tempo_with_its_environment(fleet):
    trace = os.urandom(16).hex()
    now = time.time_ns()
    span = {"traceId": trace, "spanId": trace[:16], "name": "PutObject", "kind": 2}
    span |= {"startTimeUnixNano": str(now - 10**6), "endTimeUnixNano": str(now)}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]}
    body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]})
    fleet.hosts["app"].run(["python3", "-c", POST, f"http://{BRIDGE}:4318/v1/traces"], input=body)
    found = flows.settle(lambda: flows.spans(fleet.fetch, trace, fleet.at("storage", 3200)), bool, 30)
    assert [(span.service, span.name, span.env) for span in found] == [("api", "PutObject", "prod")]


def test_lines_of_a_container_are_found_in_loki(fleet):
    sent = app.log_lines(500, service=PRINTER)
    loki = fleet.at("storage", 3100)
    found = flows.settle(
        lambda: flows.numbered_lines(fleet.fetch, sent, loki), lambda found: not found.missing, 40
    )  # fmt: skip
    assert (found.distinct, found.repeated, found.missing) == (500, 0, 0)
    assert {(labels["env"], labels["host"]) for labels in found.labels} == {("prod", "app")}


def test_nothing_listens_but_what_another_host_needs(fleet):
    for name, host in fleet.hosts.items():
        needed = {f"{host.address}:{port}" for port in PROMETHEUS_ASKS[name] | OTHERS_NEED[name]}
        bridge = {f"{BRIDGE}:4317", f"{BRIDGE}:4318"} if name == "app" else set()
        assert fleet.listening(name) - {"0.0.0.0:22", "[::]:22"} == needed | bridge, name


def test_whoever_has_no_certificate_is_refused(fleet):
    for name in fleet.hosts:
        # Grafana has people log in.
        for port in (PROMETHEUS_ASKS[name] | OTHERS_NEED[name]) - {3000}:
            for url in (fleet.at(name, port), fleet.at(name, port).replace("https", "http")):
                assert refused(fleet, url + "/metrics"), url


def refused(fleet: Fleet, url: str) -> bool:
    """Whether somebody without a certificate gets no answer, or one that says why."""
    try:
        fleet.fetch(url, who="")
    except urllib.error.HTTPError as error:
        return error.code == 400
    except OSError:
        return True
    return False


def test_a_second_run_changes_nothing(fleet):
    assert fleet.changes() == set()


def test_a_run_for_one_host_renders_the_same_while_its_peers_cannot_be_asked(fleet):
    peers = [host.container for name, host in fleet.hosts.items() if name != "app"]
    engine.docker("pause", *peers)
    try:
        outcome = fleet.run("--limit", "app")
    finally:
        engine.docker("unpause", *peers)
    assert (outcome.status, set(outcome.stats), outcome.changes) == (0, {"app"}, set()), outcome.messages


def test_a_rollout_in_turn_stops_at_the_first_host_that_is_not_ready(fleet):
    broken = {"node_exporter_flags": ["--web.listen-address=192.0.2.1:9100"]}
    before = fleet.pids("node-exporter")
    outcome = fleet.run("--tags", "node_exporter", monitoring_serial=1, **broken)
    assert outcome.status == 2
    assert ["Rolled back" in message for message in outcome.messages] == [True]
    assert [name for name in NAMES if outcome.stats[name]["failures"]] == ["app"]
    after = fleet.pids("node-exporter")
    assert [name for name in NAMES if before[name] != after[name]] == ["app"]


def test_a_password_lets_in_who_has_no_certificate_and_components_tell_it(fleet):
    password = {
        "monitoring_basic_auth_username": "people",
        "monitoring_basic_auth_password": "of three test hosts",
        "monitoring_basic_auth_hash": HASH,
    }
    changed = fleet.changes("--tags", "prometheus,node_exporter", **password)
    assert {name for name, _task in changed} == set(NAMES)
    prometheus = fleet.at("storage", 9090)
    for url in (prometheus + "/metrics", fleet.at("app", 9100) + "/metrics"):
        assert "go_info" in fleet.fetch(url, who="", login="people:of three test hosts")
        for login in ("", "people:of others"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                fleet.fetch(url, login=login)

    def asked() -> list:
        answer = fleet.fetch(f"{prometheus}/api/v1/targets?state=active", login="people:of three test hosts")
        return [
            target["health"]
            for target in json.loads(answer)["data"]["activeTargets"]
            if target["labels"]["job"] in ("node", "prometheus") and "https" in target["scrapeUrl"]
        ]

    # Until a target was asked again, it is as it was before.
    assert flows.settle(asked, lambda found: found == ["up"] * 3, 40) == ["up"] * 3
