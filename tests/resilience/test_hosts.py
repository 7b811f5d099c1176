# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of three hosts on real hosts, all of it from the installed archive.

Ansible knows nothing of the checkout here. Arrival of data, and access.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import artifact
from tests.resilience import assertions, cuts
from tests.resilience.rollout import JSON_OUTPUT
from tests.testbed import app, docker, hosts, site
from tests.testbed.app import flows

EXAMPLE = artifact.COLLECTION / "examples" / "three-hosts"
NAMES = ("app", "storage", "dashboards")
# The bcrypt hash of the password "of three test hosts".
HASH = "$2b$10$ofthreetesthostsofthrO0EgCPqQwA1mTyXsdR7eWCt45Bt8LySS"
# A service of the application that prints numbered lines.
PRINTER = "fleet"
WEBHOOK = "https://discord.example/api/webhooks/1/token"
# The password of the exporters' accounts in the application's servers.
PASSWORD = "exporters-on-three-test-hosts"
# A client's first bytes of HTTP/2, which gRPC uses, and the type of a server's first message.
SETTINGS = bytes([4])
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + SETTINGS + bytes(5)
# Listeners except loopback and SSH, by their clients.
PROMETHEUS_ASKS = {
    "app": {8888, 8889, 9080, 9100, 9121, 9122, 9123, 9187},
    "dashboards": {3000, 9100},
    "storage": set(),
}
OTHERS_NEED = {
    "app": {4317, 4318},
    "dashboards": set(),
    "storage": {3100, 3200, 4319, 9090, 9093},
}


@dataclass
class Outcome:
    """Result of a run."""

    status: int
    stats: dict
    changes: set
    messages: list
    # Each attempt to reach a host that did not answer.
    unreachable: list


