# SPDX-License-Identifier: GPL-3.0-or-later
"""A site without internet, rolled out from a bundle, and releases that are in no lock file."""

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

import pytest
import yaml

from tests.resilience.rollout import ROOT, ansible_environment
from tests.testbed import engine, hosts, mirror
from tests.testbed.app import flows

METRICS = "http://127.0.0.1:9100/metrics"


@dataclass(frozen=True)
class Played:
    """What a playbook came to: its results in order, and how many of them changed something."""

    returncode: int
    results: list
    changed: int

    @property
    def message(self) -> str:
        """The error of a playbook that failed."""
        return next(result["msg"] for result in self.results if result.get("failed"))


@dataclass(frozen=True)
class Site:
    """A host with a small component, and the playbooks."""

    host: hosts.Host
    folder: Path

    @property
    def bundle(self) -> Path:
        """Where the bundle is."""
        return self.folder / "bundle"

    def play(self, playbook: str, **variables: object) -> Played:
        """Run a playbook to its end."""
        inventory = hosts.inventory([self.host], ["monitoring", "node_exporter"])
        # What the bed says of mirrors and locks is left to each test.
        version = inventory["all"]["vars"]["node_exporter_version"]
        inventory["all"]["vars"] = {
            "monitoring_environment": "dev",
            "node_exporter_version": version,
        }
        for name, content in {"inventory.json": inventory, "variables.json": variables}.items():
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
            cwd=ROOT, env={**os.environ, **ansible_environment(), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
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
            done.returncode, results, sum(stats["changed"] for stats in told["stats"].values())
        )

    def good(self, playbook: str, **variables: object) -> Played:
        """Run a playbook that must not fail."""
        played = self.play(playbook, **variables)
        assert played.returncode == 0, played.message
        return played

    def fetch(self, url: str) -> str:
        """What the host gets from an address; nothing where it cannot be reached."""
        return self.host.run(["python3", "-c", flows.GET, url], check=False).stdout

    def runs(self) -> bool:
        """Whether the component answers."""
        return "node_exporter_build_info" in self.fetch(METRICS)

    def lose_releases(self) -> None:
        """Have the host need the archive again."""
        self.host.run("rm -rf /opt/monitoring/releases/*")

    def clean(self) -> None:
        """Bring the host back to where no rollout has been."""
        self.host.run(
            "systemctl disable --now node-exporter; rm -rf /opt/monitoring /etc/node-exporter /var/lib/node-exporter"
            " /etc/systemd/system/node-exporter*; userdel node-exporter; systemctl daemon-reload"
        )


@pytest.fixture(scope="module")
def site(
    testbed: None, host: hosts.Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A host, and a bundle of what it needs."""
    site = Site(host, tmp_path_factory.mktemp("bundle"))
    found = site.good("playbooks/bundle.yml", bundle=str(site.bundle), **from_the_bed())
    assert found.changed == 1
    yield site
    site.clean()


def from_the_bed() -> dict:
    """Where the bundle comes from."""
    return {
        "monitoring_bundle_mirrors": [mirror.url()],
        "monitoring_releases_lock": str(hosts.lock_file()),
    }


@contextlib.contextmanager
def only(site: Site, *allowed: tuple) -> Iterator[None]:
    """Let a host be reached by SSH, and let it reach these addresses and nothing else."""
    pid = engine.docker("inspect", "--format", "{{.State.Pid}}", site.host.container)
    tables = ["nsenter", "--target", pid, "--net", "iptables"]
    rules = [["-o", "lo"], ["-p", "tcp", "--sport", "22"]]
    rules += [["-p", "tcp", "-d", address, "--dport", str(port)] for address, port in allowed]
    for rule in rules:
        subprocess.run([*tables, "-A", "OUTPUT", *rule, "-j", "ACCEPT"], check=True)
    subprocess.run([*tables, "-A", "OUTPUT", "-j", "REJECT"], check=True)
    try:
        yield
    finally:
        subprocess.run([*tables, "-F"], check=True)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """Any web server that serves the bundle, and the paths that it was asked for."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((engine.GATEWAY, 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_second_run_downloads_nothing(site: Site) -> None:
    again = site.good("playbooks/bundle.yml", bundle=str(site.bundle), **from_the_bed())
    assert (again.changed, again.results[-1]["downloaded"], len(again.results[-1]["archives"])) == (
        0,
        [],
        1,
    )


def test_a_site_is_rolled_out_from_a_bundle_that_is_the_only_thing_hosts_can_reach(
    site: Site,
) -> None:
    lock = {"monitoring_releases_lock": str(site.bundle / "releases.lock.yml")}
    assert site.fetch(mirror.url())
    with served(site.bundle) as port, only(site, (engine.GATEWAY, port)):
        assert not site.fetch(mirror.url())
        assert (
            site.good(
                "site.yml", **lock, monitoring_mirrors=[f"http://{engine.GATEWAY}:{port}"]
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
        # What the folder lacks is not looked for elsewhere.
        (archive,) = site.bundle.rglob("*.tar.gz")
        archive.rename(site.folder / "away")
        message = site.play("site.yml", **lock, **folder).message
        (site.folder / "away").rename(archive)
        assert str(archive) in message and "bundle" in message and "\n" not in message


def test_a_release_that_is_not_locked_is_taken_in_dev_where_that_is_allowed_and_never_elsewhere(
    site: Site,
) -> None:
    lock = site.folder / "empty.lock.yml"
    lock.write_text(yaml.safe_dump({}), encoding="utf-8")
    unlocked = {"monitoring_releases_lock": str(lock), "monitoring_mirrors": [mirror.url()]}
    refused = site.play("site.yml", **unlocked)
    # The first play, which contacts no host.
    assert (refused.returncode, len(refused.results)) == (2, 1)
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
        "site.yml", **unlocked, monitoring_allow_unlocked=True, monitoring_environment="prod"
    )
    assert len(in_prod.results) == 1
    assert "monitoring_allow_unlocked applies to the environment dev only" in in_prod.message
