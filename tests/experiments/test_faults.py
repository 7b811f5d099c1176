# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault becomes one message in known time; the table goes to `faults.json`.

`HIPPIUS_MONITORING_ALERT_SPEED=1` takes the real waits, which are some minutes for each fault.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resilience.faults import FAULTS, Fault, Watchers
from tests.resilience.site import Site
from tests.resilience.test_site import site

__all__ = ["site"]

SPEED = float(os.environ.get("HIPPIUS_MONITORING_ALERT_SPEED", "20"))
TABLE = Path(__file__).parents[1] / "faults.json"


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
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table[fault.name] = {
        "alert": fault.alert,
        "speed": SPEED,
        "seconds to the message": result.seconds,
        "seconds to the end": result.resolved,
        "messages": result.titles,
    }
    TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    names = [title.split(" · ")[0].split()[-1] for title in result.titles]
    assert names == [fault.alert]