@dataclass
class Fleet:
    """The hosts by their names in the inventory, and a user's copy of the example."""

    hosts: dict
    # The containers' address of the collector: in the example the bridge of their network, here
    # another address of a host.
    bridge: str
    folder: Path
    # Variables with which Ansible finds the installed collection and nothing of the checkout.
    environment: dict[str, str]

    def run(self, *flags: str, playbook: str = "site", **variables: object) -> Outcome:
        """Run an installed playbook in the folder of the example, with its ansible.cfg."""
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), f"hippius.monitoring.{playbook}",
             "-e", json.dumps(variables), *flags],
            cwd=self.folder, env={**self.environment, **JSON_OUTPUT},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        try:
            told = json.loads(done.stdout[done.stdout.index("{\n") :])
        except ValueError:
            raise AssertionError(f"{done.stdout}\n{done.stderr}") from None
        tasks = [task for play in told["plays"] for task in play["tasks"]]
        messages = [
            result["msg"]
            for task in tasks
            for result in task["hosts"].values()
            if result.get("failed")
        ]
        changes = {
            (name, task["task"]["name"]) for task in tasks for name, result in task["hosts"].items()
            if result.get("changed")
        }  # fmt: skip
        unreachable = [
            name for task in tasks for name, result in task["hosts"].items()
            if result.get("unreachable")
        ]  # fmt: skip
        return Outcome(done.returncode, told["stats"], changes, messages, unreachable)

    def changes(self, *flags: str, **variables: object) -> set[tuple[str, str]]:
        """Return hosts and tasks with a change in a run, which must not fail."""
        outcome = self.run(*flags, **variables)
        assert outcome.status == 0, outcome.messages
        return outcome.changes

    def context(self, who: str) -> ssl.SSLContext:
        """Return a TLS context with the authority, and the certificate of a host."""
        context = ssl.create_default_context(cafile=self.folder / "tls/ca.pem")
        if who:
            context.load_cert_chain(
                self.folder / f"tls/{who}.pem", self.folder / f"tls/{who}.key"
            )
        return context

    def fetch(
        self,
        url: str,
        who: str = "dashboards",
        login: str = "",
        body: str | None = None,
    ) -> str:
        """Fetch with the certificate of a host, or with name:password; verify the server."""
        headers = (
            {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
            if login
            else {}
        )
        request = urllib.request.Request(
            url, body and body.encode(), headers | {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(
            request, timeout=20, context=self.context(who)
        ) as told:
            return told.read().decode()

    def greeted(self, address: str, port: int, who: str | None) -> bool:
        """Return whether a listener speaks HTTP/2 to a client.

        The client has a host's certificate, none, or with None no TLS.
        """
        connection = socket.create_connection((address, port), 10)
        if who is not None:
            context = self.context(who)
            context.set_alpn_protocols(["h2"])
            connection = context.wrap_socket(connection, server_hostname=address)
        with connection:
            # A server of HTTP/2 sends first; one that expects TLS waits for a client hello.
            if who is None:
                connection.sendall(GREETING)
            try:
                return connection.recv(9)[3:4] == SETTINGS
            except ConnectionResetError:
                return False

    def at(self, name: str, port: int) -> str:
        """Return the address of a listener of a host."""
        return f"https://{self.hosts[name].address}:{port}"

    def listening(self, name: str) -> set[str]:
        """Return the addresses of a host's listeners, except loopback."""
        told = self.hosts[name].run(["ss", "-Hltn"]).stdout
        return {line.split()[3] for line in told.splitlines()} - set(
            re.findall(r"(?:127\.\S+|\[::1\]):\d+", told)
        )

    def pids(self, unit: str) -> dict[str, str]:
        """Return the main process of a unit on each host."""
        show = ["systemctl", "show", "--property=MainPID", "--value", unit]
        return {name: host.run(show).stdout for name, host in self.hosts.items()}


@pytest.fixture(scope="module")
def fleet(testbed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return three hosts after the first rollout."""
    folder = tmp_path_factory.mktemp("fleet")
    try:
        up = {name: hosts.up(f"fleet-{name}") for name in NAMES}
        fleet = Fleet(
            up,
            hosts.free_address("fleet-bridge"),
            folder / "monitoring",
            installation(folder),
        )
        shutil.copytree(folder / "collections" / EXAMPLE, fleet.folder)
        certify(fleet)
        app.up(f"http://{fleet.bridge}:4317")
        app.admit_exporters(PASSWORD)
        edit(fleet)
        fleet.hosts["app"].run(
            ["ip", "address", "replace", f"{fleet.bridge}/24", "dev", "eth0"]
        )
        assert {name for name, _task in fleet.changes()} == set(NAMES)
        yield fleet
    finally:
        app.down()
        for name in NAMES:
            hosts.down(f"fleet-{name}")


def installation(folder: Path) -> dict[str, str]:
    """Build the collection and install its archive; return the variables of a user's session."""
    for name in ("tree", "archive", "collections"):
        (folder / name).mkdir()
    archive = artifact.build(
        artifact.copy_checkout(folder / "tree"), folder / "archive"
    )
    artifact.install(archive, folder / "collections")
    shutil.rmtree(folder / "tree")
    own = {name: text for name, text in os.environ.items() if "ANSIBLE" not in name}
    return {
        **own,
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_NOCOLOR": "true",
        "DISCORD_WEBHOOK_URL": WEBHOOK,
        "GRAFANA_ADMIN_PASSWORD": "of three test hosts",
        "GRAFANA_SECRET_KEY": "of three test hosts, too",
    }


def certify(fleet: Fleet) -> None:
    """Create certificates by the commands of the README, the first of which is for all hosts."""
    folder = fleet.folder / "tls"
    folder.mkdir()
    readme = (fleet.folder / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```sh\n(openssl .*?)^```", readme, re.M | re.S)[1]
    authority, *for_each = re.split(r"(?<!\\)\n(?=\S)", block.strip())
    for commands, name in (
        ([authority], "app"),
        *((for_each, name) for name in fleet.hosts),
    ):
        variables = {"host": name, "address": fleet.hosts[name].address}
        for command in commands:
            subprocess.run(
                ["sh", "-ec", command],
                cwd=folder,
                env={**os.environ, **variables},
                check=True,
                capture_output=True,
            )


def edit(fleet: Fleet) -> None:
    """Edit the example as its README says; add what reaches the hosts and the releases."""
    inventory = fleet.folder / "hosts.yml"
    text = inventory.read_text(encoding="utf-8")
    text = text.replace("172.30.0.0/24", f"{fleet.bridge}/32")
    text = text.replace("172.30.0.1", fleet.bridge)
    for number, name in enumerate(NAMES, start=1):
        text = re.sub(rf"\b10\.0\.0\.{number}\b", fleet.hosts[name].address, text)
    inventory.write_text(text, encoding="utf-8")
    (fleet.folder / "host_vars").mkdir()
    for name, host in fleet.hosts.items():
        write_variables(fleet.folder / f"host_vars/{name}.yml", host.variables())
    # The example's exporters, whose servers are elsewhere and require a password.
    example = yaml.safe_load(text)["monitoring"]["vars"]
    exporters = {
        variable: [
            told
            | {key: value for key, value in real.items() if key != "listen_address"}
            for told, real in zip(example[variable], instances, strict=True)
        ]
        for variable, instances in app.exporter_instances(PASSWORD).items()
    }
    more = {**exporters, **hosts.variables(), **site.TEMPO}
    write_variables(fleet.folder / "group_vars/monitoring.yml", more)


def write_variables(path: Path, variables: dict[str, Any]) -> None:
    """Write a file of variables."""
    path.write_text(yaml.safe_dump(variables), encoding="utf-8")


@pytest.fixture(scope="module")
def servers(fleet: Fleet) -> assertions.Servers:
    """Return access to the servers with the application's telemetry."""

    def page() -> str:
        return flows.on_host(fleet.hosts["app"])("http://127.0.0.1:8887/metrics")

    return assertions.Servers(
        fleet.fetch,
        page,
        "prod",
        "app",
        fleet.at("storage", 9090),
        fleet.at("storage", 3200),
    )


@pytest.fixture(scope="module")
def by_tls(fleet: Fleet) -> None:
    """Let the application send as one on another host does.

    Metrics go to the collector, traces to Tempo itself.
    """
    tls = fleet.folder / "tls"
    files = {
        "CERTIFICATE": tls / "ca.pem",
        "CLIENT_CERTIFICATE": tls / "app.pem",
        "CLIENT_KEY": tls / "app.key",
    }
    # Its processes do not run as root.
    for path in files.values():
        path.chmod(0o644)
    app.send_to(
        app.Telemetry(fleet.at("app", 4317), fleet.at("storage", 4319), "prod", files)
    )


def test_every_request_is_counted_in_prometheus_through_the_collector(servers):
    assertions.requests_are_counted_once(servers, 100)


def test_every_target_is_up(fleet, servers):
    def states() -> dict[str, str]:
        answer = json.loads(
            fleet.fetch(f"{servers.prometheus}/api/v1/targets?state=active")
        )
        return {
            target["scrapeUrl"]: target["health"]
            for target in answer["data"]["activeTargets"]
        }

    asked = {
        fleet.at(name, port) + "/metrics"
        for name, ports in PROMETHEUS_ASKS.items()
        for port in ports
    }
    own = {fleet.at("storage", port) + "/metrics" for port in (3100, 3200, 9090, 9093)}
    assertions.settles(
        states, dict.fromkeys(asked | own | {"http://127.0.0.1:9100/metrics"}, "up")
    )


def test_the_collector_says_by_tls_what_its_page_says(servers):
    def told() -> list[tuple[str, str]]:
        return [
            (labels["job"], labels["host"])
            for labels, _value in servers.series("otelcol_process_uptime_seconds_total")
        ]

    assertions.settles(told, [("otel-collector-self", "app")])


def test_metrics_of_redis_and_postgresql_are_in_prometheus_with_the_role_of_each_server(
    servers,
):
    assertions.redis_and_postgresql_are_measured(servers)


def test_a_put_object_is_in_tempo_with_all_spans_through_the_collector(servers):
    assert (
        assertions.a_put_object_has_all_its_spans(servers)
        >= assertions.PUT_OBJECT.total()
    )


def test_metrics_of_spans_are_in_prometheus_with_exemplars_that_lead_to_the_trace(
    servers,
):
    assertions.metrics_of_spans_lead_to_the_trace(servers)


def test_links_between_signals_lead_to_data_of_other_hosts(fleet):
    login = "admin:of three test hosts"

    def ask(url: str) -> str:
        return fleet.fetch(url, login=login)

    grafana = fleet.at("dashboards", 3000)
    assertions.links_between_signals_lead_to_data(ask, grafana, "prod")


def test_a_put_object_is_in_tempo_with_all_spans_directly_by_tls(servers, by_tls):
    assert assertions.a_put_object_has_all_its_spans(servers) == 0


def test_the_collector_takes_by_tls_what_others_send(fleet, servers, by_tls):
    assertions.requests_are_counted_once(servers, 10)
    # The application's metrics arrive by gRPC, this one by HTTP.
    trace = os.urandom(16).hex()
    now = time.time_ns()
    span = {"traceId": trace, "spanId": trace[:16], "name": "PutObject", "kind": 2}
    span |= {"startTimeUnixNano": str(now - 10**6), "endTimeUnixNano": str(now)}
    resource = {
        "attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]
    }
    body = json.dumps(
        {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    )
    fleet.fetch(fleet.at("app", 4318) + "/v1/traces", body=body)
    found = flows.settle(lambda: servers.spans(trace), bool, 30)
    assert [(span.service, span.name, span.env) for span in found] == [
        ("api", "PutObject", "prod")
    ]


def test_lines_of_a_container_are_found_in_loki(fleet):
    sent = app.log_lines(500, service=PRINTER)
    loki = fleet.at("storage", 3100)
    found = flows.settle(
        lambda: flows.numbered_lines(fleet.fetch, sent, loki), lambda found: not found.missing, 40
    )  # fmt: skip
    assert (found.distinct, found.repeated, found.missing) == (500, 0, 0)
    assert {(labels["env"], labels["host"]) for labels in found.labels} == {
        ("prod", "app")
    }


def test_nothing_listens_but_what_another_host_needs(fleet):
    for name, host in fleet.hosts.items():
        needed = {
            f"{host.address}:{port}"
            for port in PROMETHEUS_ASKS[name] | OTHERS_NEED[name]
        }
        bridge = (
            {f"{fleet.bridge}:4317", f"{fleet.bridge}:4318"} if name == "app" else set()
        )
        assert fleet.listening(name) - {"0.0.0.0:22", "[::]:22"} == needed | bridge, (
            name
        )


def test_a_client_without_a_certificate_is_rejected(fleet):
    for name in fleet.hosts:
        # Grafana requires a login.
        for port in (PROMETHEUS_ASKS[name] | OTHERS_NEED[name]) - {3000}:
            for url in (
                fleet.at(name, port),
                fleet.at(name, port).replace("https", "http"),
            ):
                assert refused(fleet, url + "/metrics"), url


def test_telemetry_without_a_certificate_is_rejected(fleet):
    for name, port in (("app", 4317), ("app", 4318), ("storage", 4319)):
        address = fleet.hosts[name].address
        assert fleet.greeted(address, port, "dashboards")
        # TLS 1.2, which the test bed's Tempo uses, has no alert of its own for it.
        with pytest.raises(
            ssl.SSLError, match=r"alert (certificate required|handshake failure)"
        ):
            fleet.greeted(address, port, "")
        assert not fleet.greeted(address, port, None)
    # The same request in plain text.
    assert fleet.greeted(fleet.bridge, 4317, None)


def refused(fleet: Fleet, url: str) -> bool:
    """Return whether a client without a certificate gets no answer, or a rejection."""
    try:
        fleet.fetch(url, who="")
    except urllib.error.HTTPError as error:
        return error.code == 400
    except OSError:
        return True
    return False


def test_a_verification_is_right_between_hosts_with_tls(fleet):
    outcome = fleet.run(playbook="verify", **cuts.FAKE)
    assert (outcome.status, outcome.messages) == (0, [])


def test_a_verification_contacts_a_host_that_is_down_once(fleet):
    path = fleet.folder / "host_vars/dashboards.yml"
    variables = yaml.safe_load(path.read_text(encoding="utf-8"))
    write_variables(path, {**variables, "ansible_port": 1})
    try:
        outcome = fleet.run(playbook="verify", **cuts.FAKE)
    finally:
        write_variables(path, variables)
    assert outcome.unreachable == ["dashboards"]
    assert outcome.messages == ["Broken: host dashboards."]


def test_a_second_run_changes_nothing(fleet):
    assert fleet.changes() == set()


def test_a_run_for_one_host_renders_the_same_while_its_peers_cannot_be_asked(fleet):
    peers = [host.container for name, host in fleet.hosts.items() if name != "app"]
    docker.run("pause", *peers)
    try:
        outcome = fleet.run("--limit", "app")
    finally:
        docker.run("unpause", *peers)
    assert (outcome.status, set(outcome.stats), outcome.changes) == (
        0,
        {"app"},
        set(),
    ), outcome.messages


def test_a_rollout_in_turn_stops_at_the_first_host_that_is_not_ready(fleet):
    # Its checker accepts the flag, and its start does not.
    broken = {"node_exporter_flags": ["--collector.filesystem.mount-points-exclude=("]}
    before = fleet.pids("node-exporter")
    outcome = fleet.run("--tags", "node_exporter", monitoring_serial=1, **broken)
    assert outcome.status == 2
    assert ["Rolled back" in message for message in outcome.messages] == [True]
    # Hosts without a task may be missing.
    assert [name for name, stats in outcome.stats.items() if stats["failures"]] == [
        "app"
    ]
    after = fleet.pids("node-exporter")
    assert [name for name in NAMES if before[name] != after[name]] == ["app"]


def test_a_password_replaces_the_certificate_and_components_send_it(fleet):
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

    def asked() -> list[str]:
        answer = fleet.fetch(
            f"{prometheus}/api/v1/targets?state=active",
            login="people:of three test hosts",
        )
        return [
            target["health"]
            for target in json.loads(answer)["data"]["activeTargets"]
            if target["labels"]["job"] in ("node", "prometheus")
            and "https" in target["scrapeUrl"]
        ]

    # A target keeps its state until the next scrape.
    assert flows.settle(asked, lambda found: found == ["up"] * 3, 40) == ["up"] * 3
