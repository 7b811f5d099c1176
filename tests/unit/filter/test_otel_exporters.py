# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the filter that describes the exporters of the collector's destinations."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.filter.otel_exporters import otel_exporters

QUEUE = {
    "retry_on_failure": {"max_elapsed_time": "0s"},
    "sending_queue": {"num_consumers": 2},
}


@pytest.mark.parametrize(
    ("destination", "settings"),
    [
        pytest.param(
            {"signals": ["traces"], "endpoint": "https://x"},
            {**QUEUE, "endpoint": "https://x"},
            id="queue and retries are added, signals left out",
        ),
        pytest.param(
            {"sending_queue": {"queue_size": 5}},
            {**QUEUE, "sending_queue": {"num_consumers": 2, "queue_size": 5}},
            id="settings are merged over those of the queue",
        ),
        pytest.param(
            {"sending_queue": None, "retry_on_failure": None, "path": "/x"},
            {"path": "/x"},
            id="null leaves a setting out",
        ),
        pytest.param(
            {"headers": {"a": None}}, {**QUEUE, "headers": {"a": None}}, id="null below"
        ),
        pytest.param(
            {"flag": False, "n": 0}, {**QUEUE, "flag": False, "n": 0}, id="false stays"
        ),
    ],
)
def test_exporter_has(destination: dict[str, Any], settings: dict[str, Any]) -> None:
    assert otel_exporters({"file/a": destination}, QUEUE) == {"file/a": settings}


def test_exporters_keep_the_order_of_the_destinations() -> None:
    assert list(otel_exporters({"b": {}, "a": {}}, QUEUE)) == ["b", "a"]


def test_exporters_leave_their_arguments_unchanged() -> None:
    destination = {"signals": ["logs"], "sending_queue": {"num_consumers": 9}}
    otel_exporters({"a": destination}, QUEUE)
    assert destination == {"signals": ["logs"], "sending_queue": {"num_consumers": 9}}
    assert QUEUE["sending_queue"] == {"num_consumers": 2}
