# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole site on a real host, with a real application in front of it: what arrives, and what survives."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.bed import app, engine, hosts
from tests.bed.app import flows
from tests.bed.demo import GROUPS
from tests.faults.rollout import ROOT, ansible_environment, differences, wait_until

COMPONENTS = ("loki", "prometheus", "otel-collector", "promtail")
UNITS = [f"{name}.service" for name in COMPONENTS]
READY = {
    "loki": "http://127.0.0.1:3100/ready",
    "prometheus": "http://127.0.0.1:9090/-/ready",
    "otel-collector": "http://127.0.0.1:13133/",
    "promtail": "http://127.0.0.1:9080/ready",
}


@dataclass
class Outcome:
    """What one run of site.yml came to."""

    returncode: int
    stdout: str
    stats: dict
    messages: list = field(default_factory=list)


class Site:
    """A host that has every component, and the playbook that rolls them out."""

    def __init__(self, host: hosts.Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.variables = {
            "monitoring_environment": "dev",
            "otel_collector_listen_addresses": ["127.0.0.1", host.address],
        }
        self.predicted, self.untouched, self.first = 0, False, 0
        self.inventory = folder / "inventory.json"
        self.inventory.write_text(json.dumps(hosts.inventory([host], GROUPS)), encoding="utf-8")

    def run(self, *flags: str, playbook: str = "site.yml", **variables: object) -> Outcome:
        """Run site.yml, or another playbook, with some variables changed."""
        (self.folder / "variables.json").write_text(json.dumps({**self.variables, **variables}), encoding="utf-8")
        command = [playbook, "-i", self.inventory, "-e", f"@{self.folder}/variables.json", *flags]
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), *command],
            cwd=ROOT, env={**os.environ, **ansible_environment(), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        try:
            told = json.loads(done.stdout[done.stdout.index("{\n") :])
        except ValueError:
            raise AssertionError(f"{done.stdout}\n{done.stderr}") from None
        results = [host for play in told["plays"] for task in play["tasks"] for host in task["hosts"].values()]
        messages = [result["msg"] for result in results if result.get("failed")]
        return Outcome(done.returncode, done.stdout, told["stats"][self.host.name], messages)

    def good(self, *flags: str, **settings: object) -> Outcome:
        """Run a playbook, which must not fail."""
        outcome = self.run(*flags, **settings)
        assert outcome.returncode == 0, outcome.messages or outcome.stdout
        return outcome

    def pids(self) -> list:
        """Main processes of all components."""
        return self.host.run(["systemctl", "show", "--property=MainPID", "--value", *UNITS]).stdout.split()

    def ready(self, name: str) -> bool:
        """Whether a component says that it is ready."""
        return self.host.run(["python3", "-c", flows.GET, READY[name]], check=False).returncode == 0

    def snapshot(self) -> str:
        """Paths, modes, owners, times and contents of what a rollout may touch, but the lock files."""
        roots = "/etc /opt /usr /var/lib/systemd /run/monitoring"
        what = f"{roots} -xdev ! -name '*.lock' ! -name '*.pyc' ! -path /run/monitoring ! -path '*/systemd/timers*'"
        listing = f"find {what} -printf '%p %M %U %G %T@ %l\\n' | sort"
        hashes = "find /etc /opt/monitoring /usr/local -xdev -type f ! -name '*.lock' -exec sha256sum {} + | sort"
        return self.host.run(f"{listing}; {hashes}", check=False).stdout


@pytest.fixture(scope="module")
def site(bed: None, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A host with every component, and the application that sends to it."""
    host = hosts.up("whole")
    site = Site(host, tmp_path_factory.mktemp("site"))
    app.up(f"http://{host.address}:4317")
    bare = site.snapshot()
    site.predicted = site.good("--check", "--diff").stats["changed"]
    site.untouched = site.snapshot() == bare
    site.first = site.good().stats["changed"]
    yield site
    app.down()
    hosts.down("whole")


@pytest.fixture(scope="module")
def fetch(site: Site) -> flows.Fetch:
    """Ask the servers on their loopback addresses."""
    return flows.on_host(site.host)


def test_check_mode_predicts_the_first_rollout_on_a_bare_host_and_writes_nothing(site):
    assert (site.predicted, site.untouched, site.first) == (len(COMPONENTS), True, len(COMPONENTS))


def test_every_request_is_counted_in_prometheus_through_the_collector(site, fetch):
    before = flows.requests_counted(fetch, app.instance("api"))
    sent = app.traffic(300)
    expected = before + sent["requests"]
    counted = flows.settle(lambda: flows.requests_counted(fetch, app.instance("api")), lambda n: n >= expected, 60)
    assert counted == expected
    labels = [labels for labels, _value in flows.series(fetch, "http_request_duration_seconds_count")]
    assert {label["job"] for label in labels} == {"otel-collector"}
    assert {(label["env"], label["host"], label["exported_job"]) for label in labels} == {
        ("dev", "whole", "hippius-s3-api")
    }


def test_ten_thousand_lines_are_all_there_and_none_twice(site, fetch):
    sent = app.log_lines(10_000)
    found = flows.settle(lambda: flows.numbered_lines(fetch, sent), lambda found: not found.missing, 60)
    assert (found.distinct, found.repeated, found.missing) == (10_000, 0, 0)
    [labels] = found.labels
    # Loki adds service_name and detected_level by itself.
    ours = {key: value for key, value in labels.items() if key not in ("service_name", "detected_level")}
    assert ours == {
        "container_name": "hippius-s3-printer-1",
        "job": "hippius-s3",
        "compose_service": "printer",
        "stream": "stdout",
        "env": "dev",
        "host": "whole",
    }


def test_a_container_of_one_line_is_shipped_within_fifteen_seconds(site, fetch):
    sent, began = app.log_lines(1, service="brief"), time.monotonic()
    found = flows.settle(lambda: flows.numbered_lines(fetch, sent), lambda found: not found.missing, 15)
    assert found.missing == 0, f"not there after {time.monotonic() - began:.0f} s"


def test_a_change_of_loki_is_a_restart_that_loses_no_line(site, fetch):
    sent, pids = app.log_lines(3_000, seconds=20), site.pids()
    site.good("--tags", "loki", loki_max_entries_per_query=5001)
    assert [old == new for old, new in zip(pids, site.pids(), strict=True)] == [False, True, True, True]
    found = flows.settle(lambda: flows.numbered_lines(fetch, sent), lambda found: not found.missing, 90)
    assert (found.distinct, found.missing) == (3_000, 0)
    site.good("--tags", "loki")


def test_a_scrape_interval_is_changed_ad_hoc_by_a_reload_that_prometheus_itself_proves(site, fetch):
    stamp = "prometheus_config_last_reload_success_timestamp_seconds"
    before, pids = (
        float(re.search(rf"^{stamp} (\S+)", fetch(READY["prometheus"][:-8] + "/metrics"), re.M)[1]),
        site.pids(),
    )
    site.good("--tags", "prometheus", prometheus_scrape_interval="14s")
    metrics = fetch("http://127.0.0.1:9090/metrics")
    assert site.pids() == pids
    assert float(re.search(rf"^{stamp} (\S+)", metrics, re.M)[1]) > before
    assert re.search(r"^prometheus_config_last_reload_successful 1$", metrics, re.M)
    assert "scrape_interval: 14s" in fetch("http://127.0.0.1:9090/api/v1/status/config").replace("\\n", "\n")
    site.good("--tags", "prometheus")


def test_a_second_run_changes_and_writes_nothing_and_needs_nothing_but_ssh(site):
    site.good()
    pid = engine.docker("inspect", "--format", "{{.State.Pid}}", site.host.container)
    # Counted in the host's own network: everything that is neither loopback nor SSH, nor the application's telemetry.
    rules = [
        [chain, "!", interface, "lo", "-p", protocol, *ports, "-j", "RETURN"]
        for chain, interface, port in (("INPUT", "-i", "--dport"), ("OUTPUT", "-o", "--sport"))
        for protocol, *ports in (("tcp", port, "22"), ("tcp", port, "4317"))
    ] + [["INPUT", "!", "-i", "lo"], ["OUTPUT", "!", "-o", "lo"]]  # fmt: skip
    tables = ["nsenter", "--target", pid, "--net", "iptables"]
    for rule in rules:
        subprocess.run([*tables, "-A", *rule], check=True)
    before = site.snapshot()
    outcome = site.good("-vvv")
    told = subprocess.run([*tables, "-L", "-v", "-x", "-n"], check=True, capture_output=True, text=True).stdout
    subprocess.run([*tables, "-F"], check=True)
    assert outcome.stats["changed"] == 0
    assert differences(before, site.snapshot()) == []
    counters = [line.split() for line in told.splitlines() if re.match(r"\s+\d", line)]
    assert int(counters[0][0]) > 0, told
    assert [line[0] for line in counters if line[2] != "RETURN"] == ["0", "0"], told
    # One module a component and one sweep; with pipelining each is one command over SSH.
    assert outcome.stdout.count("SSH: EXEC ") == len(COMPONENTS) + 1


def test_check_mode_predicts_nothing_on_a_converged_host(site):
    before = site.snapshot()
    assert site.good("--check", "--diff").stats["changed"] == 0
    assert differences(before, site.snapshot()) == []


BROKEN = "not: [valid"
# For each component: a file that is no YAML; a change that its checker refuses; one that it passes, but that cannot
# start, since another process holds a port that only the program knows. With each, words of the program's own message.
FAULTS = {
    "loki": (
        "yaml: ",
        ({"loki_config_extra": {"limits_config": {"no_such_limit": 1}}}, "field no_such_limit not found"),
        ({"loki_config_extra": {"memberlist": {"bind_addr": ["127.0.0.1"], "bind_port": 7999},
          "common": {"ring": {"kvstore": {"store": "memberlist"}}}}}, "address already in use"),
    ),
    "prometheus": (
        "error converting YAML to JSON|yaml: |did not find expected",
        ({"prometheus_scrape_configs": [{"job_name": "prometheus"}]}, "multiple scrape configs with job name"),
        ({"prometheus_flags": ["--web.listen-address=127.0.0.1:7999"]}, "address already in use"),
    ),
    "otel-collector": (
        "yaml: ",
        ({"otel_collector_config_extra": {"service": {"pipelines": {"metrics": {"exporters": ["nowhere"]}}}}},
         'references exporter "nowhere" which is not configured'),
        ({"otel_collector_config_extra": {"receivers": {"otlp/127.0.0.1": {"protocols": {
          "grpc": {"endpoint": "127.0.0.1:7999"}}}}}}, "address already in use"),
    ),
    "promtail": (
        "yaml: ",
        ({"promtail_pipeline_stages": [{"no_such_stage": {}}]}, "no_such_stage"),
        ({"promtail_config_extra": {"server": {"grpc_listen_port": 7999}}}, "address already in use"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_configuration_that_its_checker_refuses_leaves_the_old_process_answering(site, name):
    role, (syntax, (change, message), _port) = name.replace("-", "_"), FAULTS[name]
    broken = site.folder / "broken.yml"
    broken.write_text(BROKEN, encoding="utf-8")
    pids = site.pids()
    for variables, expected in (({f"{role}_config_file": str(broken)}, syntax), (change, re.escape(message))):
        outcome = site.run("--tags", role, **variables)
        assert outcome.returncode == 2
        assert re.search(expected, outcome.messages[0]), outcome.messages
        assert site.pids() == pids
        assert site.ready(name)
    assert site.good("--tags", role).stats["changed"] == 0


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_configuration_that_cannot_start_is_rolled_back_within_a_minute(site, name):
    role, (variables, message) = name.replace("-", "_"), FAULTS[name][2]
    holder = "import socket, time; s = socket.create_server(('127.0.0.1', 7999)); time.sleep(600)"
    site.host.run(f'nohup python3 -c "{holder}" >/dev/null 2>&1 & echo $! >/tmp/holder.pid')
    watch = (
        "import sys, time, urllib.request\nlast, longest = time.time(), 0\n"
        "while True:\n"
        "  try:\n"
        f"    urllib.request.urlopen('{READY[name]}', timeout=2).read()\n"
        "    longest, last = max(longest, time.time() - last), time.time()\n"
        "    print(longest, flush=True)\n"
        "  except OSError: pass\n"
        "  time.sleep(0.2)\n"
    )
    site.host.run("cat >/tmp/watch.py", input=watch)
    site.host.run("nohup python3 /tmp/watch.py >/tmp/watch.out 2>&1 & echo $! >/tmp/watch.pid")
    outcome = site.run("--tags", role, **variables)
    wait_until(lambda: site.ready(name), 60)
    silence = float(
        site.host.run("sleep 1; kill $(cat /tmp/watch.pid /tmp/holder.pid); tail -n 1 /tmp/watch.out").stdout
    )
    assert outcome.returncode == 2
    assert message in outcome.messages[0]
    assert "Rolled back" in outcome.messages[0]
    assert silence < 60
    assert site.good("--tags", role).stats["changed"] == 0


def test_every_unit_is_hardened_and_no_daemon_was_refused_what_it_needs(site):
    units = site.host.run("ls /opt/monitoring/components/*/current/*.service").stdout.split()
    assert len(units) > len(COMPONENTS)
    for unit in units:
        told = site.host.run(["systemd-analyze", "security", "--no-pager", Path(unit).name]).stdout
        assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", told)[1]) <= 2.0, told
    journal = site.host.run(
        "journalctl --no-pager --boot | grep -E 'SIGSYS|status=31/SYS|operation not permitted'", check=False
    )
    assert journal.stdout == ""


def test_everything_runs_after_a_reboot_and_a_bridge_that_appears_late_is_listened_on(site):
    late = "172.31.255.1"
    bridge = f"ip link add br-late type bridge && ip address add {late}/24 dev br-late && ip link set br-late up"
    listening = f"ss -Hltn src {late}:4317"
    site.host.run(bridge)
    addresses = ["127.0.0.1", site.host.address, late]
    site.good("--tags", "otel_collector", otel_collector_listen_addresses=addresses)
    assert site.host.run(listening).stdout
    # The container's network is made anew, so the bridge is gone, as Docker's are until Docker has started.
    site.host.restart()
    for name in ("loki", "prometheus", "promtail"):
        wait_until(lambda name=name: site.ready(name), 60)
    time.sleep(20)
    assert not site.host.run(listening).stdout
    site.host.run(bridge)
    wait_until(lambda: site.host.run(listening).stdout, 30)
    wait_until(lambda: site.ready("otel-collector"), 30)
    before = site.snapshot()
    assert site.good(otel_collector_listen_addresses=addresses).stats["changed"] == 0
    assert differences(before, site.snapshot()) == []
    site.good("--tags", "otel_collector")


def test_a_host_that_has_left_a_group_loses_the_component_and_keeps_its_data(site):
    inventory = json.loads(site.inventory.read_text())
    del inventory["all"]["children"]["promtail"]
    whole, site.inventory = site.inventory, site.folder / "without.json"
    site.inventory.write_text(json.dumps(inventory), encoding="utf-8")
    predicted = site.good("--check")
    assert site.ready("promtail")
    # The component, and Prometheus' scrape job for it.
    assert (predicted.stats["changed"], site.good().stats["changed"], site.good().stats["changed"]) == (2, 2, 0)
    there = site.host.run("ls -d /etc/promtail /opt/monitoring/components/promtail /var/lib/promtail", check=False)
    assert there.stdout.split() == ["/var/lib/promtail"]
    assert site.host.run("systemctl list-units --all --no-legend 'promtail*'").stdout == ""
    site.inventory = whole
    site.good()
    assert site.ready("promtail")


def test_uninstall_leaves_data_alone_and_purge_takes_it_too(site):
    uninstall = {"playbook": "playbooks/uninstall.yml"}
    assert site.good("--check", **uninstall).stats["changed"] == 1
    assert all(site.ready(name) for name in COMPONENTS)
    # One task loops over the components.
    assert site.good(**uninstall).stats["changed"] == 1
    assert site.good(**uninstall).stats["changed"] == 0
    data = " ".join(f"/var/lib/{name}" for name in sorted(COMPONENTS))
    assert site.host.run(f"ls -d {data}").stdout.split() == data.split()
    assert (
        site.host.run("ls -A /opt/monitoring/components /opt/monitoring/releases | grep -v :", check=False).stdout
        == "\n"
    )
    assert site.host.run(f"systemctl list-units --all --no-legend {' '.join(UNITS)}").stdout == ""
    site.good()
    assert site.good(**uninstall, purge=True).stats["changed"] == 1
    assert site.host.run(f"ls -d {data}; id loki", check=False).stdout == ""
