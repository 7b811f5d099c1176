# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault becomes one message in known time; the table goes to `faults.json`.

`HIPPIUS_MONITORING_ALERT_SPEED=1` takes the real waits, which are some minutes for each fault, so
that faults of programs that share nothing begin together: `-k together`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resilience.faults import FAULTS, Fault, Result, Watchers
from tests.resilience.site import Site
from tests.resilience.test_site import site

__all__ = ["site"]

SPEED = float(os.environ.get("HIPPIUS_MONITORING_ALERT_SPEED", "20"))
TABLE = Path(__file__).parents[1] / "faults.json"
TOGETHER = ("LokiDown", "RedisDown", "PostgresDown", "DiskAlmostFull", "GrafanaDown")


@pytest.fixture(scope="module")
def watchers(site: Site) -> Iterator[Watchers]:
    """Return a second Prometheus and Alertmanager on the site's host."""
    found = Watchers(site, SPEED)
    found.start()
    yield found
    found.stop()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_one_message(watchers: Watchers, fault: Fault) -> None:
    [result] = watchers.experience(fault)
    note(fault, result)
    assert names(result) == [fault.alert]


def test_faults_that_begin_together_are_one_message_each(watchers: Watchers) -> None:
    chosen = [fault for fault in FAULTS if fault.alert in TOGETHER]
    results = watchers.experience(*chosen)
    for fault, result in zip(chosen, results, strict=True):
        note(fault, result)
    assert sorted(names(results[0])) == sorted(fault.alert for fault in chosen)


def names(result: Result) -> list[str]:
    """Return the alerts of all messages."""
    return [title.split(" · ")[0].split()[-1] for title in result.titles]


def note(fault: Fault, result: Result) -> None:
    """Write the seconds of a fault at this speed into the table."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    row = table.setdefault(fault.name, {"alert": fault.alert, "seconds": {}})
    row["seconds"][f"speed {SPEED:g}"] = {
        "to the message": result.seconds,
        "to the end": result.resolved,
    }
    TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
