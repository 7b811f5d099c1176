# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole site with a real application on a real host: arrival of data, and outages."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.hippius.monitoring.plugins.module_utils.verify.docker_log import (
    PREFIX,
)
from ansible_collections.hippius.monitoring.plugins.plugin_utils.series_selectors import (
    presence,
)
from tests import content
from tests.conftest import ROOT
from tests.resilience import assertions, cuts, faults
from tests.resilience.rollout import differences, wait_until
from tests.resilience.site import CANARY, READY, ROLES, UNITS, Site
from tests.testbed import app, docker, hosts
from tests.testbed.app import flows

# The outage of Tempo while spans are sent. Two minutes pass too, but cost that time in each run.
OUTAGE_SECONDS = float(os.environ.get("HIPPIUS_MONITORING_OUTAGE", "20"))
# A value for each secret variable, except those of the exporters' instances.
SECRETS = {
    f"{role}_secrets": {"own-key": f"{CANARY}-{role}"}
    for role in ROLES
    if not role.endswith("_exporter")
} | {
    "alertmanager_discord_webhook": f"https://discord.com/api/webhooks/1/{CANARY}-webhook",
    "grafana_admin_password": f"{CANARY}-administrator",
    "grafana_secret_key": f"{CANARY}-key-of-grafana",
    "grafana_database_password": f"{CANARY}-database",
    "grafana_content_discord_webhook": f"https://discord.com/api/webhooks/1/{CANARY}-content",
    "grafana_content_environment": {"SMTP_PASSWORD": f"{CANARY}-smtp"},
}
# Ports of the application's PostgreSQL and Redis servers.
ASKED = ("5432", "6379", "6380", "6381")
# Watches all processes and records those that show a secret to others.
WATCH = f"""
import glob, time
word = b"{CANARY[:-1]}" + b"{CANARY[-1:]}"
while True:
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            content = open(path, "rb").read()
        except OSError:
            continue
        if word in content:
            print(path, content.replace(bytes(1), b" ").decode(), flush=True)
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def site(testbed: None, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return a host with every component, and the application that sends to it."""
    host = hosts.up("whole")
    app.up(f"http://{host.address}:4317")
    password = f"{CANARY}-exporters"
    app.admit_exporters(password)
    site = Site(
        host,
        tmp_path_factory.mktemp("site"),
        **SECRETS,
        **app.exporter_instances(password),
    )
    host.run("cat >/root/watch.py", input=WATCH)
    host.run(
        "nohup python3 /root/watch.py >/root/watched 2>&1 & echo $! >/root/watch.pid"
    )
    bare, site.bare = site.snapshot(), site.snapshot(times=False)
    site.predicted = site.good("--check").stats["changed"]
    site.untouched = site.snapshot() == bare
    site.first = site.good().stats["changed"]
    host.run("kill $(cat /root/watch.pid)")
    yield site
    app.down()
    hosts.down("whole")


@pytest.fixture(scope="module")
def fetch(site: Site) -> flows.Fetch:
    """Return a function that queries the servers on their loopback addresses."""
    return flows.on_host(site.host)


def test_check_mode_predicts_the_first_rollout_on_a_bare_host_and_writes_nothing(site):
    # In addition to the components: Grafana's content.
    assert (site.predicted, site.untouched, site.first) == (
        len(ROLES) + 1,
        True,
        len(ROLES) + 1,
    )


@pytest.fixture(scope="module")
def servers(site: Site, fetch: flows.Fetch) -> assertions.Servers:
    """Return access to the servers with the application's telemetry."""
    return assertions.Servers(
        fetch, lambda: fetch("http://127.0.0.1:8888/metrics"), "dev", "whole"
    )


def test_every_request_is_counted_in_prometheus_through_the_collector(servers):
    assertions.requests_are_counted_once(servers, 300)


def test_every_port_of_the_architecture_answers_with_the_right_program(site):
    assert site.wrong_ports() == {}
    assert (
        json.loads(
            flows.directly(f"http://{app.address('api')}:{app.PORT}/openapi.json")
        )["info"]["title"]
        == app.PROJECT
    )


