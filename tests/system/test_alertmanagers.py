# SPDX-License-Identifier: GPL-3.0-or-later
"""Three real Alertmanagers and two real Prometheus with the roles' settings, one of them killed."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.system.test_routing import answers, title, wait_until, write_configuration
from tests.testbed import discord
from tests.testbed.releases.build import build_all
from tests.unit.roles.rendering import rollout

HOSTS = {"a": "10.9.8.2", "b": "10.9.8.3", "c": "10.9.8.4"}
# The addresses of the inventory, on this machine. Roles refuse loopback between hosts.
LOCAL = {"10.9.8.": "127.9.8.", "10.9.9.": "127.9.9."}
# Peers wait for each other; by default 15s.
PEER_TIMEOUT = 1
GROUP_WAIT = 4
# A tenth of the time between two looks whether the cluster has settled; by default 200ms.
GOSSIP_INTERVAL = "50ms"
RULE = {
    "alert": "Outage",
    "expr": "vector(1)",
    "labels": {"severity": "critical", "env": "prod", "service": "s"},
    "annotations": {"summary": "It is out"},
}


class Server(NamedTuple):
    """A running program of a host."""

    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        """Return an answer of its API."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
            return json.load(answer)

    def cluster(self) -> Any:
        """Return the cluster as an Alertmanager sees it."""
        return self.get("/api/v2/status")["cluster"]

    def has_settled(self) -> bool:
        """Return whether an Alertmanager knows its cluster, so that it may send."""
        return bool(self.cluster()["status"] == "ready")


