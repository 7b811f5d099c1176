# SPDX-License-Identifier: GPL-3.0-or-later
"""Test the filter that describes the collector's pipelines."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.otel_pipelines import otel_pipelines

RECEIVERS = ["otlp/127.0.0.1"]
PROCESSORS = [
    "memory_limiter",
    "resource",
    "tail_sampling",
    "probabilistic_sampler",
    "resource/prometheus",
]
ALL = {"x": {"signals": ["traces", "metrics", "logs"]}}


def test_without_destinations_traces_are_dropped_and_metrics_reach_prometheus() -> None:
    assert otel_pipelines({}, RECEIVERS, ["memory_limiter"]) == {
        "traces": {
            "receivers": RECEIVERS,
            "processors": ["memory_limiter"],
            "exporters": ["nop"],
        },
        "metrics": {
            "receivers": RECEIVERS,
            "processors": ["memory_limiter", "resource/prometheus"],
            "exporters": ["prometheus"],
        },
    }


@pytest.mark.parametrize(
    ("signal", "pipeline"),
    [("traces", "traces"), ("metrics", "metrics/destinations"), ("logs", "logs")],
)
def test_a_signal_reaches_the_destinations_that_take_it(
    signal: str, pipeline: str
) -> None:
    destinations = {
        "a": {"signals": [signal]},
        "b": {"signals": []},
        "c": {"signals": [signal]},
    }
    assert otel_pipelines(destinations, RECEIVERS, [])[pipeline]["exporters"] == [
        "a",
        "c",
    ]


@pytest.mark.parametrize(
    ("pipeline", "processors"),
    [
        (
            "traces",
            ["memory_limiter", "resource", "tail_sampling", "probabilistic_sampler"],
        ),
        ("metrics", ["memory_limiter", "resource", "resource/prometheus"]),
        ("metrics/destinations", ["memory_limiter", "resource"]),
        ("logs", ["memory_limiter", "resource"]),
    ],
)
def test_only_traces_are_sampled(pipeline: str, processors: list[str]) -> None:
    assert (
        otel_pipelines(ALL, RECEIVERS, PROCESSORS)[pipeline]["processors"] == processors
    )


def test_every_pipeline_has_every_receiver() -> None:
    pipelines = otel_pipelines(ALL, ["otlp/a", "otlp/b"], PROCESSORS)
    assert len(pipelines) == 4
    assert all(
        parts["receivers"] == ["otlp/a", "otlp/b"] for parts in pipelines.values()
    )


def test_a_destination_without_signals_is_refused() -> None:
    with pytest.raises(
        AnsibleFilterError, match="'x' has no signals; list traces, metrics or"
    ):
        otel_pipelines({"x": {"endpoint": "y"}}, RECEIVERS, PROCESSORS)
