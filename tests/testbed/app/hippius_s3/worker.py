# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker: `python3 -m hippius_s3.worker uploader|substrate|downloader`.

`opentelemetry-instrument` starts it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

import redis
from opentelemetry import metrics, propagate, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation

from .backend import (
    CACHE_SECONDS,
    cache,
    cached,
    chain,
    dequeue,
    enqueue,
    log_to_stdout,
    open_database,
    queue_key,
)

log = logging.getLogger("hippius_s3.worker")
meter = metrics.get_meter("hippius_s3.worker")
tracer = trace.get_tracer("hippius_s3.worker")

Job = dict[str, Any]


async def upload(job: Job, database: Any) -> None:
    """Move an object from the cache to the store, by the digest of its content."""
    body = await cache.get(cached(job["version"]))
    if body is None:
        raise LookupError(
            f"object {job['version']} has left the cache before it was stored"
        )
    cid = hashlib.sha256(body).hexdigest()
    await database.execute(
        "INSERT INTO blobs (cid, body) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        cid,
        body,
    )
    await database.execute(
        "UPDATE objects SET cid = $2, state = 'stored' WHERE version = $1",
        job["version"],
        cid,
    )
    await cache.delete(cached(job["version"]))
    await enqueue("substrate", version=job["version"], cid=cid)


async def publish(job: Job, database: Any) -> None:
    """Write the stored object to the chain."""
    await chain.set(f"cid:{job['cid']}", job["version"], ex=CACHE_SECONDS)
    await database.execute(
        "UPDATE objects SET state = 'published' WHERE version = $1", job["version"]
    )


async def download(job: Job, database: Any) -> None:
    """Restore a stored object into the cache and notify the waiting API."""
    body = await database.fetchval(
        "SELECT body FROM objects JOIN blobs USING (cid) WHERE version = $1",
        job["version"],
    )
    if body is not None:
        await cache.set(cached(job["version"]), body, ex=CACHE_SECONDS)
    await cache.lpush(job["reply"], "done")
    await cache.expire(job["reply"], 60)


WORK = {"uploader": upload, "substrate": publish, "downloader": download}


def watch_queue(worker: str) -> None:
    """Export the length of the worker's queue; the exporter reads it in its own thread."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])

    def length(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        with suppress_instrumentation():
            yield metrics.Observation(
                client.llen(queue_key(worker)), {"queue_name": worker}
            )

    meter.create_observable_gauge(
        "hippius_queue_length", [length], description="Jobs that wait in a queue"
    )


async def process(worker: str, job: Job, database: Any) -> bool:
    """Run one job as a span of its trace; return whether it succeeded."""
    with tracer.start_as_current_span(
        f"{worker} process",
        context=propagate.extract(job["context"]),
        kind=trace.SpanKind.CONSUMER,
        attributes={
            "messaging.system": "redis",
            "messaging.destination.name": queue_key(worker),
        },
    ) as span:
        try:
            await WORK[worker](job, database)
        except Exception as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, str(error))
            log.exception("failed version=%s", job["version"])
            return False
        log.info("done version=%s", job["version"])
        return True


async def run(worker: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    requests = meter.create_counter(
        f"{worker}_requests_total", description="Jobs done, by success"
    )
    watch_queue(worker)
    async with open_database() as database:
        log.info("waiting for jobs of %s", worker)
        while not stop.is_set():
            job = await dequeue(worker, wait=1)
            if job is not None:
                requests.add(
                    1, {"success": str(await process(worker, job, database)).lower()}
                )


if __name__ == "__main__":
    log_to_stdout()
    asyncio.run(run(sys.argv[1]))
