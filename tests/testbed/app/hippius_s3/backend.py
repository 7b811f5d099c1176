# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores, queues and log format of the API and the workers."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

import asyncpg
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from redis import asyncio as redis

cache = redis.Redis.from_url(os.environ["REDIS_URL"])
accounts = redis.Redis.from_url(os.environ["REDIS_ACCOUNTS_URL"])
chain = redis.Redis.from_url(os.environ["REDIS_CHAIN_URL"])

CACHE_SECONDS = 3600


def open_database() -> Any:
    """Return the pool of PostgreSQL connections for `async with`."""
    return asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=8)


def cached(version: str) -> str:
    return f"object:{version}"


def queue_key(queue: str) -> str:
    return f"queue:{queue}"


async def enqueue(queue: str, **job: str) -> None:
    """Send a job to a worker; the message carries the trace."""
    context: dict[str, str] = {}
    propagate.inject(context)
    await cache.lpush(queue_key(queue), json.dumps(job | {"context": context}))


async def dequeue(queue: str, wait: int) -> dict[str, Any] | None:
    """Return the oldest job of a queue, or None after `wait` seconds without one."""
    # Outside every trace, since an idle worker would send one for each poll.
    with suppress_instrumentation():
        found = await cache.brpop([queue_key(queue)], timeout=wait)
    return None if found is None else json.loads(found[1])


class TraceId(logging.Filter):
    """Adds the id of the current trace to each line, so that a line leads to its trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = trace.get_current_span().get_span_context()
        record.trace = f" trace_id={context.trace_id:032x}" if context.is_valid else ""
        return True


def log_to_stdout() -> None:
    """Log to stdout only: Docker stores the lines, Promtail ships them, none use OTLP."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(TraceId())
    handler.setFormatter(
        logging.Formatter("level=%(levelname)s logger=%(name)s%(trace)s %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
