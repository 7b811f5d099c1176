# SPDX-License-Identifier: GPL-3.0-or-later
"""Cuts of the flows of a whole site, and how playbooks/verify.yml sees them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.resilience.site import Site
from tests.testbed import docker

BROKEN, UNCHECKED = "broken", "not checked"
# The test bed's Grafana is a fake without metrics of its own.
FAKE = {
    "verify_allowed_empty": {
        "grafana_*": "The fake has no metrics.",
        '*{job="grafana"}': "The fake has no metrics.",
    }
}
LATE_PYTHON = "/root/late/python"
# A host whose clock is two minutes fast, as far as Python sees it.
LATE = """
mkdir -p /root/late
printf 'import time\\n_now = time.time\\ntime.time = lambda: _now() + 120\\n' \
    > /root/late/sitecustomize.py
printf '#!/bin/sh\\nPYTHONPATH=/root/late exec /usr/bin/python3 "$@"\\n' > /root/late/python
chmod +x /root/late/python
"""
# Gives a data source another uid, with the login on standard input.
RENAME = """
import base64, json, sys, urllib.request
login = "Basic " + base64.b64encode(sys.stdin.read().encode()).decode()
old, new = sys.argv[1:]
url = "http://127.0.0.1:3000/api/datasources/uid/" + old
headers = {"Authorization": login, "Content-Type": "application/json"}
source = json.load(urllib.request.urlopen(urllib.request.Request(url, headers=headers)))
body = json.dumps({**source, "uid": new}).encode()
request = urllib.request.Request(url, body, headers, method="PUT")
urllib.request.urlopen(request).read()
"""
# Deletes the first rule of Grafana, with the login on standard input.
DELETE = """
import base64, json, sys, urllib.request
login = "Basic " + base64.b64encode(sys.stdin.read().encode()).decode()
url = "http://127.0.0.1:3000/api/v1/provisioning/alert-rules"
headers = {"Authorization": login}
rules = json.load(urllib.request.urlopen(urllib.request.Request(url, headers=headers)))
url += "/" + min(rule["uid"] for rule in rules)
request = urllib.request.Request(url, headers=headers, method="DELETE")
urllib.request.urlopen(request).read()
"""
RULES = """
groups:
  - name: own
    rules:
      - {alert: Typo, expr: prometheus_tsdb_head_seris > 1e9, labels: {severity: high}}
      - alert: Ambiguous
        expr: up + on () up
        labels: {severity: high}
