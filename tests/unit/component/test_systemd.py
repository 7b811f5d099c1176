# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error message shows of a log."""

from __future__ import annotations

import pytest

from ansible_collections.hippius.monitoring.plugins.module_utils.component.systemd import LONGEST_LINE, excerpt

STOPPING = [f"level=info msg=stopping step={number}" for number in range(20)]
REASON = 'level=error err="listen tcp 127.0.0.1:7999: bind: address already in use"'


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        pytest.param([], [], id="nothing was said"),
        pytest.param(["a", "b"], ["a", "b"], id="all of a short log"),
        pytest.param([REASON, *STOPPING], [REASON, "...", *STOPPING[-15:]], id="the reason before a long farewell"),
        pytest.param(STOPPING, STOPPING[-15:], id="no complaint"),
        pytest.param(
            [f"error {number}" for number in range(9)] + STOPPING,
            [f"error {number}" for number in range(5)] + ["...", *STOPPING[-15:]],
            id="the first of many complaints",
        ),
        pytest.param(
            ["error of the old one", "Starting a.service", 'level=warn err="no matter"', REASON, *STOPPING],
            [REASON, "...", *STOPPING[-15:]],
            id="only since the last start, and no warnings",
        ),
        pytest.param(["x" * (LONGEST_LINE + 1)], ["x" * LONGEST_LINE + "..."], id="a long line is cut"),
    ],
)
def test_an_excerpt_shows_what_helps(lines, shown):
    assert excerpt("\n".join(lines)) == "\n".join(shown)
