# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the JSON of all dashboards."""

from tests.dashboards.boards import BOARDS
from tests.dashboards.render import path, text

for board in BOARDS:
    path(board).parent.mkdir(exist_ok=True)
    path(board).write_text(text(board), encoding="utf-8")
