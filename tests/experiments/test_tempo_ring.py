# SPDX-License-Identifier: GPL-3.0-or-later
"""Three real Tempos with the role's settings and a real object store, one of them killed."""

from __future__ import annotations

import shutil
import time
import urllib.error
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from plugins.module_utils.verify import grpc_client, otlp
from tests.system.test_alertmanagers import LOCAL, certificates
from tests.system.test_loki_ring import API, INNER, wait_until
from tests.testbed import programs, s3
from tests.testbed.site import TEMPO
from tests.unit.roles.rendering import rollout

STORE = "127.9.8.21:17071"
SPANS = 20


def variables(host: str, store: s3.ObjectStore, own: dict[str, Any]) -> dict[str, Any]:
    """Return the variables of a host, whose group has all three."""
    hosts = {
        name: {
            "inventory_hostname": name,
            "tempo_listen_address": f"{API[name]}:13200",
            "tempo_otlp_listen_address": f"{API[name]}:14319",
            "tempo_grpc_listen_address": f"{INNER[name]}:19095",
            "tempo_memberlist_listen_address": f"{INNER[name]}:17947",
            **own[name],
        }
        for name in API
    }
    return {
        **TEMPO,
        "tempo_config_extra": {
            **TEMPO["tempo_config_extra"],
            "storage": {"trace": {"blocklist_poll": "1s"}},
        },
        "groups": {"all": list(API), "tempo": list(API)},
        "other_hosts": hosts,
        "monitoring_plaintext_networks": ["10.9.8.0/24"],
        **store.variables(tempo="traces"),
        **hosts[host],
    }


class Cluster:
    """The Tempos of a group, each of which a test may kill and start."""

    def __init__(self, folder: Path, store: s3.ObjectStore) -> None:
        self.folder, self.store = folder, store
        self.program = programs.unpack("tempo", folder / "release")
        self.own = certificates(folder, INNER)
        self.stacks: dict[str, ExitStack] = {}
        self.members: dict[str, programs.Server] = {}

    def start(self, host: str) -> None:
        options = rollout("tempo", **variables(host, self.store, self.own))
        stack = self.stacks[host] = ExitStack()
        running = programs.running(
            "tempo", self.program, self.folder / host, options, LOCAL
        )
        self.members[host] = stack.enter_context(running)

    def kill(self, host: str) -> None:
        self.stacks.pop(host).close()
        del self.members[host]

    def send(self, host: str, trace_id: str) -> bool:
        """Send a span to a member; return whether it has taken it."""
        address = f"{programs.localized(API[host], LOCAL)}:14319"
        message = otlp.span_message(trace_id, host, "test", time.time_ns())
        try:
            grpc_client.call(address, grpc_client.EXPORT, message)
        except (OSError, grpc_client.GrpcError):
            return False
        return True

    def has(self, host: str, trace_id: str) -> bool:
        with suppress(urllib.error.HTTPError):
            return "verify" in self.members[host].get(f"/api/traces/{trace_id}")
        return False

    def is_whole(self) -> bool:
        """Return whether each member sees three ingesters at work."""
        return all(
            tempo.get("/ingester/ring").count("ACTIVE") >= len(API)
            for tempo in self.members.values()
        )


def test_a_member_may_lose_its_disk_and_no_trace_is_missing(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with s3.running(tmp_path / "store", STORE) as store, ExitStack() as stack:
        store.create("traces")
        cluster = Cluster(tmp_path, store)
        stack.callback(lambda: [each.close() for each in cluster.stacks.values()])
        for host in API:
            cluster.start(host)
        wait_until(cluster.is_whole, 60)

        # A span has the first half as its id, and Tempo fails at zeros.
        numbers = range(1, 2 * SPANS + 1)
        traces = [f"{number:016x}{number:016x}" for number in numbers]
        taken = []
        for number, trace in enumerate(traces[:SPANS]):
            wait_until(partial(cluster.send, "abc"[number % 3], trace), 30)
            taken.append(trace)
        cluster.kill("b")
        shutil.rmtree(tmp_path / "b/data")
        refused = 0
        for number, trace in enumerate(traces[SPANS:]):
            while not cluster.send("ac"[number % 2], trace):
                refused += 1
                time.sleep(0.1)
            taken.append(trace)
        for host in "ac":
            missing = [trace for trace in taken if not cluster.has(host, trace)]
            print(
                f"{len(taken)} taken, {refused} refused, {len(missing)} missing: {host}"
            )
            assert missing == []

        cluster.start("b")
        wait_until(cluster.is_whole, 90)
        wait_until(lambda: all(cluster.has("b", trace) for trace in taken), 60)
        assert s3.SECRET_KEY not in (tmp_path / "b/etc/tempo.yaml").read_text()