def unpack(folder: Path) -> dict[str, Path]:
    """Return Alertmanager and Prometheus of the test bed, below a folder."""
    archives = build_all(["alertmanager", "prometheus"])
    paths = {}
    for archive in archives.values():
        with tarfile.open(archive) as opened:
            for member in opened.getmembers():
                name = Path(member.name).name
                if name in ("alertmanager", "prometheus") and member.isfile():
                    member.name = name
                    opened.extract(member, folder, filter="data")
                    paths[name] = folder / name
    return paths


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificates(
    folder: Path, hosts: dict[str, str] = HOSTS
) -> dict[str, dict[str, str]]:
    """Return the variables of each host for TLS, made as the documentation says."""
    new = ("req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    ca, ca_key = f"{folder}/ca.pem", f"{folder}/ca.key"
    openssl(*new, "-x509", "-subj", "/CN=ca", "-keyout", ca_key, "-out", ca)
    variables = {}
    for host, address in hosts.items():
        key, request, own = (f"{folder}/{host}.{end}" for end in ("key", "csr", "pem"))
        names = f"subjectAltName=DNS:{host},IP:{on_this_machine(address)}"
        subject = ("-subj", f"/CN={host}", "-addext", names)
        openssl(*new, *subject, "-keyout", key, "-out", request)
        issuer = ("-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", own)
        openssl("x509", "-req", "-in", request, "-copy_extensions", "copy", *issuer)
        files = {"certificate": own, "key": key, "ca": ca}
        variables[host] = {
            f"monitoring_tls_{name}": Path(path).read_text()
            for name, path in files.items()
        }
    return variables


def on_this_machine(text: str) -> str:
    for network, local in LOCAL.items():
        text = text.replace(network, local)
    return text


@contextmanager
def running(
    role: str, program: Path, folder: Path, options: dict[str, Any]
) -> Iterator[Server]:
    """Run a program with the files and flags of a rollout, on this machine."""
    folder.mkdir(parents=True)
    write_configuration(folder, f"/etc/{role}", options)
    main = folder / options["config"][0]["path"]
    main.write_text(on_this_machine(main.read_text()))
    places = {"{release}": str(program.parent), "{etc}": str(folder)}
    command = [on_this_machine(flag) for flag in options["command"]]
    for name, place in {**places, "{data}": f"{folder}/data"}.items():
        command = [flag.replace(name, place) for flag in command]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://{on_this_machine(options['listen_addresses'][0])}"
    try:
        wait_until(lambda: answers(f"{url}/-/ready"))
        yield Server(url, process)
    finally:
        process.kill()
        process.wait()


def inventory(host: str, port: int, certificates: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a host, of which the API is open and the rest uses TLS."""
    hosts = {
        name: {
            "inventory_hostname": name,
            "monitoring_address": address,
            **certificates.get(name, {}),
        }
        for name, address in HOSTS.items()
    }
    names = list(HOSTS)
    return {
        "groups": {"all": names, "alertmanager": names, "prometheus": names[:2]},
        "other_hosts": hosts,
        **hosts[host],
        "alertmanager_cluster_listen_address": f"{{{{ monitoring_address }}}}:{port}",
        "alertmanager_flags": [
            f"--cluster.peer-timeout={PEER_TIMEOUT}s",
            f"--cluster.gossip-interval={GOSSIP_INTERVAL}",
        ],
        "alertmanager_critical_route": {"group_wait": f"{GROUP_WAIT}s"},
    }


def alertmanager_options(variables: dict[str, Any], webhook: str) -> dict[str, Any]:
    """Return a rollout whose API, unlike its cluster, has no TLS."""
    given = {"alertmanager_discord_webhook": webhook, **variables}
    api = "{{ monitoring_address }}:19093"
    options = rollout("alertmanager", **given, alertmanager_listen_address=api)
    flags = options["command"]
    options["command"] = [flag for flag in flags if "web.config" not in flag]
    return options


def prometheus_options(variables: dict[str, Any]) -> dict[str, Any]:
    """Return a rollout of a Prometheus that scrapes nothing and evaluates one alert."""
    plain = {
        name: value
        for name, value in variables.items()
        if not name.startswith("monitoring_tls")
    }
    options = rollout(
        "prometheus",
        **plain,
        alertmanager_listen_address="{{ monitoring_address }}:19093",
        prometheus_listen_address="{{ monitoring_address }}:19090",
        prometheus_evaluation_interval="1s",
    )
    main = options["config"][0]
    main["content"]["scrape_configs"] = []
    rules = {"groups": [{"name": "test", "rules": [RULE]}]}
    options["config"] = [main, {"path": "rules/test.yml", "content": rules}]
    return options


def share_a_silence(alertmanagers: list[Server]) -> None:
    """Silence something at one Alertmanager and wait until all know it."""
    now = time.time()
    ends = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + s)) for s in (0, 900)]
    matcher = {"name": "alertname", "value": "Other", "isRegex": False}
    silence = {"matchers": [matcher], "createdBy": "test", "comment": "-"}
    body = {**silence, "startsAt": ends[0], "endsAt": ends[1]}
    request = urllib.request.Request(
        f"{alertmanagers[0].url}/api/v2/silences",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()
    for each in alertmanagers:
        wait_until(partial(each.get, "/api/v2/silences"))


def send_one_message(folder: Path, own: dict[str, dict[str, str]]) -> None:
    """Fire an alert in two Prometheus, kill an Alertmanager, and require one message."""
    programs = unpack(folder)
    with discord.FakeDiscord() as channel, ExitStack() as stack:
        alertmanagers = []
        for host in HOSTS:
            options = alertmanager_options(inventory(host, 19094, own), channel.webhook)
            has_tls = "--cluster.tls-config={etc}/cluster-tls.yml" in options["command"]
            assert has_tls == bool(own)
            place = folder / f"alerts-{host}"
            server = running("alertmanager", programs["alertmanager"], place, options)
            alertmanagers.append(stack.enter_context(server))
        for each in alertmanagers:
            wait_until(each.has_settled)
            assert len(each.cluster()["peers"]) == len(HOSTS)
        share_a_silence(alertmanagers)

        for host in list(HOSTS)[:2]:
            options = prometheus_options(inventory(host, 19094, {}))
            place = folder / f"metrics-{host}"
            server = running("prometheus", programs["prometheus"], place, options)
            stack.enter_context(server)
        # The one whose turn it is dies with the alert, before it sends.
        first = min(alertmanagers, key=lambda each: each.cluster()["name"])
        wait_until(lambda: first.get("/api/v2/alerts"))
        first.process.kill()
        assert not channel.messages
        wait_until(lambda: bool(channel.messages))
        time.sleep(PEER_TIMEOUT * len(HOSTS))
        titles = [title(message) for message in channel.messages]
        assert titles == ["🔴 [FIRING:1] Outage · prod · s"]
        for each in alertmanagers:
            if each is not first:
                [alert] = each.get("/api/v2/alerts")
                assert "replica" not in alert["labels"]


def test_an_alert_of_two_prometheus_is_one_message_while_an_alertmanager_dies(
    tmp_path: Path,
) -> None:
    send_one_message(tmp_path, certificates(tmp_path))
