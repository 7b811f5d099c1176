# SPDX-License-Identifier: GPL-3.0-or-later
"""A site without internet is rolled out from a bundle, also with releases in no lock file."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.resilience.rollout import JSON_OUTPUT, ROOT, ansible_environment
from tests.testbed import docker, hosts, mirror
from tests.testbed.app import flows

METRICS = "http://127.0.0.1:9100/metrics"


@dataclass(frozen=True)
class Played:
    """Result of a playbook: its results in order, and the number of changes."""

    returncode: int
    results: list
    changed: int

    @property
    def message(self) -> str:
        """Return the error of a failed playbook."""
        return next(result["msg"] for result in self.results if result.get("failed"))


@dataclass(frozen=True)
class Site:
    """A host with a small component, and the playbooks."""

    host: hosts.Host
    folder: Path

    @property
    def bundle(self) -> Path:
        """Return the path of the bundle."""
        return self.folder / "bundle"

    def play(self, playbook: str, **variables: object) -> Played:
        """Run a playbook to its end."""
        inventory = hosts.inventory([self.host], ["monitoring", "node_exporter"])
        # Each test sets the test bed's variables of mirrors and locks itself.
        version = inventory["all"]["vars"]["node_exporter_version"]
        inventory["all"]["vars"] = {
            "monitoring_environment": "dev",
            "node_exporter_version": version,
        }
        for name, content in {
            "inventory.json": inventory,
            "variables.json": variables,
        }.items():
            (self.folder / name).write_text(json.dumps(content), encoding="utf-8")
        command = [
            playbook,
            "-i",
            self.folder / "inventory.json",
            "-e",
            f"@{self.folder}/variables.json",
        ]
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), *command],
            cwd=ROOT, env={**os.environ, **ansible_environment(), **JSON_OUTPUT},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        told = json.loads(done.stdout[done.stdout.index("{\n") :])
        results = [
            host
            for play in told["plays"]
            for task in play["tasks"]
            for host in task["hosts"].values()
        ]
        return Played(
            done.returncode,
            results,
            sum(stats["changed"] for stats in told["stats"].values()),
        )

    def good(self, playbook: str, **variables: object) -> Played:
        """Run a playbook that must not fail."""
        played = self.play(playbook, **variables)
        assert played.returncode == 0, played.message
        return played

    def fetch(self, url: str) -> str:
        """Return the host's answer from an address, or the empty string."""
        return self.host.run(["python3", "-c", flows.GET, url], check=False).stdout

    def runs(self) -> bool:
        """Return whether the component answers."""
        return "node_exporter_build_info" in self.fetch(METRICS)

    def lose_releases(self) -> None:
        """Remove the releases, so that the host needs the archive again."""
        self.host.run("rm -rf /opt/monitoring/releases/*")

    def clean(self) -> None:
        """Remove everything that rollouts created on the host."""
        self.host.run(
            "systemctl disable --now node-exporter;"
            " rm -rf /opt/monitoring /etc/node-exporter /var/lib/node-exporter"
            " /etc/systemd/system*/node-exporter*; userdel node-exporter; systemctl daemon-reload"
        )


@pytest.fixture(scope="module")
def site(
    testbed: None, host: hosts.Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Return a host, and a bundle of its releases."""
    site = Site(host, tmp_path_factory.mktemp("bundle"))
    found = site.good("playbooks/bundle.yml", bundle=str(site.bundle), **from_testbed())
    assert found.changed == 1
    yield site
    site.clean()


def from_testbed() -> dict[str, Any]:
    """Return the variables of the bundle's source."""
    return {
        "monitoring_bundle_mirrors": [mirror.url()],
        "monitoring_releases_lock": str(hosts.lock_file()),
    }


@contextlib.contextmanager
def only(site: Site, *allowed: tuple) -> Iterator[None]:
    """Allow a host only SSH from outside and these addresses to the outside."""
    pid = docker.run("inspect", "--format", "{{.State.Pid}}", site.host.container)
    tables = ["nsenter", "--target", pid, "--net", "iptables"]
    rules = [["-o", "lo"], ["-p", "tcp", "--sport", "22"]]
    rules += [
        ["-p", "tcp", "-d", address, "--dport", str(port)] for address, port in allowed
    ]
    for rule in rules:
        subprocess.run([*tables, "-A", "OUTPUT", *rule, "-j", "ACCEPT"], check=True)
    subprocess.run([*tables, "-A", "OUTPUT", "-j", "REJECT"], check=True)
    try:
        yield
    finally:
        subprocess.run([*tables, "-F"], check=True)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve the bundle by a plain web server; yield its port."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(
        (docker.GATEWAY, 0), partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}
    )
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_second_run_downloads_nothing(site: Site) -> None:
    again = site.good("playbooks/bundle.yml", bundle=str(site.bundle), **from_testbed())
    assert (
        again.changed,
        again.results[-1]["downloaded"],
        len(again.results[-1]["archives"]),
    ) == (
        0,
        [],
        1,
    )


def test_a_site_is_rolled_out_from_a_bundle_as_the_only_reachable_server(
    site: Site,
) -> None:
    lock = {"monitoring_releases_lock": str(site.bundle / "releases.lock.yml")}
    assert site.fetch(mirror.url())
    with served(site.bundle) as port, only(site, (docker.GATEWAY, port)):
        assert not site.fetch(mirror.url())
        assert (
            site.good(
                "site.yml",
                **lock,
                monitoring_mirrors=[f"http://{docker.GATEWAY}:{port}"],
            ).changed
            == 1
        )
        assert site.runs()
    site.lose_releases()
    with only(site):
        folder = {"monitoring_archives_dir": str(site.bundle)}
        assert site.good("site.yml", **lock, **folder).changed == 1
        assert site.runs()
        site.lose_releases()
        # Files that the folder lacks are not searched elsewhere.
        (archive,) = site.bundle.rglob("*.tar.gz")
        archive.rename(site.folder / "away")
        message = site.play("site.yml", **lock, **folder).message
        (site.folder / "away").rename(archive)
        assert str(archive) in message and "bundle" in message and "\n" not in message


def test_an_unlocked_release_is_installed_only_in_dev_and_only_if_allowed(
    site: Site,
) -> None:
    lock = site.folder / "empty.lock.yml"
    lock.write_text(yaml.safe_dump({}), encoding="utf-8")
    unlocked = {
        "monitoring_releases_lock": str(lock),
        "monitoring_mirrors": [mirror.url()],
    }
    refused = site.play("site.yml", **unlocked)
    # The two tasks of the first play, which contacts no host.
    assert (refused.returncode, len(refused.results)) == (2, 2)
    assert (
        "node_exporter_version of resilience: " in refused.message
        and "hippius.monitoring.lock" in refused.message
    )
    allowed = site.good("site.yml", **unlocked, monitoring_allow_unlocked=True)
    assert allowed.changed == 1
    assert any(
        "is not locked" in warning
        for result in allowed.results
        for warning in result.get("warnings", [])
    )
    in_prod = site.play(
        "site.yml",
        **unlocked,
        monitoring_allow_unlocked=True,
        monitoring_environment="prod",
    )
    assert len(in_prod.results) == 2
    assert (
        "monitoring_allow_unlocked applies to the environment dev only"
        in in_prod.message
    )
