# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration: `python3 -m tests.testbed.demo up|down`.

`up` starts a host and the sample application, rolls the monitoring stack out to the host as a user
would, sends traffic, and prints for each flow how much was sent and how much arrived. It takes the
published archives where they can be reached, and compiles only the others. `down` removes all of
it; the cache remains.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.testbed import app, cache, console, docker, hosts, site
from tests.testbed.app import flows, image
from tests.testbed.releases import published
from tests.testbed.releases.build import BuildError, build_all
from tests.testbed.releases.published import Published

ROOT = Path(__file__).parents[2]
NAME = "demo"
REDIS_METRIC = "redis_connected_clients"
REQUESTS = 1000
LINES = 10_000
# Data must arrive within this time: metrics are exported every 5 s and scraped every 15 s, and
# Promtail discovers a new container within 15 s.
ARRIVE_SECONDS = 90
# The spans of a PutObject, one in each process: the request, then the job of each worker.
PUT_OBJECT = {"PUT /{bucket}/{key:path}", "uploader process", "substrate process"}


@dataclass(frozen=True)
class Flow:
    """One row of the table."""

    name: str
    sent: int
    arrived: int
    note: str = ""


def main() -> int:
    """Run one command and return its exit status."""
    options = argparse.ArgumentParser(
        prog="python3 -m tests.testbed.demo", description=__doc__.splitlines()[0]
    )
    options.add_argument("command", choices=("up", "down"))
    try:
        return up() if options.parse_args().command == "up" else down()
    except (
        RuntimeError,
        LookupError,
        OSError,
        BuildError,
        subprocess.CalledProcessError,
    ) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def up() -> int:
    """Start everything and print the flows; return 1 if anything is missing."""
    started = time.monotonic()
    run_testbed("docker")
    with ThreadPoolExecutor() as pool:
        # Images are built while archives are downloaded.
        booted = pool.submit(hosts.up, NAME)
        application = pool.submit(image.ensure)
        archives = obtain_archives(published.default_versions())
        host = booted.result()
        application.result()
    if archives.missing:
        # Hosts download the compiled ones; the controller pushes the others.
        run_testbed("mirror")
        run_testbed("lock")
    # Before the rollout, since the application must also work without a collector.
    app.up(f"http://{host.address}:4317")
    app.admit_exporters(app.PASSWORD)
    inventory = write_inventory(host, archives)
    roll_out(inventory)
    table = measure(host)
    show(table, host, inventory)
    console.progress(f"the demonstration took {time.monotonic() - started:.0f} s")
    complete = all(flow.arrived == flow.sent for flow in table)
    return 0 if complete else 1


def down() -> int:
    """Remove the application and the host, and the rest of an unused test bed."""
    inventory_file().unlink(missing_ok=True)
    if docker.is_running():
        app.down()
        hosts.down(NAME)
    if not is_used():
        run_testbed("all-down")
    return 0


def is_used() -> bool:
    """Return whether a container of the test bed runs."""
    if not docker.is_running():
        return False
    return docker.run("ps", "--quiet", "--filter", f"label={docker.LABEL}") != ""


