# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the whole stack, and the messages about them that reach a channel.

A second Prometheus and Alertmanager run on the site's host, with the programs and the configuration
of the first: all targets, the alerts of all roles and the role's routes. They send to the fake
Discord. Grafana's share of the alerts is evaluated too, since Prometheus decides at the same
evaluations (`tests/system/test_alerts.py`). Waits are divided by a speed, so that a fault takes
seconds; with the speed 1 they are the real ones.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests import content
from tests.resilience.rollout import wait_until
from tests.resilience.site import Site
from tests.testbed import discord, docker
from tests.testbed.app import flows

FOLDER = "/var/lib/faults"
UNITS = ("faults-discord", "faults-alertmanager", "faults-prometheus", "faults-host")
TOKEN = "faults"
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
FIRING, RESOLVED = "FIRING", "RESOLVED"
# Alerts about a host, besides those about its machine: a container shares that with all others,
# and its clock, load and memory are those of the moment.
ABOUT_HOSTS = re.compile(r"HostDown|DiskAlmostFull|Rollout\w+|Certificate\w+")
# The application may have started with the test, and this alert tells so for five minutes.
ABOUT_THE_START = "RedisRestarted"
# Programs of a host that goes down as a whole.
GHOST = 19201


# A small file system of the host.
SMALL = "/srv/small"


class Fault(NamedTuple):
    """A fault, its end, and the title of the only message about it.

    Its commands run on the site's host, or on the controller, where $PID is the host's process 1.
    """

    name: str
    alert: str
    begin: str
    end: str
    is_outside: bool = False


def stopped(unit: str, alert: str) -> Fault:
    """Return the fault that a unit is stopped."""
    return Fault(
        f"{unit} is stopped",
        alert,
        f"systemctl stop {unit}",
        f"systemctl start {unit}",
    )


def broken(unit: str, path: str, alert: str) -> Fault:
    """Return the fault that a program refuses its configuration."""
    reload = f"kill -HUP $(systemctl show --value --property=MainPID {unit})"
    return Fault(
        f"the configuration of {unit} is broken",
        alert,
        f"cp {path} /root/right; echo '}}{{' >>{path}; {reload}",
        f"cp /root/right {path}; {reload}",
    )


def unreachable(server: str, port: int, alert: str) -> Fault:
    """Return the fault that a server of the application refuses connections of the host."""
    rule = f"OUTPUT -p tcp --dport {port} -j REJECT --reject-with tcp-reset"
    tables = "nsenter --target $PID --net iptables"
    return Fault(
        f"{server} refuses connections",
        alert,
        f"{tables} -I {rule}",
        f"{tables} -D {rule}",
        is_outside=True,
    )


# In the order of their runs; the first three are those of every run of the tests.
FAULTS = (
    stopped("loki", "LokiDown"),
    stopped("node-exporter", "TargetDown"),
    Fault(
        "a host with two programs is down",
        "HostDown",
        "systemctl stop faults-host",
        f"systemd-run --quiet --unit=faults-host --service-type=exec {FOLDER}/ghost",
    ),
    stopped("tempo", "TempoDown"),
    stopped("otel-collector", "CollectorDown"),
    stopped("promtail", "PromtailDown"),
    stopped("grafana", "GrafanaDown"),
    stopped("alertmanager", "AlertmanagerDown"),
    stopped("prometheus", "PrometheusDown"),
    stopped("redis-exporter-main", "TargetDown"),
    broken(
        "prometheus", "/etc/prometheus/prometheus.yml", "PrometheusConfigReloadFailed"
    ),
    broken(
        "alertmanager",
        "/etc/alertmanager/alertmanager.yml",
        "AlertmanagerConfigReloadFailed",
    ),
    Fault(
        "a file of Loki is changed",
        "RolloutChanged",
        "cp /etc/loki/loki-config.yml /root/right; echo '# x' >>/etc/loki/loki-config.yml",
        "cat /root/right >/etc/loki/loki-config.yml",
    ),
    unreachable("PostgreSQL", 5432, "PostgresDown"),
    unreachable("Redis", 6379, "RedisDown"),
    Fault(
        "a disk is full",
        "DiskAlmostFull",
        f"fallocate -l $(($(df --output=avail -B1 {SMALL} | tail -1) - 500000)) {SMALL}/full",
        f"rm {SMALL}/full",
    ),
)
GHOST_PROGRAM = f"""#!/usr/bin/python3
import http.server, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
    def log_message(self, *arguments):
        pass
servers = [http.server.HTTPServer(("127.0.0.1", {GHOST} + port), Handler) for port in (0, 1)]
[threading.Thread(target=server.serve_forever).start() for server in servers]
"""


