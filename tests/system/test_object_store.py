# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Loki and Tempo that move from disk to a real object store, by the roles' settings."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.verify import grpc_client, otlp
from tests.system.test_alertmanagers import openssl
from tests.system.test_routing import wait_until
from tests.testbed import programs, s3
from tests.testbed.programs import Server
from tests.testbed.site import TEMPO
from tests.unit.roles.rendering import rollout

STORE = "127.9.7.1:17070"
LOKI = "127.9.7.1:13100"
TEMPO_API, TEMPO_OTLP = "127.9.7.1:13200", "127.9.7.1:14319"
ADDRESSES = {
    "loki_listen_address": LOKI,
    "loki_grpc_listen_address": "127.9.7.1:19096",
    "tempo_listen_address": TEMPO_API,
    "tempo_otlp_listen_address": TEMPO_OTLP,
    "tempo_grpc_listen_address": "127.0.0.1:19095",
}
TODAY = datetime.now(UTC).date()
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def certificate(folder: Path) -> tuple[Path, Path, Path]:
    """Return authority, certificate and key of the store."""
    new = ("req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    ca, ca_key, own, key, request = (
        folder / name for name in ("ca.pem", "ca.key", "own.pem", "own.key", "own.csr")
    )
    openssl(*new, "-x509", "-subj", "/CN=ca", "-keyout", str(ca_key), "-out", str(ca))
    names = f"subjectAltName=IP:{STORE.partition(':')[0]}"
    subject = ("-subj", "/CN=store", "-addext", names)
    openssl(*new, *subject, "-keyout", str(key), "-out", str(request))
    issuer = (
        "-CA",
        str(ca),
        "-CAkey",
        str(ca_key),
        "-CAcreateserial",
        "-out",
        str(own),
    )
    openssl("x509", "-req", "-in", str(request), "-copy_extensions", "copy", *issuer)
    return ca, own, key


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.ObjectStore]:
    """Run an object store with a certificate of an authority of its own."""
    folder = tmp_path_factory.mktemp("store")
    with s3.running(folder, STORE, certificate(folder)) as running:
        running.create("logs")
        running.create("traces")
        yield running


def push(loki: Server, line: str, when: datetime) -> None:
    nanoseconds = str(int(when.timestamp() * 1e9))
    stream = {"stream": {"job": "test"}, "values": [[nanoseconds, line]]}
    assert (
        loki.post("/loki/api/v1/push", json.dumps({"streams": [stream]}).encode())
        == 204
    )


def lines(loki: Server) -> list[str]:
    """Return all lines of the last three days."""
    since = int((datetime.now(UTC) - timedelta(days=3)).timestamp() * 1e9)
    asked = urllib.parse.urlencode({"query": '{job="test"}', "start": since})
    answer = json.loads(loki.get(f"/loki/api/v1/query_range?{asked}"))
    streams = answer["data"]["result"]
    return sorted(line for stream in streams for _time, line in stream["values"])


def test_logs_of_the_disk_stay_there_and_later_ones_go_to_the_bucket(
    tmp_path: Path, store: s3.ObjectStore
) -> None:
    program = programs.unpack("loki", tmp_path / "release")
    on_disk = rollout("loki", **ADDRESSES)
    with programs.running("loki", program, tmp_path / "loki", on_disk) as loki:
        push(loki, "on the disk", YESTERDAY)
        loki.post("/flush")
        chunks = tmp_path / "loki/data/chunks"
        wait_until(lambda: any(chunks.rglob("fake/*/*")))
        loki.stop()

    variables = {**store.variables(loki="logs"), **ADDRESSES}
    both = rollout("loki", **variables, loki_object_store_from=TODAY.isoformat())
    with programs.running("loki", program, tmp_path / "loki", both) as loki:
        push(loki, "in the bucket", datetime.now(UTC))
        loki.post("/flush")
        wait_until(lambda: "fake/" in store.listing("logs"))
        assert lines(loki) == ["in the bucket", "on the disk"]
        loki.stop()
        wait_until(lambda: "index_" in store.listing("logs"))

    # What a new host has: the bucket and nothing else.
    shutil.rmtree(tmp_path / "loki/data")
    fresh = rollout("loki", **variables)
    with programs.running("loki", program, tmp_path / "loki", fresh) as loki:
        wait_until(lambda: lines(loki) == ["in the bucket"], 60)
    assert s3.SECRET_KEY not in (tmp_path / "loki/etc/loki-config.yml").read_text()


def send(trace_id: str) -> None:
    message = otlp.span_message(trace_id, "here", "test", time.time_ns())
    grpc_client.call(TEMPO_OTLP, grpc_client.EXPORT, message)


def has(tempo: Server, trace_id: str) -> bool:
    with suppress(urllib.error.HTTPError):
        return "verify" in tempo.get(f"/api/traces/{trace_id}")
    return False


def test_traces_of_the_disk_are_found_in_the_bucket_after_a_copy(
    tmp_path: Path, store: s3.ObjectStore
) -> None:
    program = programs.unpack("tempo", tmp_path / "release")
    folder = tmp_path / "tempo"
    first, second = "1" * 32, "2" * 32
    settings: dict[str, Any] = {**TEMPO, **ADDRESSES}
    # Blocks are found without the half minute between two looks.
    settings["tempo_config_extra"] = {
        **TEMPO["tempo_config_extra"],
        "storage": {"trace": {"blocklist_poll": "1s"}},
    }
    with programs.running(
        "tempo", program, folder, rollout("tempo", **settings)
    ) as tempo:
        send(first)
        wait_until(lambda: has(tempo, first))
        tempo.get("/flush")
        blocks = folder / "data/blocks"
        wait_until(lambda: any(blocks.rglob("meta.json")), 60)
    store.upload(blocks, "traces")
    shutil.rmtree(folder / "data")

    in_bucket = rollout("tempo", **store.variables(tempo="traces"), **settings)
    with programs.running("tempo", program, folder, in_bucket) as tempo:
        wait_until(lambda: has(tempo, first), 60)
        send(second)
        wait_until(lambda: has(tempo, second))
        before = store.listing("traces").count("meta.json")
        tempo.get("/flush")
        wait_until(lambda: store.listing("traces").count("meta.json") > before, 60)
    shutil.rmtree(folder / "data")
    with programs.running("tempo", program, folder, in_bucket) as tempo:
        wait_until(lambda: has(tempo, first) and has(tempo, second), 60)
    assert s3.SECRET_KEY not in (folder / "etc/tempo.yaml").read_text()
