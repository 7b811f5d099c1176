# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ready program fails to do, as the status report tells it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component import (
    complaints,
    probe,
    status,
)
from tests.unit.component.factories import built, instance

PROMTAIL = "promtail_request_duration_seconds_count"


@pytest.mark.parametrize(
    ("exposition", "expected"),
    [
        pytest.param("pg_up 1\n", [], id="PostgreSQL answers"),
        pytest.param(
            "pg_up 0\n",
            ["it does not reach PostgreSQL (pg_up is 0)"],
            id="no PostgreSQL",
        ),
        pytest.param(
            "redis_up 0\n", ["it does not reach Redis (redis_up is 0)"], id="no Redis"
        ),
        pytest.param(
            "node_textfile_scrape_error 1\n",
            ["it cannot read its text files (node_textfile_scrape_error is 1)"],
            id="no text files",
        ),
        pytest.param(
            f'{PROMTAIL}{{host="loki:3100",status_code="-1"}} 7\n',
            ["loki:3100 has accepted nothing from it"],
            id="Promtail reaches no Loki",
        ),
        pytest.param(
            f'{PROMTAIL}{{host="a",status_code="500"}} 7\n'
            f'{PROMTAIL}{{host="a",status_code="204"}} 9\n'
            f'{PROMTAIL}{{host="b",status_code="429"}} 1\n',
            ["b has accepted nothing from it"],
            id="Promtail reaches one of two Lokis",
        ),
        pytest.param(
            'promtail_targets_failed_total{reason="empty_labels"} 2\n'
            'promtail_targets_failed_total{reason="exists"} 3\n',
            ["2 targets failed (empty_labels)"],
            id="targets of Promtail",
        ),
        pytest.param(
            'otelcol_exporter_queue_size{exporter="otlp/a",data_type="traces"} 3\n'
            'otelcol_exporter_queue_size{exporter="otlp/b",data_type="traces"} 3\n'
            'otelcol_exporter_sent_spans_total{exporter="otlp/b"} 4\n'
            'otelcol_exporter_queue_size{exporter="otlp/c"} 0\n',
            ["its exporter otlp/a has sent nothing, and 3 wait"],
            id="exporters of the collector",
        ),
        pytest.param('x{y="z"} NaN\nodd{ 1\npg_up{a="b"} 0\n', [], id="odd lines"),
    ],
)
def test_metrics_are_told_in_words(exposition: str, expected: list[str]) -> None:
    assert complaints.in_metrics(exposition) == expected


def asked(
    monkeypatch: pytest.MonkeyPatch, pages: dict[str, str], **options: Any
) -> tuple[list[str], list[str]]:
    """Return the complaints of a program with these pages, and the URLs that were asked."""
    urls: list[str] = []

    def ask(_unit: str, request: dict[str, str], _pid: int) -> tuple[int, str]:
        urls.append(request["url"])
        body = pages.get(request["url"].split("/")[2])
        return (200, body) if body else (404, "")

    monkeypatch.setattr(probe, "ask", ask)
    return complaints.of_program("x.service", 7, built(instance(**options))), urls


def test_the_page_of_metrics_is_found_on_one_of_the_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = '# TYPE x counter\notelcol_exporter_queue_size{exporter="a"} 1\n'
    options = {
        "listen_addresses": ["127.0.0.1:4317", "127.0.0.1:8888"],
        "ready": {"url": "http://127.0.0.1:13133/"},
    }
    found, urls = asked(monkeypatch, {"127.0.0.1:8888": page}, **options)
    assert found == ["its exporter a has sent nothing, and 1 wait"]
    assert urls == [f"http://127.0.0.1:{port}/metrics" for port in (13133, 4317, 8888)]


def test_a_program_without_a_ready_url_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert asked(monkeypatch, {}) == ([], [])


def test_a_program_that_is_not_ready_has_no_complaints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(complaints, "of_program", lambda *_words: ["a"])
    monkeypatch.setattr(complaints, "in_notes", lambda _manifest: ["b"])
    manifest = built(instance())
    assert status.complaints_of("x.service", 7, manifest, "it is down") == ()
    assert status.complaints_of("x.service", 7, manifest, None) == ("a", "b")
