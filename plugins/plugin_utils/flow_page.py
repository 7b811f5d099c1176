# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One page of HTML that draws the flows of an environment with the verdicts about them. Pure.

The page needs no other file and no script, so that it can be sent and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import jinja2

from . import flow_plan, flow_table
from .flow_verdicts import BROKEN, OK, SKIPPED, UNCHECKED, Verdict

TEMPLATE = Path(__file__).with_name("flow_page.html.j2")
# The worst first. A part without any check is not in the inventory, or was not asked for.
STATES = (BROKEN, UNCHECKED, SKIPPED, OK)
ABSENT = "not tried"
SYMBOLS = {OK: "✓", BROKEN: "✕", UNCHECKED: "?", SKIPPED: "-", ABSENT: "·"}
# Where data comes from; no check is about it.
SOURCE = "source"
EXPORTERS = ("node-exporter", "redis-exporter", "postgres-exporter")
# Parts of a component's check ids, before its host and name.
ASPECTS = ("component", "work", "rollout")


class Part(NamedTuple):
    """A box or an arrow of a lane; the text of an arrow is the time that data took."""

    title: str
    state: str
    text: str = ""
    is_arrow: bool = False

    @property
    def symbol(self) -> str:
        """A sign for the state, since not everyone sees colors."""
        return SYMBOLS.get(self.state, "")


class Lane(NamedTuple):
    """A flow of data from left to right."""

    title: str
    parts: list[Part]


def page_of(verdicts: Iterable[Verdict], subject: str, moment: str) -> str:
    """Return the page; ``subject`` names the environment and ``moment`` the time."""
    listed = list(verdicts)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    flows = [
        (flow, meaning, _worst_first(listed, flow))
        for flow, meaning in flow_plan.FLOWS.items()
    ]
    return template.render(
        subject=subject,
        moment=moment,
        summary=flow_table.summary_of(listed),
        state=worst(listed),
        lanes=lanes_of(listed),
        broken=[verdict for verdict in listed if verdict.state == BROKEN],
        flows=[(flow, meaning, own, worst(own)) for flow, meaning, own in flows if own],
        symbols=SYMBOLS,
        seconds_of=flow_table.seconds_of,
    )


def _worst_first(verdicts: list[Verdict], flow: str) -> list[Verdict]:
    own = [verdict for verdict in verdicts if verdict.check.flow == flow]
    return sorted(own, key=lambda verdict: STATES.index(verdict.state))


def worst(verdicts: Iterable[Verdict]) -> str:
    """Return the worst state of some verdicts."""
    states = {verdict.state for verdict in verdicts}
    return next((state for state in STATES if state in states), ABSENT)


def lanes_of(verdicts: list[Verdict]) -> list[Lane]:
    """Return the flows as lanes of boxes and arrows."""

    def box(title: str, *names: str) -> Part:
        own = [verdict for verdict in verdicts if _is_of(verdict, names)]
        return Part(title, worst(own), _hosts_text(own))

    def arrow(*beginnings: str, is_accepted: bool | None = None) -> Part:
        own = [
            verdict for verdict in verdicts if verdict.check.id.startswith(beginnings)
        ]
        if is_accepted is not None:
            return Part("", _acceptance(own), is_arrow=True)
        return Part("", worst(own), _slowest(own), is_arrow=True)

    def datasource(name: str) -> Part:
        def is_own(verdict: Verdict) -> bool:
            identity = verdict.check.id
            return identity.startswith("datasource/") and identity.endswith(f"/{name}")

        return _arrow_of(verdicts, is_own)

    source = Part("Applications", SOURCE)
    grafana = box("Grafana", "grafana")
    prometheus = box("Prometheus", "prometheus")
    collector = box("Collector", "otel-collector")
    lanes = [
        Lane(
            "Metrics",
            [
                source,
                arrow("metric/", is_accepted=True),
                collector,
                arrow("metric/"),
                prometheus,
                datasource("prometheus"),
                grafana,
            ],
        ),
        Lane(
            "Traces",
            [
                source,
                arrow("span/", is_accepted=True),
                collector,
                arrow("span/", "direct/"),
                box("Tempo", "tempo"),
                datasource("tempo"),
                grafana,
            ],
        ),
        Lane(
            "Logs",
            [
                Part("Containers", SOURCE),
                arrow("line/", is_accepted=True),
                box("Promtail", "promtail"),
                arrow("line/"),
                box("Loki", "loki"),
                datasource("loki"),
                grafana,
            ],
        ),
        Lane(
            "Scrapes",
            [
                box("Exporters", *EXPORTERS),
                arrow("target/"),
                prometheus,
                arrow("selector"),
                Part("Rules and panels", worst(_selected(verdicts)), ""),
            ],
        ),
        Lane(
            "Alerts",
            [
                grafana,
                arrow("rules/grafana", "rule/grafana"),
                Part("Rules of Grafana", SOURCE),
                arrow("message/grafana"),
                Part("Receivers", worst(_messages(verdicts, "grafana"))),
            ],
        ),
        Lane(
            "",
            [
                prometheus,
                arrow("rules/prometheus", "rule/prometheus"),
                box("Alertmanager", "alertmanager"),
                arrow("message/alertmanager"),
                Part("Receivers", worst(_messages(verdicts, "alertmanager"))),
            ],
        ),
    ]
    return [lane for lane in lanes if any(_is_known(part) for part in lane.parts)]


def _is_known(part: Part) -> bool:
    return part.is_arrow and part.state != ABSENT


def _is_of(verdict: Verdict, names: tuple[str, ...]) -> bool:
    parts = verdict.check.id.split("/")
    return parts[0] in ASPECTS and parts[-1] in names


def _selected(verdicts: list[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.check.flow == "selectors"]


def _messages(verdicts: list[Verdict], sender: str) -> list[Verdict]:
    beginning = f"message/{sender}/"
    return [verdict for verdict in verdicts if verdict.check.id.startswith(beginning)]


def _arrow_of(verdicts: list[Verdict], is_own: Callable[[Verdict], bool]) -> Part:
    return Part("", worst(filter(is_own, verdicts)), is_arrow=True)


def _acceptance(verdicts: list[Verdict]) -> str:
    """Return the state of the way to the first program: it took the data, or it did not."""
    states = {
        OK if verdict.check.is_accepted else verdict.state for verdict in verdicts
    }
    return next((state for state in STATES if state in states), ABSENT)


def _slowest(verdicts: list[Verdict]) -> str:
    seconds = [
        verdict.check.seconds
        for verdict in verdicts
        if verdict.check.seconds is not None
    ]
    return f"{max(seconds):.1f} s" if seconds else ""


def _hosts_text(verdicts: list[Verdict]) -> str:
    hosts = list(dict.fromkeys(verdict.check.host for verdict in verdicts))
    return hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts" if hosts else ""
