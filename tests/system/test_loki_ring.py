# SPDX-License-Identifier: GPL-3.0-or-later
"""Three real Lokis with the role's settings and a real object store, one of them killed."""

from __future__ import annotations

import json
import shutil
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from tests.system.test_alertmanagers import LOCAL, certificates
from tests.testbed import programs, s3
from tests.testbed.programs import Server
from tests.unit.roles.rendering import rollout

# The API in plain text, and what the Lokis say to each other under TLS.
API = {"a": "10.9.8.12", "b": "10.9.8.13", "c": "10.9.8.14"}
INNER = {host: address.replace("10.9.8.", "10.9.9.") for host, address in API.items()}
STORE = "127.9.8.20:17070"
BATCH, PAUSE = 10, 0.05
ATTEMPT_SECONDS = 5


def wait_until(is_true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def variables(
    host: str, store: s3.ObjectStore, own: dict[str, Any], group: list[str]
) -> dict[str, Any]:
    """Return the variables of a host and of its group."""
    hosts = {
        name: {
            "inventory_hostname": name,
            "loki_listen_address": f"{API[name]}:13100",
            "loki_grpc_listen_address": f"{INNER[name]}:19096",
            "loki_memberlist_listen_address": f"{INNER[name]}:17946",
            **own.get(name, {}),
        }
        for name in API
    }
    return {
        "groups": {"all": list(API), "loki": group},
        "other_hosts": hosts,
        "monitoring_plaintext_networks": ["10.9.8.0/24"],
        **store.variables(loki="logs"),
        **hosts[host],
    }


class Cluster:
    """The Lokis of a group, each of which a test may kill and start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store_process = ExitStack()
        self.start_store()
        self.store.create("logs")
        self.program = programs.unpack("loki", folder / "release")
        self.own = certificates(folder, INNER)
        self.members: dict[str, Server] = {}
        self._stacks: dict[str, ExitStack] = {}

    def start_store(self) -> None:
        """Start the object store, with what it had."""
        folder = self.folder / "store"
        folder.mkdir(exist_ok=True)
        self.store = self.store_process.enter_context(s3.running(folder, STORE))

    def start(self, host: str, group: str = "abc") -> None:
        """Start a member and wait until it is ready."""
        given = variables(host, self.store, self.own, list(group))
        options = rollout("loki", **given)
        stack = self._stacks[host] = ExitStack()
        running = programs.running(
            "loki", self.program, self.folder / host, options, LOCAL
        )
        self.members[host] = stack.enter_context(running)

    def kill(self, host: str, wipe: bool = False) -> None:
        """Kill a member, and delete its disk if it is lost."""
        self._stacks.pop(host).close()
        del self.members[host]
        if wipe:
            shutil.rmtree(self.folder / host / "data")

    def restart(self, host: str) -> None:
        """Stop a member as a rollout does, and start it again."""
        self.members[host].stop()
        self.kill(host)
        self.start(host)

    def close(self) -> None:
        for host in list(self._stacks):
            self.kill(host)
        self.store_process.close()

    def states(self, seen_by: str) -> dict[str, str]:
        """Return the states of the members as one of them sees the ring."""
        request = urllib.request.Request(
            f"{self.members[seen_by].url}/ring", headers={"Accept": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            shards = json.load(answer)["shards"]
        return {shard["id"]: shard["state"] for shard in shards}

    def is_whole(self) -> bool:
        """Return whether each member sees all of them at work."""
        whole = dict.fromkeys(API, "ACTIVE")
        return all(self.states(host) == whole for host in self.members)

    def compactors(self) -> list[str]:
        """Return the members that compact and delete."""
        metric = "loki_boltdb_shipper_compactor_running 1"
        return [
            host
            for host, loki in self.members.items()
            if metric in loki.get("/metrics")
        ]

    def lines(self, host: str, run: str) -> Counter[str]:
        """Return how often each line of a run is in the answer of a member."""
        found: Counter[str] = Counter()
        end = time.time_ns() + 1_000_000_000
        while True:
            asked = {"query": f'{{job="{run}"}}', "limit": 5000, "end": end}
            path = f"/loki/api/v1/query_range?{urllib.parse.urlencode(asked)}&since=1h"
            streams = json.loads(self.members[host].get(path))["data"]["result"]
            values = [value for stream in streams for value in stream["values"]]
            found.update(line for _time, line in values)
            if len(values) < 5000:
                return found
            end = min(int(stamp) for stamp, _line in values)


class Writer:
    """Sends numbered lines all the time, to the next member when one does not take them."""

    def __init__(self, cluster: Cluster, run: str) -> None:
        self.cluster, self.run = cluster, run
        self.urls = [
            f"http://{programs.localized(address, LOCAL)}:13100"
            for address in API.values()
        ]
        self.acknowledged: list[str] = []
        self.longest = 0.0
        self.refusals: Counter[str] = Counter()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ends.set()
        self._thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many further lines were acknowledged."""
        target = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= target, 120)

    def _write(self) -> None:
        number, turn = 0, 0
        while not self._ends.is_set():
            batch = [f"{self.run} {number + index}" for index in range(BATCH)]
            stamp = time.time_ns()
            values = [[str(stamp + index), line] for index, line in enumerate(batch)]
            body = {"streams": [{"stream": {"job": self.run}, "values": values}]}
            started = time.monotonic()
            # A batch that no member takes is sent again when the test ends, too.
            while not self._is_taken(self.urls[turn % 3], json.dumps(body).encode()):
                turn += 1
                time.sleep(PAUSE)
            self.longest = max(self.longest, time.monotonic() - started)
            self.acknowledged += batch
            number, turn = number + BATCH, turn + 1
            time.sleep(PAUSE)

    def _is_taken(self, url: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/loki/api/v1/push", body, headers)
        try:
            urllib.request.urlopen(request, timeout=ATTEMPT_SECONDS).close()
        except OSError as error:
            self.refusals[str(getattr(error, "reason", error))[:60]] += 1
            return False
        return True

    def verdict(self, host: str) -> dict[str, int]:
        """Return what a member has of the acknowledged lines."""
        found = self.cluster.lines(host, self.run)
        return {
            "acknowledged": len(self.acknowledged),
            "missing": len(set(self.acknowledged) - set(found)),
            "twice": sum(count > 1 for count in found.values()),
        }


@contextmanager
def cluster_of_three(folder: Path, hosts: str = "abc") -> Iterator[Cluster]:
    """Run Lokis and their object store."""
    cluster = Cluster(folder)
    try:
        for host in hosts:
            cluster.start(host, hosts)
        if len(hosts) > 1:
            wait_until(cluster.is_whole, 60)
        yield cluster
    finally:
        cluster.close()


def require_all(writer: Writer, hosts: str) -> None:
    """Require that some members have each acknowledged line once."""
    for host in hosts:
        verdict = writer.verdict(host)
        print(f"seen by {host}: {verdict}, longest refusal {writer.longest:.1f} s")
        assert (verdict["missing"], verdict["twice"]) == (0, 0)
        assert verdict["acknowledged"] > 0


def test_a_member_may_lose_its_disk_and_no_line_is_missing(tmp_path: Path) -> None:
    with cluster_of_three(tmp_path) as cluster:
        config = (tmp_path / "b/etc/loki-config.yml").read_text()
        assert config.count("tls_enabled: true") >= 6
        assert s3.SECRET_KEY not in config
        with Writer(cluster, "killed") as writer:
            writer.wait_for(300)
            cluster.kill("b", wipe=True)
            writer.wait_for(300)
        require_all(writer, "ac")

        # A plain rollout replaces it by an empty one.
        cluster.start("b")
        wait_until(cluster.is_whole, 90)
        require_all(writer, "abc")
        wait_until(lambda: len(cluster.compactors()) == 1, 60)
