# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a run over unchanged Grafana content: `python -m tests.benchmarks.grafana_noop`.

It puts 300 dashboards and 200 rules in 20 folders, with two datasources, into a fake of each
version (with Grafana's cost of logins), and counts the requests of a second run. Then two playbooks
find the datasources, folders and dashboards unchanged: one task `grafana_content`, and a task for
each object with community.grafana. `--community N` limits the dashboards of the latter to N, since
all of them take minutes; the ratio is then by the time for one object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.testbed.grafana.server import FakeGrafana

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.api.client import (  # noqa: E402
    Client,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.model import (  # noqa: E402
    DesiredObject,
)
from ansible_collections.hippius.monitoring.plugins.module_utils.grafana.sync.reconcile import (  # noqa: E402
    Options,
    reconcile,
)

VERSIONS = ("11.6.4", "12.4.3", "13.2.3")
FOLDERS, DASHBOARDS, RULES, SOURCES, PANELS = 20, 300, 200, 2, 12


class Comparison(NamedTuple):
    """A run over unchanged content: objects, requests, and seconds without Ansible."""

    version: str
    objects: int
    requests: int
    seconds: float


OPTIONS = Options(owner="benchmark", fingerprint_key="key")
# Allowed requests in addition to those for datasources and pages.
ALLOWED = 12


def content(dashboards: int = DASHBOARDS) -> list[DesiredObject]:
    """Return all desired objects."""
    items = [
        desired(
            "folder", f"f{n}", {"uid": f"f{n}", "title": f"Folder {n}", "parentUid": ""}
        )
        for n in range(FOLDERS)
    ]
    for number in range(SOURCES):
        body = {
            "uid": f"s{number}",
            "name": f"S{number}",
            "type": "prometheus",
            "url": "http://127.0.0.1:9090",
        }
        items.append(
            desired(
                "datasource",
                f"s{number}",
                {**body, "secureJsonData": {"basicAuthPassword": "x"}},
            )
        )
    for number in range(dashboards):
        items.append(desired("dashboard", f"d{number}", dashboard(number)))
    for number in range(FOLDERS):
        rules = [rule(f"r{number}-{n}") for n in range(RULES // FOLDERS)]
        group = {
            "folderUid": f"f{number}",
            "title": "g",
            "interval": 60,
            "rules": rules,
        }
        items.append(desired("rule_group", f"f{number}/g", group))
    return items


def desired(kind: str, identity: str, body: dict) -> DesiredObject:
    """Return an object of the benchmark."""
    return DesiredObject(kind, identity, body, "benchmark")


def dashboard(number: int) -> dict[str, Any]:
    """Return a dashboard of about 7 kB, a usual size."""
    options = {
        "legend": {"displayMode": "table", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    target = {
        "refId": "A",
        "datasource": {"uid": "s0"},
        "expr": "sum by (job) (rate(x_total[$__rate_interval]))",
    }
    panels = [
        {
            "id": n,
            "type": "timeseries",
            "title": f"Panel {n}",
            "targets": [target, target],
            "options": options,
        }
        for n in range(PANELS)
    ]
    model = {
        "uid": f"d{number}",
        "title": f"Dashboard {number}",
        "panels": panels,
        "schemaVersion": 39,
    }
    return {"dashboard": model, "folderUid": f"f{number % FOLDERS}"}


def rule(uid: str) -> dict[str, Any]:
    """Return a rule of two steps."""
    up = {
        "refId": "A",
        "datasourceUid": "s0",
        "relativeTimeRange": {"from": 60, "to": 0},
        "model": {"expr": "up"},
    }
    low = {
        "refId": "B",
        "datasourceUid": "__expr__",
        "model": {"type": "threshold", "expression": "A"},
    }
    return {
        "uid": uid,
        "title": uid,
        "condition": "B",
        "for": "5m",
        "data": [up, low],
        "labels": {"severity": "high"},
    }


def ours(version: str, dashboards: int = DASHBOARDS) -> Comparison:
    """Print and return the number of requests of one version."""
    items = content(dashboards)
    with FakeGrafana(version=version, rounds=10_000) as grafana:
        reconcile(client(grafana), items, OPTIONS)
        grafana.clear()
        begun = time.monotonic()
        result = reconcile(client(grafana), items, OPTIONS)
        seconds = time.monotonic() - begun
        requests = [line for line in grafana.requests if not line.is_write]
        pages = sum(
            "/dashboards" in line.path and line.path.startswith("/apis/")
            for line in requests
        )
        more = SOURCES + pages + (dashboards if version.startswith("11") else 0)
        took = f"{seconds:.2f} s without Ansible, {len(requests)} requests"
        allowed = f"allowed {ALLOWED} + {more}"
        print(
            f"Grafana {version}, all {len(items)} objects unchanged: {took} ({allowed}),"
        )
        print(f"{len(grafana.writes)} writes")
        if result.changed or grafana.writes or len(requests) > ALLOWED + more:
            sys.exit("More than the allowed requests.")
    return Comparison(version, len(items), len(requests), seconds)


def client(grafana: FakeGrafana) -> Client:
    """Return a client as a module creates it."""
    return Client(grafana.url, username=grafana.username, password=grafana.password)


def beside(version: str, count: int) -> None:
    """Print the ratio of the times of community.grafana and of our module."""
    items = [
        item for item in content() if item.kind in ("folder", "datasource", "dashboard")
    ]
    dashboards = [item for item in items if item.kind == "dashboard"]
    fewer = [item for item in items if item.kind != "dashboard"] + dashboards[:count]
    with (
        FakeGrafana(version=version, rounds=10_000) as grafana,
        tempfile.TemporaryDirectory() as folder,
    ):
        seconds, requests = unchanged(grafana, folder, [whole(grafana, folder, items)])
        ours_took = (
            f"{len(items)} objects in {seconds:.1f} s with Ansible, {requests} requests"
        )
        print(f"grafana_content, {version}: {ours_took}")
        each, requests = unchanged(
            grafana, folder, [task(item, folder, grafana) for item in fewer]
        )
        theirs_took = f"{len(fewer)} objects in {each:.1f} s, {requests} requests"
        print(f"community.grafana, {version}: {theirs_took}")
        ratio = each / len(fewer) * len(items) / seconds
        note = "" if count == len(dashboards) else ", by the time for one object"
        print(f"ratio: {ratio:.0f}{note}")


def unchanged(
    grafana: FakeGrafana, folder: str, tasks: list[dict]
) -> tuple[float, int]:
    """Return time and requests of the second run of a playbook."""
    play(folder, tasks)
    grafana.clear()
    begun = time.monotonic()
    play(folder, tasks)
    return time.monotonic() - begun, len(grafana.requests)


def play(folder: str, tasks: list[dict]) -> None:
    """Run a playbook."""
    path = Path(folder, "play.json")
    path.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]),
        encoding="utf-8",
    )
    environment = os.environ | {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_PIPELINING": "1",
    }
    run = subprocess.run(
        ["ansible-playbook", str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    if run.returncode:
        sys.exit(run.stdout[-3000:] + run.stderr[-2000:])


def whole(
    grafana: FakeGrafana, folder: str, items: list[DesiredObject]
) -> dict[str, Any]:
    """Return our one task for all objects, with the dashboards as files in directories."""
    objects: dict = {"folders": [], "datasources": []}
    titles = {
        item.identity: item.body["title"] for item in items if item.kind == "folder"
    }
    for item in items:
        if item.kind == "dashboard":
            file = Path(
                folder,
                "content",
                titles[item.body["folderUid"]],
                f"{item.identity}.json",
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(item.body["dashboard"]), encoding="utf-8")
        elif item.kind == "folder":
            objects["folders"].append(
                {"folder": item.body["title"], "uid": item.identity}
            )
        else:
            objects["datasources"].append(item.body)
    login = {
        "grafana_url": grafana.url,
        "password": grafana.password,
        "fingerprint_key": "key",
    }
    content = [{"objects": objects}, {"directory": f"{folder}/content"}]
    return {"hippius.monitoring.grafana_content": {**login, "content": content}}


def task(item: DesiredObject, folder: str, grafana: FakeGrafana) -> dict[str, Any]:
    """Return the task of community.grafana for an object."""
    login = {
        "url": grafana.url,
        "url_username": grafana.username,
        "url_password": grafana.password,
    }
    if item.kind == "folder":
        return {
            "community.grafana.grafana_folder": {
                **login,
                "title": item.body["title"],
                "uid": item.identity,
            }
        }
    if item.kind == "datasource":
        options = {
            "name": item.body["name"],
            "uid": item.identity,
            "ds_type": "prometheus",
            "ds_url": item.body["url"],
        }
        return {
            "community.grafana.grafana_datasource": {
                **login,
                **options,
                "access": "proxy",
            }
        }
    file = Path(folder, f"{item.identity}.json")
    file.write_text(json.dumps(item.body["dashboard"]), encoding="utf-8")
    place = f"Folder {item.body['folderUid'][1:]}"
    options = {"path": str(file), "folder": place, "overwrite": True}
    return {"community.grafana.grafana_dashboard": {**login, **options}}


def main() -> None:
    """Run the benchmarks."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--community",
        type=int,
        default=DASHBOARDS,
        help="dashboards for community.grafana; 0: skip it",
    )
    count = options.parse_args().community
    for version in VERSIONS:
        ours(version)
    if count:
        # The newest major version with which community.grafana is tested.
        beside("12.4.3", count)


if __name__ == "__main__":
    main()
