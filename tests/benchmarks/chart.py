# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the benchmarks' results. Pure."""

from __future__ import annotations

from html import escape
from typing import Any

WIDTH, MARGIN, LABEL = 760, 16, 230
BAR, STEP, PLOT = 16, 26, 200
STYLE = """
text { font: 13px sans-serif; fill: #24292f } .title { font-weight: bold }
.bar { fill: #4c72b0 } .target { fill: #b8c4d6 } .axis { stroke: #8c959f }
.line { stroke: #4c72b0; stroke-width: 2; fill: none } .dot { fill: #4c72b0 }
rect.page { fill: #ffffff }
"""


def picture(results: dict[str, Any]) -> str:
    """Return an SVG with the durations of one host, and the growth with the number of hosts."""
    top, bars = _bars(results["one host"])
    bottom, lines = _growth(results["many hosts"], top + 30)
    height = bottom + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' role="img" aria-label="Durations of runs">'
    )
    page = f'<rect class="page" width="{WIDTH}" height="{height}"/>'
    parts = [head, f"<style>{STYLE}</style>", page, *bars, *lines, "</svg>"]
    return "\n".join(parts) + "\n"


def _bars(durations: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the height and the elements of the bars, one for each kind of run."""
    longest = max(entry["ratio"] for entry in durations.values())
    scale = (WIDTH - LABEL - 120) / longest
    parts = [
        _text(MARGIN, 24, "One host: duration, as a multiple of one ping", "title")
    ]
    height = 40
    for name, entry in durations.items():
        width = max(1, round(entry["ratio"] * scale))
        parts.append(_text(MARGIN, height + 13, name))
        parts.append(
            f'<rect class="bar" x="{LABEL}" y="{height}" width="{width}" height="{BAR}"/>'
        )
        shown = f"{entry['ratio']:.1f} x ({entry['seconds']:.1f} s)"
        parts.append(_text(LABEL + width + 6, height + 13, shown))
        height += STEP
    return height, parts


def _growth(fleet: dict[str, Any], top: int) -> tuple[int, list[str]]:
    """Return the height and the elements of the plot of processor time by hosts."""
    runs = fleet["runs"]
    most = max(run["hosts"] for run in runs), max(run["seconds"] for run in runs)
    left, bottom, width = LABEL, top + 30 + PLOT, WIDTH - LABEL - 120
    points = [
        (
            round(left + run["hosts"] / most[0] * width),
            round(bottom - run["seconds"] / most[1] * PLOT),
        )
        for run in runs
    ]
    share = fleet["line"]["share"]
    title = (
        "Many hosts without changes: processor time of the controller,"
        f" {share:.3f} s for each host and component"
    )
    path = " ".join(f"{x},{y}" for x, y in points)
    parts = [
        _text(MARGIN, top + 12, title, "title"),
        f'<path class="axis" fill="none" d="M{left} {bottom - PLOT}V{bottom}H{left + width}"/>',
        f'<polyline class="line" points="{path}"/>',
    ]
    for run, (x, y) in zip(runs, points, strict=True):
        label = f"{run['hosts']} hosts, {run['seconds']:.1f} s, {run['memory']} MiB"
        parts.append(f'<circle class="dot" cx="{x}" cy="{y}" r="3"/>')
        parts.append(_text(MARGIN, bottom - PLOT + 20 + 20 * runs.index(run), label))
    return bottom, parts


def _text(x: int, y: int, text: str, name: str = "label") -> str:
    return f'<text class="{name}" x="{x}" y="{y}">{escape(text)}</text>'