def run_testbed(command: str) -> None:
    """Run a command of the test bed without its results; its progress is visible."""
    subprocess.run(
        [sys.executable, "-m", "tests.testbed", command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def obtain_archives(versions: Mapping[str, str]) -> Published:
    """Download the published archives, and build the releases that cannot be downloaded."""
    names = site.GROUPS[1:]
    archives = published.obtain(
        names, published.read_lock(), versions, published.mirrors()
    )
    if archives.missing:
        console.progress(
            f"{len(archives.missing)} of {len(names)} releases are not downloaded"
            f" ({', '.join(archives.missing)}); those that the cache lacks are compiled, all of"
            " them in 20 to 60 minutes"
        )
        build_all(archives.missing)
    return archives


def inventory_file() -> Path:
    """Return the path of the inventory, which is machine-specific and so not in the checkout."""
    return cache.directory("inventories") / f"{NAME}.json"


def password() -> str:
    """Return the password of Grafana's administrator, generated once."""
    path = cache.directory("inventories") / "grafana-password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(12), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def release_variables(archives: Published) -> dict[str, Any]:
    """Return inventory variables for the downloaded archives; the mirror has the built ones."""
    if not archives.lock:
        return {}
    lock_file = published.directory() / "releases.lock.yml"
    # JSON is valid YAML.
    lock_file.write_text(
        "---\n" + json.dumps(archives.lock, indent=2) + "\n", encoding="utf-8"
    )
    versions = {f"{name}_version": archives.version(name) for name in archives.lock}
    variables = {
        "monitoring_archives_dir": str(published.directory()),
        "monitoring_releases_lock": [str(lock_file)],
        **versions,
    }
    if archives.missing:
        variables["monitoring_releases_lock"].insert(0, str(hosts.lock_file()))
        return variables
    # Nobody serves compiled ones.
    return {**variables, "monitoring_mirrors": []}


def write_inventory(host: hosts.Host, archives: Published) -> Path:
    """Write the inventory of the host, which is in every group as in `inventories/dev`."""
    inventory = hosts.inventory([host], site.GROUPS)
    inventory["all"]["vars"] |= site.variables(host) | app.exporter_instances(
        app.PASSWORD
    )
    # On a real host these listen on 127.0.0.1. Here they are reachable from outside the container.
    inventory["all"]["vars"] |= {
        "prometheus_listen_address": f"{host.address}:9090",
        "loki_listen_address": f"{host.address}:3100",
        "tempo_listen_address": f"{host.address}:3200",
        "grafana_listen_address": f"{host.address}:3000",
        "grafana_admin_password": password(),
        **release_variables(archives),
    }
    if not inventory["all"]["vars"]["tempo_version"].startswith("1."):
        for name in site.TEMPO:
            del inventory["all"]["vars"][name]
    inventory_file().write_text(
        json.dumps(inventory, indent=2) + "\n", encoding="utf-8"
    )
    return inventory_file()


def roll_out(inventory: Path) -> None:
    """Run the site playbook as a user would."""
    console.progress(f"ansible-playbook site.yml -i {inventory}")
    subprocess.run(
        ["ansible-playbook", "site.yml", "-i", str(inventory)],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        check=True,
    )


def measure(host: hosts.Host) -> list[Flow]:
    """Send traffic and lines, and count their arrival."""
    console.progress(
        f"sending {REQUESTS} requests and {LINES} lines, and waiting for them to arrive"
    )
    printed, sent = app.log_lines(LINES), app.traffic(REQUESTS)
    return [*metrics(host, sent), *lines(host, sent, printed), traces(host, sent)]


def arrived(count: Callable[[], int], expected: int) -> int:
    """Return the count that is reached in time."""
    return flows.settle(count, lambda current: current >= expected, ARRIVE_SECONDS)


def metrics(host: hosts.Host, sent: dict[str, Any]) -> list[Flow]:
    """Return the flows of metrics: of the application and of its servers."""
    prometheus = f"http://{host.address}:9090"
    requests, objects = sent["requests"], sent["put_objects"]
    api, uploader = app.instance("api"), app.instance("uploader")

    def series(query: str) -> int:
        return arrived(lambda: len(flows.series(flows.directly, query, prometheus)), 1)

    def uploads() -> int:
        return flows.total(
            flows.directly, "uploader_requests_total", uploader, prometheus
        )

    counted = arrived(
        lambda: flows.requests_counted(flows.directly, api, prometheus), requests
    )
    stored = arrived(uploads, objects)
    names = ("main", "accounts", "chain")
    redis = [series(f'redis_connected_clients{{redis="{name}"}}') for name in names]
    postgres = series('pg_stat_database_tup_returned{datname="hippius"}')
    http_metric = "http_request_duration_seconds_count"
    upload_metric = "uploader_requests_total"
    postgres_metric = "pg_stat_database_tup_returned"
    uploaded = "stored objects: uploader > collector > Prometheus"
    return [
        Flow("requests: API > collector > Prometheus", requests, counted, http_metric),
        Flow(uploaded, objects, stored, upload_metric),
        Flow(
            "Redis servers > exporters > Prometheus",
            len(redis),
            sum(redis),
            REDIS_METRIC,
        ),
        Flow(
            "PostgreSQL servers > exporter > Prometheus", 1, postgres, postgres_metric
        ),
    ]


def lines(
    host: hosts.Host, sent: dict[str, Any], printed: dict[str, Any]
) -> list[Flow]:
    """Return the flows of lines that containers write."""
    loki, api = (
        f"http://{host.address}:3100",
        f'{{container_name="{app.container("api")}"}}',
    )
    numbered = flows.settle(
        lambda: flows.numbered_lines(flows.directly, printed, loki),
        lambda current: not current.missing,
        ARRIVE_SECONDS,
    )
    query = f"{api} |= `/{sent['bucket']}`"
    stored = arrived(
        lambda: flows.lines_stored(flows.directly, query, loki), sent["requests"]
    )
    note = f"{numbered.repeated} twice, {numbered.missing} missing"
    count = numbered.distinct + numbered.repeated
    return [
        Flow(
            "request lines: API > Docker > Promtail > Loki",
            sent["requests"],
            stored,
            api,
        ),
        Flow(
            "numbered lines: container > Docker > Promtail > Loki",
            printed["lines"],
            count,
            note,
        ),
    ]


def traces(host: hosts.Host, sent: dict[str, Any]) -> Flow:
    """Return the flow of traces that have the spans of every involved process."""
    tempo, waiting = f"http://{host.address}:3200", set(sent["trace_ids"])

    def names(trace_id: str) -> set[str]:
        return {span.name for span in flows.spans(flows.directly, trace_id, tempo)}

    def complete() -> int:
        waiting.difference_update(
            [trace_id for trace_id in waiting if names(trace_id) >= PUT_OBJECT]
        )
        return sent["put_objects"] - len(waiting)

    return Flow(
        "traces of PutObjects: API, workers > collector > Tempo",
        sent["put_objects"],
        arrived(complete, sent["put_objects"]),
        f"{tempo}/api/traces/{sent['trace_ids'][0]}",
    )


def grafana(host: hosts.Host) -> str:
    """Return Grafana's address with what to look at first, for the real one and for the fake."""
    base = f"http://{host.address}:3000"
    login = f"login admin, password {password()}"
    if has_pages(base):
        return f"{base}/dashboards ({login}); open a dashboard, then Alerting > Alert rules"
    return f"{base}/api/search ({login}; a fake: an API without pages)"


def has_pages(grafana_url: str) -> bool:
    """Return whether a Grafana has pages; the fake says on its login page what it is."""
    return "(fake)" not in flows.directly(f"{grafana_url}/login")


def show(table: list[Flow], host: hosts.Host, inventory: Path) -> None:
    """Print the table and the addresses of the servers."""
    width = max(len(flow.name) for flow in table)
    print(f"\n{'flow':<{width}}  {'sent':>7}  {'arrived':>7}")
    for flow in table:
        print(f"{flow.name:<{width}}  {flow.sent:>7}  {flow.arrived:>7}  {flow.note}")
    print(f"""
Prometheus   http://{host.address}:9090
Loki         http://{host.address}:3100
Tempo        http://{host.address}:3200
Grafana      {grafana(host)}
application  http://{app.address("api")}:{app.PORT}
host         ssh {" ".join(hosts.ssh_options())} root@{host.address}
roll out     tests/bootstrap ansible-playbook site.yml -i {inventory}
""")


if __name__ == "__main__":
    sys.exit(main())