"""


class Verified(NamedTuple):
    """The checks of a run in each state but ok, by id, and all of them."""

    states: dict[str, list[str]]
    checks: dict[str, dict[str, Any]]
    seconds: float
    status: int


def verify(site: Site, **variables: Any) -> Verified:
    """Run the playbook; return the verdicts."""
    began = time.monotonic()
    outcome = site.run(playbook="playbooks/verify.yml", **{**FAKE, **variables})
    told = json.loads(outcome.stdout[outcome.stdout.index("{\n") :])
    [result] = told["plays"][-1]["tasks"][-1]["hosts"].values()
    states: dict[str, list[str]] = {}
    for check in result["checks"]:
        if check["state"] != "ok":
            states.setdefault(check["state"], []).append(check["id"])
    return Verified(
        states,
        {check["id"]: check for check in result["checks"]},
        time.monotonic() - began,
        outcome.returncode,
    )


@dataclass(frozen=True)
class Cut:
    """A fault: what makes it, and the ids of the checks that are broken by it.

    ``host`` in an id stands for the name of the host. ``unchecked`` is the beginning of one check
    at least that could not be made.
    """

    apply: Callable[[Site], AbstractContextManager[dict[str, Any]]]
    broken: tuple[str, ...]
    unchecked: tuple[str, ...] = ()


@contextlib.contextmanager
def stopped(site: Site, unit: str) -> Iterator[dict[str, Any]]:
    """Stop a unit for a while."""
    site.host.run(["systemctl", "stop", unit])
    yield {}
    site.host.run(["systemctl", "start", unit])


@contextlib.contextmanager
def blocked(site: Site, port: int, client: str) -> Iterator[dict[str, Any]]:
    """Refuse connections to a port of the host for a while, then start its client again."""
    pid = docker.run("inspect", "--format", "{{.State.Pid}}", site.host.container)
    tables = ["nsenter", "--target", pid.strip(), "--net", "iptables"]
    rule = ["INPUT", "-p", "tcp", "--dport", str(port), "-j", "REJECT"]
    rule += ["--reject-with", "tcp-reset"]
    subprocess.run([*tables, "-I", *rule], check=True)
    yield {}
    subprocess.run([*tables, "-D", *rule], check=True)
    # A client of gRPC that has failed for long tries again after up to two minutes.
    site.host.run(["systemctl", "restart", client])


@contextlib.contextmanager
def other_uid(site: Site, uid: str) -> Iterator[dict[str, Any]]:
    """Give a data source another uid for a while."""
    login = f"admin:{site.variables['grafana_admin_password']}"
    for old, new in ((uid, "other"), ("other", uid)):
        site.host.run(["python3", "-c", RENAME, old, new], input=login)
        if new == "other":
            yield {}


@contextlib.contextmanager
def renamed_job(site: Site, name: str) -> Iterator[dict[str, Any]]:
    """Rename a scrape job manually for a while."""
    path = "/opt/monitoring/components/prometheus/current/etc/prometheus.yml"
    for old, new in ((name, f"{name}-2"), (f"{name}-2", name)):
        site.host.run(
            f"sed -i 's/job_name: {old}$/job_name: {new}/' {path}"
            " && systemctl reload prometheus"
        )
        if new != name:
            yield {}


@contextlib.contextmanager
def wrong_rules(site: Site) -> Iterator[dict[str, Any]]:
    """Roll out rules with a misspelled metric and with an error, for a while."""
    rules = site.folder / "own-rules.yml"
    rules.write_text(RULES, encoding="utf-8")
    variables = {"prometheus_rule_files": [str(rules)]}
    site.good("--tags", "prometheus", **variables)
    yield variables
    site.good("--tags", "prometheus")


@contextlib.contextmanager
def deleted_rule(site: Site) -> Iterator[dict[str, Any]]:
    """Delete a rule of Grafana manually, for a while."""
    login = f"admin:{site.variables['grafana_admin_password']}"
    site.host.run(["python3", "-c", DELETE], input=login)
    yield {}
    site.good("--tags", "grafana_content")


@contextlib.contextmanager
def late_clock(site: Site) -> Iterator[dict[str, Any]]:
    """Set the clock of the host two minutes ahead, for Python."""
    site.host.run(LATE)
    yield {"ansible_python_interpreter": LATE_PYTHON}


@contextlib.contextmanager
def expired_webhooks(site: Site) -> Iterator[dict[str, Any]]:
    """Ask for messages: the webhooks of the test bed lead to no channel at any time."""
    yield {"verify_notifications": True}


def component(name: str) -> str:
    """Return the id of the check that a component runs."""
    return f"component/host/{name}"


CUTS = {
    "collector stopped": Cut(
        lambda site: stopped(site, "otel-collector"),
        (component("otel-collector"),),
        ("metric/", "span/"),
    ),
    "Promtail stopped": Cut(
        lambda site: stopped(site, "promtail"), (component("promtail"),), ("line/",)
    ),
    "Tempo stopped": Cut(
        lambda site: stopped(site, "tempo"),
        (component("tempo"),),
        ("span/", "direct/", "datasource/host/tempo"),
    ),
    "Tempo's port blocked": Cut(
        lambda site: blocked(site, 4319, "otel-collector"),
        ("direct/host/host",),
        ("span/",),
    ),
    "Loki's port blocked": Cut(
        lambda site: blocked(site, 3100, "promtail"), (component("loki"),), ("line/",)
    ),
    "other uid of a data source": Cut(
        lambda site: other_uid(site, "loki"), ("datasource/host/loki",)
    ),
    "scrape job renamed": Cut(
        lambda site: renamed_job(site, "tempo"),
        # The file was changed manually, too.
        ("rollout/host/prometheus", "target/host/tempo/127.0.0.1:3200"),
    ),
    "rules with a typo and an error": Cut(
        wrong_rules,
        ("rule/prometheus/host/Ambiguous", "selector/host/prometheus_tsdb_head_seris"),
    ),
    "rule of Grafana deleted": Cut(deleted_rule, ("rules/grafana/host",)),
    "webhooks expired": Cut(
        expired_webhooks,
        (
            "message/alertmanager/host/discord",
            *(
                f"message/grafana/host/hippius-{severity} (discord)"
                for severity in ("critical", "high", "medium")
            ),
        ),
    ),
    "clock two minutes fast": Cut(late_clock, ("clock/host",)),
}


def expected(site: Site, ids: tuple[str, ...]) -> list[str]:
    """Return ids with the name of the host."""
    name = site.host.name
    return sorted(
        "/".join(name if part == "host" else part for part in identity.split("/"))
        for identity in ids
    )


def require_cut(site: Site, cut: Cut) -> Verified:
    """Apply a cut, and require that its checks are broken and no others."""
    with cut.apply(site) as variables:
        found = verify(site, **variables)
    assert sorted(found.states.get(BROKEN, [])) == expected(site, cut.broken), found
    unchecked = found.states.get(UNCHECKED, [])
    for beginning in expected(site, cut.unchecked):
        assert [one for one in unchecked if one.startswith(beginning)], beginning
    assert found.status != 0
    return found
