# SPDX-License-Identifier: GPL-3.0-or-later
"""Marked telemetry in the encodings of OTLP. Pure.

JSON for HTTP (opentelemetry.io/docs/specs/otlp), and the protocol buffers of
opentelemetry/proto/collector/trace/v1 for gRPC, field by field.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

SERVICE = "monitoring-verify"
METRIC = "monitoring_verify_marker"
SPAN = "verify"
INTERNAL = 1  # The kind of a span inside of a service.
BYTES, FIXED64, VARINT = 2, 1, 0


def metric_body(value: int, host: str, nanoseconds: int) -> bytes:
    """Return a request with one gauge, whose value is the mark.

    The series is new, since the collector drops points that are older than the last one of their
    series, as after a clock that was fast.
    """
    run = {"key": "run", "value": {"stringValue": str(value)}}
    point = {
        "timeUnixNano": str(nanoseconds),
        "asDouble": value,
        "attributes": [run],
    }
    metric = {
        "name": METRIC,
        "description": "Mark of a verification.",
        "gauge": {"dataPoints": [point]},
    }
    scoped = {"scope": {"name": SERVICE}, "metrics": [metric]}
    resource = {"resource": _resource(host), "scopeMetrics": [scoped]}
    return json.dumps({"resourceMetrics": [resource]}).encode()


def span_body(trace_id: str, host: str, nanoseconds: int) -> bytes:
    """Return a request with one span, whose trace id is the mark."""
    span = {
        "traceId": trace_id,
        "spanId": trace_id[:16],
        "name": SPAN,
        "kind": INTERNAL,
        "startTimeUnixNano": str(nanoseconds),
        "endTimeUnixNano": str(nanoseconds + 1000),
    }
    scoped = {"scope": {"name": SERVICE}, "spans": [span]}
    resource = {"resource": _resource(host), "scopeSpans": [scoped]}
    return json.dumps({"resourceSpans": [resource]}).encode()


def _resource(host: str) -> dict[str, Any]:
    attributes = {"service.name": SERVICE, "service.instance.id": host}
    return {
        "attributes": [
            {"key": key, "value": {"stringValue": value}}
            for key, value in attributes.items()
        ]
    }


def span_message(trace_id: str, host: str, environment: str, nanoseconds: int) -> bytes:
    """Return the same request as a message of protocol buffers, with its environment."""
    span = (
        _field(1, bytes.fromhex(trace_id))
        + _field(2, bytes.fromhex(trace_id[:16]))
        + _field(5, SPAN.encode())
        + bytes([6 << 3 | VARINT, INTERNAL])
        + _fixed64(7, nanoseconds)
        + _fixed64(8, nanoseconds + 1000)
    )
    attributes = (
        ("service.name", SERVICE),
        ("service.instance.id", host),
        ("env", environment),
    )
    resource = b"".join(
        _field(1, _field(1, key.encode()) + _field(2, _field(1, value.encode())))
        for key, value in attributes
    )
    scoped = _field(1, _field(1, SERVICE.encode())) + _field(2, span)
    return _field(1, _field(1, resource) + _field(2, scoped))


def _field(number: int, content: bytes) -> bytes:
    """Return a field of bytes: tag, length, content."""
    return bytes([number << 3 | BYTES]) + _varint(len(content)) + content


def _fixed64(number: int, value: int) -> bytes:
    return bytes([number << 3 | FIXED64]) + value.to_bytes(8, "little")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded) + bytes([value])
