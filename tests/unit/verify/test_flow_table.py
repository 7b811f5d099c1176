# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts as a table and as data."""

from __future__ import annotations

from ansible_collections.hippius.monitoring.plugins.plugin_utils import (
    flow_plan,
    flow_table,
    flow_verdicts,
)
from tests.unit.verify.factories import HOST, answers, site


def verdicts(
    missing: tuple[str, ...] = (), **states: str
) -> list[flow_verdicts.Verdict]:
    where = site()
    given = answers(where, missing, **states)
    facts = flow_plan.SeriesFacts()
    checks = flow_verdicts.checks_of(where, given, facts, [HOST])
    return flow_verdicts.settle(checks, flow_plan.FLOWS)


def test_a_right_environment_has_a_short_table():
    lines = flow_table.table_of(verdicts(), None)
    assert len(lines) < 16
    assert lines[-1] == "Checks: 39 ok."
    assert flow_table.errors_of(verdicts()) == []


def test_checks_that_were_not_made_for_one_reason_are_one_row():
    missing = (f"span/{HOST}", f"direct/{HOST}")
    lines = flow_table.table_of(verdicts(missing, tempo="inactive"), None)
    [row] = [line for line in lines if line.startswith("traces")]
    assert row.split() == (
        f"traces 2 checks not checked - because of tempo on {HOST}".split()
    )


def test_a_broken_check_says_what_to_do():
    found = verdicts((f"line/{HOST}",))
    [row] = [line for line in flow_table.table_of(found, None) if "broken" in line][:1]
    assert "its page /targets" in row
    assert flow_table.errors_of(found) == [
        f"Broken: log line from {HOST} to loki on {HOST}."
    ]
    report = flow_table.report_of(found)
    assert not report["ok"]
    [broken] = [check for check in report["checks"] if check["state"] == "broken"]
    assert broken["remedy"]


def test_nothing_checked_is_an_error():
    assert "Nothing was checked" in flow_table.errors_of([])[0]