class Result(NamedTuple):
    """Seconds until the messages about the begin and the end of a fault, and all messages."""

    alert: str
    seconds: float
    resolved: float
    titles: list[str]


class Watchers:
    """The second Prometheus and Alertmanager on a site's host."""

    def __init__(self, site: Site, speed: float) -> None:
        self.host, self.speed = site.host, speed
        self.image = site.folder / "small.img"

    def start(self) -> None:
        """Start the watchers, and wait until they have evaluated every alert."""
        self.stop()
        self.mount()
        self.host.run(
            f"mkdir -p {FOLDER}/data; cp -rL /etc/alertmanager/templates {FOLDER}"
        )
        self.write("discord.py", Path(discord.__file__).read_text(encoding="utf-8"))
        self.write("token", TOKEN)
        self.write("webhook", f"http://127.0.0.1:19088/api/webhooks/1/{TOKEN}")
        self.write("ghost", GHOST_PROGRAM)
        self.write("alerts.yml", yaml.safe_dump(self.alerts()))
        self.write("prometheus.yml", yaml.safe_dump(self.prometheus()))
        self.write("alertmanager.yml", yaml.safe_dump(self.alertmanager()))
        self.host.run(f"chmod +x {FOLDER}/ghost")
        own = "/opt/monitoring/components/{0}/current/release/{0} --config.file={1}/{0}.yml"
        sending = "--web.listen-address=127.0.0.1:19093 --cluster.listen-address="
        served = "--web.listen-address=127.0.0.1:19090"
        commands = (
            f"python3 {FOLDER}/discord.py 19088 {FOLDER}/token {FOLDER}/messages",
            f"{own.format('alertmanager', FOLDER)} --storage.path={FOLDER}/data/a {sending}",
            f"{own.format('prometheus', FOLDER)} --storage.tsdb.path={FOLDER}/data/p {served}",
            f"{FOLDER}/ghost",
        )
        for unit, command in zip(UNITS, commands, strict=True):
            self.host.run(
                f"systemd-run --quiet --unit={unit} --service-type=exec {command}"
            )
        all_up = "count(up) == sum(up) and count(up) > 10"
        wait_until(lambda: self.query(all_up).isdigit(), 60)
        # The messages of alerts that fire on this host anyway come now.
        time.sleep(60 / self.speed)

    def stop(self) -> None:
        """Stop the watchers and remove what they have written."""
        for unit in UNITS:
            self.host.run(f"systemctl stop {unit} 2>/dev/null || true")
        self.host.run(f"rm -rf {FOLDER}")
        self.outside(
            f"nsenter --target $PID --mount umount {SMALL} 2>/dev/null || true;"
            f" losetup --list --noheadings --output NAME --associated {self.image}"
            " | xargs --no-run-if-empty losetup --detach"
        )

    def mount(self) -> None:
        """Give the host a small file system of its own."""
        self.outside(
            f"truncate --size=64M {self.image}; mkfs.ext4 -q -m 0 {self.image};"
            f" loop=$(losetup --find --show {self.image}); number=$(stat --format=%Lr $loop);"
            " nsenter --target $PID --mount sh -ec"
            f' "mkdir -p {SMALL}; rm -f /dev/small; mknod /dev/small b 7 $number;'
            f' mount /dev/small {SMALL}"'
        )

    def outside(self, command: str) -> None:
        """Run a command on the controller, which has $PID for the host's process 1."""
        pid = docker.run("inspect", "--format", "{{.State.Pid}}", self.host.container)
        environment = {**os.environ, "PID": pid.strip()}
        subprocess.run(["sh", "-ec", command], env=environment, check=True)

    def command(self, fault: Fault, command: str) -> None:
        """Run a command of a fault where it belongs."""
        if fault.is_outside:
            self.outside(command)
        else:
            self.host.run(command)

    def write(self, name: str, text: str) -> None:
        """Write a file on the host."""
        self.host.run(f"cat >{FOLDER}/{name}", input=text)

    def query(self, expression: str) -> str:
        """Return the values of a query, one a line."""
        query = urllib.parse.urlencode({"query": expression})
        asked = f"http://127.0.0.1:19090/api/v1/query?{query}"
        answer = self.host.run(["python3", "-c", flows.GET, asked], check=False).stdout
        try:
            found = json.loads(answer)["data"]["result"]
        except ValueError:
            return "no answer"
        return "\n".join(series["value"][1] for series in found)

    def shorter(self, duration: str) -> str:
        """Return a duration divided by the speed, at least a second."""
        parts = re.findall(r"(\d+)(ms|[smhd])", duration)
        whole = sum(int(count) * SECONDS[unit] for count, unit in parts)
        return f"{max(round(whole / self.speed), 1)}s"

    def alerts(self) -> dict[str, Any]:
        """Return the alerts of all roles for Prometheus, with shorter waits."""
        groups = []
        for path in content.alert_files().values():
            for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
                if group["name"] == "node":
                    group["rules"] = [
                        rule
                        for rule in group["rules"]
                        if ABOUT_HOSTS.fullmatch(rule["alert"])
                    ]
                group["rules"] = [
                    rule for rule in group["rules"] if rule["alert"] != ABOUT_THE_START
                ]
                for rule in group["rules"]:
                    rule["labels"].pop("engine", None)
                    if "for" in rule:
                        rule["for"] = self.shorter(rule["for"])
                groups.append({**group, "interval": self.shorter(group["interval"])})
        return {"groups": groups}

    def prometheus(self) -> dict[str, Any]:
        """Return the rolled-out configuration with shorter intervals and the watchers' files."""
        config = yaml.safe_load(
            self.host.run("cat /etc/prometheus/prometheus.yml").stdout
        )
        config["global"]["scrape_interval"] = self.shorter("15s")
        config["global"]["scrape_timeout"] = "1s"
        config["rule_files"] = [f"{FOLDER}/alerts.yml"]
        config["alerting"] = {
            "alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:19093"]}]}]
        }
        for job in config["scrape_configs"]:
            job.pop("scrape_interval", None)
            job.pop("scrape_timeout", None)
            if job["job_name"] == "postgres":
                # Its exporter waits for a second before it says that the server does not answer.
                job |= {"scrape_interval": "3s", "scrape_timeout": "2s"}
        labels = {"env": "dev", "host": "ghost"}
        config["scrape_configs"] += [
            {
                "job_name": f"ghost-{port}",
                "static_configs": [
                    {"targets": [f"127.0.0.1:{port}"], "labels": labels}
                ],
            }
            for port in (GHOST, GHOST + 1)
        ]
        return dict(config)

    def alertmanager(self) -> dict[str, Any]:
        """Return the rolled-out configuration with shorter intervals and the fake's webhook."""
        text = self.host.run("cat /etc/alertmanager/alertmanager.yml").stdout
        text = text.replace("/etc/alertmanager/discord-webhook", f"{FOLDER}/webhook")
        config = yaml.safe_load(text.replace("/etc/alertmanager/", f"{FOLDER}/"))
        for route in config["route"]["routes"]:
            for key in ("group_wait", "group_interval"):
                if key in route:
                    route[key] = self.shorter(route[key])
        return dict(config)

    def titles(self) -> list[str]:
        """Return the titles of all messages so far, of which the channel has refused none."""
        lines = self.host.run(f"cat {FOLDER}/messages 2>/dev/null || true").stdout
        messages = [json.loads(line) for line in lines.splitlines()]
        assert [message["refused"] for message in messages if message["refused"]] == []
        return [str(message["embeds"][0]["title"]) for message in messages]

    def await_all(self, alerts: list[str], status: str, known: int) -> dict[str, float]:
        """Return the seconds until there is a message of each alert after the known ones."""
        start = time.monotonic()
        seconds: dict[str, float] = {}

        def all_told() -> bool:
            for title in self.titles()[known:]:
                for alert in alerts:
                    if status in title and f" {alert} " in title:
                        seconds.setdefault(alert, round(time.monotonic() - start, 1))
            return len(seconds) == len(set(alerts))

        wait_until(all_told, 60 + 1500 / self.speed)
        return seconds

    def experience(self, *faults: Fault) -> list[Result]:
        """Begin faults and end them; return the messages that came in between."""
        alerts = [fault.alert for fault in faults]
        known = len(self.titles())
        for fault in faults:
            self.command(fault, fault.begin)
        fired = self.await_all(alerts, FIRING, known)
        # What the fault causes besides would come until then.
        time.sleep(100 / self.speed)
        told = [title for title in self.titles()[known:] if FIRING in title]
        ended = len(self.titles())
        for fault in faults:
            self.command(fault, fault.end)
        over = self.await_all(alerts, RESOLVED, ended)
        return [Result(alert, fired[alert], over[alert], told) for alert in alerts]