def test_ten_thousand_lines_are_all_there_and_none_twice(site, fetch):
    sent = app.log_lines(10_000)
    found = flows.settle(
        lambda: flows.numbered_lines(fetch, sent), lambda found: not found.missing, 60
    )
    assert (found.distinct, found.repeated, found.missing) == (10_000, 0, 0)
    [labels] = found.labels
    # Loki adds service_name and detected_level by itself.
    ours = {
        key: value
        for key, value in labels.items()
        if key not in ("service_name", "detected_level")
    }
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
    found = flows.settle(
        lambda: flows.numbered_lines(fetch, sent), lambda found: not found.missing, 15
    )
    assert found.missing == 0, f"not there after {time.monotonic() - began:.0f} s"


def test_metrics_of_redis_and_postgresql_are_in_prometheus_with_the_role_of_each_server(
    servers,
):
    assertions.redis_and_postgresql_are_measured(servers)


def test_a_put_object_is_in_tempo_with_all_spans_through_the_collector_and_directly(
    site, servers
):
    assert (
        assertions.a_put_object_has_all_its_spans(servers)
        >= assertions.PUT_OBJECT.total()
    )
    app.send_to(
        app.Telemetry(
            f"http://{site.host.address}:4317", f"http://{site.host.address}:4319"
        )
    )
    assert assertions.a_put_object_has_all_its_spans(servers) == 0


def test_metrics_of_spans_are_in_prometheus_with_exemplars_that_lead_to_the_trace(
    servers,
):
    assertions.metrics_of_spans_lead_to_the_trace(servers)


