# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe what a ready program fails to do, from its own metrics and notes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from . import probe

if TYPE_CHECKING:
    from .manifest import Manifest
    from .spec import ReadyProbe

# Metrics without labels, the value that is a complaint, and what it means.
GAUGES = (
    ("pg_up", 0, "it does not reach PostgreSQL"),
    ("redis_up", 0, "it does not reach Redis"),
    ("node_textfile_scrape_error", 1, "it cannot read its text files"),
    ("prometheus_config_last_reload_successful", 0, "it refused its configuration"),
    ("alertmanager_config_last_reload_successful", 0, "it refused its configuration"),
)
SAMPLE = re.compile(r"^(\w+)\{(.*)\}[ \t]+(\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
PROMTAIL_REQUESTS = "promtail_request_duration_seconds_count"
PROMTAIL_FAILED = "promtail_targets_failed_total"
# Of each exporter of the collector: items that were sent, and what waits.
COLLECTOR_SENT = re.compile(r"otelcol_exporter_sent_\w+\Z")
COLLECTOR_WAITS = "otelcol_exporter_queue_size"


def of_program(
    unit_name: str,
    pid: int,
    manifest: Manifest,
) -> list[str]:
    """Return what a program itself complains about; none if it has no page of metrics."""
    ready = manifest["ready"]
    if not ready.get("url"):
        return []
    scheme, _slashes, rest = ready["url"].partition("://")
    own = rest.partition("/")[0]
    for address in dict.fromkeys([own, *manifest["listen_addresses"]]):
        request: ReadyProbe = {**ready, "url": f"{scheme}://{address}/metrics"}
        status, body = probe.ask(unit_name, request, pid)
        if status == 200 and "# TYPE" in body:
            found = in_metrics(body)
            if found or "otelcol_" in body or address == own:
                return found
    return []


def in_metrics(exposition: str) -> list[str]:
    """Return the complaints in metrics of Prometheus' text format. Pure."""
    lines = [
        f"{meaning} ({name} is {value})"
        for name, value, meaning in GAUGES
        if probe.metric_value(exposition, name) == value
    ]
    answered: dict[str, bool] = {}
    sent: dict[str, float] = {}
    waiting: dict[str, float] = {}
    for name, labels, number in _samples(exposition):
        if name == PROMTAIL_REQUESTS and number:
            host = labels.get("host", "")
            code = labels.get("status_code", "")
            answered[host] = answered.get(host, False) or code.startswith("2")
        elif name == PROMTAIL_FAILED and number and labels.get("reason") != "exists":
            lines.append(f"{number:.0f} targets failed ({labels.get('reason', '')})")
        elif COLLECTOR_SENT.match(name):
            exporter = labels.get("exporter", "")
            sent[exporter] = sent.get(exporter, 0) + number
        elif name == COLLECTOR_WAITS:
            exporter = labels.get("exporter", "")
            waiting[exporter] = waiting.get(exporter, 0) + number
    lines += [
        f"{host} has accepted nothing from it"
        for host in answered
        if not answered[host]
    ]
    for exporter, number in waiting.items():
        if number and not sent.get(exporter):
            lines.append(
                f"its exporter {exporter} has sent nothing, and {number:.0f} wait"
            )
    return lines


def _samples(exposition: str) -> list[tuple[str, dict[str, str], float]]:
    samples = []
    for name, labels, value in SAMPLE.findall(exposition):
        try:
            samples.append((name, dict(LABEL.findall(labels)), float(value)))
        except ValueError:
            continue
    return samples


def in_notes(manifest: Manifest) -> list[str]:
    """Return the lines that further units of a component have left for this report."""
    lines: list[str] = []
    for unit_name in manifest["units"]:
        stem = unit_name.rpartition(".")[0]
        try:
            with open(
                os.path.join("/run", stem, "diagnostics"), encoding="utf-8"
            ) as stream:
                lines += stream.read(65536).splitlines()
        except OSError:
            continue
    return list(dict.fromkeys(lines))
