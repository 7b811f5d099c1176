# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus answers every query of every dashboard, for six hosts in two environments.

One host does not show that a query matches series of two of them, or that a panel mixes up two
environments.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import content
from tests.testbed.releases.build import build_all

START_SECONDS = 30
# Panels of which one query has no data in the fleet, and the reason.
EMPTY = {
    "grafana, Datasource errors": "No Grafana of the fleet is down.",
    "prometheus, Series": "The fleet has no data of yesterday.",
}
QUERIES = [
    query
    for query in content.queries()
    if query.datasource == "prometheus"
    # Neither rules nor variables; annotations are of moments.
    and ", " in query.where
    and "$" not in query.where
    and not (query.where.endswith(", Starts") and "[$__" in query.expression)
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with Prometheus and its tool of the test bed's release."""
    [archive] = build_all(["prometheus"]).values()
    folder = tmp_path_factory.mktemp("prometheus")
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            if member.name.endswith(("/promtool", "/prometheus")):
                member.name = Path(member.name).name
                opened.extract(member, folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def prometheus(
    programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Run a Prometheus that has the data of the fleet, and return its address."""
    folder = tmp_path_factory.mktemp("fleet")
    made = [sys.executable, "-m", "tests.testbed.fleet", str(folder)]
    subprocess.run(
        [*made, "--hours", "0.25", "--ahead", "0.02"], check=True, cwd=content.ROOT
    )
    blocks = [programs / "promtool", "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run(
        [*blocks, folder / "metrics.txt", folder / "data"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (folder / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        programs / "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=30d",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command, env=os.environ) as process:
        try:
            wait_until_ready(address, process)
            yield address
        finally:
            process.terminate()


def wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    """Return as soon as Prometheus answers queries."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("Prometheus did not become ready.")


def ask(address: str, expression: str) -> dict[str, Any]:
    """Return Prometheus' answer to a query; a refusal is an answer, too."""
    query = urllib.parse.urlencode({"query": content.chosen(expression)})
    try:
        with urllib.request.urlopen(
            f"http://{address}/api/v1/query?{query}", timeout=30
        ) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def test_every_panel_has_data_and_no_query_fails(prometheus: str) -> None:
    answers = [(query, ask(prometheus, query.expression)) for query in QUERIES]
    failed = [
        (query.where, answer["error"])
        for query, answer in answers
        if answer["status"] != "success"
    ]
    assert failed == []
    empty = {query.where for query, answer in answers if not answer["data"]["result"]}
    assert empty == set(EMPTY)


def test_no_series_of_a_panel_hides_its_environment(prometheus: str) -> None:
    hidden = [
        query.where
        for query in QUERIES
        for series in ask(prometheus, query.expression)["data"]["result"]
        if series["metric"].get("env") not in ("prod", "staging")
    ]
    assert hidden == []


def test_prometheus_remarks_on_no_query_but_those_of_other_exporters_names(
    prometheus: str,
) -> None:
    """A remark is a mark on the panel, which looks like a fault of it."""
    remarks = {
        (query.where, remark.partition(" (")[0])
        for query in QUERIES
        for remark in ask(prometheus, query.expression).get("infos", [])
        if "pg_stat_database_" not in remark and '"node_vmstat_' not in remark
    }
    assert remarks == set()