# Queries as Grafana's administrator, with the password on standard input.
ASK_GRAFANA = """
import base64, sys, urllib.request
login = "Basic " + base64.b64encode(sys.stdin.read().encode()).decode()
request = urllib.request.Request(sys.argv[1], headers={"Authorization": login})
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""


def test_grafana_leads_to_the_lines_traces_and_metrics_of_the_application(site):
    login = f"admin:{SECRETS['grafana_admin_password']}"

    def ask(url: str) -> str:
        return site.host.run(["python3", "-c", ASK_GRAFANA, url], input=login).stdout

    grafana = "http://127.0.0.1:3000"
    assertions.links_between_signals_lead_to_data(ask, grafana, "dev")
    requests = "http_request_duration_seconds_count"
    prometheus = f"{grafana}/api/datasources/proxy/uid/prometheus"
    assert flows.settle(lambda: flows.series(ask, requests, prometheus), len, 60)


def test_metrics_of_alerts_and_dashboards_exist(site, fetch):
    where = content.expected()
    asked = list(where)

    def missing() -> dict[str, str]:
        there = {
            int(labels["selector"])
            for labels, _count in flows.series(fetch, presence(asked))
        }
        return {
            selector: where[selector]
            for index, selector in enumerate(asked)
            if index not in there
        }

    # Instant values show that names and labels are right, which is enough for rates.
    assert flows.settle(missing, lambda found: not found, 60) == {}
    for query in content.queries():
        if query.datasource == "loki" and query.expression.startswith("{"):
            assert flows.settle(
                lambda query=query: flows.lines_stored(
                    fetch, content.chosen(query.expression)
                ),
                bool,
                30,
            ), query.where
    # A query with an error, such as several series on both sides, has no answer.
    for query in content.queries():
        if query.datasource == "prometheus":
            flows.series(fetch, content.chosen(query.expression))


def test_verify_finds_nothing_broken_in_a_healthy_site(site):
    # Values of each run are new, so that nothing of another one is found.
    found = cuts.verify(site)
    assert (found.states, found.status) == ({}, 0)
    assert found.seconds < 90
    arrived = {
        identity.partition("/")[0]
        for identity, check in found.checks.items()
        if check["seconds"] is not None
    }
    assert arrived == {"metric", "span", "direct", "line"}
    logs = site.host.run(f"ls -d /var/lib/docker/containers/{PREFIX}*", check=False)
    assert logs.stdout == ""


def test_verify_shows_each_of_several_cuts_at_its_place(site):
    # make experiments has all of them, one by one.
    names = ("Promtail stopped", "other uid of a data source", "clock two minutes fast")
    parts = [cuts.CUTS[name] for name in names]
    page = site.folder / "verify.html"
    with contextlib.ExitStack() as applied:
        variables = {"report": str(page)}
        for part in parts:
            variables |= applied.enter_context(part.apply(site))
        found = cuts.verify(site, **variables)
    red = [identity for part in parts for identity in cuts.expected(site, part.broken)]
    assert sorted(found.states[cuts.BROKEN]) == sorted(red)
    assert "line/whole/whole" in found.states[cuts.UNCHECKED]
    assert found.status != 0
    assert CANARY not in page.read_text(encoding="utf-8")


def test_each_of_three_faults_is_one_message_and_another_one_when_it_is_over(site):
    watchers = faults.Watchers(site, speed=20)
    watchers.start()
    try:
        results = watchers.experience(*faults.FAULTS[:3])
    finally:
        watchers.stop()
    names = sorted(title.split(" · ")[0].split()[-1] for title in results[0].titles)
    assert names == sorted(fault.alert for fault in faults.FAULTS[:3])


def test_ten_thousand_spans_outlive_an_outage_of_tempo_and_a_killed_collector(site):
    run, script = uuid.uuid4().hex[:16], "/root/spans.py"
    site.host.run(
        f"cat >{script}",
        input=(ROOT / "tests/resilience/files/spans.py").read_text(encoding="utf-8"),
    )
    site.host.run("systemctl kill --signal=KILL tempo; systemctl stop tempo")
    began, pid = time.monotonic(), site.pids()["otel-collector"]
    site.host.run(
        f"nohup python3 {script} send {run} 100 {OUTAGE_SECONDS / 2} >/root/sent 2>&1 &"
        " echo $! >/root/send.pid"
    )
    time.sleep(OUTAGE_SECONDS / 4)
    assert site.ready("otel-collector")
    site.host.run(f"kill -KILL {pid}")
    wait_until(lambda: site.ready("otel-collector"))
    site.host.run("tail --pid=$(cat /root/send.pid) -f /dev/null")
    acknowledged, repeated = site.host.run("cat /root/sent").stdout.split()
    assert (acknowledged, int(repeated) > 0) == ("10000", True)
    time.sleep(max(0, began + OUTAGE_SECONDS - time.monotonic()))
    assert not site.ready("tempo")
    site.host.run("systemctl start tempo")
    # After long failures a gRPC client retries after up to two minutes.
    count = ["python3", script, "count", run, "100"]
    arrived = flows.settle(
        lambda: int(site.host.run(count, check=False).stdout or 0),
        lambda n: n >= 10_000,
        180,
    )
    assert arrived == 10_000


def shown(site: Site) -> str:
    """Return the locations where a secret is visible to others than root and its program.

    It looks at processes, systemd, logs and files.
    """
    word = f"{CANARY[:-1]}[{CANARY[-1:]}]"
    properties = "--property=Environment,ExecStart"
    return site.host.run(
        f"""
        {{ ps auxewww; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; }} |
            grep --text '{word}'
        {{ systemctl show '*'; systemctl show {properties} {" ".join(UNITS)}; }} |
            grep '{word}'
        journalctl --no-pager | grep '{word}'
        grep --recursive '{word}' /etc/systemd /run/systemd \\
            /opt/monitoring/components/*/generations/*/*.service
        find / /run /tmp /dev/shm -xdev -type f -perm -o=r \\
            -exec grep --files-with-matches '{word}' {{}} +
        """,
        check=False,
    ).stdout


def test_a_secret_is_visible_only_to_its_program(site):
    # Ansible's output is checked in every run, including failed ones.
    secrets = set()
    for role in ROLES:
        spec = yaml.safe_load(
            (ROOT / "roles" / role / "meta/argument_specs.yml").read_text(
                encoding="utf-8"
            )
        )
        for name, option in spec["argument_specs"]["main"]["options"].items():
            if option.get("no_log") or any(
                one.get("no_log") for one in option.get("options", {}).values()
            ):
                secrets.add(name)
    # These are in the environment of the program, which its own user and root alone can read.
    in_environment = {f"{role}_environment" for role in ROLES}
    assert {
        name
        for name in secrets - in_environment
        if CANARY not in json.dumps(site.variables.get(name))
    } == set()
    assert site.host.run("cat /root/watched").stdout == ""
    assert shown(site) == ""
    # They are in the right locations, so that the search would find a copy elsewhere.
    held = site.host.run(
        f"grep --recursive --files-with-matches {CANARY}"
        " /etc /opt /run /var /root /tmp --exclude-dir=docker"
        " | xargs stat --format='%a %U %G %n'"
    ).stdout
    where = re.compile(
        r"640 root (\S+) /opt/monitoring/components/\1/generations/[^/]+/etc/\S+"
    )
    assert [line for line in held.splitlines() if not where.fullmatch(line)] == []
    assert {where.fullmatch(line)[1] for line in held.splitlines()} == READY.keys() - {
        "node-exporter", "redis-exporter-chain"
    }  # fmt: skip


def test_a_change_of_loki_is_a_restart_that_loses_no_line(site, fetch):
    sent, pids = app.log_lines(3_000, seconds=20), site.pids()
    site.good("--tags", "loki", loki_max_entries_per_query=5001)
    assert [name for name, pid in site.pids().items() if pid != pids[name]] == ["loki"]
    found = flows.settle(
        lambda: flows.numbered_lines(fetch, sent), lambda found: not found.missing, 90
    )
    assert (found.distinct, found.missing) == (3_000, 0)
    site.good("--tags", "loki")


def test_a_scrape_interval_is_changed_ad_hoc_by_a_reload_that_prometheus_confirms(
    site, fetch
):
    stamp = "prometheus_config_last_reload_success_timestamp_seconds"
    before, pids = (
        float(
            re.search(
                rf"^{stamp} (\S+)", fetch(READY["prometheus"][:-8] + "/metrics"), re.M
            )[1]
        ),
        site.pids(),
    )
    site.good("--tags", "prometheus", prometheus_scrape_interval="14s")
    metrics = fetch("http://127.0.0.1:9090/metrics")
    assert site.pids() == pids
    assert float(re.search(rf"^{stamp} (\S+)", metrics, re.M)[1]) > before
    assert re.search(r"^prometheus_config_last_reload_successful 1$", metrics, re.M)
    assert "scrape_interval: 14s" in fetch(
        "http://127.0.0.1:9090/api/v1/status/config"
    ).replace("\\n", "\n")
    site.good("--tags", "prometheus")


def test_a_second_run_changes_and_writes_nothing_and_needs_nothing_but_ssh(site):
    pid = docker.run("inspect", "--format", "{{.State.Pid}}", site.host.container)
    # Counted in the host's own network: everything except loopback, SSH, the application's
    # telemetry and the exporters' queries of its servers.
    rules = [
        [chain, "!", interface, "lo", "-p", "tcp", end, port, "-j", "RETURN"]
        for ports, ends in (
            (("22", "4317", "4319"), ("--dport", "--sport")),
            (ASKED, ("--sport", "--dport")),
        )
        for port in ports
        for chain, interface, end in (
            ("INPUT", "-i", ends[0]),
            ("OUTPUT", "-o", ends[1]),
        )
    ] + [["INPUT", "!", "-i", "lo"], ["OUTPUT", "!", "-o", "lo"]]
    tables = ["nsenter", "--target", pid, "--net", "iptables"]
    for rule in rules:
        subprocess.run([*tables, "-A", *rule], check=True)
    before = site.snapshot()
    outcome = site.good()
    told = subprocess.run(
        [*tables, "-L", "-v", "-x", "-n"], check=True, capture_output=True, text=True
    ).stdout
    subprocess.run([*tables, "-F"], check=True)
    assert outcome.stats["changed"] == 0
    assert differences(before, site.snapshot()) == []
    counters = [line.split() for line in told.splitlines() if re.match(r"\s+\d", line)]
    assert int(counters[0][0]) > 0, told
    assert [line[0] for line in counters if line[2] != "RETURN"] == ["0", "0"], told
    # The host is observed once, and one module compares Grafana's content; with pipelining each
    # is one command over SSH.
    assert outcome.stdout.count("SSH: EXEC ") == 2


def test_check_mode_predicts_nothing_on_a_converged_host(site):
    before = site.snapshot()
    assert site.good("--check").stats["changed"] == 0
    assert differences(before, site.snapshot()) == []


BROKEN = "not: [valid"
# For each role: the rejection of a file that is not YAML; a change that its checker rejects; one
# that the checker accepts but that cannot start, mostly since another process has a port that only
# the program uses. Each with words of the program's own message. The exporters of Redis and
# PostgreSQL have no checker.
FAULTS = {
    "loki": (
        "yaml: ",
        ({"loki_config_extra": {"limits_config": {"no_such_limit": 1}}},
         "field no_such_limit not found"),
        ({"loki_config_extra": {"memberlist": {"bind_addr": ["127.0.0.1"], "bind_port": 7999},
          "common": {"ring": {"kvstore": {"store": "memberlist"}}}}}, "address already in use"),
    ),
    "tempo": (
        "yaml: ",
        ({"tempo_config_extra": {"no_such_part": 1}}, "field no_such_part not found"),
        # Not the port of a receiver, without which it may run and never become ready.
        ({"tempo_config_extra": {"server": {"grpc_listen_port": 7999}}}, "address already in use"),
    ),
    "prometheus": (
        "error converting YAML to JSON|yaml: |did not find expected",
        ({"prometheus_scrape_configs": [{"job_name": "prometheus"}]},
         "multiple scrape configs with job name"),
        ({"prometheus_flags": ["--web.listen-address=127.0.0.1:7999"]}, "address already in use"),
    ),
    "alertmanager": (
        "yaml: ",
        ({"alertmanager_config_extra": {"no_such_part": 1}}, "field no_such_part not found"),
        ({"alertmanager_flags": ["--web.listen-address=127.0.0.1:7999"]}, "address already in use"),
    ),
    "otel_collector": (
        "yaml: ",
        ({"otel_collector_config_extra": {"service": {"pipelines": {"metrics": {
          "exporters": ["nowhere"]}}}}},
         'references exporter "nowhere" which is not configured'),
        ({"otel_collector_config_extra": {"receivers": {"otlp/127.0.0.1": {"protocols": {
          "grpc": {"endpoint": "127.0.0.1:7999"}}}}}}, "address already in use"),
    ),
    "promtail": (
        "yaml: ",
        ({"promtail_pipeline_stages": [{"no_such_stage": {}}]}, "no_such_stage"),
        ({"promtail_config_extra": {"server": {"grpc_listen_port": 7999}}},
         "address already in use"),
    ),
    "redis_exporter": ("", None, ({"flags": ["--no-such-flag"]}, "flag provided but not defined")),
    "postgres_exporter": ("", None, ({"flags": ["--no-such-flag"]}, "unknown long flag")),
    "grafana": (
        "",
        ({"grafana_secret_key": f"{CANARY}-another-key"}, "grafana_secret_key was changed"),
        None,
    ),
}  # fmt: skip


def unit_of(role: str) -> str:
    """Return the first unit of a role."""
    return next(name for name in READY if name.startswith(role.replace("_", "-")))


def changed(site: Site, role: str, change: dict) -> dict[str, Any]:
    """Return the variables of a fault; for an exporter they are those of its last instance."""
    variable = f"{role}_instances"
    if variable not in site.variables:
        return change
    *others, last = site.variables[variable]
    return {variable: [*others, last | change]}


@pytest.mark.parametrize("role", [role for role, faults in FAULTS.items() if faults[1]])
def test_a_configuration_that_its_checker_refuses_leaves_the_old_process_answering(
    site, role
):
    syntax, (change, message), _start = FAULTS[role]
    broken = site.folder / "broken.yml"
    broken.write_text(BROKEN, encoding="utf-8")
    pids = site.pids()
    faults = [({f"{role}_config_file": str(broken)}, syntax)] if syntax else []
    for variables, expected in (*faults, (change, re.escape(message))):
        outcome = site.run("--tags", role, **variables)
        assert outcome.returncode == 2
        assert re.search(expected, outcome.messages[0]), outcome.messages
        assert site.pids() == pids
        assert site.ready(unit_of(role))
    assert site.good("--tags", role).stats["changed"] == 0


@pytest.mark.parametrize("role", [role for role, faults in FAULTS.items() if faults[2]])
def test_a_configuration_that_cannot_start_is_rolled_back_within_a_minute(site, role):
    (change, message), name = FAULTS[role][2], unit_of(role)
    listener = (
        "import socket, time;"
        " s = socket.create_server(('127.0.0.1', 7999)); time.sleep(600)"
    )
    site.host.run(
        f'nohup python3 -c "{listener}" >/dev/null 2>&1 & echo $! >/tmp/holder.pid'
    )
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
    site.host.run(
        "nohup python3 /tmp/watch.py >/tmp/watch.out 2>&1 & echo $! >/tmp/watch.pid"
    )
    outcome = site.run("--tags", role, **changed(site, role, change))
    wait_until(lambda: site.ready(name), 60)
    silence = float(
        site.host.run(
            "sleep 1; kill $(cat /tmp/watch.pid /tmp/holder.pid); tail -n 1 /tmp/watch.out"
        ).stdout
    )
    assert outcome.returncode == 2
    assert message in outcome.messages[0]
    assert "Rolled back" in outcome.messages[0]
    assert silence < 60
    assert site.good("--tags", role).stats["changed"] == 0


def test_every_unit_is_hardened_and_no_daemon_was_refused_what_it_needs(site):
    units = site.host.run(
        "ls /opt/monitoring/components/*/current/*.service"
    ).stdout.split()
    assert {Path(unit).name for unit in units} > set(UNITS)
    for unit in units:
        told = site.host.run(
            ["systemd-analyze", "security", "--no-pager", Path(unit).name]
        ).stdout
        assert (
            float(re.search(r"Overall exposure level for \S+: ([\d.]+)", told)[1])
            <= 2.0
        ), told
    assert site.refusals() == ""


def test_a_listener_has_the_backlog_of_the_kernel(site):
    kernel = int(site.host.run("cat /proc/sys/net/core/somaxconn").stdout)
    listeners = site.host.run("ss -Hltn 'sport = :3100 or sport = :9090'").stdout
    backlogs = [int(line.split()[2]) for line in listeners.splitlines()]
    # Go falls back to 128 where it cannot read the kernel's limit.
    assert backlogs == [kernel] * 2 != [128] * 2


def test_everything_runs_after_a_reboot_and_a_bridge_that_appears_late_is_listened_on(
    site,
):
    late = "172.31.255.1"
    bridge = (
        f"ip link add br-late type bridge && ip address add {late}/24 dev br-late"
        " && ip link set br-late up"
    )
    listening = f"ss -Hltn src {late}:4317"
    site.host.run(bridge)
    addresses = ["127.0.0.1", site.host.address, late]
    site.good("--tags", "otel_collector", otel_collector_listen_addresses=addresses)
    assert site.host.run(listening).stdout
    # The container's network is recreated, so the bridge is missing, like Docker's bridges before
    # Docker has started.
    site.host.restart()
    for name in READY.keys() - {"otel-collector"}:
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


def test_components_that_left_the_inventory_are_removed_except_their_data(site, fetch):
    inventory = json.loads(site.inventory.read_text())
    del inventory["all"]["children"]["promtail"]
    whole, site.inventory = site.inventory, site.folder / "without.json"
    site.inventory.write_text(json.dumps(inventory), encoding="utf-8")
    # One instance of a component, too.
    *others, _chain = site.variables["redis_exporter_instances"]
    less = {"redis_exporter_instances": others}
    predicted = site.good("--check", **less)
    assert site.ready("promtail")
    assert site.ready("redis-exporter-chain")
    # The component, the instance, and Prometheus' scrape jobs for them.
    changes = [
        predicted.stats["changed"],
        site.good(**less).stats["changed"],
        site.good(**less).stats["changed"],
    ]
    assert changes == [3, 3, 0]
    left = "promtail redis-exporter-chain"
    paths = " ".join(
        f"/etc/{name} /opt/monitoring/components/{name} /var/lib/{name}"
        for name in left.split()
    )
    there = site.host.run(f"ls -d {paths}", check=False).stdout.split()
    assert there == [f"/var/lib/{name}" for name in left.split()]
    assert (
        site.host.run(
            "systemctl list-units --all --no-legend 'promtail*' '*-chain*'"
        ).stdout
        == ""
    )

    def scraped() -> set[str]:
        targets = flows.ask(
            fetch, f"{flows.PROMETHEUS}/api/v1/targets", state="active"
        )["activeTargets"]
        return {target["labels"]["job"] for target in targets} & {
            "promtail",
            "redis-chain",
            "redis-main",
        }

    assertions.settles(scraped, {"redis-main"})
    site.inventory = whole
    site.good()
    assert site.ready("promtail")
    assert site.ready("redis-exporter-chain")


UNINSTALL = {"playbook": "playbooks/uninstall.yml", "confirm": "yes"}
DATA = [f"/var/lib/{name}" for name in sorted(READY)]
ACCOUNTS = {
    f"/etc/{name}{copy}"
    for name in ("group", "gshadow", "passwd", "shadow")
    for copy in ("", "-")
}


def left(site: Site) -> set[str]:
    """Return the paths that differ from the bare host."""
    return {
        re.search(r"/\S+", line)[0]
        for line in differences(site.bare, site.snapshot(times=False))
    }


def test_uninstall_leaves_data_and_users_and_nothing_else(site):
    site.files = {path: site.host.run(["cat", path]).stdout for path in FILES.values()}
    # One task loops over the components, another one removes the token of Grafana's content.
    assert site.good("--check", **UNINSTALL).stats["changed"] == 2
    assert all(site.ready(name) for name in READY)
    assert site.good(**UNINSTALL).stats["changed"] == 2
    assert site.good(**UNINSTALL).stats["changed"] == 0
    assert site.host.run(["ls", "-d", *DATA]).stdout.split() == DATA
    assert (
        site.host.run(
            f"systemctl list-units --all --no-legend {' '.join(UNITS)}"
        ).stdout
        == ""
    )
    assert left(site) - ACCOUNTS == set()


# Each role's own configuration file.
FILES = {
    "loki": "/etc/loki/loki-config.yml",
    "tempo": "/etc/tempo/tempo.yaml",
    "prometheus": "/etc/prometheus/prometheus.yml",
    "alertmanager": "/etc/alertmanager/alertmanager.yml",
    "otel_collector": "/etc/otel-collector/otel-config.yml",
    "promtail": "/etc/promtail/promtail-config.yml",
    "node_exporter": "/etc/node-exporter/web.yml",
    "grafana": "/etc/grafana/grafana.ini",
}


def test_vaulted_configuration_files_are_rolled_out_and_shown_nowhere(site):
    password = site.folder / "vault-password"
    password.write_text("not-so-secret", encoding="utf-8")
    vault = VaultLib([("default", VaultSecret(b"not-so-secret"))])
    variables = {}
    for role, path in FILES.items():
        own = site.folder / f"{role}.yml"
        own.write_bytes(
            vault.encrypt(f"{site.files[path]}\n# {CANARY}-in-a-file-of-{role}\n")
        )
        variables[f"{role}_config_file"] = str(own)
    outcome = site.good("--vault-password-file", str(password), **variables)
    # Grafana's content is part of the data; its token is created again.
    assert outcome.stats["changed"] == len(ROLES) + 1
    assert all(site.ready(name) for name in READY)
    for path in FILES.values():
        told = site.host.run(
            f"grep -c {CANARY}-in-a-file {path}; stat -L -c '%a %U' {path}"
        ).stdout.split()
        assert told == ["1", "640", "root"]
    assert shown(site) == ""


def test_purge_takes_data_and_users_too(site):
    assert site.good(**UNINSTALL, purge=True).stats["changed"] == 2
    assert site.host.run(["ls", "-d", *DATA], check=False).stdout == ""
    assert site.host.run(["id", *READY], check=False).stdout == ""
    assert left(site) - ACCOUNTS == set()


def test_debian_13_has_all_of_it_too(testbed, tmp_path):
    host = hosts.up("thirteen", "trixie")
    try:
        site = Site(host, tmp_path, **app.exporter_instances(app.PASSWORD))
        assert site.good().stats["changed"] == len(ROLES) + 1
        assert site.wrong_ports() == {}
        before = site.snapshot()
        assert site.good().stats["changed"] == 0
        assert differences(before, site.snapshot()) == []
        host.restart()
        for name in READY:
            wait_until(lambda name=name: site.ready(name), 60)
        assert site.good().stats["changed"] == 0
        assert site.refusals() == ""
    finally:
        hosts.down("thirteen")
