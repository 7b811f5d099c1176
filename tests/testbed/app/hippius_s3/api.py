# SPDX-License-Identifier: GPL-3.0-or-later
"""The S3-style API on port 8000, started by `opentelemetry-instrument`."""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from opentelemetry import metrics, trace

from .backend import (
    CACHE_SECONDS,
    accounts,
    cache,
    cached,
    enqueue,
    log_to_stdout,
    open_database,
)

log = logging.getLogger("hippius_s3.api")
meter = metrics.get_meter("hippius_s3.api")
# The unit is already the end of the name, so the collector's Prometheus exporter adds no suffix.
request_duration = meter.create_histogram(
    "http_request_duration_seconds",
    unit="s",
    description="Time from a request's arrival to its response",
    explicit_bucket_boundaries_advisory=[
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
        1,
        2.5,
        5,
        10,
    ],
)

DOWNLOAD_SECONDS = 10


@asynccontextmanager
async def database(application: FastAPI) -> AsyncIterator[None]:
    async with open_database() as pool:
        application.state.database = pool
        yield


app = FastAPI(title="hippius-s3", lifespan=database)


@app.middleware("http")
async def observe(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Record each request once, including failures, and return its trace id to the client."""
    started = time.perf_counter()
    status = 500
    try:
        response = await call_next(request)
        status = response.status_code
        response.headers["x-amz-request-id"] = (
            f"{trace.get_current_span().get_span_context().trace_id:032x}"
        )
        return response
    finally:
        elapsed = time.perf_counter() - started
        # Never the path as a label: it holds the object's key, and each key would be a series.
        handler = getattr(request.scope.get("endpoint"), "__name__", "none")
        request_duration.record(
            elapsed,
            {"method": request.method, "handler": handler, "status_code": str(status)},
        )
        log.info(
            "%s %s status=%d seconds=%.4f",
            request.method,
            request.url.path,
            status,
            elapsed,
        )


@app.put("/{bucket}/{key:path}")
async def put_object(bucket: str, key: str, request: Request) -> Response:
    body = await request.body()
    version, etag = (
        str(uuid.uuid4()),
        hashlib.md5(body, usedforsecurity=False).hexdigest(),
    )
    await accounts.incr(f"puts:{bucket}")
    await cache.set(cached(version), body, ex=CACHE_SECONDS)
    await request.app.state.database.execute(
        "INSERT INTO objects (bucket, key, version, etag, size) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (bucket, key) DO UPDATE "
        "SET version = $3, etag = $4, size = $5, cid = NULL, state = 'accepted'",
        bucket, key, version, etag, len(body),
    )  # fmt: skip
    await enqueue("uploader", version=version)
    return Response(headers={"etag": f'"{etag}"'})


@app.get("/{bucket}/{key:path}")
async def get_object(bucket: str, key: str, request: Request) -> Response:
    row = await request.app.state.database.fetchrow(
        "SELECT version::text, etag FROM objects WHERE bucket = $1 AND key = $2",
        bucket,
        key,
    )
    if row is None:
        raise HTTPException(404, "NoSuchKey")
    body = await cache.get(cached(row["version"]))
    if body is None:
        body = await download(row["version"])
    return Response(
        body,
        media_type="application/octet-stream",
        headers={"etag": f'"{row["etag"]}"'},
    )


async def download(version: str) -> bytes:
    """Restore an object into the cache by the downloader."""
    reply = f"reply:{uuid.uuid4()}"
    await enqueue("downloader", version=version, reply=reply)
    await cache.blpop([reply], timeout=DOWNLOAD_SECONDS)
    body = await cache.get(cached(version))
    if body is None:
        raise HTTPException(503, "SlowDown")
    return body


@app.delete("/{bucket}/{key:path}")
async def delete_object(bucket: str, key: str, request: Request) -> Response:
    await request.app.state.database.execute(
        "DELETE FROM objects WHERE bucket = $1 AND key = $2", bucket, key
    )
    return Response(status_code=204)


@app.get("/{bucket}")
async def list_objects(bucket: str, request: Request) -> list[str]:
    rows = await request.app.state.database.fetch(
        "SELECT key FROM objects WHERE bucket = $1 ORDER BY key LIMIT 1000", bucket
    )
    return [row["key"] for row in rows]


if __name__ == "__main__":
    log_to_stdout()
    uvicorn.run(app, host="0.0.0.0", port=8000, log_config=None, access_log=False)
