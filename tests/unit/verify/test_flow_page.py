# SPDX-License-Identifier: GPL-3.0-or-later
"""The page draws each flow with the state of its parts, and needs nothing but itself."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    flow_page,
    flow_plan,
    flow_verdicts,
)
from tests.unit.verify.factories import HOST, answers, site


def verdicts(
    missing: tuple[str, ...] = (), without: tuple[str, ...] = (), **states: str
) -> list[flow_verdicts.Verdict]:
    where = site(*without)
    given = answers(where, missing, **states)
    facts = flow_plan.SeriesFacts()
    checks = flow_verdicts.checks_of(where, given, facts, [HOST])
    return flow_verdicts.settle(checks, flow_plan.FLOWS)


def lane(found: list[flow_verdicts.Verdict], title: str) -> list[str]:
    [parts] = [lane.parts for lane in flow_page.lanes_of(found) if lane.title == title]
    return [part.state for part in parts]


@pytest.mark.parametrize(
    ("title", "missing", "states", "expected"),
    [
        ("Metrics", (), {}, "source ok ok ok ok ok ok"),
        ("Logs", (), {}, "source ok ok ok ok ok ok"),
        ("Logs", ("line/",), {}, "source ok ok broken ok ok ok"),
        (
            "Traces",
            ("span/", "direct/", f"datasource/{HOST}/tempo"),
            {"tempo": "failed"},
            "source ok ok not-checked broken not-checked ok",
        ),
        (
            "Logs",
            ("line/",),
            {"promtail": "inactive"},
            "source ok broken not-checked ok ok ok",
        ),
    ],
)
def test_a_lane_shows_where_it_is_cut(
    title: str, missing: tuple[str, ...], states: dict[str, str], expected: str
):
    found = lane(verdicts(missing, **states), title)
    assert " ".join(state.replace(" ", "-") for state in found) == expected


def test_a_flow_that_the_inventory_lacks_is_not_drawn():
    found = verdicts(without=("loki", "promtail"))
    titles = [lane.title for lane in flow_page.lanes_of(found)]
    assert "Logs" not in titles
    assert "Metrics" in titles


def test_the_page_says_what_to_do_and_quotes_what_it_was_told():
    found = verdicts(("line/",))
    [broken] = [one for one in found if one.state == flow_verdicts.BROKEN]
    hostile = broken._replace(reason="<script>alert(1)</script>")
    page = flow_page.page_of([hostile], "Environment dev", "2026-01-01 00:00 UTC")
    assert "What to do" in page
    assert "its page /targets" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_page_loads_nothing():
    page = flow_page.page_of(verdicts(), "Environment dev", "now")
    assert re.findall(r"(?:src|href)=|url\(|@import|https?://", page) == []
    assert "What to do" not in page


def test_a_check_that_was_not_accepted_cuts_the_first_arrow():
    given = answers(site())
    marks = given.sent[HOST]["marks"]
    refused = [
        {**mark, "error": "503"} if mark["kind"] == "span" else mark for mark in marks
    ]
    given = replace(given, sent={HOST: {**given.sent[HOST], "marks": refused}})
    facts = flow_plan.SeriesFacts()
    checks = flow_verdicts.checks_of(site(), given, facts, [HOST])
    found = flow_verdicts.settle(checks, flow_plan.FLOWS)
    assert lane(found, "Traces")[1] == "broken"
